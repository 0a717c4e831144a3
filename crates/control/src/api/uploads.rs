//! Blobs over the API: what is there, and uploads that go on where they broke off (see `wire`).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use holm_model::ids::Digest;
use holm_model::limits::MAX_BLOB;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::auth::audit;
use super::problem::Failure;
use super::{Api, body};
use crate::Upload;
use crate::error::BlobError;
use crate::token::Claims;
use crate::wire::UPLOAD_OFFSET;

/// `HEAD /v1/blobs/{digest}`.
pub(super) async fn head(State(api): State<Arc<Api>>, Path(digest): Path<String>) -> Result<Response, Failure> {
    let digest = read_digest(&digest)?;
    let look = move |control: &crate::Control| {
        control.blob_len(&digest).map(|length| length.ok_or_else(|| control.uploaded(&digest)))
    };
    match api.blocking(look).await?? {
        Ok(length) => Ok((StatusCode::OK, [(header::CONTENT_LENGTH, HeaderValue::from(length))]).into_response()),
        Err(uploaded) => Err(no_such_blob(&digest, uploaded)),
    }
}

/// `PUT /v1/blobs/{digest}`.
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Path(digest): Path<String>,
    Extension(claims): Extension<Arc<Claims>>,
    request: Request,
) -> Result<StatusCode, Failure> {
    let digest = read_digest(&digest)?;
    let offset = read_offset(request.headers())?;
    let body = request.into_body();
    let announced = http_body::Body::size_hint(&body).lower();
    if offset.saturating_add(announced) > MAX_BLOB.get() {
        return Err(BlobError::TooLarge.into());
    }
    let Some(upload) = begin(&api, digest, offset).await? else { return Ok(StatusCode::OK) };
    let length = receive(&api, upload, body).await?;
    audit(&claims, "upload", None, &format!("{digest}, {length} bytes"));
    Ok(StatusCode::CREATED)
}

/// Begins the upload; waits a while for another one of the same blob. `None` if the blob is there.
async fn begin(api: &Arc<Api>, digest: Digest, offset: u64) -> Result<Option<Upload>, Failure> {
    let begun = async {
        loop {
            let mut ended = pin!(api.control.upload_ended());
            ended.as_mut().enable();
            let begin = move |control: &crate::Control| match control.blob_len(&digest)? {
                Some(_) => Ok(None),
                None => control.upload(&digest, offset).map(Some),
            };
            match api.blocking(begin).await? {
                Err(BlobError::Busy) => ended.await,
                begun => return Ok(begun?),
            }
        }
    };
    tokio::time::timeout(BUSY_WAIT, begun).await.unwrap_or_else(|_| Err(BlobError::Busy.into()))
}

/// Writes the body as it comes. What came before it broke off is kept.
async fn receive(api: &Arc<Api>, mut upload: Upload, mut body: Body) -> Result<u64, Failure> {
    let mut buffer = BytesMut::new();
    loop {
        let data = tokio::time::timeout(api.options.body_timeout, body::next(&mut body)).await;
        let data = data.unwrap_or_else(|_| Err(body::timed_out()));
        if let Ok(Some(data)) = &data {
            buffer.extend_from_slice(data);
            if buffer.len() < BUFFER {
                continue;
            }
        }
        let bytes = buffer.split().freeze();
        let whole = matches!(data, Ok(None));
        let write = move |_: &crate::Control| -> Result<_, BlobError> {
            upload.write(&bytes)?;
            if whole { upload.finish().map(Err) } else { Ok(Ok(upload)) }
        };
        match api.blocking(write).await?? {
            Err(length) => return Ok(length),
            Ok(going_on) => upload = going_on,
        }
        data?;
    }
}

fn read_digest(text: &str) -> Result<Digest, Failure> {
    text.parse().map_err(|error: holm_model::ids::InvalidId| {
        Failure::new(StatusCode::NOT_FOUND, "no-such-blob", error.to_string())
    })
}

fn read_offset(headers: &HeaderMap) -> Result<u64, Failure> {
    let Some(field) = headers.get(UPLOAD_OFFSET) else { return Ok(0) };
    field.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        Failure::new(StatusCode::BAD_REQUEST, "invalid-offset", "Upload-Offset must be a number of bytes")
    })
}

fn no_such_blob(digest: &Digest, uploaded: u64) -> Failure {
    let failure = Failure::new(StatusCode::NOT_FOUND, "no-such-blob", format!("the blob {digest} is not here"));
    match uploaded {
        0 => failure,
        uploaded => failure.with_header(HeaderName::from_static(UPLOAD_OFFSET), uploaded.into()),
    }
}

/// How long an upload waits for another one of the same blob.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// Bytes that are gathered before they go to the disk in one call.
const BUFFER: usize = 1 << 20;
