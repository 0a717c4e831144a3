//! Components: what is looked at before one is compiled and linked, and why one is refused.

use holm_model::units::ByteSize;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::state::State;

/// Why a component can't be a handler here. The messages are for the one who publishes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Not WebAssembly at all.
    #[error("this is not WebAssembly: it does not begin with \\0asm")]
    NotWasm,
    /// A core module.
    #[error(
        "this is a core WebAssembly module, not a component: build it for wasm32-wasip2, or make a component of it with \
         `wasm-tools component new`"
    )]
    CoreModule,
    /// Not valid, or not within what one instance may hold.
    #[error("this component can't be compiled: {0}")]
    Invalid(String),
    /// Imports that are not offered.
    #[error("this component imports what is not offered here: {}. Offered: {OFFERED_TEXT}", .0.join(", "))]
    Imports(Vec<String>),
    /// Interfaces that are offered, with functions or types that are not.
    #[error("this component imports what is not offered here: {0}. Offered: {OFFERED_TEXT}")]
    Link(String),
    /// Not an HTTP handler.
    #[error("this component does not export wasi:http/incoming-handler 0.2, so it can't handle requests; it exports {}",
        if .0.is_empty() { "nothing".to_owned() } else { .0.join(", ") })]
    NoHandler(Vec<String>),
    /// It begins with more memory than it may have.
    #[error("this component begins with {needs} of memory, and its `memory` is {limit}: raise it in the manifest")]
    Memory {
        /// What it needs to begin.
        needs: ByteSize,
        /// What the manifest gives it.
        limit: ByteSize,
    },
    /// The manifest asks for more than the node has.
    #[error("its `memory` is {asked}; the most on this node is {most}")]
    TooMuch {
        /// What the manifest asks for.
        asked: ByteSize,
        /// The node's most.
        most: ByteSize,
    },
}

/// A component, compiled and linked: what handlers of the same bytes share.
pub(crate) struct Compiled {
    pub(crate) pre: ProxyPre<State>,
    initial_memory: ByteSize,
}

impl Compiled {
    /// Compiles and links. Takes seconds for a large component.
    pub(crate) fn new(engine: &Engine, linker: &Linker<State>, bytes: &[u8]) -> Result<Self, LoadError> {
        check_header(bytes)?;
        let component = Component::from_binary(engine, bytes).map_err(|error| LoadError::Invalid(chain(&error)))?;
        check_imports(engine, &component)?;
        check_exports(engine, &component)?;
        let pre = linker.instantiate_pre(&component).map_err(|error| LoadError::Link(chain(&error)))?;
        let pre = ProxyPre::new(pre).map_err(|error| LoadError::Invalid(chain(&error)))?;
        Ok(Self { pre, initial_memory: initial_memory(&component) })
    }

    /// Does it begin with no more memory than `limit`?
    pub(crate) fn fits(&self, limit: ByteSize) -> Result<(), LoadError> {
        let needs = self.initial_memory;
        if needs > limit { Err(LoadError::Memory { needs, limit }) } else { Ok(()) }
    }
}

/// The magic number, then the version and layer: 1 and 0 for a module, 13 and 1 for a component.
fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Err(LoadError::CoreModule),
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', ..]) => Err(LoadError::Invalid("an unknown version of the format".to_owned())),
        _ => Err(LoadError::NotWasm),
    }
}

fn check_imports(engine: &Engine, component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    let unknown: Vec<String> =
        ty.imports(engine).map(|(name, _)| name).filter(|name| !is_offered(name)).map(str::to_owned).collect();
    if unknown.is_empty() { Ok(()) } else { Err(LoadError::Imports(unknown)) }
}

fn check_exports(engine: &Engine, component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let handles = exports.iter().any(|name| name.starts_with("wasi:http/incoming-handler@0.2."));
    if handles { Ok(()) } else { Err(LoadError::NoHandler(exports)) }
}

/// `wasi:http/types@0.2.3`: an interface that is offered, of the 0.2 line. Lines of 0.2 are compatible with each other.
fn is_offered(import: &str) -> bool {
    let Some((name, version)) = import.split_once('@') else { return false };
    let Some((package, interface)) = name.strip_prefix("wasi:").and_then(|name| name.split_once('/')) else {
        return false;
    };
    let offered = OFFERED.iter().find(|(offered, _)| *offered == package);
    version.starts_with("0.2.") && offered.is_some_and(|(_, interfaces)| interfaces.contains(&interface))
}

/// All memories that the component's own instances begin with.
fn initial_memory(component: &Component) -> ByteSize {
    let required = component.resources_required();
    let pages = required.map_or(0, |required| {
        required.max_initial_memory_size.unwrap_or(0).saturating_mul(u64::from(required.num_memories))
    });
    ByteSize::kib(pages.saturating_mul(64))
}

/// The chain of causes in one line.
fn chain(error: &wasmtime::Error) -> String {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.dedup();
    causes.join(": ")
}

/// The interfaces that the linker has, by package.
const OFFERED: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("clocks", &["wall-clock", "monotonic-clock"]),
    ("filesystem", &["types", "preopens"]),
    ("http", &["types", "outgoing-handler"]),
    ("io", &["error", "poll", "streams"]),
    ("random", &["random", "insecure", "insecure-seed"]),
    (
        "sockets",
        &["network", "instance-network", "ip-name-lookup", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
];

/// The same for people.
const OFFERED_TEXT: &str = "wasi:cli, wasi:clocks, wasi:http, wasi:io and wasi:random 0.2; wasi:filesystem 0.2 without a file, \
                            wasi:sockets 0.2 without an address that may be reached";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let check = |bytes: &[u8], expected: Result<(), LoadError>| assert_eq!(check_header(bytes), expected);
        check(b"\0asm\x0d\0\x01\0", Ok(()));
        check(b"\0asm\x01\0\0\0", Err(LoadError::CoreModule));
        check(b"#!/bin/sh\n", Err(LoadError::NotWasm));
        check(b"", Err(LoadError::NotWasm));
    }

    #[test]
    fn imports() {
        let check = |import: &str, expected: bool| assert_eq!(is_offered(import), expected, "{import}");
        check("wasi:http/types@0.2.0", true);
        check("wasi:http/types@0.2.99", true);
        check("wasi:cli/exit@0.2.6", true);
        check("wasi:http/types@0.3.0", false);
        check("wasi:keyvalue/store@0.2.0-draft2", false);
        check("wasi:http/types", false);
        check("holm:edge/cache@0.1.0", false);
    }
}
