//! A client: HTTP/1.1 on one connection for request after request, fast enough to ask for hundreds of URLs in no time.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use holm_e2e::{Fields, PATIENCE};

/// A client of one server.
pub(crate) struct Client {
    authority: String,
    connection: Option<BufReader<TcpStream>>,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(authority: impl Into<String>) -> Self {
        Self { authority: authority.into(), connection: None }
    }

    /// Sends a request with these field lines; an error is an answer that did not come whole.
    pub(crate) fn ask(&mut self, method: &str, target: &str, fields: &str, content: &str) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.authority)?,
        };
        let length = match method {
            "GET" => String::new(),
            _ => format!("content-length: {}\r\n", content.len()),
        };
        let request = format!("{method} {target} HTTP/1.1\r\n{fields}{length}\r\n{content}");
        connection.get_mut().write_all(request.as_bytes())?;
        let answer = read(&mut connection)?;
        if !answer.fields.get("connection").eq_ignore_ascii_case("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

impl Answer {
    /// RFC 9211 §2.1.
    pub(crate) fn is_hit(&self) -> bool {
        self.fields.get("cache-status").split(';').any(|parameter| parameter.trim() == "hit")
    }
}

fn connect(authority: &str) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(authority)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::with_capacity(64 << 10, stream))
}

fn read(connection: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let (status, fields) = loop {
        let (status, fields) = head(connection)?;
        if status >= 200 {
            break (status, fields);
        }
    };
    let mut body = Vec::new();
    if fields.get("transfer-encoding").eq_ignore_ascii_case("chunked") {
        while take_chunk(connection, &mut body)? {}
    } else if status != 204 && status != 304 {
        let length = fields.get("content-length").parse().map_err(io::Error::other)?;
        take(connection, length, &mut body)?;
    }
    Ok(Answer { status, fields, body })
}

fn head(connection: &mut BufReader<TcpStream>) -> io::Result<(u16, Fields)> {
    let mut lines = Vec::new();
    loop {
        match line(connection)? {
            line if line.is_empty() => break,
            line => lines.push(line),
        }
    }
    let status = lines.first().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {lines:?}")))?;
    Ok((status, Fields::parse(lines.iter().skip(1).map(String::as_str))))
}

/// One chunk; false for the last one and the trailers.
fn take_chunk(connection: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> io::Result<bool> {
    let size = line(connection)?;
    let size = u64::from_str_radix(size.split(';').next().unwrap_or_default(), 16).map_err(io::Error::other)?;
    if size > 0 {
        take(connection, size, body)?;
        line(connection)?;
        return Ok(true);
    }
    while !line(connection)?.is_empty() {}
    Ok(false)
}

fn take(connection: &mut BufReader<TcpStream>, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let got = connection.take(length).read_to_end(body)?;
    if got as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn line(connection: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    match connection.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}
