//! The target that `HOLM_FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use holm_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("HOLM_FUZZ_TARGET").unwrap_or_default();
    holm_fuzz::target(&name).unwrap_or_else(|| panic!("HOLM_FUZZ_TARGET is `{name}`: no target"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
