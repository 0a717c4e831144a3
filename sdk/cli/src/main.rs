//! bin `holm`.

use std::process::ExitCode;

/// Handlers' instances and cached objects come and go on many threads: the system allocator is slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    holm_cli::main()
}
