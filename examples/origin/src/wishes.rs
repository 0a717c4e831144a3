//! Wishes: what the query of a request says about its response.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

/// What a response is to be like.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Bytes of body; none: a line of text.
    pub(crate) size: Option<u64>,
    /// `Cache-Control`.
    pub(crate) cache_control: HeaderValue,
    /// `Surrogate-Key`.
    pub(crate) tag: Option<HeaderValue>,
    /// The opaque part of `ETag`.
    pub(crate) etag: Option<String>,
    /// `Vary`.
    pub(crate) vary: Option<HeaderName>,
    /// The status.
    pub(crate) status: StatusCode,
    /// How long to wait before the head is sent.
    pub(crate) delay: Duration,
}

impl Wishes {
    /// Reads a query. Names that are not known are left alone: a cache's key may hold anything.
    ///
    /// # Errors
    /// Says which value is not understood.
    pub(crate) fn read(query: &str) -> Result<Self, String> {
        let mut wishes = Self {
            size: None,
            cache_control: HeaderValue::from_static("max-age=60"),
            tag: None,
            etag: None,
            vary: None,
            status: StatusCode::OK,
            delay: Duration::ZERO,
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            wishes.set(&name, &value).ok_or_else(|| format!("{name}={value} is not understood"))?;
        }
        Ok(wishes)
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "size" => self.size = Some(value.parse().ok().filter(|size| *size <= MOST_BYTES)?),
            "cache-control" => self.cache_control = value.parse().ok()?,
            "tag" => self.tag = Some(value.replace(',', " ").parse().ok()?),
            "etag" if !value.contains('"') => self.etag = Some(value.to_owned()),
            "etag" => return None,
            "vary" => self.vary = Some(value.parse().ok()?),
            "status" => self.status = value.parse().ok().filter(|status: &StatusCode| status.as_u16() >= 200)?,
            "delay" => self.delay = Duration::from_millis(value.parse().ok()?).min(LONGEST_DELAY),
            _ => {}
        }
        Some(())
    }
}

/// 16 GiB.
const MOST_BYTES: u64 = 1 << 34;
const LONGEST_DELAY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::Wishes;

    #[test]
    fn queries() {
        let check = |query: &str, expected: &str| {
            let read = match Wishes::read(query) {
                Ok(wishes) => format!(
                    "{} {:?} {:?} {:?}",
                    wishes.status.as_u16(),
                    wishes.size,
                    wishes.cache_control,
                    wishes.delay.as_millis()
                ),
                Err(message) => message,
            };
            assert_eq!(read, expected, "{query}");
        };
        check("", r#"200 None "max-age=60" 0"#);
        check("v=1&size=1024&delay=5", r#"200 Some(1024) "max-age=60" 5"#);
        check("cache-control=no-store&status=404", r#"404 None "no-store" 0"#);
        check("size=-1", "size=-1 is not understood");
        check("status=100", "status=100 is not understood");
        check("etag=%22", "etag=\" is not understood");
        check("tag=a%0Ab", "tag=a\nb is not understood");
    }
}
