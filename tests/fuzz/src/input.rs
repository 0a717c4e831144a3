//! Bytes as what a target needs. Readable texts are the corpus: lines, and parts that a line of `--` parts.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The parts of an input.
#[must_use]
pub fn parts<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    let mut rest = bytes;
    let mut parts = [&[][..]; N];
    for (index, part) in parts.iter_mut().enumerate() {
        let end = if index + 1 == N { None } else { rest.windows(PARTING.len()).position(|at| at == PARTING) };
        *part = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or(&[], |end| &rest[end + PARTING.len()..]);
    }
    parts
}

/// The lines of a part.
pub fn lines(part: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    part.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// A part as fields: `name: value` in each line. What no server would take as a field is left out.
#[must_use]
pub fn fields(part: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines(part).take(MOST_FIELDS) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    fields
}

/// A part's lines as the values of one field; none of them is empty.
#[must_use]
pub fn values(name: &HeaderName, part: &[u8]) -> HeaderMap {
    let lines = lines(part).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let values = lines.take(MOST_FIELDS).filter_map(|line| HeaderValue::from_bytes(line).ok());
    values.map(|value| (name.clone(), value)).fold(HeaderMap::new(), |mut fields, (name, value)| {
        fields.append(name, value);
        fields
    })
}

/// The same fields with the lines of `name` in one: RFC 9110 §5.3 says that it means the same.
#[must_use]
pub fn joined(fields: &HeaderMap, name: &HeaderName) -> HeaderMap {
    let lines: Vec<&[u8]> = fields.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let mut fields = fields.clone();
    if let Ok(value) = HeaderValue::from_bytes(&lines.join(&b", "[..])) {
        fields.insert(name.clone(), value);
    }
    fields
}

/// Is there a quotation mark in a value? What is quoted may mean something else when it is moved.
#[must_use]
pub fn quotes(fields: &HeaderMap) -> bool {
    fields.values().any(|value| value.as_bytes().contains(&b'"'))
}

const PARTING: &[u8] = b"\n--\n";
/// As many as a head may have.
const MOST_FIELDS: usize = 100;

#[cfg(test)]
mod tests {
    use super::{fields, parts};

    #[test]
    fn inputs() {
        assert_eq!(parts(b"a\nb\n--\nc\n--\nd"), [&b"a\nb"[..], b"c\n--\nd"]);
        assert_eq!(parts(b"a"), [&b"a"[..], b""]);
        assert_eq!(fields(b"a: 1\nA:2\nno field\n: 3\n").get_all("a").iter().count(), 2);
    }
}
