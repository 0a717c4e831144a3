//! Cache keys, and the selectors of purges. Parts: path, query.

use holm_model::manifest::{KeyRule, QueryRule};
use holm_model::purge::Selector;

use crate::input::parts;
use crate::subject::key;

pub(super) fn run(bytes: &[u8]) {
    let [path, query] = parts(bytes);
    let (Ok(path), Ok(query)) = (std::str::from_utf8(path), std::str::from_utf8(query)) else { return };
    let all = KeyRule::default();
    let whole = key("site", path, Some(query), &all);
    assert_eq!(key("site", path, Some(query), &all), whole);
    assert_ne!(key("other", path, Some(query), &all), whole, "sites share a key");
    assert_ne!(key("site", &format!("{path}x"), Some(query), &all), whole, "paths share a key");
    assert_ne!(key("site", path, Some(&format!("{query}x")), &all), whole, "queries share a key");
    assert_ne!(key("site", path, None, &all), whole, "an empty query and none share a key");
    let none = KeyRule { query: QueryRule::None, ..KeyRule::default() };
    assert_eq!(key("site", path, Some(query), &none), key("site", path, None, &none), "an ignored query counts");
    let only = KeyRule { query: QueryRule::Only(vec!["a".to_owned()]), ..KeyRule::default() };
    // Some servers part parameters by semicolons, so then nothing can be told of what they see.
    if !query.contains(';') {
        let more = format!("{query}&not-listed=1");
        assert_eq!(
            key("site", path, Some(&more), &only),
            key("site", path, Some(query), &only),
            "an unlisted one counts"
        );
    }
}

/// A purge's URL, prefix or tag.
pub(super) fn selector(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for parse in [Selector::parse_url, Selector::parse_prefix, Selector::parse_tag] {
        if let Ok(selector) = parse(text) {
            let told = serde_json::to_string(&selector).expect("a selector has a JSON form");
            assert_eq!(serde_json::from_str::<Selector>(&told).ok(), Some(selector), "{told}");
        }
    }
}
