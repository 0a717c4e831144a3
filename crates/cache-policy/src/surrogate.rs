//! `Surrogate-Control`: the older field for caches like this one. W3C Note "Edge Architecture Specification" (2001) §2.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::directives::ResponseDirectives;
use crate::members::{LONGEST_NAME, lower, members, name_and_argument, seconds, split};

/// §2.1: tells the origin what it may use in `Surrogate-Control`, and by which name it may single us out. What the client
/// wrote there is replaced: it enters no key, so no response may depend on it.
pub fn write_surrogate_capability(request: &mut HeaderMap) {
    request.insert(SURROGATE_CAPABILITY, HeaderValue::from_static("holm=\"Surrogate/1.0\""));
}

/// §2.2: the directives for us; `None` where there is none that we can use. The field then is as good as absent.
pub(crate) fn directives(headers: &HeaderMap) -> Option<ResponseDirectives> {
    if !headers.contains_key(SURROGATE_CONTROL) {
        return None;
    }
    let mut for_all = ResponseDirectives::default();
    let mut for_us = ResponseDirectives::default();
    let mut usable = false;
    for member in members(headers, &SURROGATE_CONTROL) {
        let mut parts = split(member, b';');
        let Some(directive) = parts.next() else { continue };
        // §2.3: a directive with targets is for those only.
        match (parts.next(), parts.next()) {
            (None, _) => usable |= set(&mut for_all, directive),
            (Some(target), None) if target == NAME.as_bytes() => usable |= set(&mut for_us, directive),
            _ => {}
        }
    }
    usable.then(|| merged(for_us, &for_all))
}

/// What is said to us by name goes before what is said to all; who is told by anyone not to store does not store.
fn merged(for_us: ResponseDirectives, for_all: &ResponseDirectives) -> ResponseDirectives {
    ResponseDirectives {
        targeted: true,
        no_store: for_us.no_store || for_all.no_store,
        max_age: for_us.max_age.or(for_all.max_age),
        stale_while_revalidate: for_us.stale_while_revalidate.or(for_all.stale_while_revalidate),
        stale_if_error: for_us.stale_if_error.or(for_all.stale_if_error),
        ..for_us
    }
}

/// Is it one of the note's, or of those that other CDNs read in this field too?
fn set(directives: &mut ResponseDirectives, directive: &[u8]) -> bool {
    let (name, argument) = name_and_argument(directive);
    match (lower(name, &mut [0; LONGEST_NAME]), argument) {
        // §2.2.2: for caches that are not near the origin. A CDN is not.
        (b"no-store" | b"no-store-remote", None) => directives.no_store = true,
        // Space around the `=` is not in the note's grammar.
        (b"max-age", Some(argument)) if directive.len() == name.len() + 1 + argument.len() => {
            return set_max_age(directives, argument);
        }
        (b"stale-while-revalidate", Some(argument)) => directives.stale_while_revalidate = seconds(argument),
        (b"stale-if-error", Some(argument)) => directives.stale_if_error = seconds(argument),
        // `content` names what is to be done with the body. We do nothing with bodies.
        _ => return false,
    }
    true
}

/// §2.2.3: `A+B`: fresh for A seconds, and usable for B more before it has to be confirmed or fetched anew.
fn set_max_age(directives: &mut ResponseDirectives, argument: &[u8]) -> bool {
    let (fresh, extension) = match memchr::memchr(b'+', argument) {
        Some(at) => (seconds(&argument[..at]), Some(seconds(&argument[at + 1..]))),
        None => (seconds(argument), None),
    };
    let (Some(fresh), None | Some(Some(_))) = (fresh, extension) else { return false };
    directives.max_age = Some(directives.max_age.map_or(fresh, |before| before.min(fresh)));
    if let Some(extension) = extension {
        directives.stale_while_revalidate = extension;
        directives.stale_if_error = extension;
    }
    true
}

pub(crate) const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");
const SURROGATE_CAPABILITY: HeaderName = HeaderName::from_static("surrogate-capability");
/// The token by which the capability names us.
const NAME: &str = "holm";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn what_binds_us() {
        let check = |value: &str, expected: Option<ResponseDirectives>| {
            let expected = expected.map(|expected| ResponseDirectives { targeted: true, ..expected });
            assert_eq!(directives(&headers(&[("surrogate-control", value)])), expected, "{value}");
        };
        let none = ResponseDirectives::default;
        let fresh = |seconds| ResponseDirectives { max_age: Some(seconds), ..none() };
        // §2.2.1 and §2.2.2.
        check("no-store", Some(ResponseDirectives { no_store: true, ..none() }));
        check("no-store-remote", Some(ResponseDirectives { no_store: true, ..none() }));
        // §2.2.3.
        check("max-age=3600", Some(fresh(3600)));
        check("MaX-aGe=3600", Some(fresh(3600)));
        check("foobar, max-age=3600", Some(fresh(3600)));
        check("max-age=99999999999", Some(fresh(1 << 31)));
        check("max-age=10, max-age=5", Some(fresh(5)));
        let stale = ResponseDirectives { stale_while_revalidate: Some(600), stale_if_error: Some(600), ..fresh(60) };
        check("max-age=60+600", Some(stale));
        // §2.2.4.
        check("content=\"ESI/1.0\", max-age=60", Some(fresh(60)));
        // §2.3.
        check("max-age=60;holm", Some(fresh(60)));
        check("max-age=60;other", None);
        check("max-age=60, max-age=5;holm", Some(fresh(5)));
        check("max-age=5, max-age=60;holm", Some(fresh(60)));
        check("max-age=60, max-age=5;other", Some(fresh(60)));
        check("no-store, max-age=60;holm", Some(ResponseDirectives { no_store: true, ..fresh(60) }));
        // Nothing to use.
        for unusable in
            ["", ",", "content=\"ESI/1.0\"", "max-age", "max-age=x", "max-age=1+", "max-age =1", "max-age= 1"]
        {
            check(unusable, None);
        }
    }
}
