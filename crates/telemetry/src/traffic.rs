//! Traffic: requests counted per worker, so that a hit shares no cache line with another core.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use holm_model::ids::SiteName;
use parking_lot::Mutex;

use crate::metrics::names;
use crate::registry::{Registry, label_text};
use crate::report::{Latency, StatsReport, TierReport};

/// All numbers of a process.
#[derive(Debug)]
pub struct Telemetry {
    started: Instant,
    shards: Mutex<Vec<Arc<Shard>>>,
    registry: Registry,
}

/// One worker's numbers.
#[derive(Debug)]
pub struct Shard {
    started: Instant,
    state: Mutex<State>,
}

/// One answered request.
#[derive(Debug, Clone, Copy)]
pub struct RequestRecord<'a> {
    /// The site.
    pub site: &'a SiteName,
    /// The route's name.
    pub route: &'a str,
    /// The cache's outcome, one of the published list.
    pub cache: &'static str,
    /// The response's status.
    pub status: u16,
    /// Who answered.
    pub tier: Tier,
    /// Bytes of body sent.
    pub bytes_out: u64,
    /// From the request's head to the response's head.
    pub latency: Duration,
    /// What the latency is to be compared with.
    pub class: Class,
}

/// A role in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Near the clients.
    Edge,
    /// In front of the origins.
    Shield,
}

/// What made a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The cache.
    Hit,
    /// The next hop, for a request that the cache could have answered.
    Miss,
    /// A handler.
    Handler,
    /// Something that the cache has no part in: uploads, refusals.
    Other,
}

#[derive(Debug, Default)]
struct State {
    counts: HashMap<u64, Vec<Count>, BuildHasherDefault<Fold>>,
    series: HashMap<(SiteName, Tier, Class), Series>,
}

/// One combination of labels.
#[derive(Debug)]
struct Count {
    site: SiteName,
    route: Box<str>,
    cache: &'static str,
    status: u16,
    tier: Tier,
    class: Class,
    requests: u64,
    bytes: u64,
}

/// Latencies and sums of one site, tier and class over time.
#[derive(Debug)]
struct Series {
    total: Histogram<u64>,
    total_us: u64,
    slots: Vec<Option<Slot>>,
}

/// What happened within [`SLOT`].
#[derive(Debug, Clone)]
struct Slot {
    number: u64,
    latency: Histogram<u64>,
    bytes: u64,
    errors: u64,
}

impl Telemetry {
    /// No traffic yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), shards: Mutex::default(), registry: Registry::default() })
    }

    /// A place for one worker to count in.
    pub fn shard(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard { started: self.started, state: Mutex::default() });
        self.shards.lock().push(Arc::clone(&shard));
        shard
    }

    /// Gauges and the counters that are off the hit path.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What happened within the last `window` (at most an hour), of one site or of all.
    pub fn report(&self, site: Option<&SiteName>, window: Duration) -> StatsReport {
        let window = window.clamp(SLOT, SLOT * u32::try_from(SLOTS).unwrap_or(u32::MAX));
        let now = slot_number(self.started.elapsed());
        let from = now.saturating_sub(window.as_secs().div_ceil(SLOT.as_secs()));
        let mut tiers: BTreeMap<Tier, TierSum> = BTreeMap::new();
        for shard in self.shards.lock().iter() {
            shard.add_to(&mut tiers, site, from);
        }
        let fetches = self.registry.sum(names::UPSTREAM_REQUESTS);
        let edge_requests = self.requests(Tier::Edge);
        StatsReport {
            window_seconds: window.as_secs(),
            tiers: tiers.into_iter().map(|(tier, sum)| (tier.as_str().to_owned(), sum.report())).collect(),
            origin_fetches: whole(fetches),
            origin_offload: if edge_requests == 0 {
                0.0
            } else {
                (1.0 - ratio(whole(fetches), edge_requests)).max(0.0)
            },
        }
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut more: BTreeMap<&'static str, Vec<(String, f64)>> = BTreeMap::new();
        let mut sums: BTreeMap<(&'static str, String), f64> = BTreeMap::new();
        let mut totals: BTreeMap<(SiteName, Tier, Class), (Histogram<u64>, u64)> = BTreeMap::new();
        for shard in self.shards.lock().iter() {
            let state = shard.state.lock();
            for count in state.counts.values().flatten() {
                count.add_to(&mut sums);
            }
            for (key, series) in &state.series {
                let (total, sum) = totals.entry(key.clone()).or_insert_with(|| (histogram(), 0));
                let _ = total.add(&series.total);
                *sum += series.total_us;
            }
        }
        for ((name, labels), value) in sums {
            more.entry(name).or_default().push((format!("{name}{labels}"), value));
        }
        let lines = more.entry(names::REQUEST_SECONDS).or_default();
        for ((site, tier, class), (total, sum)) in &totals {
            summary_lines(lines, (site, *tier, *class), total, *sum);
        }
        self.registry.render(&more)
    }

    fn requests(&self, tier: Tier) -> u64 {
        let shards = self.shards.lock();
        let of = |shard: &Arc<Shard>| -> u64 {
            let state = shard.state.lock();
            state.counts.values().flatten().filter(|count| count.tier == tier).map(|count| count.requests).sum()
        };
        shards.iter().map(of).sum()
    }
}

impl Shard {
    /// Counts a request. Costs two look-ups in small maps under a lock that only readers of statistics contend for.
    pub fn record(&self, record: &RequestRecord<'_>) {
        let slot = slot_number(self.started.elapsed());
        let mut state = self.state.lock();
        state.count(record);
        state.measure(record, slot);
    }

    fn add_to(&self, tiers: &mut BTreeMap<Tier, TierSum>, site: Option<&SiteName>, from: u64) {
        let state = self.state.lock();
        for ((of, tier, class), series) in &state.series {
            if site.is_some_and(|site| site != of) {
                continue;
            }
            let sum = tiers.entry(*tier).or_default();
            for slot in series.slots.iter().flatten().filter(|slot| slot.number >= from) {
                sum.add(*class, slot);
            }
        }
    }
}

impl State {
    fn count(&mut self, record: &RequestRecord<'_>) {
        let mut hasher = Fold::default();
        record.site.as_str().hash(&mut hasher);
        record.route.hash(&mut hasher);
        (record.cache.as_ptr() as usize, record.status, record.tier, record.class).hash(&mut hasher);
        let bucket = self.counts.entry(hasher.finish()).or_default();
        let same = |count: &Count| {
            count.status == record.status
                && count.cache == record.cache
                && count.tier == record.tier
                && count.class == record.class
                && *count.route == *record.route
                && count.site == *record.site
        };
        let at = bucket.iter().position(same).unwrap_or_else(|| {
            bucket.push(Count {
                site: record.site.clone(),
                route: record.route.into(),
                cache: record.cache,
                status: record.status,
                tier: record.tier,
                class: record.class,
                requests: 0,
                bytes: 0,
            });
            bucket.len() - 1
        });
        bucket[at].requests += 1;
        bucket[at].bytes += record.bytes_out;
    }

    fn measure(&mut self, record: &RequestRecord<'_>, number: u64) {
        let key = (record.site.clone(), record.tier, record.class);
        let series = self.series.entry(key).or_insert_with(|| Series {
            total: histogram(),
            total_us: 0,
            slots: vec![None; SLOTS],
        });
        let micros = u64::try_from(record.latency.as_micros()).unwrap_or(u64::MAX).min(MAX_LATENCY_US);
        let _ = series.total.record(micros);
        series.total_us += micros;
        let place = usize::try_from(number).unwrap_or_default() % SLOTS;
        let fresh = || Slot { number, latency: histogram(), bytes: 0, errors: 0 };
        let slot = series.slots[place].get_or_insert_with(fresh);
        if slot.number != number {
            *slot = fresh();
        }
        let _ = slot.latency.record(micros);
        slot.bytes += record.bytes_out;
        slot.errors += u64::from(record.status >= 500);
    }
}

impl Count {
    fn add_to(&self, sums: &mut BTreeMap<(&'static str, String), f64>) {
        let status = self.status.to_string();
        let (site, tier) = (self.site.as_str(), self.tier.as_str());
        let labels = label_text(&[
            ("site", site),
            ("route", &self.route),
            ("tier", tier),
            ("cache", self.cache),
            ("status", &status),
        ]);
        *sums.entry((names::REQUESTS, labels)).or_default() += float(self.requests);
        let labels = label_text(&[("site", site), ("tier", tier), ("direction", "out"), ("cache", self.cache)]);
        *sums.entry((names::BYTES, labels)).or_default() += float(self.bytes);
    }
}

impl Tier {
    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Shield => "shield",
        }
    }
}

impl Class {
    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Handler => "handler",
            Self::Other => "other",
        }
    }
}

impl PartialOrd for Tier {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Tier {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Class {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Class {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

/// One tier's sums while a report is made.
#[derive(Debug, Default)]
struct TierSum {
    classes: BTreeMap<Class, (Option<Histogram<u64>>, u64)>,
    errors: u64,
}

impl TierSum {
    fn add(&mut self, class: Class, slot: &Slot) {
        let (latency, bytes) = self.classes.entry(class).or_default();
        let _ = latency.get_or_insert_with(histogram).add(&slot.latency);
        *bytes += slot.bytes;
        self.errors += slot.errors;
    }

    fn report(self) -> TierReport {
        let count =
            |class| self.classes.get(&class).and_then(|(latency, _)| latency.as_ref()).map_or(0, Histogram::len);
        let bytes = |class| self.classes.get(&class).map_or(0, |(_, bytes)| *bytes);
        let (hits, misses) = (count(Class::Hit), count(Class::Miss));
        let (hit_bytes, miss_bytes) = (bytes(Class::Hit), bytes(Class::Miss));
        let latency = |(class, (latency, _)): (&Class, &(Option<Histogram<u64>>, u64))| {
            latency.as_ref().map(|latency| (class.as_str().to_owned(), quantiles(latency)))
        };
        TierReport {
            requests: self.classes.keys().map(|class| count(*class)).sum(),
            hits,
            hit_ratio: ratio(hits, hits + misses),
            byte_hit_ratio: ratio(hit_bytes, hit_bytes + miss_bytes),
            bytes: self.classes.values().map(|(_, bytes)| bytes).sum(),
            errors: self.errors,
            latency: self.classes.iter().filter_map(latency).collect(),
        }
    }
}

fn quantiles(latency: &Histogram<u64>) -> Latency {
    let at = |quantile| latency.value_at_quantile(quantile);
    Latency { count: latency.len(), p50_us: at(0.5), p90_us: at(0.9), p99_us: at(0.99), p999_us: at(0.999) }
}

fn summary_lines(
    lines: &mut Vec<(String, f64)>,
    (site, tier, class): (&SiteName, Tier, Class),
    total: &Histogram<u64>,
    sum_us: u64,
) {
    let name = names::REQUEST_SECONDS;
    let own = [("site", site.as_str()), ("tier", tier.as_str()), ("class", class.as_str())];
    for (text, quantile) in [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("0.999", 0.999)] {
        let labels = label_text(&[own[0], own[1], own[2], ("quantile", text)]);
        lines.push((format!("{name}{labels}"), float(total.value_at_quantile(quantile)) / 1e6));
    }
    let labels = label_text(&own);
    lines.push((format!("{name}_sum{labels}"), float(sum_us) / 1e6));
    lines.push((format!("{name}_count{labels}"), float(total.len())));
}

fn histogram() -> Histogram<u64> {
    Histogram::new(SIGNIFICANT_DIGITS).expect("invariant: 0 to 5 digits are valid")
}

fn slot_number(since_start: Duration) -> u64 {
    since_start.as_secs() / SLOT.as_secs()
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
fn whole(number: f64) -> u64 {
    number as u64
}

/// A hash for the few dozen series of a worker: multiply and rotate, as in rustc's own tables.
#[derive(Debug, Default, Clone, Copy)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// The grain of a window.
const SLOT: Duration = Duration::from_secs(10);
/// An hour of slots.
const SLOTS: usize = 360;
/// Latencies are told to one part in a hundred.
const SIGNIFICANT_DIGITS: u8 = 2;
/// What is longer counts as this: ten minutes.
const MAX_LATENCY_US: u64 = 600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(shard: &Shard, class: Class, cache: &'static str, bytes_out: u64, micros: u64) {
        shard.record(&RequestRecord {
            site: &"shop".parse().unwrap(),
            route: "/*",
            cache,
            status: 200,
            tier: Tier::Edge,
            bytes_out,
            latency: Duration::from_micros(micros),
            class,
        });
    }

    #[test]
    fn shards_add_up() {
        let telemetry = Telemetry::new();
        let (one, other) = (telemetry.shard(), telemetry.shard());
        for _ in 0..90 {
            record(&one, Class::Hit, "hit", 100, 50);
        }
        for _ in 0..10 {
            record(&other, Class::Miss, "uri-miss", 300, 5000);
        }
        let report = telemetry.report(None, Duration::from_secs(300));
        let edge = &report.tiers["edge"];
        assert_eq!((edge.requests, edge.hits, edge.bytes), (100, 90, 12_000));
        assert!((edge.hit_ratio - 0.9).abs() < 1e-9);
        assert!((edge.byte_hit_ratio - 0.75).abs() < 1e-9);
        assert_eq!(edge.latency["hit"].count, 90);
        assert!((49..=51).contains(&edge.latency["hit"].p50_us));
        assert!(telemetry.report(Some(&"other".parse().unwrap()), SLOT).tiers.is_empty());
        let text = telemetry.render();
        let line = "holm_requests_total{site=\"shop\",route=\"/*\",tier=\"edge\",cache=\"hit\",status=\"200\"} 90";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("holm_request_seconds_count{site=\"shop\",tier=\"edge\",class=\"miss\"} 10"), "{text}");
    }
}
