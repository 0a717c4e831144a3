//! An origin of our own: HTTP/1.1 by hand over a thread for each connection, for what no real origin does. It counts, waits,
//! and breaks off where a test says so.

mod asked;
mod exchange;
mod gate;

use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

pub use self::asked::Asked;
pub use self::exchange::Exchange;
pub use self::gate::Gate;
use crate::PATIENCE;

/// A running origin.
pub struct Origin {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

/// What answers a request. An error closes the connection.
type Answer = dyn Fn(&Asked, &mut Exchange) -> io::Result<()> + Send + Sync;

/// What the connections of an origin share.
pub(crate) struct Shared {
    answer: Box<Answer>,
    log: Mutex<Vec<Asked>>,
    logged: Condvar,
    connections: AtomicUsize,
    /// Bytes that the kernel has taken.
    pub(crate) sent: AtomicU64,
    /// Bytes of content that have been read.
    pub(crate) received: AtomicU64,
    stopped: AtomicBool,
}

/// What an origin fails with to break its connection off.
#[must_use]
pub fn broken_off() -> io::Error {
    io::Error::other("as the test wants it")
}

/// A 200 with this content, fresh for a minute.
///
/// # Errors
/// The client has gone.
pub fn ok(exchange: &mut Exchange, content: impl AsRef<[u8]>) -> io::Result<()> {
    exchange.reply(200, &[("cache-control", "max-age=60")], content)
}

impl Origin {
    /// Starts to answer so.
    ///
    /// # Panics
    /// There is no free port.
    pub fn start(answer: impl Fn(&Asked, &mut Exchange) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        // The standard library asks for 128: more connections at once than that, and the kernel leaves some to try again
        // in a second, which a crowd of fetches takes for an origin that is not there.
        rustix::net::listen(&listener, BACKLOG).expect("a listening socket");
        let addr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            log: Mutex::default(),
            logged: Condvar::new(),
            connections: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Self { addr, shared }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every request so far, in order.
    ///
    /// # Panics
    /// A connection's thread has panicked.
    pub fn log(&self) -> Vec<Asked> {
        self.shared.log.lock().expect("unpoisoned").clone()
    }

    /// How many requests there were for this target (path and query).
    pub fn asked(&self, target: &str) -> usize {
        self.log().iter().filter(|asked| asked.target == target).count()
    }

    /// The last request for this target.
    ///
    /// # Panics
    /// There was none.
    pub fn last(&self, target: &str) -> Asked {
        let found = self.log().into_iter().rfind(|asked| asked.target == target);
        found.unwrap_or_else(|| panic!("{target} was not asked for"))
    }

    /// Waits until there were so many requests for this target.
    ///
    /// # Panics
    /// There are not, for a long time.
    pub fn wait_asked(&self, target: &str, count: usize) {
        let log = self.shared.log.lock().expect("unpoisoned");
        let too_few = |log: &mut Vec<Asked>| log.iter().filter(|asked| asked.target == target).count() < count;
        let (_log, waited) = self.shared.logged.wait_timeout_while(log, PATIENCE, too_few).expect("unpoisoned");
        assert!(!waited.timed_out(), "{target} was not asked for {count} times");
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many bytes it could send so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// How many bytes of content it has read so far.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.addr);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        // An error is a client that has gone, or the test's wish.
        thread::spawn(move || drop(serve(stream, number, &shared)));
    }
}

/// Serves one connection, request after request.
fn serve(stream: TcpStream, number: usize, shared: &Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(asked) = Asked::read(&mut reader, number)? {
        shared.log.lock().expect("unpoisoned").push(asked.clone());
        shared.logged.notify_all();
        let mut exchange = Exchange::new(&asked, reader, stream.try_clone()?, Arc::clone(shared));
        (shared.answer)(&asked, &mut exchange)?;
        reader = exchange.into_next()?;
    }
    Ok(())
}

/// Connections that wait to be accepted; the kernel allows as many by default.
const BACKLOG: i32 = 4096;
