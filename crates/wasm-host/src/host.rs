//! The host of a node's handlers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use holm_model::ids::Digest;
use holm_model::manifest::HandlerSpec;
use holm_telemetry::Registry;
use parking_lot::Mutex;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::component::{Compiled, LoadError};
use crate::config::HostConfig;
use crate::engine::{Ticker, new_engine, new_linker};
use crate::handler::HandlerModule;
use crate::state::State;
use crate::stats::HandlerStats;
use crate::workers::Workers;

/// A node's engine, its pool of instances and its handler threads. The threads live as long as the host or a module of
/// it.
pub struct Host {
    engine: Engine,
    linker: Linker<State>,
    config: HostConfig,
    workers: Arc<Workers>,
    /// Compiled components that a module still uses.
    compiled: Mutex<HashMap<Digest, Weak<Compiled>>>,
    /// Numbers by site and handler; they outlive a release.
    stats: Mutex<BTreeMap<(String, String), Arc<HandlerStats>>>,
}

/// Why a host can't start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The pool or the compiler refuses the configuration; most often the address space is limited.
    #[error("the WebAssembly engine can't start: {0}")]
    Engine(String),
    /// No thread.
    #[error("no thread for handlers: {0}")]
    Threads(#[from] std::io::Error),
}

impl Host {
    /// Reserves the pool and starts the threads.
    ///
    /// # Errors
    /// The pool's address space can't be reserved, or a thread can't be started.
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let failed = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let engine = new_engine(&config).map_err(failed)?;
        let linker = new_linker(&engine).map_err(failed)?;
        let ticker = Ticker::start(engine.clone(), config.tick)?;
        let workers = Arc::new(Workers::start(&config, ticker)?);
        Ok(Self { engine, linker, config, workers, compiled: Mutex::default(), stats: Mutex::default() })
    }

    /// Makes a handler of a component. Bytes that a module in use was made of are not compiled again. Compiling takes
    /// seconds and many threads: never on a runtime's thread.
    ///
    /// # Errors
    /// Why the component can't be a handler here, in words for the one who published it.
    pub fn load(
        &self,
        site: &str,
        name: &str,
        spec: &HandlerSpec,
        component: &[u8],
    ) -> Result<HandlerModule, LoadError> {
        if spec.memory > self.config.max_memory {
            return Err(LoadError::TooMuch { asked: spec.memory, most: self.config.max_memory });
        }
        let compiled = self.compiled(component)?;
        compiled.fits(spec.memory)?;
        let stats = Arc::clone(self.stats.lock().entry((site.to_owned(), name.to_owned())).or_default());
        let workers = Arc::clone(&self.workers);
        Ok(HandlerModule::new((site, name), spec.clone(), compiled, stats, workers, self.config.calls_per_handler))
    }

    /// Moves the handlers' numbers into `registry`. Called before it is read.
    pub fn collect(&self, registry: &Registry) {
        self.stats.lock().retain(|(site, handler), stats| {
            stats.collect(registry, site, handler);
            // One that no module counts into any more has said all it had to.
            Arc::strong_count(stats) > 1
        });
    }

    fn compiled(&self, component: &[u8]) -> Result<Arc<Compiled>, LoadError> {
        let digest = Digest::of(component);
        if let Some(compiled) = self.compiled.lock().get(&digest).and_then(Weak::upgrade) {
            return Ok(compiled);
        }
        let compiled = Arc::new(Compiled::new(&self.engine, &self.linker, component)?);
        let mut known = self.compiled.lock();
        known.retain(|_, compiled| compiled.strong_count() > 0);
        known.insert(digest, Arc::downgrade(&compiled));
        Ok(compiled)
    }
}
