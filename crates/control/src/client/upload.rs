//! Uploads: a blob is streamed from its file, and goes on where it broke off.

use std::fmt;
use std::io::SeekFrom;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use holm_model::ids::Digest;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use reqwest::{Body, Response};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::call::Call;
use super::{Client, ClientError};
use crate::wire::UPLOAD_OFFSET;

/// Content in a file.
#[derive(Debug, Clone, Copy)]
pub struct BlobSource<'a> {
    /// What it is to be.
    pub digest: Digest,
    /// Where it is.
    pub path: &'a Path,
    /// Bytes.
    pub size: u64,
}

/// What a server has of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// All of it.
    Whole,
    /// The first bytes of an upload that broke off; mostly none.
    Partial {
        /// How many.
        received: u64,
    },
}

/// How an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// It was stored.
    Stored,
    /// Someone else has stored it meanwhile.
    AlreadyThere,
}

/// Is told how many of a blob's bytes have been sent. After an interruption that may be fewer than before.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(u64) + Send + Sync>);

impl Progress {
    /// Tells `report`.
    pub fn new(report: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    /// Tells nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| ())
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// What one attempt to upload came to, short of an error that ends it.
enum Attempt {
    Ended(Uploaded),
    /// The server has another number of bytes than we thought.
    GoOnFrom(u64),
    /// It broke off, or someone else is uploading the same: try again.
    Again(ClientError),
}

impl Client {
    /// What the server has of the blob.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn blob(&self, digest: Digest) -> Result<BlobState, ClientError> {
        let response = self.send(Call::head(self.blob_url(digest))).await?;
        match response.status() {
            StatusCode::OK => Ok(BlobState::Whole),
            StatusCode::NOT_FOUND => Ok(BlobState::Partial { received: offset(response.headers()).unwrap_or(0) }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.why_refused().await),
            status => Err(self.unexpected(status, format!("the status is {status}"))),
        }
    }

    /// Does the server have the whole blob?
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn has_blob(&self, digest: Digest) -> Result<bool, ClientError> {
        Ok(self.blob(digest).await? == BlobState::Whole)
    }

    /// Uploads the blob from its byte `received` on, which [`Self::blob`] has told. Whenever the connection breaks, it
    /// asks what has arrived and goes on there; it gives up when several attempts in a row bring nothing forward.
    ///
    /// # Errors
    /// 422: the file has changed since its digest was taken; see [`ClientError`] for the others.
    pub async fn put_blob(
        &self,
        blob: BlobSource<'_>,
        received: u64,
        progress: Progress,
    ) -> Result<Uploaded, ClientError> {
        // More than the whole can't be of this blob: begin anew.
        let start = |offset: u64| if offset > blob.size { 0 } else { offset };
        let mut from = start(received);
        let mut most = from;
        let mut fruitless = 0;
        loop {
            let (next, failure) = match self.attempt(blob, from, &progress).await? {
                Attempt::Ended(outcome) => return Ok(outcome),
                Attempt::GoOnFrom(offset) => (offset, self.restless()),
                Attempt::Again(error) => {
                    tokio::time::sleep(PAUSE).await;
                    match self.blob(blob.digest).await {
                        Ok(BlobState::Whole) => return Ok(Uploaded::AlreadyThere),
                        Ok(BlobState::Partial { received }) => (received, error),
                        Err(_) => return Err(error),
                    }
                }
            };
            from = start(next);
            fruitless = if from > most { 0 } else { fruitless + 1 };
            if fruitless == MOST_FRUITLESS {
                return Err(failure);
            }
            most = most.max(from);
        }
    }

    async fn attempt(&self, blob: BlobSource<'_>, from: u64, progress: &Progress) -> Result<Attempt, ClientError> {
        let sent = Arc::new(AtomicU64::new(from));
        let body = body(blob, from, Arc::clone(&sent), progress.clone()).await?;
        let request = self
            .http
            .put(self.blob_url(blob.digest))
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, blob.size - from)
            .header(UPLOAD_OFFSET, from)
            .body(body);
        let answer = tokio::select! {
            answer = request.send() => answer,
            () = stalled(&sent) => {
                let reason = format!("the upload has not moved for {} seconds", STALL.as_secs());
                return Ok(Attempt::Again(ClientError::Unreachable { admin: self.admin().to_owned(), reason }));
            }
        };
        match answer {
            Ok(response) => self.outcome(blob, response).await,
            Err(error) => {
                file_is_as_it_was(blob).await?;
                Ok(Attempt::Again(self.unreachable(&error, STALL)))
            }
        }
    }

    async fn outcome(&self, blob: BlobSource<'_>, response: Response) -> Result<Attempt, ClientError> {
        let at = offset(response.headers());
        match (response.status(), at) {
            (StatusCode::OK, _) => Ok(Attempt::Ended(Uploaded::AlreadyThere)),
            (StatusCode::CREATED, _) => Ok(Attempt::Ended(Uploaded::Stored)),
            (StatusCode::CONFLICT, Some(at)) => Ok(Attempt::GoOnFrom(at)),
            (StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT, _) => {
                Ok(Attempt::Again(self.refusal(response).await))
            }
            _ => {
                file_is_as_it_was(blob).await?;
                Err(self.refusal(response).await)
            }
        }
    }

    /// The answer to a HEAD has no body to say why it is a refusal: a GET of the same right has.
    async fn why_refused(&self) -> ClientError {
        match self.sites().await {
            Err(error) => error,
            Ok(_) => self.unexpected(StatusCode::FORBIDDEN, "the token may not upload content".to_owned()),
        }
    }

    fn restless(&self) -> ClientError {
        self.unexpected(StatusCode::CONFLICT, "it names another upload offset with every attempt".to_owned())
    }

    fn blob_url(&self, digest: Digest) -> reqwest::Url {
        self.url(&["v1", "blobs", &digest.to_string()])
    }
}

/// The file's bytes from `from` on, as many as it is to have: a file that grows meanwhile does not matter.
async fn body(blob: BlobSource<'_>, from: u64, sent: Arc<AtomicU64>, progress: Progress) -> Result<Body, ClientError> {
    let failed = |source| ClientError::File { path: blob.path.to_owned(), source };
    let mut file = File::open(blob.path).await.map_err(failed)?;
    file.seek(SeekFrom::Start(from)).await.map_err(failed)?;
    (progress.0)(from);
    let chunks = ReaderStream::with_capacity(file.take(blob.size - from), CHUNK).inspect(move |chunk| {
        let length = chunk.as_ref().map_or(0, |bytes| bytes.len() as u64);
        (progress.0)(sent.fetch_add(length, Ordering::Relaxed) + length);
    });
    Ok(Body::wrap_stream(chunks))
}

/// An upload that broke off because the file was cut short is the file's fault, not the connection's.
async fn file_is_as_it_was(blob: BlobSource<'_>) -> Result<(), ClientError> {
    let failed = |source| ClientError::File { path: blob.path.to_owned(), source };
    let size = tokio::fs::metadata(blob.path).await.map_err(failed)?.len();
    if size == blob.size {
        return Ok(());
    }
    let change = format!("it had {} bytes when it was read first, and has {size} now", blob.size);
    Err(failed(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, change)))
}

/// Returns when no byte has been sent for [`STALL`].
async fn stalled(sent: &AtomicU64) {
    loop {
        let before = sent.load(Ordering::Relaxed);
        tokio::time::sleep(STALL).await;
        if sent.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

fn offset(headers: &HeaderMap) -> Option<u64> {
    headers.get(UPLOAD_OFFSET)?.to_str().ok()?.parse().ok()
}

/// An upload that moves no byte for this long is broken off. After the last byte the server has this long to verify
/// and sync 512 MiB.
const STALL: Duration = Duration::from_secs(60);

/// Before an upload is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// So many attempts in a row may bring nothing forward.
const MOST_FRUITLESS: u32 = 4;

/// How much is read from the file at a time.
const CHUNK: usize = 256 << 10;
