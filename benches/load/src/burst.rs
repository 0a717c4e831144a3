//! A burst: many connections, which are opened first, ask for one path at once.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use futures_util::{future, stream};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::LocalSet;

use crate::connection::{Answer, Connection};
use crate::times::Times;

/// Sends the burst. The time to the first byte is counted from each request's own sending.
///
/// # Errors
/// A request has no whole answer, or the bodies differ in length.
pub async fn burst(host: SocketAddr, path: &str, connections: usize) -> Result<Value> {
    let opened: Vec<_> =
        stream::iter(0..connections).map(|_| Connection::open(host)).buffer_unordered(AT_ONCE).collect().await;
    let opened = opened.into_iter().collect::<Result<Vec<_>>>()?;
    let (start, path): (_, Rc<str>) = (Rc::new(Barrier::new(connections)), path.into());
    let local = LocalSet::new();
    let begin = |connection| local.spawn_local(ask(connection, Rc::clone(&start), Rc::clone(&path)));
    let tasks: Vec<_> = opened.into_iter().map(begin).collect();
    let answers = local.run_until(future::try_join_all(tasks)).await.context("a request has panicked")?;
    // The connections stay until here: the server is not to be busy with closing them while others wait.
    let (answers, _open): (Vec<_>, Vec<_>) = answers.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip();
    report(&answers)
}

/// Asks once all connections are ready to.
async fn ask(mut connection: Connection, start: Rc<Barrier>, path: Rc<str>) -> Result<((Instant, Answer), Connection)> {
    start.wait().await;
    let sent = Instant::now();
    let answer = connection.get(&path).await?;
    Ok(((sent, answer), connection))
}

fn report(answers: &[(Instant, Answer)]) -> Result<Value> {
    let mut times = Times::new();
    let length = answers.first().map(|(_, answer)| answer.length).context("nothing was asked")?;
    ensure!(answers.iter().all(|(_, answer)| answer.length == length), "the bodies differ");
    answers.iter().for_each(|(sent, answer)| times.add(answer.first_byte - *sent));
    let sent = || answers.iter().map(|(sent, _)| *sent);
    let sending = sent().max().zip(sent().min()).map(|(last, first)| last - first).unwrap_or_default();
    Ok(json!({ "first_byte": times.json(), "length": length, "sending_took_ms": sending.as_secs_f64() * 1e3 }))
}

/// Connections that are opened at once: less than any server's queue.
const AT_ONCE: usize = 256;
