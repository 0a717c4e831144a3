//! Cache keys: what makes two requests ask for the same stored response.

use holm_model::manifest::{KeyRule, QueryRule};

use crate::vary::VaryValues;

/// A cache key: 128 bits of BLAKE3. Two requests share one only if they are the same in all that enters it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(pub u128);

/// What enters the key of a URL.
#[derive(Debug, Clone, Copy)]
pub struct KeyInput<'a> {
    /// The site (or what stands for it).
    pub site: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Lower case, without a port.
    pub host: &'a str,
    /// Empty for the scheme's own. The origin sees which one the client named, and may write it into its response.
    pub port: &'a str,
    /// As the client wrote it.
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    /// Which of the query enters.
    pub rule: &'a KeyRule,
}

impl CacheKey {
    /// The key of a URL: where its response stands, or the list of the fields that its responses vary by.
    #[must_use]
    pub fn primary(input: &KeyInput<'_>) -> Self {
        let mut text = KeyText::new();
        text.part(input.site);
        text.part(input.scheme);
        text.part(input.host);
        text.part(input.port);
        text.part(input.path);
        match (&input.rule.query, input.query) {
            (QueryRule::All | QueryRule::Except(_), Some(query)) => text.part(query),
            (QueryRule::Only(names), Some(query)) => text.chosen_parameters(query, names),
            (QueryRule::None, _) | (_, None) => {}
        }
        text.finish()
    }

    /// The key of the variant that these values select.
    #[must_use]
    pub fn variant(self, values: &VaryValues) -> Self {
        let mut text = KeyText::new();
        text.bytes(&self.0.to_le_bytes());
        for value in values.iter() {
            text.part(value.unwrap_or("\u{0}absent"));
        }
        text.finish()
    }
}

/// The text that is hashed: parts with their lengths, so that no two lists of parts give the same bytes. Short texts,
/// which nearly all are, stay on the stack.
struct KeyText {
    buffer: [u8; STACK_BYTES],
    used: usize,
    hasher: Option<blake3::Hasher>,
}

impl KeyText {
    fn new() -> Self {
        Self { buffer: [0; STACK_BYTES], used: 0, hasher: None }
    }

    fn part(&mut self, part: &str) {
        self.bytes(&(part.len() as u64).to_le_bytes());
        self.bytes(part.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        if let Some(room) = self.buffer.get_mut(self.used..end) {
            room.copy_from_slice(bytes);
            self.used = end;
            return;
        }
        let hasher = self.hasher.get_or_insert_default();
        hasher.update(&self.buffer[..self.used]);
        hasher.update(bytes);
        self.used = 0;
    }

    /// `name=value` of each listed parameter, by name and then in the query's order.
    fn chosen_parameters(&mut self, query: &str, names: &[String]) {
        for name in names {
            for pair in query.split('&') {
                if pair.split('=').next() == Some(name) {
                    self.part(pair);
                }
            }
        }
    }

    fn finish(mut self) -> CacheKey {
        let hash = match &mut self.hasher {
            None => blake3::hash(&self.buffer[..self.used]),
            Some(hasher) => hasher.update(&self.buffer[..self.used]).finalize(),
        };
        let mut half = [0; 16];
        half.copy_from_slice(&hash.as_bytes()[..16]);
        CacheKey(u128::from_le_bytes(half))
    }
}

/// Covers a URL of usual length.
const STACK_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(url: (&str, &str, &str), query: Option<&str>, rule: QueryRule) -> CacheKey {
        let (scheme, host, path) = url;
        let (host, port) = host.split_once(':').unwrap_or((host, ""));
        CacheKey::primary(&KeyInput {
            site: "s",
            scheme,
            host,
            port,
            path,
            query,
            rule: &KeyRule { query: rule, ..KeyRule::default() },
        })
    }

    #[test]
    fn what_makes_keys_differ() {
        let all = || QueryRule::All;
        let base = key(("http", "a", "/x"), None, all());
        let check = |other: CacheKey, same: bool| assert_eq!(base == other, same);
        check(key(("http", "a", "/x"), None, all()), true);
        check(key(("https", "a", "/x"), None, all()), false);
        check(key(("http", "b", "/x"), None, all()), false);
        check(key(("http", "a:1", "/x"), None, all()), false);
        check(key(("http", "a", "/y"), None, all()), false);
        check(key(("http", "a", "/x"), Some(""), all()), false);
        check(key(("http", "a", "/x"), Some("q"), QueryRule::None), true);
        // Lengths keep parts apart.
        check(key(("http", "a/", "x"), None, all()), false);
    }

    #[test]
    fn listed_parameters() {
        let only = |query| key(("http", "a", "/"), Some(query), QueryRule::Only(vec!["v".into(), "w".into()]));
        assert_eq!(only("v=1&x=2"), only("x=3&v=1"));
        assert_eq!(only("w=1&v=2"), only("v=2&w=1"));
        assert_ne!(only("v=1"), only("v=2"));
        assert_ne!(only("v=1"), only("vv=1"));
    }

    #[test]
    fn long_texts_hash_as_a_whole() {
        let long = "x".repeat(1000);
        let other = format!("{}y", "x".repeat(999));
        assert_ne!(key(("http", "a", &long), None, QueryRule::All), key(("http", "a", &other), None, QueryRule::All));
    }
}
