//! Loading: what is refused, and in which words.

use holm_model::units::ByteSize;
use holm_wasm_host::LoadError;

use crate::support::{guest, host, host_with, spec, try_load};

#[test]
fn refusals_say_what_to_do() {
    let host = host();
    let check = |component: &[u8], words: &[&str]| {
        let message = try_load(&host, component).err().expect("refused").to_string();
        for word in words {
            assert!(message.contains(word), "`{message}` lacks `{word}`");
        }
    };
    let wat = |text: &str| wat::parse_str(text).expect("valid text");
    check(b"", &["not WebAssembly"]);
    check(b"#!/bin/sh", &["not WebAssembly"]);
    check(&wat("(module)"), &["core WebAssembly module", "wasm32-wasip2"]);
    check(&wat("(component)"), &["wasi:http/incoming-handler", "exports nothing"]);
    let other = r#"(component (import "wasi:keyvalue/store@0.2.0-draft2" (instance)) (import "a:b/c" (instance)))"#;
    check(&wat(other), &["wasi:keyvalue/store@0.2.0-draft2, a:b/c", "Offered: wasi:cli"]);
    let function = r#"(component (import "wasi:random/random@0.2.0" (instance (export "get-luck" (func)))))"#;
    check(&wat(function), &["wasi:http/incoming-handler"]);
    let truncated = guest("");
    check(&truncated[..truncated.len() / 2], &["can't be compiled"]);
}

#[test]
fn memory_that_does_not_fit() {
    let host = host_with(|config| config.max_memory = ByteSize::mib(8));
    let mut limits = spec();
    limits.memory = ByteSize::kib(32);
    let needs = host.load("site", "test", &limits, &guest("")).err();
    assert_eq!(needs, Some(LoadError::Memory { needs: ByteSize::kib(64), limit: ByteSize::kib(32) }));
    limits.memory = ByteSize::mib(9);
    let asked = host.load("site", "test", &limits, &guest("")).err();
    assert_eq!(asked, Some(LoadError::TooMuch { asked: ByteSize::mib(9), most: ByteSize::mib(8) }));
}
