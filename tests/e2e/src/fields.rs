//! Fields: a header or trailer section as it was received, names in lower case.

use std::fmt;

/// A header or trailer section.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads lines of `name: value`.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        lines.into_iter().filter_map(|line| line.split_once(':')).collect()
    }

    /// The first field of this name; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    /// All fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Is there one of this name?
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let own = |(name, value): (N, V)| (name.as_ref().to_ascii_lowercase(), value.as_ref().trim().to_owned());
        Self(fields.into_iter().map(own).collect())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {value}"))
    }
}
