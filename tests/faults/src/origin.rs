//! The origin: serves the newest version of each URL, and ranges of it; a POST makes a new one.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use holm_e2e::{Asked, Exchange, Origin};

use crate::content::Content;

/// An origin of this content.
pub(crate) fn start(content: &Arc<Content>) -> Origin {
    let content = Arc::clone(content);
    Origin::start(move |asked, exchange| answer(&content, asked, exchange))
}

fn answer(content: &Content, asked: &Asked, exchange: &mut Exchange) -> io::Result<()> {
    let Some(index) = content.find(asked.path()) else { return exchange.reply(404, &[], "") };
    if asked.method == "POST" {
        exchange.content()?;
        let path = &content.urls()[index].path;
        let [(_, version)] = content.change(|url| url.path == *path)[..] else {
            unreachable!("invariant: paths differ");
        };
        return exchange.reply(200, &[("x-version", &version.to_string())], "changed");
    }
    let version = content.version(index);
    let (etag, tags) = (Content::etag(index, version), content.urls()[index].tags.join(" "));
    let fields = [("etag", etag.as_str()), ("cache-control", "max-age=86400"), ("surrogate-key", tags.as_str())];
    if asked.fields.get("if-none-match") == etag {
        return exchange.reply(304, &fields, "");
    }
    let body = content.body(index, version);
    let confirmed = ["", etag.as_str()].contains(&asked.fields.get("if-range"));
    match range(asked.fields.get("range"), body.len()).filter(|_| confirmed) {
        None => exchange.reply(200, &fields, body),
        Some(range) if range.is_empty() => {
            exchange.reply(416, &[("content-range", format!("bytes */{}", body.len()).as_str())], "")
        }
        Some(range) => {
            let told = format!("bytes {}-{}/{}", range.start, range.end - 1, body.len());
            let fields = [fields.as_slice(), &[("content-range", told.as_str())]].concat();
            exchange.reply(206, &fields, &body[range])
        }
    }
}

/// The one range that is asked for (RFC 9110 §14.1.2), empty if it lies past the end; none if there is none, or several.
fn range(field: &str, length: usize) -> Option<Range<usize>> {
    let (first, last) = field.strip_prefix("bytes=")?.split_once('-')?;
    if let ("", last) = (first, last) {
        return Some(length.saturating_sub(last.parse().ok()?)..length);
    }
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().unwrap_or(usize::MAX - 1));
    Some(first.min(length)..length.min(last + 1))
}
