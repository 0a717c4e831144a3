//! QUERY: a safe request whose content is a part of what it asks for (draft-ietf-httpbis-safe-method-w-body).

use bytes::Bytes;
use holm_cache_policy::content_digest;
use holm_model::limits::MAX_QUERY_CONTENT;
use holm_transport::body::{Body, BodyError};
use http::Request;

use crate::node::Target;
use crate::pieces;

/// Reads the content of a QUERY, so that it can enter the key and be sent more than once. A longer one goes by the cache.
pub(crate) async fn read_content<'a>(target: Target<'a>, request: Request<Body>) -> (Target<'a>, Request<Body>) {
    if !target.route.rule.enabled {
        return (target, request);
    }
    let (head, body) = request.into_parts();
    match held(body).await {
        Ok(content) => {
            let content_digest = Some(content_digest(&head.headers, &content));
            (Target { content_digest, ..target }, Request::from_parts(head, Body::full(content)))
        }
        Err(body) => (target, Request::from_parts(head, body)),
    }
}

/// All bytes of a body, or a body like it where they are too many, or do not all come.
async fn held(mut body: Body) -> Result<Bytes, Body> {
    if body.exact_len().is_some_and(|length| length > MAX_QUERY_CONTENT.get()) {
        return Err(body);
    }
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Err(pieces::before(chunks, broken(error))),
        };
        // Trailers of a request say nothing that a key could hold.
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if !data.is_empty() {
            chunks.push(data);
        }
        if length > MAX_QUERY_CONTENT.get() {
            return Err(pieces::before(chunks, body));
        }
    }
    Ok(crate::storing::join(&chunks))
}

/// A body that has failed already.
fn broken(error: BodyError) -> Body {
    Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter([Err(error)])))
}
