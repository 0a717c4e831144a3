//! Site manifests.

use holm_model::manifest::{MAX_ERRORS, Manifest, parse};

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse("holm.toml", text) {
        Ok(manifest) => {
            // A release is its JSON.
            let told = serde_json::to_string(&manifest).expect("a manifest has a JSON form");
            assert_eq!(serde_json::from_str::<Manifest>(&told).ok(), Some(manifest), "{told}");
        }
        Err(errors) => {
            let count = errors.iter().count();
            assert!((1..=MAX_ERRORS + 1).contains(&count), "{count} errors");
            assert!(!errors.to_string().is_empty());
        }
    }
}
