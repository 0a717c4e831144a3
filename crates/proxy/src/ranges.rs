//! Ranges that the cache does not hold: asked of the next hop for one client, and kept for the next. RFC 9111 §3.3.

use std::sync::Arc;

use bytes::Bytes;
use holm_cache_policy::{ContentRange, NoStoreReason};
use holm_transport::body::Body;
use http::{Request, Response, StatusCode};

use crate::hop::Answer;
use crate::keep;
use crate::node::{Node, Reply, Target, now};
use crate::report::Report;
use crate::slices::{SLICE_BYTES, covered, leaving_slices};
use crate::storing::{Received, Storing, join};

impl Node {
    /// Sends a request for ranges on. The answer goes to its client alone; what it brings is stored beside other parts.
    pub(crate) async fn fetch_range(
        self: &Arc<Self>,
        target: &Target<'_>,
        mut request: Request<Body>,
        report: Report,
    ) -> Reply {
        let mut storing = Storing::begin(self, target, &request);
        let way = target.way(storing.begun(), request.version());
        let alone = self.hear_alone(target, &mut request);
        let (as_of, requested) = (way.begun.applied, now());
        let answer = match self.hop_for(target.content).send(request, way).await {
            Ok(answer) => alone.end(answer),
            Err(error) => return self.failed(&error, report, as_of),
        };
        storing.recall().await;
        let times = answer.times(requested, now());
        let Answer { response, as_of, .. } = answer;
        let report = report.fwd_status(response.status());
        let (parts, body) = response.into_parts();
        let received = Received::of(&parts, &body, times, as_of);
        // An error is about these ranges or conditions, not about what others ask for.
        let accepted = match parts.status {
            StatusCode::PARTIAL_CONTENT | StatusCode::OK => storing.accept(received),
            _ => Err(NoStoreReason::Status),
        };
        let storable = match accepted {
            Ok(storable) => storable,
            Err(reason) => {
                let report = report.with_cause(reason.as_str());
                return Reply::new(Response::from_parts(parts, body), report, as_of);
            }
        };
        let report = report.stored(&storable.head.meta);
        let large = ContentRange::parse(&parts.headers).filter(|_| parts.status == StatusCode::PARTIAL_CONTENT);
        let large = large.and_then(|range| Some((range.bytes, range.complete?)));
        let large = large.filter(|(_, length)| *length > SLICE_BYTES && storing.leads_to_slices(&storable));
        if large.is_some() {
            storing.recall_head(&storable).await;
        }
        if let Some((bytes, length)) = large {
            let (first, end) = covered(bytes, length);
            // What holds no slice is small: it is kept as it is, for whoever asks for it again.
            if first < end {
                let body = leaving_slices(self, body, (storing, storable), (bytes.first, length));
                return Reply::new(Response::from_parts(parts, body), report, as_of);
            }
        }
        let part = (parts.status == StatusCode::PARTIAL_CONTENT).then(|| parts.headers.clone());
        let store = move |chunks: &[Bytes]| match &part {
            Some(fields) => {
                if let Some((_, length)) = large {
                    storing.store_sliced_part(&storable, length);
                }
                storing.store_part(storable, fields, join(chunks));
            }
            // Not every origin serves ranges.
            None => storing.store(storable, join(chunks)),
        };
        Reply::new(Response::from_parts(parts, keep::collected(self, body, store)), report, as_of)
    }
}
