//! Asks: a request as a test describes it, whichever client sends it.

/// What a request is sent over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 in the clear.
    Http1,
    /// HTTP/1.1 over TLS.
    Https1,
    /// HTTP/2 over TLS.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Http1, Self::Https1, Self::Http2, Self::Http3];

    /// One for each version of HTTP.
    pub const VERSIONS: [Self; 3] = [Self::Http1, Self::Http2, Self::Http3];
}

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) chunked: bool,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) protocol: Protocol,
}

/// GET.
pub fn get(path: impl Into<String>) -> Ask {
    ask("GET", path)
}

/// HEAD.
pub fn head(path: impl Into<String>) -> Ask {
    ask("HEAD", path)
}

/// Any method.
pub fn ask(method: &str, path: impl Into<String>) -> Ask {
    Ask {
        method: method.to_owned(),
        path: path.into(),
        fields: Vec::new(),
        body: None,
        chunked: false,
        trailers: Vec::new(),
        protocol: Protocol::Http1,
    }
}

impl Ask {
    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// Adds these fields.
    #[must_use]
    pub fn fields(self, fields: &[(&str, &str)]) -> Self {
        fields.iter().fold(self, |ask, (name, value)| ask.field(name, *value))
    }

    /// Sends this content, and its length before it.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends this content without saying how long it is.
    #[must_use]
    pub fn chunked(self, body: impl Into<Vec<u8>>) -> Self {
        Self { chunked: true, ..self.body(body) }
    }

    /// Sends this trailer field after the content: over HTTP/3 alone, for curl can't.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Over this protocol.
    #[must_use]
    pub fn over(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }
}
