//! The registry of numbers that change seldom: gauges, and counters off the hit path.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use parking_lot::Mutex;

use crate::metrics::{METRICS, Metric};

/// Numbers by metric and labels.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<&'static str, BTreeMap<String, f64>>>);

impl Registry {
    /// Adds to a counter.
    pub fn add(&self, name: &'static str, labels: &[(&str, &str)], by: f64) {
        *self.0.lock().entry(name).or_default().entry(label_text(labels)).or_default() += by;
    }

    /// Sets a gauge.
    pub fn set(&self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        self.0.lock().entry(name).or_default().insert(label_text(labels), value);
    }

    /// Raises a gauge to `value` if it is lower.
    pub fn raise(&self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        let mut all = self.0.lock();
        let held = all.entry(name).or_default().entry(label_text(labels)).or_default();
        *held = held.max(value);
    }

    /// Forgets every series of a metric, before it is set anew.
    pub fn clear(&self, name: &'static str) {
        self.0.lock().remove(name);
    }

    /// The sum over all series of a metric.
    pub fn sum(&self, name: &str) -> f64 {
        self.0.lock().get(name).map_or(0.0, |series| series.values().sum())
    }

    /// Writes all series in the exposition format, under those that `more` gives for a metric.
    pub(crate) fn render(&self, more: &BTreeMap<&'static str, Vec<(String, f64)>>) -> String {
        let own = self.0.lock();
        let mut text = String::new();
        for Metric { name, kind, help } in METRICS {
            let mut lines = String::new();
            for (series, value) in more.get(name).into_iter().flatten() {
                let _ = writeln!(lines, "{series} {value}");
            }
            for (labels, value) in own.get(name).into_iter().flatten() {
                let _ = writeln!(lines, "{name}{labels} {value}");
            }
            if !lines.is_empty() {
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}\n{lines}", kind.as_str());
            }
        }
        text
    }
}

/// `{a="x",b="y"}`, escaped as the exposition format wants it; nothing for no labels.
pub(crate) fn label_text(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let mut text = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{comma}{name}=\"{escaped}\"");
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::names;

    #[test]
    fn exposition() {
        let registry = Registry::default();
        registry.add(names::HANDLER_OUTCOMES, &[("handler", "a\"b"), ("outcome", "ok")], 2.0);
        registry.set(names::PURGE_APPLIED_SEQ, &[], 7.0);
        let text = registry.render(&BTreeMap::new());
        assert!(text.contains("# TYPE holm_handler_outcomes_total counter"), "{text}");
        assert!(text.contains("holm_handler_outcomes_total{handler=\"a\\\"b\",outcome=\"ok\"} 2"), "{text}");
        assert!(text.contains("\nholm_purge_applied_seq 7\n"), "{text}");
    }
}
