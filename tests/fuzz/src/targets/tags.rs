//! `Cache-Tag` and `Surrogate-Key`. Lines of response fields.

use holm_cache_policy::extract_tags;

use crate::input::fields;

pub(super) fn run(bytes: &[u8]) {
    let fields = fields(bytes);
    for tag in extract_tags(&fields) {
        assert!(!tag.is_empty() && tag.trim() == tag, "{tag:?}");
    }
}
