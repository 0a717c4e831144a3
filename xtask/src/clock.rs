//! The time that a piece of work took, as it is told to people.

use std::fmt;
use std::time::Instant;

/// A piece of work under way.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn minutes(self) -> f64 {
        self.0.elapsed().as_secs_f64() / 60.0
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.elapsed().as_secs_f64() {
            seconds if seconds < 100.0 => write!(f, "{seconds:.1} s"),
            seconds => write!(f, "{:.1} min", seconds / 60.0),
        }
    }
}
