//! `tls = { cert, key }`: the site's own certificate.

use super::block::{Block, Keys};
use super::report::Report;
use super::value::{Value, Wanted};
use crate::manifest::TlsFiles;

/// Reads the names of the two files; whether they are there is for whoever opens them.
pub(super) fn read<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<TlsFiles> {
    let block = Block::open(value, "`tls`".to_owned(), &KEYS, report)?;
    let cert = block.require("cert", EXAMPLE, report).and_then(|value| CERT.text(value, report));
    let key = block.require("key", EXAMPLE, report).and_then(|value| KEY.text(value, report));
    Some(TlsFiles { cert: cert?.to_owned(), key: key?.to_owned() })
}

const KEYS: Keys = Keys { known: &["cert", "key"], later: &[] };
const EXAMPLE: &str = "tls = { cert = \"shop.pem\", key = \"shop.key\" }";
const CERT: Wanted<'_> = Wanted { name: "cert", what: "the path of a PEM file", example: EXAMPLE };
const KEY: Wanted<'_> = Wanted { name: "key", what: "the path of a PEM file", example: EXAMPLE };
