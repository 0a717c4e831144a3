//! Filling a cache: each of many paths is asked for, once or several times.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;
use futures_util::future;
use serde_json::{Value, json};

use crate::connection::Connection;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Fill {
    /// The server.
    pub host: SocketAddr,
    /// `{}` stands for a number.
    pub path: String,
    /// Numbers from 0 on.
    pub objects: u64,
    /// How often, one pass after the other.
    pub passes: u32,
    /// Connections.
    pub connections: usize,
}

/// Fills, as fast as the server answers.
///
/// # Errors
/// A request has no whole answer.
pub async fn fill(fill: &Fill) -> Result<Value> {
    let begun = Instant::now();
    for _ in 0..fill.passes {
        let next = Cell::new(0);
        future::try_join_all((0..fill.connections).map(|_| work(fill, &next))).await?;
    }
    Ok(json!({ "objects": fill.objects, "passes": fill.passes, "seconds": begun.elapsed().as_secs_f64() }))
}

async fn work(fill: &Fill, next: &Cell<u64>) -> Result<()> {
    let mut connection = Connection::open(fill.host).await?;
    while next.get() < fill.objects {
        let number = next.replace(next.get() + 1);
        connection.get(&fill.path.replace("{}", &number.to_string())).await?;
    }
    Ok(())
}
