//! The `Content-Type` of a static file, by the extension of its name.

/// The type of the file `name`; bytes of no known type where the table has none.
pub(super) fn of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let Some(extension) = extension else { return UNKNOWN };
    TYPES.iter().find(|(extensions, _)| extensions.contains(&extension.as_str())).map_or(UNKNOWN, |(_, found)| found)
}

/// RFC 9110 §8.3: a recipient may guess, and does not with `nosniff`.
const UNKNOWN: &str = "application/octet-stream";

/// What sites are made of. Text is UTF-8: the web's default where nobody says otherwise.
const TYPES: &[(&[&str], &str)] = &[
    (&["html", "htm"], "text/html; charset=utf-8"),
    (&["css"], "text/css; charset=utf-8"),
    (&["js", "mjs", "cjs"], "text/javascript; charset=utf-8"),
    (&["json", "map"], "application/json"),
    (&["jsonld"], "application/ld+json"),
    (&["txt", "log"], "text/plain; charset=utf-8"),
    (&["md", "markdown"], "text/markdown; charset=utf-8"),
    (&["csv"], "text/csv; charset=utf-8"),
    (&["xml", "xsl"], "application/xml"),
    (&["xhtml"], "application/xhtml+xml"),
    (&["rss"], "application/rss+xml"),
    (&["atom"], "application/atom+xml"),
    (&["ics"], "text/calendar; charset=utf-8"),
    (&["vtt"], "text/vtt; charset=utf-8"),
    (&["webmanifest"], "application/manifest+json"),
    (&["svg"], "image/svg+xml"),
    (&["png"], "image/png"),
    (&["jpg", "jpeg"], "image/jpeg"),
    (&["gif"], "image/gif"),
    (&["webp"], "image/webp"),
    (&["avif"], "image/avif"),
    (&["ico"], "image/vnd.microsoft.icon"),
    (&["bmp"], "image/bmp"),
    (&["tif", "tiff"], "image/tiff"),
    (&["woff"], "font/woff"),
    (&["woff2"], "font/woff2"),
    (&["ttf"], "font/ttf"),
    (&["otf"], "font/otf"),
    (&["mp3"], "audio/mpeg"),
    (&["ogg", "oga", "opus"], "audio/ogg"),
    (&["wav"], "audio/wav"),
    (&["flac"], "audio/flac"),
    (&["m4a"], "audio/mp4"),
    (&["mp4", "m4v"], "video/mp4"),
    (&["webm"], "video/webm"),
    (&["mov"], "video/quicktime"),
    (&["m3u8"], "application/vnd.apple.mpegurl"),
    (&["ts"], "video/mp2t"),
    (&["mpd"], "application/dash+xml"),
    (&["pdf"], "application/pdf"),
    (&["wasm"], "application/wasm"),
    (&["zip"], "application/zip"),
    (&["gz", "tgz"], "application/gzip"),
    (&["zst"], "application/zstd"),
    (&["tar"], "application/x-tar"),
];

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn types() {
        let check = |name: &str, expected: &str| assert_eq!(of(name), expected, "{name}");
        check("index.html", "text/html; charset=utf-8");
        check("APP.JS", "text/javascript; charset=utf-8");
        check("photo.JPeG", "image/jpeg");
        check("archive.tar.gz", "application/gzip");
        check("LICENSE", "application/octet-stream");
        check("a.unheard-of", "application/octet-stream");
    }
}
