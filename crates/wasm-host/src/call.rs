//! One call of a handler, on a handler thread: a fresh instance, its limits, its response, and its end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::uri::Scheme as UriScheme;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::body::{GuestBody, GuestBodyError};
use crate::config::MAX_HOST_CALL_BYTES;
use crate::fault::{Fault, FaultReason};
use crate::handler::{Handler, Place};
use crate::meter::{CpuExhausted, Meter};
use crate::outbound::{Hooks, Outbound, declared_length, peer_error};
use crate::state::State;
use crate::stats::Outcome;
use crate::tracked_body::{self, BodyGuard};

/// A call that waits for its turn.
pub(crate) struct Job {
    pub(crate) handler: Arc<Handler>,
    pub(crate) request: Request<GuestBody>,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) exchange: Arc<Exchange>,
    /// Its place among the calls of the node and of the handler, given back when it ends.
    pub(crate) place: Place,
}

impl Job {
    /// Runs the call to its end. Whatever ends it, the bodies that it wrote are settled before its store goes.
    pub(crate) async fn run(self) {
        let Self { handler, request, outbound, exchange, place: _place } = self;
        if let Some(outcome) = exchange.leave.said_before() {
            return handler.stats.count(outcome);
        }
        let meter = Arc::new(Meter::new(handler.spec.cpu, handler.spec.memory.get()));
        // Dropped in reverse: the guest's future, then the bodies are settled, then the store.
        let mut store = new_store(&handler, &meter, Hooks::new(outbound, Arc::clone(&exchange)));
        let settled = Settled(&exchange);
        let ending = {
            let guest = pin!(meter.run(serve(&handler, &mut store, request, &exchange)));
            until_over(guest, &exchange, handler.spec.wall).await
        };
        let outcome = exchange.end(ending, &meter, &handler);
        drop(settled);
        drop(store);
        handler.stats.record(outcome, exchange.time_to_head(), meter.cpu(), meter.peak_memory());
    }
}

/// How the guest's run ended.
enum Ending {
    /// It returned.
    Returned,
    /// It was ended because nobody waits for it any more.
    Left,
    /// It was ended because no head came in time.
    WallLimit,
    /// It failed.
    Failed { started: bool, error: wasmtime::Error },
}

async fn until_over(
    mut guest: std::pin::Pin<&mut impl Future<Output = Result<Result<(), Ending>, CpuExhausted>>>,
    exchange: &Exchange,
    wall: Duration,
) -> Ending {
    loop {
        tokio::select! {
            biased;
            () = exchange.leave.left() => return if exchange.leave.too_late() { Ending::WallLimit } else { Ending::Left },
            result = &mut guest => return match result {
                Ok(Ok(())) => Ending::Returned,
                Ok(Err(ending)) => ending,
                Err(exhausted) => Ending::Failed { started: true, error: exhausted.into() },
            },
            // The caller has a timer of its own; this one is for what it can't see: a guest that goes on after its
            // response. Between head and end the reader decides how long it takes.
            () = tokio::time::sleep(wall) => match exchange.progress() {
                Progress::NoHead => return Ending::WallLimit,
                Progress::Body => {}
                Progress::Over => return Ending::Left,
            },
        }
    }
}

fn new_store(handler: &Handler, meter: &Arc<Meter>, hooks: Hooks) -> Store<State> {
    let state = State::new(handler, Arc::clone(meter), hooks);
    let mut store = Store::new(handler.pre.engine(), state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(MAX_HOST_CALL_BYTES);
    store.set_epoch_deadline(1);
    let meter = Arc::clone(meter);
    store.epoch_deadline_callback(move |_| {
        meter.check()?;
        Ok(UpdateDeadline::Yield(1))
    });
    store
}

/// Makes the instance and lets it handle the request.
async fn serve(
    handler: &Handler,
    store: &mut Store<State>,
    request: Request<GuestBody>,
    exchange: &Arc<Exchange>,
) -> Result<(), Ending> {
    let failed = |started| move |error| Ending::Failed { started, error };
    let proxy = handler.pre.instantiate_async(&mut *store).await.map_err(failed(false))?;
    let scheme = match request.uri().scheme() {
        Some(scheme) if *scheme == UriScheme::HTTPS => Scheme::Https,
        _ => Scheme::Http,
    };
    let request = request.map(|body| body.map_err(|error| peer_error(&error)));
    let answer = Arc::clone(exchange);
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(scheme, request).map_err(failed(false))?;
    let outparam = http.new_response_outparam_from_callback(move |response| answer.answer(response));
    let outparam = outparam.map_err(failed(false))?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, outparam).await.map_err(failed(true))
}

/// What a caller gets.
pub(crate) type Answer = Result<Response<GuestBody>, Fault>;

/// What the caller and the handler's thread share of one call.
pub(crate) struct Exchange {
    reply: Mutex<Option<oneshot::Sender<Answer>>>,
    seen: Mutex<Seen>,
    leave: Arc<Leave>,
    began: Instant,
    /// HEAD: the response's length is not its body's.
    head_only: bool,
}

/// What has come of a call so far.
#[derive(Default)]
struct Seen {
    /// The time from the call to its answer.
    to_head: Option<Duration>,
    /// The answer was a fault.
    refused: Option<FaultReason>,
    /// The response's body.
    response: Option<BodyGuard>,
    /// The bodies of the requests that the guest sent.
    uploads: Vec<Arc<BodyGuard>>,
}

/// How far a response has come.
enum Progress {
    NoHead,
    Body,
    Over,
}

impl Exchange {
    pub(crate) fn new(method: &Method, reply: oneshot::Sender<Answer>) -> Self {
        Self {
            reply: Mutex::new(Some(reply)),
            seen: Mutex::default(),
            leave: Arc::new(Leave::default()),
            began: Instant::now(),
            head_only: *method == Method::HEAD,
        }
    }

    /// Where the caller says that it no longer waits.
    pub(crate) fn leave(&self) -> &Arc<Leave> {
        &self.leave
    }

    /// Keeps the guard of a request's body.
    pub(crate) fn keep(&self, upload: Arc<BodyGuard>) {
        self.seen.lock().uploads.push(upload);
    }

    /// The guest's answer.
    fn answer(&self, answer: Result<Response<HyperOutgoingBody>, ErrorCode>) {
        let answer = answer
            .map_err(|code| {
                Fault::new(FaultReason::NoResponse, format!("the handler answered with the error {code:?}"))
            })
            .and_then(|response| self.checked(response));
        self.reply(answer);
    }

    fn reply(&self, answer: Answer) -> bool {
        let Some(reply) = self.reply.lock().take() else { return false };
        let mut seen = self.seen.lock();
        seen.to_head = Some(self.began.elapsed());
        seen.refused = answer.as_ref().err().map(|fault| fault.reason);
        drop(seen);
        // A caller that has gone drops the response, whose body then says so.
        drop(reply.send(answer));
        true
    }

    /// A response that may be sent: a final status and at most one length. Its body is held to that length.
    fn checked(&self, response: Response<HyperOutgoingBody>) -> Result<Response<GuestBody>, Fault> {
        let bad = |what: String| Fault::new(FaultReason::BadResponse, what);
        let status = response.status();
        if status.is_informational() {
            return Err(bad(format!("the handler's final response has the interim status {status}")));
        }
        let declared = declared_length(response.headers());
        let declared = declared.map_err(|()| bad("the handler's response has no valid Content-Length".to_owned()))?;
        let without_body = self.head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let (parts, body) = response.into_parts();
        let declared = declared.filter(|_| !without_body);
        let (guard, body) = tracked_body::response(body, declared, Arc::clone(&self.leave));
        self.seen.lock().response = Some(guard);
        Ok(Response::from_parts(parts, body))
    }

    /// Says how the call ended to whoever still waits: the caller, or the readers of its bodies.
    fn end(&self, ending: Ending, meter: &Meter, handler: &Handler) -> Outcome {
        let fault = match ending {
            Ending::Returned => None,
            Ending::Left => return Outcome::Left,
            Ending::WallLimit => Some(handler.wall_fault()),
            Ending::Failed { started, error } => Some(failure(started, &error, meter)),
        };
        let missing = || Fault::new(FaultReason::NoResponse, "the handler returned without a response");
        let answered = !self.reply(Err(fault.clone().unwrap_or_else(missing)));
        let Some(fault) = fault else {
            return self.seen.lock().refused.map_or(Outcome::Ok, Outcome::Fault);
        };
        if answered {
            tracing::warn!(site = &*handler.site, handler = &*handler.name, "after its response's head: {fault}");
        }
        self.settle(&GuestBodyError::Fault(fault.clone()));
        Outcome::Fault(fault.reason)
    }

    fn settle(&self, cause: &GuestBodyError) {
        let seen = self.seen.lock();
        let uploads = seen.uploads.iter().map(|upload| &**upload);
        for body in seen.response.iter().chain(uploads) {
            body.close(cause.clone());
        }
    }

    fn progress(&self) -> Progress {
        let seen = self.seen.lock();
        match (&seen.response, seen.to_head) {
            (_, None) => Progress::NoHead,
            (Some(body), Some(_)) if !body.is_over() => Progress::Body,
            _ => Progress::Over,
        }
    }

    fn time_to_head(&self) -> Duration {
        self.seen.lock().to_head.unwrap_or_else(|| self.began.elapsed())
    }
}

/// Settles a call's bodies when it goes, also when its thread stops or it panics.
struct Settled<'a>(&'a Exchange);

impl Drop for Settled<'_> {
    fn drop(&mut self) {
        self.0.settle(&GuestBodyError::Unfinished);
    }
}

/// Why a guest's run failed, by what was seen last.
fn failure(started: bool, error: &wasmtime::Error, meter: &Meter) -> Fault {
    let reason = if error.is::<CpuExhausted>() {
        FaultReason::CpuLimit
    } else if meter.memory_refused() {
        FaultReason::MemoryLimit
    } else if started || error.is::<wasmtime::Trap>() {
        FaultReason::Trap
    } else {
        FaultReason::Instantiate
    };
    Fault::new(reason, format!("{error:?}"))
}

/// The caller's word that it no longer waits.
#[derive(Default)]
pub(crate) struct Leave {
    said: Notify,
    gone: AtomicBool,
    too_late: AtomicBool,
}

impl Leave {
    /// The caller, or the response's reader, has gone.
    pub(crate) fn reader_left(&self) {
        self.gone.store(true, Relaxed);
        self.said.notify_one();
    }

    /// The caller has waited for the head as long as the handler may take.
    pub(crate) fn out_of_time(&self) {
        self.too_late.store(true, Relaxed);
        self.reader_left();
    }

    /// How a call ends that nobody waits for any more when its turn comes.
    fn said_before(&self) -> Option<Outcome> {
        let outcome = if self.too_late() { Outcome::Fault(FaultReason::WallLimit) } else { Outcome::Left };
        self.gone.load(Relaxed).then_some(outcome)
    }

    fn too_late(&self) -> bool {
        self.too_late.load(Relaxed)
    }

    async fn left(&self) {
        self.said.notified().await;
    }
}
