//! The form in which what is stored goes to disk, and what it weighs in memory.
//!
//! A version, a kind, and what follows from it. A version that is not known is not read: such objects are misses.

use bytes::Bytes;
use holm_cache_policy::{CacheKey, NoVarySearch, Selected, StoredMeta};
use holm_cache_store::{Meta, allocated};
use http::StatusCode;

use super::{Stored, StoredParts, StoredResponse, StoredSliced};
use crate::fields::Fields;
use crate::slices::{Nonce, SLICE_BYTES};
use crate::variants::Variants;

impl Meta for Stored {
    fn encode(&self, out: &mut Vec<u8>) -> bool {
        out.push(VERSION);
        match self {
            Self::Response(head) => {
                out.push(RESPONSE);
                encode_head(head, out);
            }
            Self::Sliced(sliced) => {
                out.push(SLICED);
                out.extend_from_slice(&sliced.length.to_le_bytes());
                out.extend_from_slice(&sliced.nonce.0.to_le_bytes());
                out.extend_from_slice(&sliced.key.0.to_le_bytes());
                encode_head(&sliced.head, out);
            }
            Self::Slice => out.push(SLICE),
            Self::Variants(variants) => {
                out.push(VARIANTS);
                variants.encode(out);
            }
            Self::Queries(variance) => {
                out.push(QUERIES);
                variance.encode(out);
            }
            Self::Parts(_) | Self::Unstorable { .. } | Self::EarlyHints(_) => return false,
        }
        true
    }

    fn decode(bytes: &Bytes) -> Option<Self> {
        let (&[VERSION, kind], rest) = bytes.split_first_chunk::<2>()? else { return None };
        match kind {
            RESPONSE => decode_head(rest).map(Self::Response),
            SLICED => decode_sliced(rest).map(|sliced| Self::Sliced(sliced.into())),
            SLICE => rest.is_empty().then_some(Self::Slice),
            VARIANTS => Variants::decode(rest).map(|variants| Self::Variants(variants.into())),
            QUERIES => NoVarySearch::decode(rest).map(|variance| Self::Queries(variance.into())),
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Response(head) => head_weight(head),
            Self::EarlyHints(fields) => allocated(fields.as_bytes().len()),
            Self::Parts(stored) => {
                let parts = usize::try_from(stored.parts.held()).unwrap_or(usize::MAX / 2);
                allocated(size_of::<StoredParts>()) + head_weight(&stored.head) + parts + stored.parts.overhead()
            }
            Self::Variants(variants) => variants.weight(),
            Self::Queries(variance) => allocated(size_of::<NoVarySearch>()) + variance.weight(),
            Self::Sliced(sliced) => {
                let heads = allocated(size_of::<StoredSliced>()) + allocated(size_of::<StoredResponse>());
                heads + head_weight(&sliced.head)
            }
            Self::Slice | Self::Unstorable { .. } => 0,
        }
    }
}

/// Status, what the policy remembers, the length of what it varies by and that, the fields.
fn encode_head(head: &StoredResponse, out: &mut Vec<u8>) {
    out.extend_from_slice(&head.status.as_u16().to_le_bytes());
    head.meta.encode(out);
    let vary = head.vary.as_deref().map_or(&[][..], Selected::as_bytes);
    let length = u32::try_from(vary.len()).expect("invariant: a request's head is short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(vary);
    out.extend_from_slice(head.fields.as_bytes());
}

fn decode_head(bytes: &[u8]) -> Option<StoredResponse> {
    let (status, rest) = bytes.split_first_chunk()?;
    let status = StatusCode::from_u16(u16::from_le_bytes(*status)).ok()?;
    let (meta, rest) = StoredMeta::decode(rest)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (vary, fields) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let vary = if vary.is_empty() { None } else { Some(Selected::decode(vary)?.into()) };
    let fields = Fields::decode(fields)?;
    Some(StoredResponse { status, fields, meta, vary })
}

/// Length, nonce, key, head.
fn decode_sliced(bytes: &[u8]) -> Option<StoredSliced> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk()?;
    let head = decode_head(rest)?;
    let (nonce, key) = (Nonce(u128::from_le_bytes(*nonce)), CacheKey(u128::from_le_bytes(*key)));
    let length = u64::from_le_bytes(*length);
    // No shorter one is kept in slices.
    (length > SLICE_BYTES).then(|| StoredSliced { head: head.into(), length, nonce, key })
}

fn head_weight(head: &StoredResponse) -> usize {
    let vary = head.vary.as_deref().map_or(0, |vary| allocated(size_of::<Selected>()) + allocated(vary.weight()));
    allocated(head.fields.as_bytes().len()) + vary
}

const VERSION: u8 = 1;

/// Kinds. New ones come last.
const RESPONSE: u8 = 1;
const VARIANTS: u8 = 2;
const QUERIES: u8 = 3;
const SLICED: u8 = 4;
const SLICE: u8 = 5;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use holm_cache_policy::{FetchTimes, VarySpec, VaryValues, storable};
    use holm_model::manifest::{CacheRule, Languages};
    use holm_model::units::Timestamp;
    use http::{HeaderMap, HeaderName, HeaderValue, Method};
    use proptest::prelude::*;

    use super::*;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(field).collect()
    }

    fn response(fields: &[(&'static str, &str)]) -> Stored {
        let (headers, request) = (map(fields), map(&[("accept-encoding", "br, gzip")]));
        let at = Timestamp::from_secs(1_000);
        let times = FetchTimes { requested: at, received: at.plus(Duration::from_millis(7)) };
        let meta = storable(&Method::GET, &request, StatusCode::OK, &headers, &CacheRule::default(), times).unwrap();
        let vary = VarySpec::of(&headers)
            .map(|spec| Selected::of(&spec, &VaryValues::of(&spec, &request, &Languages::Normalised)).into());
        let fields = Fields::of(&headers);
        Stored::Response(StoredResponse { status: StatusCode::OK, fields, meta, vary })
    }

    fn samples() -> Vec<Stored> {
        let spec = |vary| VarySpec::of(&map(&[("vary", vary)])).unwrap();
        let variants = Variants::new(spec("accept-encoding")).with_spec(spec("accept-language"));
        let wanted = map(&[("accept-language", "de")]);
        variants.keep(CacheKey(7), &wanted, &map(&[("content-language", "de")]));
        variants.keep(CacheKey(8), &wanted, &HeaderMap::new());
        let variance = NoVarySearch::of(&map(&[("no-vary-search", "params=(\"a\" \"b\")")])).unwrap();
        let whole = response(&[("cache-control", "max-age=60"), ("etag", "\"a\"")]);
        let head = Arc::new(whole.response().unwrap().clone());
        let sliced = StoredSliced { head, length: 10 << 30, nonce: Nonce(1 << 100), key: CacheKey(7) };
        vec![
            Stored::Sliced(sliced.into()),
            Stored::Slice,
            response(&[("cache-control", "max-age=60, stale-if-error=5"), ("etag", "\"a\""), ("x-own", "é")]),
            response(&[("cache-control", "max-age=60"), ("vary", "accept-encoding, x")]),
            Stored::Variants(variants.into()),
            Stored::Queries(variance.into()),
        ]
    }

    fn encoded(stored: &Stored) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        stored.encode(&mut out).then_some(out)
    }

    #[test]
    fn what_is_written_is_read() {
        for stored in samples() {
            let written = encoded(&stored).unwrap();
            let read = Stored::decode(&written.clone().into()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{stored:?}"));
            assert_eq!(encoded(&read).as_ref(), Some(&written));
            // A list that grows has room to spare; one that was read has none.
            assert!(read.weight() <= stored.weight());
            for length in 0..written.len() {
                let cut = Bytes::copy_from_slice(&written[..length]);
                assert!(Stored::decode(&cut).is_none(), "{stored:?} cut at {length}");
            }
        }
    }

    #[test]
    fn what_is_not_for_disk() {
        let until = Timestamp::from_secs(1);
        assert_eq!(encoded(&Stored::Unstorable { until, reason: "no-store" }), None);
        assert_eq!(encoded(&Stored::EarlyHints(Fields::default())), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(sample in 0_usize..6, at: usize, byte: u8, tail: Vec<u8>) {
            let mut written = encoded(&samples()[sample]).unwrap();
            let at = at % written.len();
            written[at] = byte;
            if byte % 2 == 0 {
                written.truncate(at + 1);
                written.extend(tail);
            }
            if let Some(Stored::Response(head)) = Stored::decode(&written.into()) {
                head.headers();
                head.selected_by(&HeaderMap::new(), &Languages::Normalised);
            }
        }
    }
}
