//! What entered a key, in words: for `holm check --key`.

use http::header::COOKIE;

use super::{KeyInput, Part, cookies, query};

/// A key taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What entered, in its order.
    pub entered: Vec<KeyPart>,
    /// What the request has beside, and requests that differ in it share a response.
    pub left_out: Vec<KeyPart>,
}

/// One part of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// What it is: `path`, `header x-plan`.
    pub name: String,
    /// Its value; `None` for one that the request lacks.
    pub value: Option<String>,
}

impl KeyInput<'_> {
    /// Takes the key apart. Beside `Vary`, which is known only when there is a response.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let mut entered = Vec::new();
        self.each_part(&mut |part| add(&mut entered, part));
        Explanation { entered, left_out: self.left_out() }
    }

    fn left_out(&self) -> Vec<KeyPart> {
        let mut left_out = Vec::new();
        if self.rule.share_hosts {
            left_out.push(KeyPart::new("host", self.host));
            left_out.push(KeyPart::new("port", self.port));
        }
        let parameters = self.query.map(|text| query::left_out(text, self.rule)).unwrap_or_default();
        left_out.extend(parameters.into_iter().map(|pair| KeyPart::new("parameter", pair)));
        for (name, value) in self.request {
            if *name != COOKIE && !self.rule.headers.iter().any(|own| own == name.as_str()) {
                left_out.push(KeyPart::new(format!("header {name}"), text(value.as_bytes())));
            }
        }
        let cookies = cookies::left_out(self.request, &self.rule.cookies);
        left_out.extend(cookies.into_iter().map(|pair| KeyPart::new("cookie", text(pair))));
        left_out
    }
}

impl KeyPart {
    fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: Some(value.into()) }
    }
}

fn add(entered: &mut Vec<KeyPart>, part: Part<'_>) {
    let part = match part {
        Part::Site(value) => KeyPart::new("site", value),
        Part::Scheme(value) => KeyPart::new("scheme", value),
        Part::Host(value) => KeyPart::new("host", value),
        // The scheme's own port says nothing.
        Part::Port("") => return,
        Part::Port(value) => KeyPart::new("port", value),
        Part::Path(value) => KeyPart::new("path", value),
        Part::Query(value) => KeyPart::new("query", value),
        Part::Parameter(value) => KeyPart::new("parameter", value),
        Part::Field(name) => KeyPart { name: format!("header {name}"), value: None },
        Part::FieldValue(value) => return add_value(entered, value),
        Part::Cookie(name) => KeyPart { name: format!("cookie {name}"), value: None },
        Part::CookiePair(pair) => return add_cookie(entered, pair),
        Part::CookieLine(line) => KeyPart::new("all cookies", text(line)),
        Part::Content(digest) => KeyPart::new("content", blake3::Hash::from(digest).to_hex().to_string()),
        // The rule itself; parts of variants.
        Part::AnyHost | Part::NoQuery | Part::Sorted | Part::Listed(_) | Part::Ignored(_) => return,
        Part::Primary(_) | Part::Selecting(_) | Part::Absent => return,
    };
    entered.push(part);
}

/// One more member of the last field's value.
fn add_value(entered: &mut [KeyPart], member: &[u8]) {
    let Some(field) = entered.last_mut() else { return };
    field.value = Some(match field.value.take() {
        Some(before) => format!("{before}, {}", text(member)),
        None => text(member),
    });
}

/// One more cookie, under the name that was given before; one that only some readers take for that name, by itself.
fn add_cookie(entered: &mut Vec<KeyPart>, pair: &[u8]) {
    let pair = text(pair);
    let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
    let name = format!("cookie {}", name.trim());
    match entered.iter_mut().find(|part| part.name == name && part.value.is_none()) {
        Some(part) => part.value = Some(value.to_owned()),
        None => entered.push(KeyPart::new(name, value)),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
