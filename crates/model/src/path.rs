//! Paths in their normal form: the one by which routes match, caches look up and purges select, so that no other
//! spelling of a path leads around any of them. RFC 3986 §6.2.2.

use std::borrow::Cow;

/// Decodes percent-encoded octets that need no encoding (§2.3), writes the others with capital digits (§2.1), encodes a
/// percent sign that encodes nothing (§2.4), and removes dot segments (§5.2.4). A path that is in normal form, as nearly all are, is borrowed.
#[must_use]
pub fn normalise(path: &str) -> Cow<'_, str> {
    let decoded = if path.contains('%') { decode_unreserved(path) } else { Cow::Borrowed(path) };
    if !decoded.contains("/.") {
        return decoded;
    }
    match remove_dot_segments(&decoded) {
        Some(clean) => Cow::Owned(clean),
        None => decoded,
    }
}

/// Does it hold an encoded slash or a NUL? For one who decodes further than [`normalise`] does, such a path names
/// something else than the one that routes saw.
#[must_use]
pub fn hides_structure(path: &str) -> bool {
    path.as_bytes().windows(3).any(|triple| {
        triple[0] == b'%'
            && (triple[1..].eq_ignore_ascii_case(b"2f")
                || triple[1..] == *b"00"
                || triple[1..].eq_ignore_ascii_case(b"5c"))
    })
}

/// Does it hold a dot segment, or an end, for readers that see more in it than RFC 3986 does? Some decode slashes, some
/// take a backslash for one, some cut a segment at its semicolon, some end at a NUL: for them the path of a route that
/// caches everything, or guards nothing, would lead to a page of another route. `path` is in normal form.
#[must_use]
pub fn climbs(path: &str) -> bool {
    if path.contains("%00") {
        return true;
    }
    if !path.contains([';', '\\', '%']) {
        return false;
    }
    let separators = ["%2F", "%5C"];
    let mut segments = path.split(['/', '\\']).flat_map(|part| split_each(part, separators));
    segments.any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

fn split_each<'a>(text: &'a str, [one, other]: [&'static str; 2]) -> impl Iterator<Item = &'a str> {
    text.split(one).flat_map(move |part| part.split(other))
}

fn decode_unreserved(path: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(digits) = digits else {
            // One that encodes nothing is written as what it is: with what is decoded behind it, it might encode something.
            out.push_str("%25");
            rest = &rest[at + 1..];
            continue;
        };
        match u8::from_str_radix(digits, 16).map(char::from) {
            Ok(c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~') => out.push(c),
            _ => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    if out == path { Cow::Borrowed(path) } else { Cow::Owned(out) }
}

/// `None` where there are none.
fn remove_dot_segments(path: &str) -> Option<String> {
    let dots = |segment: &str| matches!(segment, "." | "..");
    if !path.split('/').any(dots) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    // A path that ends in dots names a folder.
    if path.rsplit('/').next().is_some_and(dots) {
        kept.push("");
    }
    Some(format!("/{}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        let check = |path: &str, expected: &str| {
            assert_eq!(normalise(path), expected, "{path}");
            assert_eq!(normalise(expected), expected, "a normal form is its own");
        };
        check("/", "/");
        check("/a/b.c~d", "/a/b.c~d");
        check("/%70rivate/%7e", "/private/~");
        check("/a%2fb%2Fc", "/a%2Fb%2Fc");
        check("/%e2%82%ac", "/%E2%82%AC");
        check("/100%", "/100%25");
        check("/%zz%4", "/%25zz%254");
        check("/%%32f", "/%252f");
        check("/a/../b", "/b");
        check("/a/./b/.", "/a/b/");
        check("/a/b/..", "/a/");
        check("/../../x", "/x");
        check("/%2e%2e/x", "/x");
        check("/a/.well-known/..x", "/a/.well-known/..x");
        check("//a//b", "//a//b");
        check("*", "*");
    }

    #[test]
    fn what_climbs() {
        let check = |path: &str, climbs: bool| assert_eq!(super::climbs(&normalise(path)), climbs, "{path}");
        check("/a/b;c=d/e.css", false);
        check("/@scope%2fname", false);
        check("/a%2f..b", false);
        check("/a/../b", false);
        check("/a\\b", false);
        check("/100%", false);
        check("/assets/..%2faccount", true);
        check("/assets/%2e%2e%2Faccount", true);
        check("/assets%2f..%2faccount", true);
        check("/assets/..%5caccount", true);
        check("/assets/..\\account", true);
        check("/assets/..;/account", true);
        check("/assets/..;x=y/account", true);
        check("/assets/.;/account", true);
        check("/account%00.css", true);
    }

    #[test]
    fn what_hides_structure() {
        let check = |path: &str, hides: bool| assert_eq!(hides_structure(path), hides, "{path}");
        check("/a/b", false);
        check("/a%20b", false);
        check("/a%2fb", true);
        check("/a%2Fb", true);
        check("/a%5Cb", true);
        check("/a%00", true);
    }
}
