//! Ranges that the cache does not hold: asked of the next hop for one client, and kept for the next. RFC 9111 §3.3.

use std::sync::Arc;

use bytes::Bytes;
use holm_transport::body::Body;
use http::{Request, StatusCode};

use crate::hop::Answer;
use crate::keep;
use crate::node::{Node, Reply, Target, now};
use crate::report::Report;
use crate::storing::{Received, Storing, join};

impl Node {
    /// Sends a request for ranges on. The answer goes to its client alone; what it brings is stored beside other parts.
    pub(crate) async fn fetch_range(
        self: &Arc<Self>,
        target: &Target<'_>,
        mut request: Request<Body>,
        report: Report,
    ) -> Reply {
        self.traces.leave(target.key(&request));
        let storing = Storing::begin(self, target, &request);
        let way = target.way(self.begin_seq(target), request.version());
        let alone = self.hear_alone(target, &mut request);
        let (as_of, requested) = (way.as_of, now());
        let answer = match self.hop_for(target.content).send(request, way).await {
            Ok(answer) => alone.end(answer),
            Err(error) => return self.failed(&error, report, as_of),
        };
        let times = answer.times(requested, now());
        let Answer { response, as_of, .. } = answer;
        let report = report.fwd_status(response.status());
        let (parts, body) = response.into_parts();
        let received =
            Received { status: parts.status, headers: &parts.headers, length: body.exact_len(), times, as_of };
        match storing.accept(received) {
            Ok(storable) => {
                let meta = storable.head.meta.clone();
                let part = (parts.status == StatusCode::PARTIAL_CONTENT).then(|| parts.headers.clone());
                let store = move |chunks: &[Bytes]| match &part {
                    Some(fields) => storing.store_part(storable, fields, join(chunks)),
                    // Not every origin serves ranges, and an error has none.
                    None => storing.store(storable, join(chunks)),
                };
                let response = http::Response::from_parts(parts, keep::collected(self, body, store));
                Reply::new(response, report.stored(&meta), as_of)
            }
            Err(reason) => {
                Reply::new(http::Response::from_parts(parts, body), report.with_cause(reason.as_str()), as_of)
            }
        }
    }
}
