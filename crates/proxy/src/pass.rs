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

impl Node {
    /// Sends a request on for its client alone: nothing is shared, and nothing stored but what a POST makes the target to be;
    /// the bodies are back-pressured.
    pub(crate) async fn pass(
        self: &Arc<Self>,
        target: &Target<'_>,
        mut request: Request<Body>,
        report: Report,
    ) -> Reply {
        let changing = (!is_safe(request.method())).then(|| shadow(&request));
        let mut posted = self.begin_posted(target, &request);
        let way = target.way(self.marks.moment(), request.version());
        let alone = self.hear_alone(target, &mut request);
        let (as_of, requested) = (way.begun.applied, now());
        let answer = match self.hop_for(target.content).send(request, way).await {
            Ok(answer) => alone.end(answer),
            Err(error) => return self.failed(&error, report, as_of),
        };
        let head = &answer.response;
        let report = report.fwd_status(head.status());
        let Some(changing) = changing else { return Reply::new(answer.response, report, answer.as_of) };
        let untouched = self.invalidate(target, &changing, (head.status(), head.headers()), posted.as_mut());
        // An error's, or a redirection's, Content-Location names what they are, not what the target is now (§8.7).
        let stands = head.status() == StatusCode::OK && target.uri(&changing).is_named_by(head.headers());
        match posted.filter(|_| untouched && stands) {
            Some(mut posted) => {
                posted.recall().await;
                self.keep_posted(posted, answer, requested, report)
            }
            None => Reply::new(answer.response, report, answer.as_of),
        }
    }

    /// The right to store the response to a POST as what a GET of its target would give (RFC 9110 §9.3.3), if it says that it
    /// is that by its `Content-Location`, and how long it is fresh.
    fn begin_posted(self: &Arc<Self>, target: &Target<'_>, request: &Request<Body>) -> Option<Storing> {
        if *request.method() != Method::POST || !target.route.rule.enabled {
            return None;
        }
        // What hosts share is stored in the name of one, and this goes out in the client's.
        let named = target.for_storing();
        let in_its_name = named.authority.as_str() == target.authority.as_str();
        // One that asks to be taken for another method is answered as that.
        let overridden = request.headers().keys().any(|name| overrides_method(name.as_str()));
        (in_its_name && !overridden).then(|| Storing::begin(self, &named, request))
    }

    /// Keeps the response to a POST, if it may be stored.
    fn keep_posted(self: &Arc<Self>, storing: Storing, answer: Answer, requested: Timestamp, report: Report) -> Reply {
        let times = answer.times(requested, now());
        let Answer { response, as_of, .. } = answer;
        let (parts, body) = response.into_parts();
        let Ok(storable) = storing.accept(Received::of(&parts, &body, times, as_of)) else {
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
