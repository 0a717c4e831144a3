//! HEAD where the stored response is stale: asked of the next hop as what it is, and its answer taken into what is stored.
//! RFC 9111 §4.3.5.

use std::sync::Arc;

use holm_cache_policy::{CacheKey, HeadUpdate, head_update, write_validators};
use holm_transport::body::Body;
use http::{Method, Request, StatusCode};

use crate::answer;
use crate::fill::{StaleObject, can_be_confirmed, filling_head};
use crate::hop::{Answer, HopError};
use crate::node::{Node, Reply, Target, now};
use crate::report::Report;
use crate::slices::Asking;
use crate::stored::Stored;
use crate::storing::{Renewed, Storing};

impl Node {
    /// Asks for the head of a response whose stored copy has to be confirmed: no body need come for that.
    pub(crate) async fn revalidate_head(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: Request<Body>,
        key: CacheKey,
        stale: StaleObject,
        report: Report,
    ) -> Reply {
        let mut storing = Storing::begin(self, target, &request);
        let way = target.way(storing.begun(), request.version());
        let mut head = filling_head(&request);
        head.method = Method::HEAD;
        let confirmable = can_be_confirmed(&stale.1);
        if confirmable {
            write_validators(&mut head.headers, &stale.1.headers());
        }
        let mut asking = head.into_request();
        let alone = self.hear_alone(target, &mut asking);
        let (as_of, requested) = (way.begun.applied, now());
        let answer = match self.hop_for(target.content).send(asking, way).await {
            Ok(answer) => alone.end(answer),
            Err(error) => return self.answer_failure(target, &request, &error, Some(&stale), report, as_of),
        };
        let times = answer.times(requested, now());
        let Answer { response, as_of, bridged, .. } = answer;
        if let Some(error) = bridged.filter(|_| self.bridges_error(request.headers(), &stale)) {
            return self.answer_failure(target, &request, &error, Some(&stale), report, as_of);
        }
        let status = response.status();
        if status.is_server_error() && self.bridges_error(request.headers(), &stale) {
            let error = HopError::of_origin(status);
            return self.answer_failure(target, &request, &error, Some(&stale), report, as_of);
        }
        let length = match stale.0.meta() {
            Stored::Sliced(sliced) => sliced.length,
            _ => stale.0.body().len() as u64,
        };
        let update = match status {
            StatusCode::NOT_MODIFIED if confirmable => HeadUpdate::Update,
            StatusCode::OK if confirmable => head_update(&stale.1.headers(), length, response.headers()),
            StatusCode::OK => HeadUpdate::Invalidate,
            _ => HeadUpdate::Unsaid,
        };
        let report = report.fwd_status(status);
        if update == HeadUpdate::Update {
            storing.recall().await;
            match storing.renew(key, &stale, response.headers(), as_of, times) {
                Renewed::Shared(renewed) => {
                    if let Some(reply) = self.share_renewed(target, &request, &renewed, report.clone()) {
                        return reply;
                    }
                }
                Renewed::Private(head, reason) => {
                    let source = self.source_of(&stale.0, || Asking::of(self, target, &request));
                    let response = answer::from_stored(&request, &head, source, now());
                    return Reply::new(response, report.with_cause(reason.as_str()), as_of);
                }
            }
        } else if update == HeadUpdate::Invalidate {
            // It is another representation than the stored one.
            self.store.remove(key.0);
        }
        if status == StatusCode::NOT_MODIFIED {
            // To a condition of ours: what it confirmed is gone.
            return self.pass(target, request, report).await;
        }
        Reply::new(response, report, as_of)
    }
}
