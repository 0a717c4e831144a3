//! One request head: where it ends, how its body is framed, or why it is refused.

use std::mem::MaybeUninit;
use std::net::Ipv6Addr;

use holm_model::limits::{MAX_HEAD_BYTES, MAX_HEADERS, MAX_URI_BYTES};

use super::refusal::Refusal;

/// How the body after a head is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes.
    Length(u64),
    /// Chunks up to an empty one.
    Chunked,
    /// None, and the client asks to leave HTTP.
    Upgrade,
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// Not a whole head yet.
    Partial,
    /// A head of so many bytes.
    Complete(usize, Framing),
    /// To be answered with an error, and the connection closed.
    Refused(Refusal),
}

/// Looks at the bytes from a head's beginning on.
pub(crate) fn scan(bytes: &[u8]) -> Scanned {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut []);
    match head.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length > MAX_HEAD_BYTES => refused(431, "head-too-large"),
        Ok(httparse::Status::Complete(length)) => match framing(&head) {
            Ok(framing) => Scanned::Complete(length, framing),
            Err(refusal) => Scanned::Refused(refusal),
        },
        Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD_BYTES => refused(431, "head-too-large"),
        Ok(httparse::Status::Partial) => Scanned::Partial,
        Err(httparse::Error::TooManyHeaders) => refused(431, "too-many-fields"),
        Err(httparse::Error::Version) if names_version(bytes) => refused(505, "http-version"),
        Err(_) => refused(400, "malformed-head"),
    }
}

/// Where the request head that these bytes begin with ends, or the status and reason with which it is refused; nothing while
/// more is needed to tell.
#[must_use]
pub fn head_end(bytes: &[u8]) -> Option<Result<usize, (u16, &'static str)>> {
    match scan(bytes) {
        Scanned::Partial => None,
        Scanned::Complete(length, _) => Some(Ok(length)),
        Scanned::Refused(refusal) => Some(Err((refusal.status, refusal.reason))),
    }
}

/// Does the request line have a version where one belongs (RFC 9112 §3)? If not, it is malformed, whatever stands there.
fn names_version(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|b| *b == b'\n').next().unwrap_or_default();
    line.split(|b| *b == b' ').nth(2).is_some_and(|word| word.starts_with(b"HTTP/"))
}

fn framing(head: &httparse::Request<'_, '_>) -> Result<Framing, Refusal> {
    let mut facts = Facts::default();
    for field in head.headers.iter() {
        facts.take(field)?;
    }
    let old = head.version == Some(0);
    if head.path.is_some_and(|target| target.len() > MAX_URI_BYTES) {
        return Err(Refusal { status: 414, reason: "uri-too-long" });
    }
    // RFC 9112 §3.2: exactly one Host, which HTTP/1.0 may leave out.
    if facts.hosts > 1 || (facts.hosts == 0 && !old) {
        return bad(if facts.hosts == 0 { "host-missing" } else { "host-duplicate" });
    }
    match (facts.length, facts.chunked) {
        (Some(_), true) => bad("length-and-transfer-encoding"),
        (_, true) if old => bad("transfer-encoding-in-http-1.0"),
        (_, true) => Ok(Framing::Chunked),
        (None | Some(0), false) if facts.upgrade && facts.connection_upgrade && !old => Ok(Framing::Upgrade),
        (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
    }
}

/// What the fields say of the message's framing.
#[derive(Default)]
struct Facts {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    connection_upgrade: bool,
}

impl Facts {
    fn take(&mut self, field: &httparse::Header<'_>) -> Result<(), Refusal> {
        let name = field.name;
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                self.hosts += 1;
                if !is_valid_host(field.value) {
                    return bad("host-invalid");
                }
            }
            7 if name.eq_ignore_ascii_case("upgrade") => self.upgrade = true,
            10 if name.eq_ignore_ascii_case("connection") => {
                self.connection_upgrade |= lists(field.value, b"upgrade");
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length = std::str::from_utf8(field.value)
                    .ok()
                    .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
                    .and_then(|text| text.parse().ok());
                if self.length.is_some() {
                    return bad("length-duplicate");
                }
                self.length = Some(length.ok_or(Refusal { status: 400, reason: "length-invalid" })?);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                if self.chunked {
                    return bad("transfer-encoding-duplicate");
                }
                if !field.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal { status: 501, reason: "transfer-encoding-unknown" });
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// RFC 9110 §7.2: uri-host and an optional port; an empty value is allowed where the target has no authority, which no
/// request to us lacks.
#[must_use]
pub fn is_valid_host(value: &[u8]) -> bool {
    let (name_fits, port) = match value {
        [b'[', rest @ ..] => match rest.iter().position(|b| *b == b']') {
            Some(end) => (is_ipv6(&rest[..end]), &rest[end + 1..]),
            None => return false,
        },
        _ => {
            let (name, port) = value.iter().position(|b| *b == b':').map_or((value, &[][..]), |at| value.split_at(at));
            let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            (!name.is_empty() && name.len() <= MAX_HOST && name.iter().all(fits), port)
        }
    };
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name_fits && port_fits
}

fn is_ipv6(literal: &[u8]) -> bool {
    std::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Is the token in this comma-separated list?
pub(crate) fn lists(value: &[u8], token: &[u8]) -> bool {
    value.split(|b| *b == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(token))
}

fn bad<T>(reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal { status: 400, reason })
}

const fn refused(status: u16, reason: &'static str) -> Scanned {
    Scanned::Refused(Refusal { status, reason })
}

/// A DNS name's length.
const MAX_HOST: usize = 255;
