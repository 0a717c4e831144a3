//! Passing on: a request that goes to the next hop for its client alone. What it changes there is not served any more.

use std::sync::Arc;

use holm_cache_policy::is_safe;
use holm_model::fields::overrides_method;
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
use crate::underway::Entry;

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
        let posted = Posted::begin(self, target, &request);
        let alone = self.hear_alone(target, &mut request);
        let (as_of, requested) = (way.as_of, now());
        let answer = match self.hop_for(target.content).send(request, way).await {
            Ok(answer) => alone.end(answer),
            Err(error) => return self.failed(&error, report, as_of),
        };
        let head = &answer.response;
        let report = report.fwd_status(head.status());
        let Some(changing) = changing else { return Reply::new(answer.response, report, answer.as_of) };
        let said = (head.status(), head.headers());
        let Some(mut posted) = posted else {
            self.invalidate(target, &changing, said, None);
            return Reply::new(answer.response, report, answer.as_of);
        };
        let untouched = self.invalidate(target, &changing, said, Some(&mut posted.storing));
        // An error's, or a redirection's, Content-Location names what they are, not what the target is now (§8.7).
        let stands = head.status() == StatusCode::OK && target.uri(&changing).is_named_by(head.headers());
        if untouched && stands {
            posted.keep(self, answer, requested, report)
        } else {
            Reply::new(answer.response, report, answer.as_of)
        }
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

/// A POST whose response may be what a GET of its target would give (RFC 9110 §9.3.3): one that says so by its
/// `Content-Location`, and how long it is fresh.
struct Posted {
    storing: Storing,
    underway: Entry,
}

impl Posted {
    fn begin(node: &Arc<Node>, target: &Target<'_>, request: &Request<Body>) -> Option<Self> {
        // What hosts share is stored in the name of one, and this goes out in the client's.
        let named = target.for_storing();
        let in_its_name = named.authority.as_str() == target.authority.as_str();
        // One that asks to be taken for another method is answered as that.
        let overridden = request.headers().keys().any(|name| overrides_method(name.as_str()));
        let may = *request.method() == Method::POST && target.route.rule.enabled && in_its_name && !overridden;
        may.then(|| Self {
            underway: node.underway.enter(named.key(request)),
            storing: Storing::begin(node, &named, request),
        })
    }

    /// Keeps the response, if it may be stored.
    fn keep(self, node: &Arc<Node>, answer: Answer, requested: Timestamp, report: Report) -> Reply {
        let Self { storing, underway } = self;
        let times = answer.times(requested, now());
        let Answer { response, as_of, .. } = answer;
        let (parts, body) = response.into_parts();
        let received =
            Received { status: parts.status, headers: &parts.headers, length: body.exact_len(), times, as_of };
        let Ok(storable) = storing.accept(received) else {
            return Reply::new(Response::from_parts(parts, body), report, as_of);
        };
        let report = report.stored(&storable.head.meta);
        let body = keep::collected(node, body, move |chunks| {
            storing.store(storable, join(chunks));
            drop(underway);
        });
        Reply::new(Response::from_parts(parts, body), report, as_of)
    }
}
