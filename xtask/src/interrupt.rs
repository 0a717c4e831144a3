//! Ctrl-C and SIGTERM: noted, so that the children can be ended in order before we end.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What was asked of us since it was made.
pub(crate) struct Interrupt(Receiver<()>);

impl Interrupt {
    /// From now on these signals no longer end the process.
    pub(crate) fn listen() -> Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for signals")?;
        let (sender, receiver) = channel();
        thread::spawn(move || signals.forever().take_while(|_| sender.send(()).is_ok()).for_each(drop));
        Ok(Self(receiver))
    }

    /// Fails if we were interrupted.
    pub(crate) fn check(&self) -> Result<()> {
        match self.0.try_recv() {
            Ok(()) => bail!("interrupted"),
            Err(_) => Ok(()),
        }
    }

    /// Waits until we are, or until `meanwhile`, which is called now and then, fails.
    pub(crate) fn wait(&self, mut meanwhile: impl FnMut() -> Result<()>) -> Result<()> {
        while self.0.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            meanwhile()?;
        }
        Ok(())
    }
}

const PERIOD: Duration = Duration::from_millis(300);
