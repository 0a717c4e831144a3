//! `Cache-Control`: its directives as a request or a response may send them. RFC 9111 §5.2.

use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, PRAGMA};

/// Seconds; a number too large to hold counts as this (RFC 9111 §1.2.2).
const MANY_SECONDS: u64 = 1 << 31;

/// What a request allows and asks of a cache. RFC 9111 §5.2.1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
    /// `u64::MAX` for one without a number: however stale.
    pub(crate) max_stale: Option<u64>,
}

impl RequestDirectives {
    /// Reads `Cache-Control`, and `Pragma` where there is none (RFC 9111 §5.4).
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if !headers.contains_key(CACHE_CONTROL) {
            directives.no_cache = headers
                .get_all(PRAGMA)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("no-cache")));
            return directives;
        }
        for_each(headers, &CACHE_CONTROL, |name, value| directives.set(name, value));
        directives
    }

    /// The client wants a stored response or none.
    #[must_use]
    pub const fn only_if_cached(&self) -> bool {
        self.only_if_cached
    }

    /// The response must not be stored.
    #[must_use]
    pub const fn no_store(&self) -> bool {
        self.no_store
    }

    fn set(&mut self, name: &str, value: Option<&str>) {
        match name {
            "no-cache" => self.no_cache = true,
            "no-store" => self.no_store = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => self.max_age = lesser(self.max_age, seconds(value).unwrap_or(0)),
            "min-fresh" => self.min_fresh = Some(seconds(value).unwrap_or(MANY_SECONDS)),
            "max-stale" => self.max_stale = Some(value.map_or(u64::MAX, |_| seconds(value).unwrap_or(0))),
            _ => {}
        }
    }
}

/// What a response allows and asks of a shared cache. RFC 9111 §5.2.2, RFC 5861.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) s_maxage: Option<u64>,
    pub(crate) stale_while_revalidate: Option<u64>,
    pub(crate) stale_if_error: Option<u64>,
}

impl ResponseDirectives {
    /// Reads the directives that bind us: the first of `Holm-Cache-Control`, `CDN-Cache-Control` (RFC 9213 §2.2) and
    /// `Cache-Control` that is there and can be read.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        for name in [&HOLM_CACHE_CONTROL, &CDN_CACHE_CONTROL] {
            if let Some(directives) = Self::targeted(headers, name) {
                return directives;
            }
        }
        let mut directives = Self::default();
        for_each(headers, &CACHE_CONTROL, |name, value| directives.set(name, value));
        directives
    }

    /// RFC 9213 §2.1: a structured dictionary; an empty or malformed one is ignored as a whole.
    fn targeted(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        if !headers.contains_key(name) {
            return None;
        }
        let mut directives = Self::default();
        let mut valid = true;
        let mut any = false;
        for_each(headers, name, |key, value| {
            any = true;
            let lower = key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.*".contains(&b));
            let number = !NUMERIC.contains(&key) || value.is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit()));
            valid &= lower && number && key.starts_with(|c: char| c.is_ascii_lowercase() || c == '*');
            directives.set(key, value);
        });
        (valid && any).then_some(directives)
    }

    /// The lifetime that the directives state: `s-maxage` before `max-age`.
    pub(crate) fn lifetime(&self) -> Option<u64> {
        self.s_maxage.or(self.max_age)
    }

    fn set(&mut self, name: &str, value: Option<&str>) {
        match name {
            "no-store" => self.no_store = true,
            // With a list of fields (§5.2.2.4, §5.2.2.7) only those are concerned; the whole response is the safe reading.
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "max-age" => self.max_age = lesser(self.max_age, seconds(value).unwrap_or(0)),
            "s-maxage" => self.s_maxage = lesser(self.s_maxage, seconds(value).unwrap_or(0)),
            "stale-while-revalidate" => self.stale_while_revalidate = seconds(value),
            "stale-if-error" => self.stale_if_error = seconds(value),
            _ => {}
        }
    }
}

/// Does the request bear credentials (RFC 9111 §3.5)?
pub(crate) fn is_authorized(request: &HeaderMap) -> bool {
    request.contains_key(AUTHORIZATION)
}

/// Calls `visit` with each directive's name in lower case and its argument without quotes.
fn for_each(headers: &HeaderMap, field: &HeaderName, mut visit: impl FnMut(&str, Option<&str>)) {
    for value in headers.get_all(field) {
        // Bytes beyond ASCII may stand in extensions that we do not know.
        let text = String::from_utf8_lossy(value.as_bytes());
        for member in split_list(&text) {
            let (name, argument) = match member.split_once('=') {
                Some((name, argument)) => (name.trim_end(), Some(argument.trim())),
                None => (member, None),
            };
            let argument = argument.map(|text| text.strip_prefix('"').map_or(text, |text| text.trim_end_matches('"')));
            if !name.is_empty() {
                visit(&name.to_ascii_lowercase(), argument);
            }
        }
    }
}

/// The members of a comma-separated list; a comma within quotes does not separate.
fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c: char| {
        let separates = c == ',' && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        separates
    })
    .map(str::trim)
    .filter(|member| !member.is_empty())
}

/// RFC 9111 §1.2.2: a non-negative whole number; one that overflows is very large; anything else is no number.
fn seconds(value: Option<&str>) -> Option<u64> {
    let text = value?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse::<u64>().map_or(MANY_SECONDS, |number| number.min(MANY_SECONDS)))
}

/// Of several values the most restrictive (RFC 9111 §4.2.1).
fn lesser(before: Option<u64>, now: u64) -> Option<u64> {
    Some(before.map_or(now, |before| before.min(now)))
}

pub(crate) const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
pub(crate) const HOLM_CACHE_CONTROL: HeaderName = HeaderName::from_static("holm-cache-control");
const NUMERIC: [&str; 4] = ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"];

#[cfg(test)]
mod tests {
    use super::*;

    fn response(fields: &[(&'static str, &str)]) -> ResponseDirectives {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        ResponseDirectives::parse(&headers)
    }

    #[test]
    fn lifetimes() {
        let check = |value: &str, expected: Option<u64>| {
            assert_eq!(response(&[("cache-control", value)]).lifetime(), expected, "{value}");
        };
        check("max-age=60", Some(60));
        check("Max-Age = 60", Some(60));
        check("max-age=\"60\"", Some(60));
        check("max-age=60, s-maxage=10", Some(10));
        check("max-age=60, max-age=10", Some(10));
        check("max-age=-1", Some(0));
        check("max-age=1.5", Some(0));
        check("max-age", Some(0));
        check("max-age=99999999999999999999", Some(MANY_SECONDS));
        check("ext=\"a, max-age=5\"", None);
        check("public", None);
        check(",,max-age=3,", Some(3));
    }

    #[test]
    fn targeted_fields_win_where_they_parse() {
        let check = |fields: &[(&'static str, &str)], expected: Option<u64>| {
            assert_eq!(response(fields).lifetime(), expected, "{fields:?}");
        };
        check(&[("cache-control", "max-age=1"), ("cdn-cache-control", "max-age=2")], Some(2));
        check(&[("cdn-cache-control", "max-age=2"), ("holm-cache-control", "max-age=3")], Some(3));
        check(&[("cache-control", "max-age=1"), ("cdn-cache-control", "max-age=x")], Some(1));
        check(&[("cache-control", "max-age=1"), ("cdn-cache-control", "")], Some(1));
        check(&[("cache-control", "max-age=1"), ("cdn-cache-control", "no-store")], None);
    }

    #[test]
    fn requests() {
        let check = |fields: &[(&'static str, &str)], expected: RequestDirectives| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(RequestDirectives::parse(&headers), expected, "{fields:?}");
        };
        let none = RequestDirectives::default;
        check(&[], none());
        check(&[("pragma", "no-cache")], RequestDirectives { no_cache: true, ..none() });
        check(
            &[("pragma", "no-cache"), ("cache-control", "max-age=5")],
            RequestDirectives { max_age: Some(5), ..none() },
        );
        check(&[("cache-control", "max-stale")], RequestDirectives { max_stale: Some(u64::MAX), ..none() });
        check(
            &[("cache-control", "max-stale=7, min-fresh=2")],
            RequestDirectives { max_stale: Some(7), min_fresh: Some(2), ..none() },
        );
        check(
            &[("cache-control", "only-if-cached,no-store")],
            RequestDirectives { only_if_cached: true, no_store: true, ..none() },
        );
    }
}
