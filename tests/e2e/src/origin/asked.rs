//! What an origin was asked: a request's head.

use std::io::{self, BufRead as _, BufReader};
use std::net::TcpStream;

use crate::Fields;

/// A request's head, as the origin saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The target: path and query.
    pub target: String,
    /// The header section.
    pub fields: Fields,
    /// The connection that it came on, counted from 0.
    pub connection: usize,
}

impl Asked {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The next head on a connection; none if that has ended.
    pub(super) fn read(reader: &mut BufReader<TcpStream>, connection: usize) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut first = lines.first().map(String::as_str).unwrap_or_default().split(' ');
        let mut word = || first.next().unwrap_or_default().to_owned();
        let (method, target) = (word(), word());
        let fields = Fields::parse(lines.iter().skip(1).map(String::as_str));
        Ok(Some(Self { method, target, fields, connection }))
    }
}
