//! Faults: why a call of a handler gave no response, with a name for logs, metrics and Cache-Status.

use std::fmt;

use http::StatusCode;

/// Why a call of a handler gave no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultReason {
    /// The guest trapped: a panic, an invalid access, an exit.
    Trap,
    /// It used up its time on a CPU.
    CpuLimit,
    /// It gave no response head within its time.
    WallLimit,
    /// It trapped after it was refused more memory.
    MemoryLimit,
    /// It returned without a response, or answered with an error code.
    NoResponse,
    /// Its response can't be sent: an interim status, conflicting lengths.
    BadResponse,
    /// This handler has as many calls under way as one handler may have.
    TooManyCalls,
    /// The node's queue of calls is full.
    QueueFull,
    /// No instance could be made.
    Instantiate,
    /// The node is stopping.
    Stopping,
}

impl FaultReason {
    /// The name in logs, metrics and Cache-Status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::CpuLimit => "cpu-limit",
            Self::WallLimit => "wall-limit",
            Self::MemoryLimit => "memory-limit",
            Self::NoResponse => "no-response",
            Self::BadResponse => "bad-response",
            Self::TooManyCalls => "too-many-calls",
            Self::QueueFull => "queue-full",
            Self::Instantiate => "instantiate",
            Self::Stopping => "stopping",
        }
    }
}

impl fmt::Display for FaultReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call of a handler that gave no response, or that ended in mid-response.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Fault {
    /// Why.
    pub reason: FaultReason,
    /// What happened, with the guest's backtrace where there is one. For the log only: it says what is inside.
    pub message: String,
}

impl Fault {
    /// A fault with its message cut to what a log line may hold.
    pub(crate) fn new(reason: FaultReason, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE {
            let end = (0..=MAX_MESSAGE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        Self { reason, message }
    }

    /// The status for the client.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self.reason {
            FaultReason::WallLimit => StatusCode::GATEWAY_TIMEOUT,
            FaultReason::TooManyCalls | FaultReason::QueueFull | FaultReason::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            FaultReason::Trap
            | FaultReason::CpuLimit
            | FaultReason::MemoryLimit
            | FaultReason::NoResponse
            | FaultReason::BadResponse
            | FaultReason::Instantiate => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A deep recursion's backtrace would fill the log.
const MAX_MESSAGE: usize = 8 << 10;
