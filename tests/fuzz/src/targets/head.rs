//! The scanner before hyper, and the hosts that it takes. RFC 9112 §2.2, RFC 9110 §7.2.

use holm_transport::{head_end, is_valid_host};

/// Bytes as they come from a client.
pub(super) fn run(bytes: &[u8]) {
    let found = head_end(bytes);
    if let Some(Ok(length)) = found {
        assert!(length <= bytes.len(), "a head of {length} bytes in {}", bytes.len());
        assert_eq!(head_end(&bytes[..length]), found, "what follows a head changes it");
    }
    // However the bytes come in pieces, the answer is the same.
    for length in 0..bytes.len().min(MOST_PIECES) {
        match (head_end(&bytes[..length]), found) {
            (None, _) => {}
            (Some(Ok(early)), found) => assert_eq!(Some(Ok(early)), found, "after {length} bytes"),
            (Some(Err(early)), found) => {
                assert!(matches!(found, Some(Err(_))), "after {length} bytes {early:?}, then {found:?}")
            }
        }
    }
}

/// A `Host`.
pub(super) fn host(bytes: &[u8]) {
    if is_valid_host(bytes) {
        assert!(http::uri::Authority::try_from(bytes).is_ok(), "{:?} is no authority", String::from_utf8_lossy(bytes));
        assert!(!bytes.contains(&b'@') && !bytes.contains(&b'/'), "{:?}", String::from_utf8_lossy(bytes));
    }
}

/// Prefixes that are tried: each scans again from the beginning.
const MOST_PIECES: usize = 400;
