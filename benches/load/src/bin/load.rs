//! `load burst | fill | rate`: one client of a measurement. Prints what it measured as one line of JSON.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use holm_bench_load::{Fill, Rate, burst, fill, rate, tell};
use serde_json::Value;

/// A client of a measurement
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    load: Load,
    /// The server
    #[arg(long, global = true, default_value = "127.0.0.1:8080")]
    host: SocketAddr,
    /// What is asked for
    #[arg(long, global = true, default_value = "/")]
    path: String,
    /// How many connections ask
    #[arg(long, global = true, default_value_t = 64)]
    connections: u32,
}

#[derive(Debug, Subcommand)]
enum Load {
    /// All connections ask once, at once: times to the first byte
    Burst,
    /// Every path is asked for: `{}` in it stands for a number
    Fill {
        /// Numbers from 0 on
        #[arg(long)]
        objects: u64,
        /// How often, one pass after the other
        #[arg(long, default_value_t = 1)]
        passes: u32,
    },
    /// A constant rate, in two halves; prints `half` in between
    Rate {
        /// Requests a second
        #[arg(long)]
        per_second: u32,
        /// Seconds of each half
        #[arg(long)]
        half: u32,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tell(run(Args::parse()).await)
}

async fn run(args: Args) -> Result<Value> {
    let Args { load, host, path, connections } = args;
    match load {
        Load::Burst => burst(host, &path, connections as usize).await,
        Load::Fill { objects, passes } => {
            fill(&Fill { host, path, objects, passes, connections: connections as usize }).await
        }
        Load::Rate { per_second, half } => {
            let half = Duration::from_secs(u64::from(half));
            rate(&Rate { host, path, per_second, half, connections }, || println!("half")).await
        }
    }
}
