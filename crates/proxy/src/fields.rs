//! Fields: a stored response's header fields as one run of bytes. It is also the form in which they go to disk.
//!
//! The number of fields, then for each its name and its value. A well-known name is one byte; 0 is followed by the length
//! of a name and the name. The length of a value precedes it. A well-known field is one byte. Numbers are LEB128.

mod known;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use self::known::{NAMES, WHOLE, WHOLE_FROM};

/// Header fields, compact: to be looked at as a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    run: Box<[u8]>,
}

impl Fields {
    /// The fields of a map.
    pub(crate) fn of(map: &HeaderMap) -> Self {
        let mut run = Vec::with_capacity(text_len(map) + 3 * map.len() + 2);
        put_number(&mut run, map.len());
        for (name, value) in map {
            let whole = WHOLE.iter().position(|known| known.0 == *name && known.1 == *value);
            if let Some(code) = whole.and_then(|place| u8::try_from(place).ok()?.checked_add(WHOLE_FROM)) {
                run.push(code);
                continue;
            }
            match CODES.get(name) {
                Some(code) => run.push(*code),
                None => {
                    run.push(SPELLED);
                    put_number(&mut run, name.as_str().len());
                    run.extend_from_slice(name.as_str().as_bytes());
                }
            }
            put_number(&mut run, value.len());
            run.extend_from_slice(value.as_bytes());
        }
        Self { run: run.into() }
    }

    /// Fields that were written by whomever: `None` where they are not valid, to the last byte.
    pub(crate) fn decode(run: &[u8]) -> Option<Self> {
        let fields = Self { run: run.into() };
        let mut entries = fields.entries();
        let mut count = 0;
        for (name, value) in entries.by_ref() {
            let valid = match value {
                Value::Known(_) => true,
                Value::Text(value) => HeaderValue::from_bytes(&fields.run[value]).is_ok(),
            };
            if name.to_name().is_none() || !valid {
                return None;
            }
            count += 1;
        }
        (entries.rest.is_empty() && fields.count() == Some(count) && count <= MAX_FIELDS).then_some(fields)
    }

    /// The form that [`Fields::decode`] reads.
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.run
    }

    /// The fields as a map with room for a few more. Values are slices of one copy of the run: answers then share no counter
    /// with one another, and what is stored needs none.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let room = self.count().unwrap_or_default().min(MAX_FIELDS) + ANSWERS_OWN;
        let (mut map, run) = (HeaderMap::with_capacity(room), Bytes::copy_from_slice(&self.run));
        for (name, value) in self.entries() {
            let value = match value {
                Value::Known(value) => Ok(value.clone()),
                Value::Text(value) => HeaderValue::from_maybe_shared(run.slice(value)),
            };
            // Neither fails: all was valid when it was written or read.
            if let (Some(name), Ok(value)) = (name.to_name(), value) {
                map.append(name, value);
            }
        }
        map
    }

    /// The first value of a field.
    pub(crate) fn get(&self, wanted: &HeaderName) -> Option<HeaderValue> {
        let (_, value) = self.entries().find(|(name, _)| name.is(wanted))?;
        match value {
            Value::Known(value) => Some(value.clone()),
            Value::Text(value) => HeaderValue::from_bytes(&self.run[value]).ok(),
        }
    }

    fn count(&self) -> Option<usize> {
        take_number(&mut &*self.run)
    }

    fn entries(&self) -> Entries<'_> {
        let mut rest = &*self.run;
        if take_number(&mut rest).is_none() {
            rest = &[];
        }
        Entries { rest, run_len: self.run.len() }
    }
}

/// Each field's name and value. Ends before what is no field.
struct Entries<'a> {
    rest: &'a [u8],
    run_len: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Name<'a>, Value);

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest;
        let name = match rest.split_off_first()? {
            &SPELLED => {
                let length = take_number(&mut rest)?;
                Name::Spelled(rest.split_off(..length)?)
            }
            code if *code < WHOLE_FROM => Name::Known(NAMES.get(usize::from(*code) - 1)?),
            code => {
                let (name, value) = WHOLE.get(usize::from(*code - WHOLE_FROM))?;
                self.rest = rest;
                return Some((Name::Known(name), Value::Known(value)));
            }
        };
        let length = take_number(&mut rest)?;
        let begin = self.run_len - rest.len();
        rest.split_off(..length)?;
        self.rest = rest;
        Some((name, Value::Text(begin..begin + length)))
    }
}

/// A name as it stands in a run.
enum Name<'a> {
    Known(&'static HeaderName),
    Spelled(&'a [u8]),
}

/// A value as it stands in a run.
enum Value {
    Known(&'static HeaderValue),
    Text(Range<usize>),
}

impl Name<'_> {
    fn to_name(&self) -> Option<HeaderName> {
        match self {
            Self::Known(name) => Some((*name).clone()),
            Self::Spelled(name) => HeaderName::from_lowercase(name).ok(),
        }
    }

    fn is(&self, wanted: &HeaderName) -> bool {
        match self {
            Self::Known(name) => *name == wanted,
            Self::Spelled(name) => *name == wanted.as_str().as_bytes(),
        }
    }
}

fn text_len(map: &HeaderMap) -> usize {
    map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// At most four bytes: nothing here is longer than a head may be.
fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14, 21] {
        let byte = *rest.split_off_first()?;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// More fields than any head has, with what is added here.
const MAX_FIELDS: usize = 4096;

/// Fields that each answer adds of its own (`Age`, `Cache-Status` or a position, `Alt-Svc`): a map with room for them need
/// not grow.
const ANSWERS_OWN: usize = 3;

/// Stands before a name that is not well known.
const SPELLED: u8 = 0;

/// The codes of the well-known names.
static CODES: LazyLock<HashMap<HeaderName, u8>> = LazyLock::new(|| NAMES.iter().cloned().zip(1..).collect());

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
        fields.iter().map(|(field, value)| (name(field), HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let check = |fields: &[(&str, &str)]| {
            let map = map(fields);
            let written = Fields::of(&map);
            assert_eq!(written.to_map(), map, "{fields:?}");
            assert_eq!(Fields::decode(written.as_bytes()).as_ref(), Some(&written), "{fields:?}");
            for name in map.keys() {
                assert_eq!(written.get(name).as_ref(), map.get(name), "{name}");
            }
            assert_eq!(written.get(&http::header::UPGRADE), None);
            for length in 0..written.as_bytes().len() {
                assert_eq!(Fields::decode(&written.as_bytes()[..length]), None, "{fields:?} cut at {length}");
            }
        };
        let long = "v".repeat(70_000);
        check(&[]);
        check(&[("content-type", "text/html; charset=utf-8"), ("x-own", ""), ("etag", "\"é\"")]);
        check(&[("set-cookie", "a=1"), ("x-timer", "1"), ("set-cookie", "b=2"), ("accept-ranges", "bytes")]);
        check(&[("x-long", &long), ("content-length", "5")]);
        assert_eq!(Fields::default().to_map(), HeaderMap::new());
    }

    /// They are on disks.
    #[test]
    fn well_known_names_keep_their_codes() {
        let fields = [("accept-ranges", "none"), ("x-timer", "1"), ("x-own", "2"), ("accept-ranges", "bytes")];
        let run = Fields::of(&map(&fields));
        assert_eq!(run.as_bytes(), b"\x04\x01\x04none\x80\x55\x011\x00\x05x-own\x012");
        let last = Fields::of(&map(&[("x-xss-protection", "1; mode=block")]));
        assert_eq!(last.as_bytes(), b"\x01\xb7");
        assert_eq!(CODES.len(), NAMES.len(), "each once");
        assert!(NAMES.len() < usize::from(WHOLE_FROM) && WHOLE.len() <= usize::from(u8::MAX - WHOLE_FROM) + 1);
    }

    #[test]
    fn what_is_not_valid_is_refused() {
        for run in [
            b"".as_slice(),
            b"\x01",
            b"\x00\x00",
            b"\x01\x01\x05byte",
            b"\x01\x01\x01\n",
            b"\x01\x7f\x01a",
            b"\x01\xff",
            b"\x01\x00\x01A\x01a",
            b"\x01\x00\x00\x01a",
            b"\x02\x01\x01a",
            b"\x00\x01\x01a",
            b"\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(Fields::decode(run), None, "{run:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(run: Vec<u8>) {
            let decoded = Fields::decode(&run);
            let map = Fields { run: run.into() }.to_map();
            if let Some(decoded) = decoded {
                prop_assert_eq!(decoded.to_map(), map);
            }
        }
    }
}
