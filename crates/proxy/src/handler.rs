//! Handlers as the proxy sees them: something that turns a request into a response. Who runs it is not known here.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use holm_model::manifest::HandlerSpec;
use holm_transport::body::Body;
use http::{Request, Response, StatusCode};

use crate::internal::Scheme;
use crate::site::Site;

/// A handler that is ready to run.
pub trait Handler: Send + Sync {
    /// Runs it once. The future may be awaited on any runtime; dropping it ends the call.
    fn call(
        &self,
        request: Request<Body>,
        call: HandlerCall,
    ) -> BoxFuture<'static, Result<Response<Body>, HandlerFault>>;
}

/// Makes handlers of a release's components. Only a node that runs handlers (the edge) has one.
pub trait HandlerLoader: Send + Sync {
    /// Compiles `component`, which may take seconds: never called on a runtime's thread.
    ///
    /// # Errors
    /// Why it can't run here, in words for the one who published it.
    fn load(&self, site: &str, name: &str, spec: &HandlerSpec, component: &[u8]) -> Result<Arc<dyn Handler>, String>;
}

/// What a call of a handler belongs to: its own fetches go on from there.
#[derive(Debug, Clone)]
pub struct HandlerCall {
    /// The site as the request found it.
    pub site: Arc<Site>,
    /// How the client reached the edge.
    pub scheme: Scheme,
    /// The host that the client asked for, as it wrote it, with its port if it had one.
    pub authority: Arc<str>,
    /// The client's address.
    pub client: IpAddr,
}

/// A handler that gave no response.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct HandlerFault {
    /// The status for the client.
    pub status: StatusCode,
    /// The reason in `Cache-Status`, logs and metrics.
    pub reason: &'static str,
    /// What happened, for the log.
    pub message: String,
}
