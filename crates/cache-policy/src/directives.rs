//! Directives: what a request or a response asks of a cache, as `Cache-Control` states it. RFC 9111 §5.2.

use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, PRAGMA};

use crate::members::{LONGEST_NAME, MANY_SECONDS, lower, members, name_and_argument, seconds};
use crate::{surrogate, targeted};

/// What a request allows and asks of a cache. RFC 9111 §5.2.1, RFC 5861 §4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
    /// `u64::MAX` for one without a number: however stale.
    pub(crate) max_stale: Option<u64>,
    pub(crate) stale_if_error: Option<u64>,
}

impl RequestDirectives {
    /// Reads `Cache-Control`, and `Pragma` where there is none (RFC 9111 §5.4). Allocates nothing.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if headers.contains_key(CACHE_CONTROL) {
            for member in members(headers, &CACHE_CONTROL) {
                let (name, argument) = name_and_argument(member);
                directives.set(lower(name, &mut [0; LONGEST_NAME]), argument);
            }
        } else if headers.contains_key(PRAGMA) {
            directives.no_cache = members(headers, &PRAGMA).any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        }
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

    /// What cannot be read is read so that the origin is asked rather than not.
    fn set(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let number = argument.and_then(seconds);
        match name {
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => self.max_age = lesser(self.max_age, number.unwrap_or(0)),
            b"min-fresh" => self.min_fresh = self.min_fresh.max(Some(number.unwrap_or(MANY_SECONDS))),
            b"max-stale" => {
                let most = argument.map_or(u64::MAX, |_| number.unwrap_or(0));
                self.max_stale = lesser(self.max_stale, most);
            }
            b"stale-if-error" => self.stale_if_error = lesser(self.stale_if_error, number.unwrap_or(0)),
            _ => {}
        }
    }
}

/// What a response allows and asks of a shared cache. RFC 9111 §5.2.2, RFC 5861, RFC 8246.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) immutable: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) s_maxage: Option<u64>,
    pub(crate) stale_while_revalidate: Option<u64>,
    pub(crate) stale_if_error: Option<u64>,
    /// They come from a field that is meant for us: `Expires` then plays no part, as `Cache-Control` plays none
    /// (RFC 9213 §2.2).
    pub(crate) targeted: bool,
}

impl ResponseDirectives {
    /// Reads the directives that bind us: the first of `Holm-Cache-Control`, `CDN-Cache-Control` (RFC 9213 §2.2),
    /// `Surrogate-Control` and `Cache-Control` that is there and can be used.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        targeted::directives(headers).or_else(|| surrogate::directives(headers)).unwrap_or_else(|| {
            let mut directives = Self::default();
            for member in members(headers, &CACHE_CONTROL) {
                let (name, argument) = name_and_argument(member);
                directives.set(lower(name, &mut [0; LONGEST_NAME]), argument);
            }
            directives
        })
    }

    /// The lifetime that the directives state: `s-maxage` before `max-age`.
    pub(crate) const fn lifetime(&self) -> Option<u64> {
        if self.s_maxage.is_some() { self.s_maxage } else { self.max_age }
    }

    /// §3.5: may the response to a request with credentials be stored? Only what says so in as many words.
    pub(crate) const fn share_authorized(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }

    /// Sets what stands without an argument; is it a directive of ours?
    pub(crate) fn set_flag(&mut self, name: &[u8]) -> bool {
        let flag = match name {
            b"no-store" => &mut self.no_store,
            b"no-cache" => &mut self.no_cache,
            b"private" => &mut self.private,
            b"public" => &mut self.public,
            b"must-revalidate" => &mut self.must_revalidate,
            b"proxy-revalidate" => &mut self.proxy_revalidate,
            b"must-understand" => &mut self.must_understand,
            b"immutable" => &mut self.immutable,
            _ => return false,
        };
        *flag = true;
        true
    }

    /// Where the number of a directive is kept.
    pub(crate) fn number(&mut self, name: &[u8]) -> Option<&mut Option<u64>> {
        Some(match name {
            b"max-age" => &mut self.max_age,
            b"s-maxage" => &mut self.s_maxage,
            b"stale-while-revalidate" => &mut self.stale_while_revalidate,
            b"stale-if-error" => &mut self.stale_if_error,
            _ => return None,
        })
    }

    /// With a list of fields, `no-cache` and `private` (§5.2.2.4, §5.2.2.7) concern those only; that they concern the
    /// whole response is the safe reading. A number that is none is 0, for §4.2.1 encourages to take that as stale; of
    /// several the least counts, which is what either of the two ways that it names comes to at the worst.
    fn set(&mut self, name: &[u8], argument: Option<&[u8]>) {
        if !self.set_flag(name)
            && let Some(number) = self.number(name)
        {
            *number = lesser(*number, argument.and_then(seconds).unwrap_or(0));
        }
    }
}

/// Does the request bear credentials (RFC 9111 §3.5)?
pub(crate) fn is_authorized(request: &HeaderMap) -> bool {
    request.contains_key(AUTHORIZATION)
}

fn lesser(before: Option<u64>, now: u64) -> Option<u64> {
    Some(before.map_or(now, |before| before.min(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn lifetimes_of_responses() {
        let check = |value: &str, expected: Option<u64>| {
            let found = ResponseDirectives::parse(&headers(&[("cache-control", value)])).lifetime();
            assert_eq!(found, expected, "{value}");
        };
        // §5.2.2.1, §5.2.2.10.
        check("max-age=60", Some(60));
        check("Max-Age = 60", Some(60));
        check("max-age=60, s-maxage=10", Some(10));
        check("s-maxage=10, max-age=60", Some(10));
        check("public", None);
        // §5.2: both forms of the argument.
        check("max-age=\"60\"", Some(60));
        check("max-age='60'", Some(0));
        check("max-age=\"60", Some(0));
        // §1.2.2: the number.
        check("max-age=003600", Some(3600));
        check("max-age=-1", Some(0));
        check("max-age=1.5", Some(0));
        check("max-age=a3600", Some(0));
        check("max-age=3600a", Some(0));
        check("max-age", Some(0));
        check("max-age=", Some(0));
        check("max-age=99999999999999999999", Some(MANY_SECONDS));
        // §4.2.1: of several the least.
        check("max-age=60, max-age=10", Some(10));
        check("max-age=10, max-age=60", Some(10));
        // What is quoted is no directive, and what only seems to be quoted is.
        check("ext=\"a, max-age=5\"", None);
        check("ext=\"max-age=3600\", max-age=1", Some(1));
        check("max-age=\"1\", ext=\"max-age=3600\"", Some(1));
        check("ext=\"a, max-age=5", Some(5));
        check(",,max-age=3,", Some(3));
    }

    #[test]
    fn flags_of_responses() {
        let check = |value: &str, expected: ResponseDirectives| {
            assert_eq!(ResponseDirectives::parse(&headers(&[("cache-control", value)])), expected, "{value}");
        };
        let none = ResponseDirectives::default;
        check("", none());
        check("No-StOrE", ResponseDirectives { no_store: true, ..none() });
        check("no-store=x", ResponseDirectives { no_store: true, ..none() });
        check("no-cache=\"a, b\"", ResponseDirectives { no_cache: true, ..none() });
        check("private=\"set-cookie\"", ResponseDirectives { private: true, ..none() });
        check("public, immutable", ResponseDirectives { public: true, immutable: true, ..none() });
        check("must-understand", ResponseDirectives { must_understand: true, ..none() });
        check("ext=\"x, no-store", ResponseDirectives { no_store: true, ..none() });
        check(
            "stale-while-revalidate=5, stale-if-error=x",
            ResponseDirectives { stale_while_revalidate: Some(5), stale_if_error: Some(0), ..none() },
        );
    }

    #[test]
    fn requests() {
        let check = |fields: &[(&'static str, &str)], expected: RequestDirectives| {
            assert_eq!(RequestDirectives::parse(&headers(fields)), expected, "{fields:?}");
        };
        let none = RequestDirectives::default;
        check(&[], none());
        // §5.4: Pragma counts where there is no Cache-Control.
        check(&[("pragma", "no-cache")], RequestDirectives { no_cache: true, ..none() });
        check(&[("pragma", "x, No-Cache")], RequestDirectives { no_cache: true, ..none() });
        check(&[("pragma", "x")], none());
        check(
            &[("pragma", "no-cache"), ("cache-control", "max-age=5")],
            RequestDirectives { max_age: Some(5), ..none() },
        );
        // §5.2.1.
        check(&[("cache-control", "No-Cache")], RequestDirectives { no_cache: true, ..none() });
        check(&[("cache-control", "max-age=x")], RequestDirectives { max_age: Some(0), ..none() });
        check(&[("cache-control", "max-stale")], RequestDirectives { max_stale: Some(u64::MAX), ..none() });
        check(&[("cache-control", "max-stale=x")], RequestDirectives { max_stale: Some(0), ..none() });
        check(&[("cache-control", "max-stale, max-stale=9")], RequestDirectives { max_stale: Some(9), ..none() });
        check(&[("cache-control", "min-fresh=x")], RequestDirectives { min_fresh: Some(MANY_SECONDS), ..none() });
        check(
            &[("cache-control", "max-stale=7, min-fresh=2")],
            RequestDirectives { max_stale: Some(7), min_fresh: Some(2), ..none() },
        );
        check(
            &[("cache-control", "only-if-cached"), ("cache-control", "no-store")],
            RequestDirectives { only_if_cached: true, no_store: true, ..none() },
        );
        // RFC 5861 §4.
        check(&[("cache-control", "stale-if-error=60")], RequestDirectives { stale_if_error: Some(60), ..none() });
    }
}
