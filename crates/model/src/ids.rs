//! Identifiers: the names and numbers that other crates pass around, checked where they are made.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct InvalidId {
    what: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check_name($what, text).map(|()| Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A site's name: a DNS label (lower-case letters, digits, inner hyphens; 1 to 63 bytes).
    SiteName, "site name"
}
name! {
    /// A node's name, unique in a cluster: a DNS label.
    NodeName, "node name"
}
name! {
    /// A region's name: a DNS label.
    RegionName, "region name"
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The bare number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

number! {
    /// A release's number within its site, counted from 1.
    ReleaseNumber
}
number! {
    /// A position in the purge log, counted from 1; [`Seq::ZERO`] stands before the first entry.
    Seq
}

impl Seq {
    /// Before the first entry of a log.
    pub const ZERO: Self = Self(0);
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $len]);

        impl $name {
            /// Wraps raw bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; $len];
                decode_hex(text, &mut bytes).map(|()| Self(bytes)).ok_or_else(|| InvalidId {
                    what: $what,
                    text: text.to_owned(),
                    rule: $rule,
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

bytes_id! {
    /// The identity of a purge log: a restored or recreated log has another one.
    LogId, 16, "log id", "expected 32 hexadecimal digits"
}
bytes_id! {
    /// The BLAKE3 digest that names a blob (component or file).
    Digest, 32, "digest", "expected 64 hexadecimal digits (BLAKE3)"
}

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

fn check_name(what: &'static str, text: &str) -> Result<(), InvalidId> {
    let rule = "use 1 to 63 lower-case letters, digits and hyphens, with no hyphen at either end";
    let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let edges = !text.starts_with('-') && !text.ends_with('-');
    if inner && edges && (1..=MAX_NAME).contains(&text.len()) {
        return Ok(());
    }
    Err(InvalidId { what, text: text.to_owned(), rule })
}

fn decode_hex(text: &str, out: &mut [u8]) -> Option<()> {
    let digits = text.as_bytes();
    if digits.len() != out.len() * 2 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(())
}

/// The length of a DNS label (RFC 1035 §2.3.4).
const MAX_NAME: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        let check = |text: &str, valid: bool| assert_eq!(text.parse::<SiteName>().is_ok(), valid, "{text:?}");
        check("shop", true);
        check("a", true);
        check("shop-2", true);
        check("", false);
        check("Shop", false);
        check("-a", false);
        check("a-", false);
        check("a.b", false);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
    }

    #[test]
    fn digests_survive_their_text_form() {
        let digest = Digest::of(b"holm");
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        assert!("00".parse::<Digest>().is_err());
        assert!("zz".repeat(32).parse::<Digest>().is_err());
    }
}
