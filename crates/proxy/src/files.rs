//! Static files of a release, answered from the control plane's store as an origin would.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use holm_cache_policy::{Conditional, RangeSelection, evaluate_conditions, precondition_fails, select_range};
use holm_control::Control;
use holm_model::path;
use holm_model::release::FileEntry;
use holm_transport::body::{Body, BodyError, BodyErrorKind, BodySender, Side};
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap,
    HeaderName, HeaderValue, LOCATION,
};
use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use crate::answer;
use crate::hop::{Answer, HopError, NextHop, Way};
use crate::site::{Content, FileSet};

/// Answers from files.
#[derive(Debug)]
pub(crate) struct FileHop(Arc<Control>);

impl FileHop {
    pub(crate) fn new(control: &Arc<Control>) -> Arc<Self> {
        Arc::new(Self(Arc::clone(control)))
    }
}

impl NextHop for FileHop {
    fn send(&self, request: Request<Body>, way: Way) -> BoxFuture<'static, Result<Answer, HopError>> {
        let control = Arc::clone(&self.0);
        Box::pin(async move {
            let Content::Files(files) = &way.content else {
                return Err(HopError::new(StatusCode::BAD_GATEWAY, "no-files", "the route has no files"));
            };
            let request = request.map(drop);
            let response = respond(&control, files, &request).await?;
            Ok(Answer { response, as_of: way.begun.applied, aged: false, bridged: None })
        })
    }
}

/// What a path leads to.
enum Found<'a> {
    File(&'a FileEntry),
    /// A folder that was asked for without its slash.
    Folder,
    /// The site's own page for what is not there, if it has one.
    Nothing(Option<&'a FileEntry>),
}

async fn respond(control: &Arc<Control>, files: &FileSet, request: &Request<()>) -> Result<Response<Body>, HopError> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = answer::error(StatusCode::METHOD_NOT_ALLOWED, "method");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    match find(files, request.uri().path()) {
        Found::Folder => Ok(to_folder(request)),
        Found::Nothing(None) => Ok(answer::error(StatusCode::NOT_FOUND, "no-such-file")),
        Found::Nothing(Some(page)) => {
            let mut response = whole(control, page, request.method()).await?;
            *response.status_mut() = StatusCode::NOT_FOUND;
            response.headers_mut().remove(ETAG);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(response)
        }
        Found::File(entry) => file(control, entry, request).await,
    }
}

fn find<'a>(files: &'a FileSet, path: &str) -> Found<'a> {
    // Decoded, such a path would lead past the route that guards the folder.
    if path::hides_structure(path) {
        return Found::Nothing(None);
    }
    // A pattern without `*` names one file: its last segment.
    let below = files.pattern.below(path).unwrap_or_else(|| path.rfind('/').map_or(path, |at| &path[at..]));
    let Ok(name) = percent_decode_str(below).decode_utf8() else { return Found::Nothing(None) };
    let at = |name: &str| files.files.get(name);
    let found = if name.ends_with('/') { at(&format!("{name}{INDEX}")) } else { at(&name) };
    match found {
        Some(entry) => Found::File(entry),
        None if at(&format!("{name}/{INDEX}")).is_some() => Found::Folder,
        None => Found::Nothing(at(NOT_FOUND_PAGE)),
    }
}

fn to_folder(request: &Request<()>) -> Response<Body> {
    let mut response = answer::error(StatusCode::MOVED_PERMANENTLY, "folder");
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    // A path that begins with two slashes would lead to another host.
    let path = request.uri().path().trim_start_matches('/');
    if let Ok(location) = HeaderValue::from_str(&format!("/{path}/{query}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// A file with the conditions and the range of the request, as an origin would answer it.
async fn file(control: &Arc<Control>, entry: &FileEntry, request: &Request<()>) -> Result<Response<Body>, HopError> {
    let head = head(entry);
    let mut empty = Response::new(Body::empty());
    if precondition_fails(request.headers(), &head) {
        *empty.status_mut() = StatusCode::PRECONDITION_FAILED;
        return Ok(empty);
    }
    if evaluate_conditions(request.method(), request.headers(), &head) == Conditional::NotModified {
        *empty.status_mut() = StatusCode::NOT_MODIFIED;
        *empty.headers_mut() = head;
        empty.headers_mut().remove(CONTENT_LENGTH);
        return Ok(empty);
    }
    match select_range(request.headers(), &head, entry.size) {
        // RFC 9110 §14.2: a range means something to GET only.
        _ if *request.method() != Method::GET => whole(control, entry, request.method()).await,
        RangeSelection::Parts(ranges) if ranges.len() == 1 => {
            let range = ranges[0];
            let mut response = Response::new(body(control, entry, range.first, range.len()).await?);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            *response.headers_mut() = head;
            let headers = response.headers_mut();
            headers.insert(CONTENT_LENGTH, HeaderValue::from(range.len()));
            insert_text(headers, CONTENT_RANGE, &format!("bytes {}-{}/{}", range.first, range.last, entry.size));
            Ok(response)
        }
        RangeSelection::Unsatisfiable => {
            let mut response = answer::error(StatusCode::RANGE_NOT_SATISFIABLE, "range");
            insert_text(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{}", entry.size));
            Ok(response)
        }
        // Several at once are the cache's to answer, once it has the whole.
        RangeSelection::Whole | RangeSelection::Parts(_) => whole(control, entry, request.method()).await,
    }
}

async fn whole(control: &Arc<Control>, entry: &FileEntry, method: &Method) -> Result<Response<Body>, HopError> {
    let body = if *method == Method::HEAD { Body::empty() } else { body(control, entry, 0, entry.size).await? };
    let mut response = Response::new(body);
    *response.headers_mut() = head(entry);
    Ok(response)
}

/// The head of a 200. Clients confirm each use, for a release may replace the file at any time; our own caches need not,
/// for their keys hold the release.
fn head(entry: &FileEntry) -> HeaderMap {
    let mut headers = HeaderMap::new();
    insert_text(&mut headers, CONTENT_TYPE, &entry.content_type);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(entry.size));
    insert_text(&mut headers, ETAG, &format!("\"{}\"", &entry.digest.to_string()[..ETAG_DIGITS]));
    insert_text(&mut headers, DATE, &httpdate::fmt_http_date(std::time::SystemTime::now()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0, must-revalidate"));
    headers.insert(HOLM_CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
    headers
}

/// Bytes of a file: small ones at once, large ones as the client takes them.
async fn body(control: &Arc<Control>, entry: &FileEntry, first: u64, length: u64) -> Result<Body, HopError> {
    let (control, digest) = (Arc::clone(control), entry.digest);
    let opened = tokio::task::spawn_blocking(move || {
        let file = control.blob_file(&digest).map_err(|error| error.to_string())?;
        let mut file = file.ok_or_else(|| format!("the store lacks the blob {digest}"))?;
        file.seek(SeekFrom::Start(first)).map_err(|error| error.to_string())?;
        if length > AT_ONCE {
            return Ok((file, None));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        file.by_ref().take(length).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 != length {
            return Err(format!("the blob {digest} is shorter than its release says"));
        }
        Ok((file, Some(bytes)))
    });
    let failed = |detail: String| HopError::new(StatusCode::BAD_GATEWAY, "file-unreadable", detail);
    let (file, bytes) = opened.await.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    if let Some(bytes) = bytes {
        return Ok(Body::full(bytes));
    }
    let (sender, body) = Body::channel_with_length(READ_AHEAD, Some(length));
    tokio::spawn(stream(file, length, sender));
    Ok(body)
}

/// Reads piece by piece on a thread that may block, as fast as the body's reader takes them.
async fn stream(mut file: File, mut left: u64, mut sender: BodySender) {
    while left > 0 {
        let size = usize::try_from(left.min(PIECE)).unwrap_or_default();
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = BytesMut::zeroed(size);
            file.read_exact(&mut piece).map(|()| (file, piece.freeze()))
        });
        let (next, piece): (File, Bytes) = match read.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return sender.abort(unreadable(&error)).await,
            Err(error) => return sender.abort(unreadable(&error)).await,
        };
        file = next;
        left -= piece.len() as u64;
        if sender.send_data(piece).await.is_err() {
            return;
        }
    }
    let _ = sender.finish().await;
}

fn unreadable(error: &dyn std::error::Error) -> BodyError {
    BodyError::with_detail(BodyErrorKind::Io, Side::Us, error)
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

const INDEX: &str = "index.html";
const NOT_FOUND_PAGE: &str = "/404.html";
const HOLM_CACHE_CONTROL: HeaderName = HeaderName::from_static("holm-cache-control");

/// 128 bits of the digest: enough to tell any two files apart.
const ETAG_DIGITS: usize = 32;
/// The largest body that is read whole before it is sent, in bytes.
const AT_ONCE: u64 = 1 << 20;
/// The size of the pieces of a larger one, in bytes, and how many are read before they are taken.
const PIECE: u64 = 256 << 10;
const READ_AHEAD: usize = 2;
