//! The admin listener: the control API on a thread of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use holm_transport::listen::{BindError, Bound};
use holm_transport::server::{ServerLimits, serve_clear};
use holm_transport::serving::Serving;
use holm_transport::shutdown::Shutdown;
use holm_transport::workers::Workers;

use crate::Control;
use crate::api::{ApiOptions, api_service};

/// A running admin listener.
#[derive(Debug)]
pub struct AdminServer {
    addr: SocketAddr,
    serving: Serving,
}

/// Why the admin listener can't start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Its address can't be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// It would be open to others without TLS.
    #[error("the control API has no TLS yet, so it listens on loopback only: {0} is not")]
    NotLoopback(SocketAddr),
    /// Its thread can't be started.
    #[error("can't start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl AdminServer {
    /// Answers the control API on `addr`, which must be a loopback address.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn start(addr: SocketAddr, control: &Arc<Control>) -> Result<Self, AdminError> {
        if !addr.ip().is_loopback() {
            return Err(AdminError::NotLoopback(addr));
        }
        let bound = Bound::tcp(addr, 1)?;
        let (addr, listeners) = (bound.addr, Workers::share(bound.tcp));
        let service = api_service(Arc::clone(control), ApiOptions::default());
        let shutdown = Shutdown::new();
        let draining = shutdown.clone();
        let workers = Workers::start(1, "admin", move |index| {
            let (listener, service, draining) = (listeners.take(index), service.clone(), draining.clone());
            async move {
                match listener {
                    Some(listener) => serve_clear(listener, service, draining, ServerLimits::default()).await,
                    None => Ok(()),
                }
            }
        })?;
        Ok(Self { addr, serving: Serving::new(workers, shutdown) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends: requests under way may take `grace`. Gives how many connections were left then.
    ///
    /// # Errors
    /// The listener had failed.
    pub async fn drain(self, grace: Duration) -> std::io::Result<usize> {
        self.serving.drain(grace).await
    }
}
