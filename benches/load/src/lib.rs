//! What the measurements side by side with peers ask with: HTTP/1.1 clients that keep the time of each answer.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

mod burst;
mod connection;
mod fill;
mod rate;
mod times;

pub use self::burst::burst;
pub use self::fill::{Fill, fill};
pub use self::rate::{Rate, rate};

/// Prints what was measured as one JSON object, or why nothing was.
pub fn tell(measured: Result<Value>) -> ExitCode {
    match measured {
        Ok(measured) => {
            println!("{measured}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
