//! A constant rate: requests are due at times that are fixed beforehand, and an answer's time counts from when its
//! request was due, not from when it could be sent. So a server that stalls is charged for all that it kept waiting
//! (coordinated omission: Tene, "How NOT to Measure Latency", 2013).

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::times::Times;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Rate {
    /// The server.
    pub host: SocketAddr,
    /// The path.
    pub path: String,
    /// Requests a second, of all connections together.
    pub per_second: u32,
    /// How long each half lasts.
    pub half: Duration,
    /// Connections.
    pub connections: u32,
}

/// Asks for twice `half`, and calls `halfway` in between. Gives the times of both halves.
///
/// # Errors
/// A request has no whole answer.
pub async fn rate(rate: &Rate, halfway: impl FnOnce()) -> Result<Value> {
    let halves = RefCell::new([Times::new(), Times::new()]);
    let mut connections = Vec::new();
    for _ in 0..rate.connections {
        connections.push(Connection::open(rate.host).await?);
    }
    let begun = Instant::now();
    let signal = async {
        sleep_until(begun + rate.half).await;
        halfway();
        Ok(())
    };
    let asking =
        connections.into_iter().zip(0..).map(|(connection, number)| ask(rate, connection, number, begun, &halves));
    future::try_join(signal, future::try_join_all(asking)).await?;
    let [before, after] = halves.into_inner();
    Ok(json!({ "before": before.json(), "after": after.json() }))
}

async fn ask(
    rate: &Rate,
    mut connection: Connection,
    number: u32,
    begun: Instant,
    halves: &RefCell<[Times; 2]>,
) -> Result<()> {
    let interval = Duration::from_secs(1) * rate.connections / rate.per_second;
    let mut due = begun + interval * number / rate.connections;
    while due < begun + rate.half * 2 {
        sleep_until(due).await;
        connection.get(&rate.path).await?;
        let half = usize::from(due >= begun + rate.half);
        halves.borrow_mut()[half].add(due.elapsed());
        due += interval;
    }
    Ok(())
}

/// Tokio's clock has ticks of a millisecond, so the time is nearly up when it wakes us: the rest is waited for by asking.
async fn sleep_until(due: Instant) {
    let early = due.checked_sub(TICK).unwrap_or(due);
    if early > Instant::now() {
        tokio::time::sleep_until(early.into()).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

const TICK: Duration = Duration::from_millis(2);
