//! `Vary` and the fields that it names. RFC 9111 §4.1. Parts: request fields, response fields.

use holm_cache_policy::VarySpec;
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderMap, HeaderName, VARY};

use crate::input::{fields, joined, parts};
use crate::subject::selecting;

pub(super) fn run(bytes: &[u8]) {
    let [request, response] = parts(bytes);
    let (request, response) = (fields(request), fields(response));
    let spec = VarySpec::of(&response);
    assert_eq!(VarySpec::of(&joined(&response, &VARY)), spec, "lines of Vary");
    let Some(spec) = spec else { return };
    let values = selecting(&spec, &request);
    assert_eq!(selecting(&spec, &request), values);
    let mut more = request.clone();
    let unnamed = HeaderName::from_static("x-unnamed");
    if !spec.names(&unnamed) {
        more.insert(unnamed, HeaderValue::from_static("1"));
        assert_eq!(selecting(&spec, &more), values, "a field that is not named");
    }
    for name in [ACCEPT_ENCODING, ACCEPT_LANGUAGE] {
        // What is no list of them is compared as it stands.
        if request.get_all(&name).iter().any(is_list) && request.get_all(&name).iter().all(is_list) {
            assert_eq!(selecting(&spec, &joined(&request, &name)), values, "lines of {name}");
        }
    }
    let encodings = request.get_all(ACCEPT_ENCODING);
    if encodings.iter().next().is_some() && encodings.iter().all(is_list) && encodings.iter().all(has_words) {
        let same = spaced(&joined(&request, &ACCEPT_ENCODING), &ACCEPT_ENCODING);
        assert_eq!(selecting(&spec, &same), values, "spaces in Accept-Encoding");
    }
}

/// Names and commas alone.
fn is_list(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-, ".contains(byte))
}

/// Nothing but single words between its commas.
fn has_words(value: &HeaderValue) -> bool {
    let mut members = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    members.all(|member| !member.is_empty() && !member.contains(&b' '))
}

/// With more space around its commas.
fn spaced(fields: &HeaderMap, name: &HeaderName) -> HeaderMap {
    let mut fields = fields.clone();
    let value = fields.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let members: Vec<&[u8]> = value.split(|byte| *byte == b',').collect();
    if let Ok(value) = HeaderValue::from_bytes(&members.join(&b" ,\t "[..])) {
        fields.insert(name.clone(), value);
    }
    fields
}
