//! Handlers that are ready to be called.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use holm_model::manifest::HandlerSpec;
use holm_model::units::HumanDuration;
use http::{Request, Response};
use tokio::sync::oneshot;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::body::GuestBody;
use crate::call::{Answer, Exchange, Job, Leave};
use crate::component::Compiled;
use crate::fault::{Fault, FaultReason};
use crate::outbound::Outbound;
use crate::state::State;
use crate::stats::{HandlerStats, Outcome};
use crate::workers::{Counted, Workers};

/// A component with the limits of its manifest, ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct HandlerModule {
    handler: Arc<Handler>,
    workers: Arc<Workers>,
    most_calls: usize,
}

/// What the calls of one handler share.
pub(crate) struct Handler {
    pub(crate) site: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) spec: HandlerSpec,
    pub(crate) pre: ProxyPre<State>,
    pub(crate) stats: Arc<HandlerStats>,
    calls: Arc<AtomicUsize>,
    /// Keeps the compiled component known to the host while this handler is in use.
    _compiled: Arc<Compiled>,
}

/// A call's place among those of its handler and of the node.
pub(crate) struct Place {
    _of_handler: Counted,
    _of_node: Counted,
}

impl HandlerModule {
    pub(crate) fn new(
        names: (&str, &str),
        spec: HandlerSpec,
        compiled: Arc<Compiled>,
        stats: Arc<HandlerStats>,
        workers: Arc<Workers>,
        most_calls: usize,
    ) -> Self {
        let handler = Handler {
            site: names.0.into(),
            name: names.1.into(),
            spec,
            pre: compiled.pre.clone(),
            stats,
            calls: Arc::default(),
            _compiled: compiled,
        };
        Self { handler: Arc::new(handler), workers, most_calls }
    }

    /// Calls the handler: a fresh instance on one of the handlers' threads. The request's URI is absolute; what the guest
    /// sees of scheme and authority is the URI's. What it fetches goes through `outbound`.
    ///
    /// Awaited on a tokio runtime with timers. Dropping the future, or the response's body before its end, ends the
    /// call. The response's body ends in an error when the guest fails in mid-body.
    ///
    /// # Errors
    /// The fault that ended the call before its response's head.
    pub fn call(
        &self,
        request: Request<GuestBody>,
        outbound: Arc<dyn Outbound>,
    ) -> impl Future<Output = Result<Response<GuestBody>, Fault>> + Send + 'static {
        let module = self.clone();
        async move {
            let wall = module.handler.spec.wall;
            let (answer, waiting) = module.begin(request, outbound)?;
            let Ok(answer) = tokio::time::timeout(wall, answer).await else {
                waiting.out_of_time();
                return Err(module.handler.wall_fault());
            };
            waiting.done();
            answer.unwrap_or_else(|_| {
                Err(Fault::new(
                    FaultReason::Stopping,
                    "the call was dropped: the node is stopping, or a panic ended it",
                ))
            })
        }
    }

    /// Puts the call among those that wait.
    fn begin(
        &self,
        request: Request<GuestBody>,
        outbound: Arc<dyn Outbound>,
    ) -> Result<(oneshot::Receiver<Answer>, Waiting), Fault> {
        let refuse = |reason: FaultReason| {
            self.handler.stats.count(Outcome::Fault(reason));
            Fault::new(reason, "the call was refused before it began")
        };
        let place = self.place().map_err(refuse)?;
        let (reply, answer) = oneshot::channel();
        let exchange = Arc::new(Exchange::new(request.method(), reply));
        let waiting = Waiting(Some(Arc::clone(exchange.leave())));
        let handler = Arc::clone(&self.handler);
        self.workers.submit(Job { handler, request, outbound, exchange, place }).map_err(refuse)?;
        Ok((answer, waiting))
    }

    fn place(&self) -> Result<Place, FaultReason> {
        let of_handler = Counted::new(&self.handler.calls, self.most_calls).ok_or(FaultReason::TooManyCalls)?;
        Ok(Place { _of_handler: of_handler, _of_node: self.workers.admit()? })
    }
}

impl Handler {
    /// The fault of a call without a head in time.
    pub(crate) fn wall_fault(&self) -> Fault {
        Fault::new(FaultReason::WallLimit, format!("no response head within {}", HumanDuration(self.spec.wall)))
    }
}

/// A caller that waits for a head. Dropped before, it ends the call.
struct Waiting(Option<Arc<Leave>>);

impl Waiting {
    fn done(mut self) {
        self.0 = None;
    }

    fn out_of_time(mut self) {
        if let Some(leave) = self.0.take() {
            leave.out_of_time();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(leave) = self.0.take() {
            leave.reader_left();
        }
    }
}
