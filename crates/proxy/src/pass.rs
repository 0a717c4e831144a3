//! Passing on: a request that goes to the next hop for its client alone. What it changes there is not served any more.

use std::sync::Arc;

use holm_cache_policy::is_safe;
use holm_model::ids::Seq;
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::{Method, Request, Response, StatusCode};

use crate::answer;
use crate::hop::{Answer, HopError};
use crate::keep;
use crate::node::{Node, Reply, Target, now};
use crate::report::Report;
use crate::storing::{Received, Storing, join, shadow};

impl Node {
    /// Sends a request on for its client alone: nothing is shared, and nothing stored but what a POST makes the target to be;
    /// the bodies are back-pressured.
    pub(crate) async fn pass(
        self: &Arc<Self>,
        target: &Target<'_>,
        mut request: Request<Body>,
        report: Report,
    ) -> Reply {
        let way = target.way(self.begin_seq(target), request.version());
        let changing = (!is_safe(request.method())).then(|| shadow(&request));
        let alone = self.hear_alone(target, &mut request);
        let (as_of, requested) = (way.as_of, now());
        let answer = match self.hop_for(target.content).send(request, way).await {
            Ok(answer) => alone.end(answer),
            Err(error) => return self.failed(&error, report, as_of),
        };
        let report = report.fwd_status(answer.response.status());
        let Some(changing) = changing else { return Reply::new(answer.response, report, answer.as_of) };
        self.invalidate(target, &changing, answer.response.status(), answer.response.headers());
        if *changing.method() == Method::POST && target.route.rule.enabled {
            return self.keep_posted(&target.for_storing(), &changing, answer, requested, report);
        }
        Reply::new(answer.response, report, answer.as_of)
    }

    /// Keeps the response to a POST that is what a GET of its target would give (RFC 9110 §9.3.3): one that says so by its
    /// `Content-Location`, and how long it is fresh.
    fn keep_posted(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: &Request<()>,
        answer: Answer,
        requested: Timestamp,
        report: Report,
    ) -> Reply {
        // After the response, for what that has changed does not concern itself.
        let storing = Storing::begin(self, target, request);
        let times = answer.times(requested, now());
        let Answer { response, as_of, .. } = answer;
        let (parts, body) = response.into_parts();
        let received =
            Received { status: parts.status, headers: &parts.headers, length: body.exact_len(), times, as_of };
        // An error's, or a redirection's, Content-Location names what they are, not what the target is now (§8.7).
        let stands_for_target = parts.status == StatusCode::OK && target.uri(request).is_named_by(&parts.headers);
        let accepted = stands_for_target.then(|| storing.accept(received));
        let Some(Ok(storable)) = accepted else {
            return Reply::new(Response::from_parts(parts, body), report, as_of);
        };
        let report = report.stored(&storable.head.meta);
        let body = keep::collected(self, body, move |chunks| storing.store(storable, join(chunks)));
        Reply::new(Response::from_parts(parts, body), report, as_of)
    }

    /// The response to a request that no hop answered.
    pub(crate) fn failed(&self, error: &HopError, report: Report, as_of: Seq) -> Reply {
        if let Some(kept_back) = self.failures.admit() {
            let (role, status) = (self.role.as_str(), error.status.as_u16());
            tracing::info!(role, status, reason = error.reason, detail = %error.detail, kept_back, "no answer");
        }
        let response = answer::error(error.status, error.reason);
        Reply { error: Some(error.reason), ..Reply::new(response, report.with_cause(error.reason), as_of) }
    }
}
