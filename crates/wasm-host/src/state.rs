//! What a guest's store holds: its WASI context, its resources, its hooks.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::config::{MAX_FIELDS_BYTES, MAX_RANDOM_BYTES, MAX_RESOURCES};
use crate::guest_log::{GuestLog, Stream};
use crate::handler::Handler;
use crate::meter::{Limiter, Meter};
use crate::outbound::Hooks;

/// The data of one call's store.
pub(crate) struct State {
    pub(crate) limiter: Limiter,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: Hooks,
}

impl State {
    /// Clocks, random numbers, the environment of the manifest, and output that goes to the log. No files, no sockets, no
    /// arguments: the interfaces are there, since language runtimes import them, and empty.
    pub(crate) fn new(handler: &Handler, meter: Arc<Meter>, hooks: Hooks) -> Self {
        let log = |stream| GuestLog::new(Arc::clone(&handler.site), Arc::clone(&handler.name), stream);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(log(Stream::Stdout)).stderr(log(Stream::Stderr));
        wasi.max_random_size(MAX_RANDOM_BYTES);
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        for (name, value) in &handler.spec.env {
            wasi.env(name, value);
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS_BYTES);
        Self { limiter: Limiter(meter), wasi: wasi.build(), http, table, hooks }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}
