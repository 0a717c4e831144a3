//! Methods and what a cache may do with them. RFC 9110 §9.2.

use http::Method;

/// §9.2.1: asks for nothing to be changed. `QUERY` is of draft-ietf-httpbis-safe-method-w-body. A method that we do not
/// know is not safe.
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE) || is_query(method)
}

/// §9.2.3: may its responses be stored, or be answered from what is? Of `POST` only under conditions, see
/// [`crate::storable`].
#[must_use]
pub fn is_cacheable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::POST) || is_query(method)
}

/// `QUERY`: a safe request with a body, which is then part of what names its response.
#[must_use]
pub fn is_query(method: &Method) -> bool {
    method.as_str() == "QUERY"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let check = |name: &str, safe: bool, cacheable: bool| {
            let method = name.parse().unwrap();
            assert_eq!((is_safe(&method), is_cacheable(&method)), (safe, cacheable), "{name}");
        };
        check("GET", true, true);
        check("HEAD", true, true);
        check("QUERY", true, true);
        check("OPTIONS", true, false);
        check("TRACE", true, false);
        check("POST", false, true);
        check("PUT", false, false);
        check("DELETE", false, false);
        check("PATCH", false, false);
        check("CONNECT", false, false);
        check("M-SEARCH", false, false);
        // Case says something (§9.1).
        check("query", false, false);
    }
}
