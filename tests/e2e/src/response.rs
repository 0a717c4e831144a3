//! Responses, as a client that we did not write has received them.

use crate::{Fields, Protocol, sha256};

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Response {
    /// The final status; 0 if none came.
    pub status: u16,
    /// The version, as the client names it: `HTTP/1.1`, `HTTP/2`, `HTTP/3`.
    pub version: String,
    /// The header section.
    pub fields: Fields,
    /// The content; what came of it, where it broke off.
    pub body: Vec<u8>,
    /// The trailer section.
    pub trailers: Fields,
    /// Interim responses.
    pub interim: Vec<(u16, Fields)>,
    /// What the client complains about; empty if all is well.
    pub error: String,
    /// The protocol it was asked for over.
    pub protocol: Protocol,
}

impl Response {
    /// It has this status, and came whole.
    ///
    /// # Panics
    /// It has not.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!((self.status, self.error.as_str()), (status, ""), "{}", self.show());
        self
    }

    /// It was served from the edge's cache.
    ///
    /// # Panics
    /// It was not.
    #[track_caller]
    pub fn expect_hit(self) -> Self {
        let response = self.expect_any_success();
        assert!(response.is_hit(), "expected a hit: {}", response.show());
        response
    }

    /// It was not served from the edge's cache, and `Cache-Status` holds these words.
    ///
    /// # Panics
    /// It was, or does not.
    #[track_caller]
    pub fn expect_miss(self, words: &str) -> Self {
        let response = self.expect_any_success();
        assert!(!response.is_hit() && response.cache().contains(words), "expected `{words}`: {}", response.show());
        response
    }

    /// `Cache-Status`, which has one member (interfaces.md, "Headers").
    ///
    /// # Panics
    /// It has more.
    #[track_caller]
    pub fn cache(&self) -> &str {
        assert!(self.fields.all("cache-status").count() <= 1, "{}", self.show());
        self.fields.get("cache-status")
    }

    /// RFC 9211 §2.1.
    #[track_caller]
    pub fn is_hit(&self) -> bool {
        self.cache().split(';').any(|parameter| parameter.trim() == "hit")
    }

    /// The lifetime that `Cache-Status` tells, in seconds.
    #[track_caller]
    pub fn ttl(&self) -> Option<i64> {
        self.cache().split(';').find_map(|parameter| parameter.trim().strip_prefix("ttl=")?.parse().ok())
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Everything but long content, for people.
    pub fn show(&self) -> String {
        let body = match self.body.len() {
            0..SHOWN => self.text(),
            length => format!("({length} bytes, sha256 {})", sha256(&self.body)),
        };
        let Self { status, version, fields, trailers, interim, error, protocol, .. } = self;
        let cut = if error.is_empty() { String::new() } else { format!("\nerror: {error}") };
        let interim: String = interim.iter().map(|(status, fields)| format!("{status}\n{fields:?}")).collect();
        format!("over {protocol:?}:\n{interim}{version} {status}\n{fields:?}\n{body}\n{trailers:?}{cut}")
    }

    #[track_caller]
    fn expect_any_success(self) -> Self {
        assert!(matches!(self.status, 200..400) && self.error.is_empty(), "{}", self.show());
        self
    }
}

/// The longest content that is shown, in bytes.
const SHOWN: usize = 2000;
