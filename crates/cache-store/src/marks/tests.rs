//! Marks and memory against a plain model, over random interleavings.

use bytes::Bytes;
use holm_model::ids::SiteName;
use holm_model::purge::{PurgeMode, Selector};
use holm_model::units::ByteSize;

use super::*;
use crate::memory::Memory;
use crate::scope::ANY_HOST;

/// A small generator, so that a run is repeated from its printed seed (SplitMix64).
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn site(name: &str) -> SiteName {
    name.parse().unwrap()
}

fn sweep<M: crate::object::Meta>(memory: &Memory<M>, marks: &Marks) {
    let floor = marks.begin_sweep();
    memory.free_rejected(marks);
    marks.end_sweep(floor);
}

fn entry(seq: u64, selector: Selector, mode: PurgeMode) -> PurgeEntry {
    PurgeEntry { seq: Seq::new(seq), site: site("s"), selector, mode, time: Timestamp::from_secs(seq) }
}

#[test]
fn what_a_purge_selects() {
    let scope = Scope::new(&site("s"), "a.example", "/x/y", Some("q=1"), &["t"]);
    let check = |selector: Selector, hit: bool| {
        let marks = Marks::new();
        marks.apply(&entry(1, selector.clone(), PurgeMode::Hard));
        assert_eq!(marks.standing(&scope, Seq::ZERO, Local(0)) == Standing::Hard, hit, "{selector:?}");
        assert_eq!(marks.standing(&scope, Seq::new(1), Local(0)), Standing::Live);
    };
    let url = |path: &str, query: Option<&str>| Selector::Url {
        host: "a.example".into(),
        path: path.into(),
        query: query.map(Into::into),
    };
    let prefix = |host: Option<&str>, path: &str| Selector::Prefix { host: host.map(Into::into), path: path.into() };
    check(Selector::All, true);
    check(url("/x/y", None), true);
    check(url("/x/y", Some("q=1")), true);
    check(url("/x/y", Some("q=2")), false);
    check(url("/x", None), false);
    check(Selector::Tag("t".into()), true);
    check(Selector::Tag("u".into()), false);
    check(prefix(None, ""), true);
    check(prefix(None, "/x"), true);
    check(prefix(None, "/x/y"), true);
    check(prefix(None, "/x/"), false);
    check(prefix(None, "/x/y/z"), false);
    check(prefix(Some("a.example"), "/x"), true);
    check(prefix(Some("b.example"), "/x"), false);
}

#[test]
fn a_purge_of_one_query_selects_what_answers_several() {
    let check = |query: Option<&str>, hit: bool| {
        let marks = Marks::new();
        let selector = Selector::Url { host: "h".into(), path: "/x".into(), query: query.map(Into::into) };
        marks.apply(&entry(1, selector, PurgeMode::Hard));
        let scope = |path: &str| Scope::new(&site("s"), "h", path, Some("v=1&utm=a"), &[]).of_several_queries();
        assert_eq!(marks.standing(&scope("/x"), Seq::ZERO, Local(0)) == Standing::Hard, hit, "{query:?}");
        assert_eq!(marks.standing(&scope("/y"), Seq::ZERO, Local(0)), Standing::Live);
    };
    check(None, true);
    check(Some("v=1"), true);
    check(Some("v=2"), true);
}

#[test]
fn a_purge_of_one_host_selects_what_hosts_share() {
    let check = |selector: Selector, (whole, several): (bool, bool)| {
        let marks = Marks::new();
        marks.apply(&entry(1, selector.clone(), PurgeMode::Hard));
        let scope = Scope::new(&site("s"), ANY_HOST, "/x/y", Some("q=1"), &[]);
        let hit = |scope: &Scope| marks.standing(scope, Seq::ZERO, Local(0)) == Standing::Hard;
        assert_eq!((hit(&scope), hit(&scope.of_several_queries())), (whole, several), "{selector:?}");
    };
    let url = |path: &str, query: Option<&str>| Selector::Url {
        host: "a.example".into(),
        path: path.into(),
        query: query.map(Into::into),
    };
    let prefix = |host: Option<&str>, path: &str| Selector::Prefix { host: host.map(Into::into), path: path.into() };
    check(url("/x/y", None), (true, true));
    check(url("/x/y", Some("q=1")), (true, true));
    check(url("/x/y", Some("q=2")), (false, true));
    check(url("/x", None), (false, false));
    check(prefix(Some("b.example"), "/x"), (true, true));
    check(prefix(Some("b.example"), "/y"), (false, false));
    check(prefix(None, "/x"), (true, true));
    check(Selector::All, (true, true));
}

#[test]
fn another_log_drops_everything() {
    let marks = Marks::new();
    let (one, other) = (LogId::from_bytes([1; 16]), LogId::from_bytes([2; 16]));
    assert_eq!(marks.follow(one, Seq::new(5), Seq::ZERO), Followed::From(Seq::new(5)));
    let memory = Memory::new(ByteSize::mib(1));
    let guard = marks.begin_fill();
    assert_eq!(marks.follow(other, Seq::ZERO, Seq::ZERO), Followed::Anew(Seq::ZERO));
    let scope = Scope::new(&site("s"), "h", "/", None, &[]);
    let object = Arc::new(Object::new((), Bytes::new(), scope, guard.begun.applied, guard.begun.local));
    assert!(memory.insert(1, object, &guard).is_err());
}

/// A fill under way in the model: its key, and the version of the origin's content that it brings.
struct ModelFill {
    key: u64,
    begun: u64,
    guard: FillGuard,
}

/// The oracle: no response whose content predates a matching acknowledged hard purge.
#[test]
fn purged_content_never_comes_back() {
    let seed = std::env::var("HOLM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    println!("HOLM_SEED={seed}");
    let mut rng = Rng(seed);
    for round in 0..200 {
        run_model(&mut rng, round);
    }
}

fn run_model(rng: &mut Rng, round: usize) {
    let marks = Marks::new();
    let memory: Memory<u64> = Memory::new(ByteSize::mib(4));
    let mut fills: Vec<ModelFill> = Vec::new();
    // Per key: the step of its last acknowledged purge. An object's metadata is the step at which its fetch began.
    let mut purged_at = [0_u64; KEYS];
    let mut seq = 0;
    for step in 1..400 {
        let key = rng.below(KEYS as u64);
        match rng.below(10) {
            0..=3 => fills.push(ModelFill { key, begun: step, guard: marks.begin_fill() }),
            4..=5 if !fills.is_empty() => {
                let at = usize::try_from(rng.below(fills.len() as u64)).unwrap();
                let fill = fills.swap_remove(at);
                let object = Object::new(
                    fill.begun,
                    Bytes::new(),
                    scope(fill.key),
                    fill.guard.begun.applied,
                    fill.guard.begun.local,
                );
                let _ = memory.insert(u128::from(fill.key), Arc::new(object), &fill.guard);
            }
            6 => {
                seq += 1;
                marks.apply(&entry(seq, selector(rng, key), PurgeMode::Hard));
                // A tag and the site concern every key of the model.
                purge_model(&mut purged_at, &marks, step, seq);
            }
            7 => sweep(&memory, &marks),
            8 => memory.remove(u128::from(key)),
            _ => {
                let found = memory.get(u128::from(key)).filter(|object| marks.standing_of(object) != Standing::Hard);
                if let Some(object) = found {
                    let last = purged_at[usize::try_from(key).unwrap()];
                    assert!(
                        *object.meta() >= last,
                        "round {round}, step {step}: key {key} from {} after purge {last}",
                        object.meta()
                    );
                }
            }
        }
    }
    drop(fills);
    sweep(&memory, &marks);
    assert!(marks.is_empty(), "with no fill under way a sweep leaves no mark");
}

/// Which keys the purge `seq` selects is asked of `Marks` with a scope of its own: the model tests time, not matching.
fn purge_model(purged_at: &mut [u64; KEYS], marks: &Marks, step: u64, seq: u64) {
    for (key, at) in purged_at.iter_mut().enumerate() {
        if marks.standing(&scope(key as u64), Seq::new(seq - 1), Local(0)) == Standing::Hard {
            *at = step;
        }
    }
}

fn scope(key: u64) -> Scope {
    Scope::new(&site("s"), "h", &format!("/d{}/{key}", key % 2), None, &[if key < 4 { "low" } else { "high" }])
}

fn selector(rng: &mut Rng, key: u64) -> Selector {
    match rng.below(4) {
        0 => Selector::All,
        1 => Selector::Tag("low".into()),
        2 => Selector::Prefix { host: None, path: format!("/d{}", key % 2) },
        _ => Selector::Url { host: "h".into(), path: format!("/d{}/{key}", key % 2), query: None },
    }
}

const KEYS: usize = 8;

#[test]
fn what_an_invalidation_concerns() {
    let (own, other) = (site("s"), site("t"));
    let scope = Scope::new(&own, "h", "/x", Some("q=1"), &[]).with_groups("http://h", ["g"]);
    let check = |changed: Changed<'_>, hit: bool| {
        let marks = Marks::new();
        marks.invalidate(&[changed]);
        assert_eq!(marks.standing(&scope, Seq::ZERO, Local(0)) == Standing::Hard, hit, "{changed:?}");
        assert_eq!(marks.standing(&scope, Seq::ZERO, marks.local()), Standing::Live);
    };
    let url = |path, query| Changed::Url { site: &own, host: "h", path, query };
    check(url("/x", Some("q=1")), true);
    check(url("/x", Some("q=2")), false);
    check(url("/x", None), false);
    check(url("/y", Some("q=1")), false);
    check(Changed::Url { site: &other, host: "h", path: "/x", query: Some("q=1") }, false);
    check(Changed::Group { site: &own, origin: "http://h", group: "g" }, true);
    check(Changed::AnyGroup { site: &own, origin: "http://h" }, true);
    check(Changed::AnyGroup { site: &own, origin: "https://h" }, false);
    check(Changed::AnyGroup { site: &other, origin: "http://h" }, false);
    check(Changed::Group { site: &own, origin: "https://h", group: "g" }, false);
    check(Changed::Group { site: &own, origin: "http://h", group: "G" }, false);
    check(Changed::Group { site: &other, origin: "http://h", group: "g" }, false);
}

#[test]
fn an_invalidation_concerns_what_answers_several_queries() {
    let own = site("s");
    let scope = Scope::new(&own, "h", "/x", Some("v=1"), &[]).of_several_queries();
    let marks = Marks::new();
    marks.invalidate(&[Changed::Url { site: &own, host: "h", path: "/x", query: Some("v=2") }]);
    assert_eq!(marks.standing(&scope, Seq::ZERO, Local(0)), Standing::Hard);
}

#[test]
fn what_an_invalidation_spoils_is_not_stored_once_it_is_forgotten() {
    let (own, marks, memory) = (site("s"), Marks::new(), Memory::new(ByteSize::mib(1)));
    let object = |path: &str, guard: &FillGuard| {
        let scope = Scope::new(&own, "h", path, None, &[]);
        Arc::new(Object::new((), Bytes::new(), scope, guard.begun.applied, guard.begun.local))
    };
    let early = marks.begin_fill();
    memory.insert(1, object("/a", &early), &early).unwrap();
    memory.insert(2, object("/b", &early), &early).unwrap();
    marks.invalidate(&[Changed::Url { site: &own, host: "h", path: "/a", query: None }]);
    assert_eq!(marks.standing_of(&memory.get(1).unwrap()), Standing::Hard);
    sweep(&memory, &marks);
    assert!(memory.get(1).is_none());
    assert_eq!(marks.standing_of(&memory.get(2).unwrap()), Standing::Live, "nothing has changed it");
    assert_eq!(marks.len(), 4, "an early fill still needs them");
    drop(early);
    sweep(&memory, &marks);
    assert_eq!(marks.len(), 0);
    assert_eq!(marks.standing_of(&memory.get(2).unwrap()), Standing::Live);
    let late = marks.begin_fill();
    memory.insert(1, object("/a", &late), &late).unwrap();
    assert_eq!(marks.standing_of(&memory.get(1).unwrap()), Standing::Live);
}

#[test]
fn too_many_invalidations_cost_misses_and_no_memory() {
    let (own, marks) = (site("s"), Marks::new());
    let scope = Scope::new(&own, "h", "/0", None, &[]);
    for index in 0..30_000 {
        marks.invalidate(&[Changed::Url { site: &own, host: "h", path: &format!("/{index}"), query: None }]);
        assert_eq!(marks.standing(&scope, Seq::ZERO, Local(0)), Standing::Hard);
    }
    assert!(marks.len() <= 100_000);
    assert_eq!(marks.standing(&scope, Seq::ZERO, marks.local()), Standing::Live);
}

#[test]
fn a_response_in_no_group_is_not_concerned_by_all_of_them() {
    let (own, marks) = (site("s"), Marks::new());
    marks.invalidate(&[Changed::AnyGroup { site: &own, origin: "http://h" }]);
    assert_eq!(marks.standing(&Scope::new(&own, "h", "/x", None, &[]), Seq::ZERO, Local(0)), Standing::Live);
}

#[test]
fn one_site_s_flood_costs_others_nothing() {
    let (flooding, quiet, marks) = (site("s"), site("t"), Marks::new());
    let scope = |site: &SiteName, path: &str| Scope::new(site, "h", path, None, &[]);
    let begun = marks.local();
    let late = marks.begin_fill();
    marks.invalidate(&[Changed::Url { site: &quiet, host: "h", path: "/changed", query: None }]);
    for index in 0..60_000 {
        marks.invalidate(&[Changed::Url { site: &flooding, host: "h", path: &format!("/{index}"), query: None }]);
    }
    let standing = |site: &SiteName, path: &str| marks.standing(&scope(site, path), Seq::ZERO, begun);
    assert_eq!(standing(&flooding, "/other"), Standing::Hard, "nobody knows any more");
    assert_eq!(standing(&quiet, "/other"), Standing::Live);
    assert_eq!(standing(&quiet, "/changed"), Standing::Hard);
    // A fill from before is stored, and held against what its own site has seen.
    let memory = Memory::new(ByteSize::mib(1));
    for (key, site) in [(1, &flooding), (2, &quiet)] {
        let object = Object::new((), Bytes::new(), scope(site, "/other"), late.begun.applied, late.begun.local);
        memory.insert(key, Arc::new(object), &late).unwrap();
    }
    sweep(&memory, &marks);
    let standing_of = |key| memory.get(key).map(|object| marks.standing_of(&object));
    assert_eq!((standing_of(1), standing_of(2)), (None, Some(Standing::Live)));
    drop(late);
    sweep(&memory, &marks);
    assert!(marks.is_empty());
    assert_eq!(standing_of(2), Some(Standing::Live));
}

#[test]
fn a_long_download_holds_back_a_bounded_number_of_marks() {
    let (marks, memory) = (Marks::new(), Memory::new(ByteSize::mib(1)));
    let object =
        |guard: &FillGuard| Arc::new(Object::new((), Bytes::new(), scope(0), guard.begun.applied, guard.begun.local));
    let (ten_hours, mut seq) = (marks.begin_fill(), 0);
    let mut purge = |count| {
        for _ in 0..count {
            seq += 1;
            let selector = Selector::Url { host: "h".into(), path: format!("/{seq}"), query: None };
            marks.apply(&entry(seq, selector, PurgeMode::Hard));
        }
    };
    purge(100);
    sweep(&memory, &marks);
    assert_eq!(marks.len(), 200, "two ids each");
    assert!(ten_hours.admits(ten_hours.begun.applied));
    purge(300);
    let recent = marks.begin_fill();
    purge(10);
    assert!(!marks.presses());
    sweep(&memory, &marks);
    assert!((400..=500).contains(&marks.len()), "{}", marks.len());
    assert_eq!(memory.insert(0, object(&ten_hours), &ten_hours), Err(crate::memory::Refused::BelowFloor));
    assert_eq!(marks.standing(&scope(0), ten_hours.begun.applied, ten_hours.begun.local), Standing::Hard);
    memory.insert(1, object(&recent), &recent).unwrap();
    drop(ten_hours);
    sweep(&memory, &marks);
    assert_eq!(marks.len(), 20, "what the recent one needs");
    drop(recent);
    purge(501);
    assert!(marks.presses());
    sweep(&memory, &marks);
    assert!(marks.is_empty());
}

#[test]
fn which_sweep_is_due() {
    let marks = Marks::new();
    let due = || (marks.needs_sweep(true), marks.needs_sweep(false));
    let own = site("s");
    let invalidate = |index: usize| {
        marks.invalidate(&[Changed::Group { site: &own, origin: "http://h", group: &index.to_string() }]);
    };
    assert_eq!(due(), (SweepNeed::Nothing, SweepNeed::Nothing));
    invalidate(0);
    assert_eq!(due(), (SweepNeed::Memory, SweepNeed::Everything));
    assert_eq!(due(), (SweepNeed::Nothing, SweepNeed::Everything), "nothing new for the memory");
    (1..DISK_SWEEP_MARKS).for_each(invalidate);
    assert_eq!(due(), (SweepNeed::Everything, SweepNeed::Everything));
    marks.end_sweep(marks.begin_sweep());
    assert_eq!(due(), (SweepNeed::Nothing, SweepNeed::Nothing));
    let guard = marks.begin_fill();
    (0..DISK_SWEEP_MARKS).for_each(invalidate);
    assert_eq!(marks.needs_sweep(true), SweepNeed::Memory, "a fill under way holds them back");
    drop(guard);
    assert_eq!(marks.needs_sweep(true), SweepNeed::Everything);
}

#[test]
fn what_was_read_from_disk_before_a_sweep_is_not_served_after_it() {
    let marks = Marks::new();
    let read = Object::new((), Bytes::new(), scope(0), Seq::ZERO, Local(0));
    assert_eq!(marks.standing_of(&read), Standing::Live);
    let (early, soft) = (Object::new((), Bytes::new(), scope(0), Seq::ZERO, Local(0)), Selector::Tag("low".into()));
    marks.apply(&entry(1, soft, PurgeMode::Soft));
    assert!(matches!(marks.standing_of(&early), Standing::Soft { .. }));
    assert!(!marks.keeps_on_disk(&scope(0), Seq::ZERO, Local(0)), "its mark is about to go");
    assert!(marks.keeps_on_disk(&scope(5), Seq::ZERO, Local(0)));
    marks.end_sweep(marks.begin_sweep());
    let late = Object::new((), Bytes::new(), scope(0), Seq::ZERO, Local(0));
    assert_eq!(marks.standing_of(&late), Standing::Hard, "nobody knows any more");
    assert!(matches!(marks.standing_of(&early), Standing::Soft { .. }), "it knows itself");
}
