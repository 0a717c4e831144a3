//! Certificates and keys that are of no use: what is said of them.

use std::fs;

use super::{Authority, Identity, TlsError};

#[test]
fn bad_files_are_named_and_a_cure_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["b.test".to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    fs::write(path("cert.pem"), &cert).unwrap();
    fs::write(path("key.pem"), &key).unwrap();
    fs::write(path("both.pem"), format!("{key}{cert}")).unwrap();
    fs::write(path("other.key"), other.signing_key.serialize_pem()).unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("text"), "hello").unwrap();
    fs::write(path("cert.der"), made.cert.der()).unwrap();
    fs::write(path("key.der"), made.signing_key.serialize_der()).unwrap();
    fs::write(path("encrypted"), key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")).unwrap();
    fs::write(path("cut.pem"), &cert[..cert.len() / 2]).unwrap();
    fs::write(path("odd.pem"), cert.replacen("MII", "MIJ", 1)).unwrap();

    let check = |cert: &str, key: &str, expected: &[&str]| {
        let error = Identity::from_files(&path(cert), &path(key)).unwrap_err().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{cert}, {key}: {error}");
    };
    check("none.pem", "key.pem", &["none.pem", "No such file"]);
    check("cert.pem", "none.key", &["none.key", "No such file"]);
    check("empty", "key.pem", &["no certificate in", "empty: it is empty"]);
    check("text", "key.pem", &["text: it needs to be in PEM form"]);
    check("cert.der", "key.pem", &["cert.der", "openssl x509 -inform der"]);
    check("key.pem", "cert.pem", &["key.pem", "the wrong way round"]);
    check("cert.pem", "cert.pem", &["no private key in", "the wrong way round"]);
    check("cert.pem", "key.der", &["key.der", "openssl pkey -inform der"]);
    check("cert.pem", "encrypted", &["encrypted: it is encrypted", "openssl pkey"]);
    check("cert.pem", "other.key", &["other.key does not belong to", "cert.pem"]);
    check("cut.pem", "key.pem", &["cut.pem is damaged"]);
    check("odd.pem", "key.pem", &["odd.pem is damaged"]);

    let identity = Identity::from_files(&path("both.pem"), &path("both.pem")).unwrap();
    assert_eq!(identity.names(), ["a.test"]);
    assert!(!format!("{identity:?}").contains("key"));
}

#[test]
fn authorities_are_restored() {
    let first = Authority::generate("Holm test").unwrap();
    let restored = Authority::from_pem(first.ca_pem(), &first.key_pem()).unwrap();
    assert_eq!((restored.ca_pem(), restored.key_pem()), (first.ca_pem(), first.key_pem()));
    let ca = first.ca_pem().as_bytes();
    super::mutual_server_config(&restored.issue_node("edge-1").unwrap(), ca).unwrap();

    let other = Authority::generate("Holm test").unwrap();
    let mixed = Authority::from_pem(first.ca_pem(), &other.key_pem());
    assert!(matches!(mixed, Err(TlsError::KeyMismatch { .. })), "{mixed:?}");
    let leaf = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    let not_one = Authority::from_pem(&leaf.cert.pem(), &leaf.signing_key.serialize_pem());
    assert!(matches!(not_one, Err(TlsError::Authority(_))), "{not_one:?}");
}

#[test]
fn names_in_certificates() {
    let authority = Authority::generate("test").unwrap();
    let check = |names: &[&str], expected: Option<&[&str]>| {
        let issued = authority.issue_server(names).ok().map(|identity| identity.names());
        assert_eq!(
            issued.as_deref(),
            expected.map(|names| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).as_deref(),
            "{names:?}"
        );
    };
    check(&["a.test", "*.a.test", "127.0.0.1", "::1"], Some(&["a.test", "*.a.test"]));
    check(&["localhost"], Some(&["localhost"]));
    check(&[], None);
    check(&["a b"], None);
    check(&["*.127.0.0.1"], None);
    check(&["a.test", ""], None);
    let long = "a".repeat(63) + ".test";
    check(&[&long], Some(&[&long]));
}

#[test]
fn a_machine_that_believes_nobody_is_no_error() {
    super::origin_client_config(None).unwrap();
    assert!(super::origin_client_config(Some(b"not PEM")).is_err());
}
