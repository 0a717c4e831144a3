//! The engine of a node and the thread that ticks its epochs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails,
};

use crate::config::{HostConfig, MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};
use crate::state::State;

/// An engine with a pool that `config.instances` calls fit in, whatever their components hold within the limits.
pub(crate) fn new_engine(config: &HostConfig) -> wasmtime::Result<Engine> {
    let instances = config.instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_core_instances(instances.saturating_mul(MAX_CORE_INSTANCES))
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .total_memories(instances.saturating_mul(MAX_MEMORIES))
        .max_memories_per_component(MAX_MEMORIES)
        .total_gc_heaps(instances)
        .total_tables(instances.saturating_mul(MAX_TABLES))
        .max_tables_per_component(MAX_TABLES)
        .max_tables_per_module(MAX_TABLES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(usize::try_from(config.max_memory.get())?)
        // Wrong where there is swap: wasmtime #14357.
        .pagemap_scan(Enabled::No);
    let mut engine = Config::new();
    engine
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable);
    Engine::new(&engine)
}

/// What every guest may import.
pub(crate) fn new_linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

/// The one thread that moves the engine's epoch on. It sleeps for good while no call runs.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    calls: AtomicUsize,
    parked: AtomicBool,
    stop: AtomicBool,
}

impl Ticker {
    pub(crate) fn start(engine: Engine, tick: Duration) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let run = move || seen.run(&engine, tick);
        let thread = thread::Builder::new().name("holm-epoch".to_owned()).spawn(run)?;
        Ok(Self { shared, thread })
    }

    /// A call begins.
    pub(crate) fn begin(&self) {
        self.shared.calls.fetch_add(1, SeqCst);
        if self.shared.parked.load(SeqCst) && self.shared.parked.swap(false, SeqCst) {
            self.thread.thread().unpark();
        }
    }

    /// A call has ended.
    pub(crate) fn end(&self) {
        self.shared.calls.fetch_sub(1, SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.thread.thread().unpark();
    }
}

impl Shared {
    fn run(&self, engine: &Engine, tick: Duration) {
        let mut idle = 0;
        while !self.stop.load(SeqCst) {
            thread::sleep(tick);
            engine.increment_epoch();
            idle = if self.calls.load(SeqCst) == 0 { idle + 1 } else { 0 };
            if idle > IDLE_TICKS {
                self.park();
                idle = 0;
            }
        }
    }

    /// Says that it parks before it looks again, as `begin` counts before it looks: one of them sees the other.
    fn park(&self) {
        self.parked.store(true, SeqCst);
        while self.parked.load(SeqCst) && self.calls.load(SeqCst) == 0 && !self.stop.load(SeqCst) {
            thread::park();
        }
        self.parked.store(false, SeqCst);
    }
}

/// So many ticks without a call before the thread parks: waking it costs a call some microseconds.
const IDLE_TICKS: u32 = 500;
