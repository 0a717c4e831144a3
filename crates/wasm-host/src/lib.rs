//! WebAssembly handlers: engine, instances, limits, host interfaces.
