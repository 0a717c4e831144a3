//! The model: an edge in front of a shield in front of an origin whose content changes, under random interleavings of
//! requests, purges, evictions and restarts, in memory and on disk. The oracle says what must never be answered.
//!
//! `HOLM_MODEL_CASES` runs more of them, `HOLM_MODEL_SEED` those of another seed. A failure is shrunk to a short list of steps.

mod oracle;
mod origin;
mod tiers;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use self::oracle::Seen;
use self::tiers::Tiers;
use self::world::World;

/// One step of an interleaving. Numbers without a bound choose among what is there.
#[derive(Debug, Clone)]
enum Step {
    /// A client asks for one of two URLs: so that much happens to each.
    Ask {
        url: usize,
        how: How,
    },
    /// A client leaves, wherever its answer is.
    Leave(usize),
    /// Every task that can go on does.
    Settle,
    /// Tasks go on, so many times.
    Yield(u8),
    /// Those who wait for something that does not come give it up.
    Wait,
    /// The origin's content becomes another one.
    Change(usize),
    /// From now on the origin answers step by step, or at once.
    Hold(bool),
    /// One exchange with the origin goes a step on: its head, a chunk, its end.
    Answer(usize),
    /// One exchange breaks off.
    Break(usize),
    /// The origin can't be reached the next time.
    Fail,
    /// A purge enters the log; every tier applies it at once, or later.
    Purge {
        selector: usize,
        soft: bool,
        at_once: bool,
    },
    /// A tier applies so many entries of the log.
    Apply(Tier, usize),
    /// A tier loses one key, or everything.
    Evict(Tier, Option<usize>),
    /// A tier loses what it has in memory.
    Forget(Tier),
    /// A tier's disk has what it was promised.
    Flush(Tier),
    Sweep(Tier),
    /// A tier is stopped, or killed, and comes back.
    Restart(Tier, End),
    /// The log is another one. Each tier follows it when it next applies something.
    NewLog,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Edge,
    Shield,
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Killed,
}

/// How a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Plain,
    /// In another language.
    German,
    /// These bytes.
    Range(u64, u64),
    /// With the tag of so many versions ago.
    Conditional(u64),
    Head,
    Post,
    /// `Cache-Control: no-cache`.
    Reload,
    /// `Cache-Control: only-if-cached`.
    Offline,
}

#[test]
fn purged_content_is_never_served() {
    check(Tiers::InMemory, CASES, &MUST_OCCUR);
}

#[test]
fn purged_content_is_never_served_from_disk() {
    check(Tiers::OnDisk, CASES_ON_DISK, &MUST_OCCUR_ON_DISK);
}

fn check(tiers: Tiers, cases: u64, must_occur: &[&str]) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("HOLM_MODEL_SEED").unwrap_or(20_261_125);
    let cases = number("HOLM_MODEL_CASES").unwrap_or(cases);
    println!("{tiers:?}: HOLM_MODEL_SEED={seed} HOLM_MODEL_CASES={cases}");
    let config = Config {
        cases: u32::try_from(cases).expect("fewer"),
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let (dir, total) = (tempfile::tempdir().expect("a folder"), std::cell::RefCell::new(Seen::default()));
    let control = super::Control::open(dir.path(), super::Telemetry::new()).expect("a store");
    let steps = (urls(), proptest::collection::vec(step(tiers), 1..MAX_STEPS));
    let outcome = runner.run(&steps, |(urls, steps)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let seen =
            runtime.expect("a runtime").block_on(run(&control, tiers, urls, &steps)).map_err(TestCaseError::fail)?;
        total.borrow_mut().add(&seen);
        Ok(())
    });
    let total = total.into_inner();
    println!("{total}");
    if let Err(failure) = outcome {
        panic!("{tiers:?}: HOLM_MODEL_SEED={seed}: {failure}");
    }
    for what in must_occur {
        assert!(total.count(what) > 0, "`{what}` never occurred: the model tests less than it says");
    }
}

async fn run(
    control: &std::sync::Arc<super::Control>,
    tiers: Tiers,
    urls: [usize; 2],
    steps: &[Step],
) -> Result<Seen, String> {
    let mut world = World::new(control, tiers, urls);
    for (index, step) in steps.iter().enumerate() {
        world.step(step).await;
        world.verdict().map_err(|wrong| format!("after step {index}, {step:?}: {wrong}"))?;
    }
    world.end().await;
    world.verdict().map_err(|wrong| format!("at the end: {wrong}"))?;
    Ok(world.seen())
}

fn urls() -> impl Strategy<Value = [usize; 2]> {
    let any = || prop_oneof![9 => 0..origin::LARGE, 1 => Just(origin::LARGE)];
    [any(), any()]
}

fn step(tiers: Tiers) -> impl Strategy<Value = Step> {
    let url = || 0..2_usize;
    let some = || 0..64_usize;
    let tier = || prop_oneof![Just(Tier::Edge), Just(Tier::Shield)];
    let on_disk = if tiers == Tiers::OnDisk { 2 } else { 1 };
    prop_oneof![
        14 => (url(), how()).prop_map(|(url, how)| Step::Ask { url, how }),
        2 => some().prop_map(Step::Leave),
        6 => Just(Step::Settle),
        4 => (1..12_u8).prop_map(Step::Yield),
        1 => Just(Step::Wait),
        4 => url().prop_map(Step::Change),
        3 => proptest::bool::weighted(0.6).prop_map(Step::Hold),
        8 => some().prop_map(Step::Answer),
        1 => some().prop_map(Step::Break),
        1 => Just(Step::Fail),
        6 => (0..oracle::WIDE + 2, any::<bool>(), any::<bool>())
            .prop_map(|(selector, soft, at_once)| Step::Purge { selector, soft, at_once }),
        7 => (tier(), 1..4_usize).prop_map(|(tier, count)| Step::Apply(tier, count)),
        1 => (tier(), proptest::option::of(url())).prop_map(|(tier, url)| Step::Evict(tier, url)),
        2 => tier().prop_map(Step::Sweep),
        on_disk => tier().prop_map(Step::Forget),
        on_disk => tier().prop_map(Step::Flush),
        1 => (tier(), prop_oneof![Just(End::Stopped), Just(End::Killed)]).prop_map(|(tier, end)| Step::Restart(tier, end)),
        1 => Just(Step::NewLog),
    ]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        10 => Just(How::Plain),
        2 => Just(How::German),
        4 => (0..60_u64, 1..80_u64).prop_map(|(first, length)| How::Range(first, first + length)),
        2 => (0..2_u64).prop_map(How::Conditional),
        1 => Just(How::Head),
        2 => Just(How::Post),
        1 => Just(How::Reload),
        1 => Just(How::Offline),
    ]
}

/// How many interleavings are run in memory, and on disk.
const CASES: u64 = 1_500;
const CASES_ON_DISK: u64 = 250;

/// How many steps one has at most.
const MAX_STEPS: usize = 80;

/// What shows that the model reaches what it is about.
const MUST_OCCUR: [&str; 16] = [
    "hit",
    "hit stale",
    "miss",
    "joined",
    "confirmed by 304",
    "206 hit",
    "304 to client",
    "purged",
    "soft-purged",
    "invalidated",
    "left",
    "broke off",
    "hard acknowledged",
    "soft acknowledged",
    "slices hit",
    "slices fetched",
];
const MUST_OCCUR_ON_DISK: [&str; 9] = [
    "hit",
    "disk hit",
    "slices disk hit",
    "slices fetched",
    "purged",
    "soft-purged",
    "invalidated",
    "hard acknowledged",
    "soft acknowledged",
];
