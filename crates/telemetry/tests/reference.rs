//! docs/reference/metrics.md is made from the metrics' declarations: `cargo xtask codegen` writes it, this compares it.

use std::fmt::Write as _;
use std::path::Path;

use holm_telemetry::METRICS;

#[test]
fn metrics_page() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    let page = page();
    if std::env::var_os("HOLM_BLESS").is_some() {
        std::fs::write(&path, &page).expect("docs/reference is there");
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(held, page, "docs/reference/metrics.md is out of date: run `cargo xtask codegen`");
}

fn page() -> String {
    let mut page = String::from(
        "<!-- Written by `cargo xtask codegen` from crates/telemetry/src/metrics.rs. -->\n\
         # Metrics\n\n\
         Served as Prometheus text at `/metrics` of the admin listener. A name ends in its unit; one without is a count. A\n\
         counter starts at zero with the process. A summary has the quantiles 0.5, 0.9, 0.99 and 0.999 since the start, with\n\
         `_sum` and `_count`.\n\n\
         | metric | kind | what it tells |\n|---|---|---|\n",
    );
    for metric in METRICS {
        let _ = writeln!(page, "| `{}` | {} | {} |", metric.name, metric.kind.as_str(), metric.help);
    }
    page
}
