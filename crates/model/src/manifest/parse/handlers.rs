//! `[handlers.NAME]`: a component and what it may use.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::block::{Block, Keys};
use super::report::Report;
use super::value::{Value, Wanted};
use crate::manifest::HandlerSpec;
use crate::manifest::handler::{DEFAULT_CPU, DEFAULT_MEMORY, DEFAULT_WALL};
use crate::units::ByteSize;

/// Reads all handlers: a name with `None` is there, and wrong.
pub(super) fn read<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> BTreeMap<String, Option<HandlerSpec>> {
    let Some(block) = Block::open_any(value, "`handlers`".to_owned(), report) else { return BTreeMap::new() };
    let mut handlers = BTreeMap::new();
    for (name, span, value) in block.entries() {
        let valid = super::origins::check_name("handler", name, span, report);
        let spec = handler(name, value, report);
        handlers.insert(name.to_owned(), valid.and(spec));
    }
    handlers
}

fn handler<'a>(name: &str, value: &'a Value<'a>, report: &mut Report<'_>) -> Option<HandlerSpec> {
    let block = Block::open(value, format!("[handlers.{name}]"), &KEYS, report)?;
    let component =
        block.require("component", COMPONENT.example, report).and_then(|value| COMPONENT.text(value, report));
    let memory = block.get("memory").map_or(Some(DEFAULT_MEMORY), |value| memory(value, report));
    let cpu = block.get("cpu").map_or(Some(DEFAULT_CPU), |value| CPU.positive_duration(value, report));
    let wall = block.get("wall").map_or(Some(DEFAULT_WALL), |value| WALL.positive_duration(value, report));
    let env = block.get("env").map_or(Some(BTreeMap::new()), |value| env(value, report));
    if let Some(value) = block.get("reuse") {
        reuse(value, report);
    }
    if let Some(value) = block.get("outbound") {
        outbound(value, report);
    }
    Some(HandlerSpec {
        component: component?.to_owned(),
        memory: memory?,
        cpu: cpu?,
        wall: wall?,
        env: env?,
        outbound: Vec::new(),
    })
}

fn memory(value: &Value<'_>, report: &mut Report<'_>) -> Option<ByteSize> {
    let size = MEMORY.size(value, report)?;
    if size < LEAST_MEMORY || size > MOST_MEMORY {
        let message = format!("`memory` must be from {LEAST_MEMORY} to {MOST_MEMORY}");
        report.error_with_help(value.span(), message, format!("for example: {}", MEMORY.example));
        return None;
    }
    Some(size)
}

fn env<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<BTreeMap<String, String>> {
    let block = Block::open_any(value, "`env`".to_owned(), report)?;
    let mut env = Some(BTreeMap::new());
    for (name, span, value) in block.entries() {
        let bad_name = name.is_empty() || name.contains(['=', '\0']);
        if bad_name {
            report.error(span, format!("`{name}` cannot be the name of a variable"));
        }
        match value.get_ref() {
            DeValue::String(text) if !bad_name && !text.contains('\0') => {
                if let Some(env) = &mut env {
                    env.insert(name.to_owned(), text.clone().into_owned());
                }
                continue;
            }
            DeValue::String(_) => {}
            _ => Wanted { name, what: "text", example: ENV_EXAMPLE }.refuse(value, report),
        }
        env = None;
    }
    env
}

/// This version gives each request an instance of its own.
fn reuse(value: &Value<'_>, report: &mut Report<'_>) {
    if REUSE.integer(value, 1..=u64::from(u32::MAX), report).is_some_and(|count| count != 1) {
        let help = "use reuse = 1 or leave it out: each request gets a fresh instance";
        report.not_available(value.span(), "`reuse` other than 1", help);
    }
}

/// This version lets handlers reach their own site's routes only.
fn outbound<'a>(value: &'a Value<'a>, report: &mut Report<'_>) {
    if OUTBOUND.list(value, report).is_some_and(|list| !list.is_empty()) {
        let help = "give the site a route with an origin: a handler's fetches go through the site's routes";
        report.not_available(value.span(), "`outbound`", help);
    }
}

const KEYS: Keys =
    Keys { known: &["component", "memory", "cpu", "wall", "reuse", "env", "outbound"], later: &["secrets", "kv"] };

/// One wasm page is 64 KiB; a component with a language runtime needs some before its first line runs.
const LEAST_MEMORY: ByteSize = ByteSize::mib(1);
/// The address space of a 32-bit component.
const MOST_MEMORY: ByteSize = ByteSize::mib(4096);

const COMPONENT: Wanted<'_> =
    Wanted { name: "component", what: "a folder or a .wasm file", example: "component = \"api\"" };
const MEMORY: Wanted<'_> = Wanted { name: "memory", what: "a size", example: "memory = \"64MiB\"" };
const CPU: Wanted<'_> = Wanted { name: "cpu", what: "a duration", example: "cpu = \"50ms\"" };
const WALL: Wanted<'_> = Wanted { name: "wall", what: "a duration", example: "wall = \"10s\"" };
const REUSE: Wanted<'_> = Wanted { name: "reuse", what: "a number", example: "reuse = 1" };
const OUTBOUND: Wanted<'_> = Wanted { name: "outbound", what: "a list of URLs", example: "outbound = []" };
const ENV_EXAMPLE: &str = "env = { MODE = \"live\" }";
