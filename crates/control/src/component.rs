//! Components: what an upload must be before a release may name it as a handler.

use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload, Validator, WasmFeatures};

/// Why some bytes are no handler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// Not WebAssembly at all.
    #[error("it is not WebAssembly; a handler is a component: cargo build --release --target wasm32-wasip2")]
    NotWasm,
    /// A module of the core language.
    #[error(
        "it is a core module, not a component; build it with --target wasm32-wasip2, or wrap it with `wasm-tools \
         component new`"
    )]
    CoreModule,
    /// Broken WebAssembly.
    #[error("it is not a valid component: {0}")]
    Invalid(String),
    /// It cannot handle requests.
    #[error("it does not export {HANDLER}0.2 (`wasi:http/proxy`){}", exports(.0))]
    NoHandler(Vec<String>),
    /// Too large to be compiled on a node.
    #[error("it has {0} bytes; the most is {MAX_COMPONENT}")]
    TooLarge(u64),
}

/// Checks that `bytes` are a valid component that exports `wasi:http/incoming-handler@0.2.*`.
///
/// # Errors
/// They are not; the message says what they are and what to do.
pub fn check_component(bytes: &[u8]) -> Result<(), ComponentError> {
    if bytes.len() as u64 > MAX_COMPONENT {
        return Err(ComponentError::TooLarge(bytes.len() as u64));
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(ComponentError::NotWasm);
    }
    let exports = exported_instances(bytes)?;
    // The features that nodes compile with by default; what they refuse beyond these shows when they load the release.
    Validator::new_with_features(WasmFeatures::default())
        .validate_all(bytes)
        .map_err(|error| ComponentError::Invalid(error.to_string()))?;
    if exports.iter().any(|name| name.strip_prefix(HANDLER).is_some_and(is_version_0_2)) {
        return Ok(());
    }
    Err(ComponentError::NoHandler(exports))
}

/// The names of the instances that the outermost component exports.
fn exported_instances(bytes: &[u8]) -> Result<Vec<String>, ComponentError> {
    let invalid = |error: wasmparser::BinaryReaderError| ComponentError::Invalid(error.to_string());
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(ComponentError::CoreModule);
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    if export.kind == ComponentExternalKind::Instance {
                        names.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// `0.2`, `0.2.0`, `0.2.10`, not `0.20`.
fn is_version_0_2(version: &str) -> bool {
    version.strip_prefix("0.2").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn exports(names: &[String]) -> String {
    if names.is_empty() { "; it exports no interface".to_owned() } else { format!("; it exports {}", names.join(", ")) }
}

/// The interface of a handler, up to its version.
const HANDLER: &str = "wasi:http/incoming-handler@";

/// The largest component: six times what the heaviest toolchain (Python's, 20 MB) makes of a small handler. It is held in
/// memory while it is checked and compiled.
const MAX_COMPONENT: u64 = 128 << 20;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A component that exports an empty instance under this name.
    pub(crate) fn component_exporting(name: &str) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        // Component instance section (5): one instance made of no exports (0x01, 0).
        bytes.extend([5, 3, 1, 1, 0]);
        // Component export section (11): one export: name (0x00, length, bytes), sort instance (5), index 0, no type (0).
        let mut section = vec![1, 0, u8::try_from(name.len()).unwrap()];
        section.extend(name.as_bytes());
        section.extend([5, 0, 0]);
        bytes.extend([11, u8::try_from(section.len()).unwrap()]);
        bytes.extend(section);
        bytes
    }

    /// The smallest component that passes as a handler; `salt` makes its digest another one.
    pub(crate) fn handler(salt: &str) -> Vec<u8> {
        let mut bytes = component_exporting("wasi:http/incoming-handler@0.2.3");
        // Custom section (0) with a name and no content.
        bytes.extend([0, u8::try_from(salt.len()).unwrap() + 1, u8::try_from(salt.len()).unwrap()]);
        bytes.extend(salt.as_bytes());
        bytes
    }

    #[test]
    fn only_handlers_pass() {
        let check = |bytes: &[u8], expected: &str| {
            let outcome = check_component(bytes).map_or_else(|error| error.to_string(), |()| "ok".to_owned());
            assert!(outcome.contains(expected), "{outcome}, expected {expected}");
        };
        check(&handler("a"), "ok");
        check(&component_exporting("wasi:http/incoming-handler@0.2.0"), "ok");
        check(&component_exporting("wasi:http/incoming-handler@0.3.0"), "exports wasi:http/incoming-handler@0.3.0");
        check(&component_exporting("wasi:http/incoming-handler@0.20.0"), "does not export");
        check(&component_exporting("wasi:cli/run@0.2.0"), "it exports wasi:cli/run@0.2.0");
        check(b"\0asm\x0d\0\x01\0", "exports no interface");
        check(b"\0asm\x01\0\0\0", "core module");
        check(b"\0asm\x0d\0\x01\0\x05", "not a valid component");
        check(&handler("a")[..30], "not a valid component");
        check(b"<html>", "not WebAssembly");
        check(b"", "not WebAssembly");
    }
}
