//! Every metric declared once; tracing; the traffic window.
