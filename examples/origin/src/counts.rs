//! Counts: how often each path was asked for.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// One origin's name and what it was asked.
pub(crate) struct Counts {
    /// The origin's name.
    pub(crate) name: String,
    paths: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    pub(crate) fn new(name: String) -> Self {
        Self { name, paths: Mutex::default() }
    }

    /// Counts a request, and says how many there have been for its path. Paths beyond the limit share one count.
    pub(crate) fn count(&self, path: &str) -> u64 {
        let mut paths = self.paths.lock();
        let path = if paths.contains_key(path) || paths.len() < MOST_PATHS { path } else { OTHERS };
        let count = paths.entry(path.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// All counts: `{"name", "total", "paths": {"/a": 1}}`.
    pub(crate) fn json(&self) -> String {
        let paths = self.paths.lock();
        let total: u64 = paths.values().sum();
        serde_json::json!({ "name": self.name, "total": total, "paths": *paths }).to_string()
    }
}

/// The most paths that are counted one by one.
const MOST_PATHS: usize = 100_000;
const OTHERS: &str = "(others)";

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn paths_are_counted() {
        let counts = Counts::new("blue".into());
        assert_eq!([counts.count("/a"), counts.count("/a"), counts.count("/b")], [1, 2, 1]);
        assert_eq!(counts.json(), r#"{"name":"blue","paths":{"/a":2,"/b":1},"total":3}"#);
    }
}
