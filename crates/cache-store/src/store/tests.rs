//! The store as a whole: memory and disk hold the same, under the same purges.

use std::pin::pin;
use std::task::Waker;

use bytes::Bytes;
use futures_executor::block_on;
use holm_model::disk::DiskPlace;
use holm_model::ids::{LogId, Seq, SiteName};
use holm_model::purge::{PurgeEntry, PurgeMode, Selector};
use holm_model::units::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::disk::DiskAlert;
use crate::marks::Standing;

const MEMORY: ByteSize = ByteSize::mib(16);

/// A store on a disk of its own, under one log.
struct Fixture {
    dir: TempDir,
    store: Store<u64>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(&dir);
        Self { dir, store }
    }

    /// Memory is lost, what is on disk stays.
    fn restart(self) -> Self {
        let Self { dir, store } = self;
        store.close();
        drop(store);
        let store = open(&dir);
        Self { dir, store }
    }

    fn insert(&self, key: u128, content: u64, admission: DiskAdmission) {
        let guard = self.store.marks().begin_fill();
        let object = object(key, content, self.store.marks());
        self.store.insert(key, object, &guard, admission).expect("it fits");
    }

    fn purge(&self, key: u128, mode: PurgeMode) {
        let seq = self.store.marks().applied().next();
        let selector = Selector::Url { host: "h".into(), path: format!("/{key}"), query: None };
        self.store.marks().apply(&PurgeEntry { seq, site: site(), selector, mode, time: Timestamp::from_secs(9) });
    }

    /// It was read from disk lately: what is read again is to have a place in memory.
    fn read_lately(&self, key: u128) {
        while !self.store.read_lately.seen(key) {}
        self.store.read_lately.seen(key);
    }

    /// What is found, if anything: its content, and how the purges leave it. It gets a place in memory if it may.
    fn find(&self, key: u128) -> Option<(u64, Standing)> {
        self.read_lately(key);
        let object = block_on(self.store.find(key))?;
        assert_eq!(object.body(), format!("body of {key}"), "another key's");
        Some((*object.meta(), self.store.marks().standing_of(&object)))
    }

    fn content(&self, key: u128) -> Option<u64> {
        self.find(key).map(|(content, _)| content)
    }

    /// Objects leave memory.
    fn forget(&self, key: u128) {
        self.store.memory.remove(key);
    }
}

fn open(dir: &TempDir) -> Store<u64> {
    let path = dir.path().join("segments");
    let places = vec![DiskPlace { path, offset: 0, size: ByteSize::mib(64) }];
    let alert = Arc::new(|alert: StoreAlert| match alert {
        StoreAlert::Disk(DiskAlert::Failed { error, .. }) if error.contains("os error 5") => {}
        alert => panic!("nothing else fails here: {alert}"),
    });
    let store = Store::open(MEMORY, places, dir.path(), alert).expect("a store");
    // The log has nothing that was not applied here.
    let applied = store.marks().applied();
    store.marks().follow(LogId::from_bytes([7; 16]), applied, Seq::ZERO);
    store
}

fn site() -> SiteName {
    "site".parse().expect("a name")
}

fn object(key: u128, content: u64, marks: &Marks) -> Arc<Object<u64>> {
    with_body(key, content, Bytes::from(format!("body of {key}")), marks)
}

fn sized(key: u128, len: usize, marks: &Marks) -> Arc<Object<u64>> {
    with_body(key, 0, Bytes::from(vec![7; len]), marks)
}

fn with_body(key: u128, content: u64, body: Bytes, marks: &Marks) -> Arc<Object<u64>> {
    let scope = Scope::new(&site(), "h", &format!("/{key}"), None, &[]);
    Arc::new(Object::new(content, body, scope, marks.applied(), marks.local()))
}

#[test]
fn what_is_asked_for_twice_goes_to_disk() {
    let fixture = Fixture::new();
    let check = |key: u128, expected: bool, when: &str| assert_eq!(fixture.store.on_disk(key), expected, "{when}");
    let used = |key: u128, admission| {
        let object = fixture.store.get(key).expect("it is in memory");
        fixture.store.used(key, &object, admission);
    };
    fixture.insert(1, 1, DiskAdmission::SecondRequest);
    check(1, false, "one request");
    used(1, DiskAdmission::SecondRequest);
    check(1, true, "a hit in memory is the second");

    fixture.insert(2, 1, DiskAdmission::SecondRequest);
    fixture.forget(2);
    fixture.insert(2, 1, DiskAdmission::SecondRequest);
    check(2, true, "the second miss");

    fixture.insert(3, 1, DiskAdmission::Always);
    check(3, true, "at once");

    fixture.insert(4, 1, DiskAdmission::Never);
    used(4, DiskAdmission::Never);
    check(4, false, "never");
}

#[test]
fn what_an_admission_comes_to_is_decided_once() {
    let fixture = Fixture::new();
    let check = |key: u128, admission: DiskAdmission, expected: DiskAdmission, what: &str| {
        let object = object(key, 1, fixture.store.marks());
        assert_eq!(fixture.store.decides(key, &object, admission), expected, "{what}");
        // As it is stored then, whoever has waited for the disk or not.
        fixture.store.insert(key, object, &fixture.store.marks().begin_fill(), expected).expect("it fits");
        assert_eq!(fixture.store.on_disk(key), expected == DiskAdmission::Always, "{what}");
    };
    check(1, DiskAdmission::SecondRequest, DiskAdmission::Never, "a first request");
    check(1, DiskAdmission::SecondRequest, DiskAdmission::Always, "a second one");
    check(1, DiskAdmission::SecondRequest, DiskAdmission::Always, "in place of what is on disk");
    check(1, DiskAdmission::Never, DiskAdmission::Never, "the rule has changed");
    check(2, DiskAdmission::Always, DiskAdmission::Always, "at once");
}

#[test]
fn what_was_spilled_is_written_once() {
    let fixture = Fixture::new();
    let object = object(1, 1, fixture.store.marks());
    assert!(block_on(fixture.store.spill(1, &object)));
    let guard = fixture.store.marks().begin_fill();
    fixture.store.insert(1, Arc::clone(&object), &guard, DiskAdmission::Always).expect("it fits");
    fixture.store.used(1, &object, DiskAdmission::Always);
    assert!(object.is_on_disk());
    fixture.store.flush();
    assert_eq!(fixture.store.stats().disk.map(|disk| disk.written), Some(1));
}

#[test]
fn what_is_on_disk_outlives_memory_and_the_process() {
    let fixture = Fixture::new();
    fixture.insert(1, 11, DiskAdmission::Always);
    fixture.forget(1);
    let read = || block_on(fixture.store.find(1)).map(|object| *object.meta());
    assert_eq!((read(), fixture.store.get(1).is_some()), (Some(11), false), "once may be all");
    assert_eq!((read(), fixture.store.get(1).is_some()), (Some(11), true), "what is read again has a place in memory");
    fixture.insert(2, 22, DiskAdmission::Never);
    let fixture = fixture.restart();
    assert_eq!((fixture.find(1), fixture.find(2)), (Some((11, Standing::Live)), None));
}

#[test]
fn a_newer_object_takes_the_place_on_disk() {
    let fixture = Fixture::new();
    fixture.insert(1, 1, DiskAdmission::Always);
    fixture.insert(1, 2, DiskAdmission::SecondRequest);
    fixture.forget(1);
    assert_eq!(fixture.find(1), Some((2, Standing::Live)), "what is on disk has earned its place");
    fixture.store.remove(1);
    assert_eq!(fixture.find(1), None);
    assert_eq!(fixture.restart().find(1), None);
}

#[test]
fn what_the_disk_refuses_is_not_said_to_be_there() {
    let fixture = Fixture::new();
    let check = |len: usize, expected: bool| {
        let object = sized(1, len, fixture.store.marks());
        assert_eq!(block_on(fixture.store.spill(1, &object)), expected, "{len} bytes");
        assert_eq!((object.is_on_disk(), fixture.store.on_disk(1)), (expected, expected), "{len} bytes");
    };
    check(2 << 20, false);
    check(1 << 20, true);
}

#[test]
fn what_memory_has_no_room_for_leaves_nothing_older_there() {
    let fixture = Fixture::new();
    let check = |key: u128, len: usize, admission, stored: bool| {
        fixture.insert(key, 1, DiskAdmission::Always);
        let guard = fixture.store.marks().begin_fill();
        let inserted = fixture.store.insert(key, sized(key, len, fixture.store.marks()), &guard, admission);
        assert_eq!(inserted, if stored { Ok(()) } else { Err(Refused::TooLarge) }, "{len}, {admission:?}");
        assert!(fixture.store.get(key).is_none(), "{len}, {admission:?}");
        let found = block_on(fixture.store.find(key)).map(|object| object.body_len());
        assert_eq!(found, stored.then_some(len), "{len}, {admission:?}");
    };
    check(1, 1 << 20, DiskAdmission::SecondRequest, true);
    check(2, 1 << 20, DiskAdmission::Never, false);
    check(3, 2 << 20, DiskAdmission::Always, false);
}

#[test]
fn what_is_never_for_disk_takes_the_former_one_from_it() {
    let fixture = Fixture::new();
    fixture.insert(1, 1, DiskAdmission::Always);
    fixture.insert(1, 2, DiskAdmission::Never);
    assert!(!fixture.store.on_disk(1));
    assert_eq!(fixture.find(1), Some((2, Standing::Live)));
}

/// Keys that stand beside one another differ in a few bits of their high halves.
#[test]
fn keys_that_stand_beside_one_another_have_places_of_their_own_on_disk() {
    let fixture = Fixture::new();
    let [key, aside] = [5, 5 ^ 3 << 120];
    let check = |expected: [Option<u64>; 2], when: &str| {
        [key, aside].iter().for_each(|key| fixture.forget(*key));
        assert_eq!([key, aside].map(|key| fixture.find(key).map(|(content, _)| content)), expected, "{when}");
    };
    fixture.insert(key, 1, DiskAdmission::Always);
    fixture.insert(aside, 2, DiskAdmission::Always);
    check([Some(1), Some(2)], "both are stored");
    fixture.insert(aside, 3, DiskAdmission::Never);
    fixture.store.remove(aside);
    check([Some(1), None], "one is removed");
    fixture.insert(aside, 4, DiskAdmission::Always);
    fixture.store.remove(key);
    check([None, Some(4)], "the other one is");
}

/// How what is stored under a key changes.
type Change = fn(&Fixture);

#[test]
fn what_is_read_does_not_come_back_over_what_has_changed_meanwhile() {
    let check = |change: Change, expected: Option<u64>, what: &str| {
        let fixture = Fixture::new();
        fixture.insert(1, 1, DiskAdmission::Always);
        fixture.forget(1);
        fixture.read_lately(1);
        let mut found = pin!(fixture.store.find(1));
        let begun = found.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        change(&fixture);
        // What is not written yet is found at once.
        if begun.is_pending() {
            assert_eq!(block_on(found).map(|object| *object.meta()), Some(1), "{what}");
        }
        assert_eq!(fixture.store.get(1).map(|object| *object.meta()).or(fixture.content(1)), expected, "{what}");
    };
    check(|_| (), Some(1), "nothing");
    check(|fixture| fixture.insert(1, 2, DiskAdmission::Always), Some(2), "another");
    check(|fixture| fixture.store.remove(1), None, "removed");
    check(|fixture| fixture.store.clear(), None, "cleared");
}

#[test]
fn an_object_is_read_once_however_many_look_for_it() {
    let fixture = Fixture::new();
    let object = sized(1, 64 << 10, fixture.store.marks());
    fixture.store.insert(1, object, &fixture.store.marks().begin_fill(), DiskAdmission::Always).expect("it fits");
    let fixture = fixture.restart();
    let mut context = Context::from_waker(Waker::noop());
    let finds: Vec<_> = (0..1000).map(|_| Box::pin(fixture.store.find(1))).collect();
    let mut waiting: Vec<_> = finds.into_iter().map(|mut find| (find.as_mut().poll(&mut context), find)).collect();
    // Those that give up leave it to the others.
    waiting.drain(..500);
    let found: Vec<_> = waiting
        .into_iter()
        .map(|(polled, find)| match polled {
            Poll::Ready(found) => found.expect("it is there"),
            Poll::Pending => block_on(find).expect("it is there"),
        })
        .collect();
    assert!(found.iter().all(|object| Arc::ptr_eq(object, &found[0])));
    assert_eq!(fixture.store.stats().disk.map(|disk| disk.shed), Some(0));
}

#[test]
fn what_has_left_memory_is_not_written_when_it_is_used() {
    let fixture = Fixture::new();
    let check = |change: Change, expected: Option<u64>, what: &str| {
        fixture.insert(1, 1, DiskAdmission::Never);
        let object = fixture.store.get(1).expect("it is in memory");
        change(&fixture);
        fixture.store.used(1, &object, DiskAdmission::Always);
        fixture.forget(1);
        assert_eq!(fixture.content(1), expected, "{what}");
    };
    check(|_| (), Some(1), "nothing");
    check(|fixture| fixture.insert(1, 2, DiskAdmission::Always), Some(2), "another");
    check(|fixture| fixture.store.remove(1), None, "removed");
}

#[test]
fn purges_hold_on_disk_and_after_a_restart() {
    let fixture = Fixture::new();
    for key in 1..=3 {
        fixture.insert(key, 1, DiskAdmission::Always);
    }
    fixture.purge(1, PurgeMode::Hard);
    fixture.purge(2, PurgeMode::Soft);
    let fixture = fixture.restart();
    let since = Timestamp::from_secs(9);
    assert_eq!(fixture.find(1).map(|(_, standing)| standing), Some(Standing::Hard));
    assert!(!fixture.store.contains(1), "what is purged gets no place in memory, and loses that on disk");
    assert_eq!(fixture.find(2), Some((1, Standing::Soft { since })));
    assert_eq!(fixture.find(3), Some((1, Standing::Live)));
}

#[test]
fn a_sweep_reaches_the_disk_before_marks_go() {
    let fixture = Fixture::new();
    let marks = u128::try_from(crate::marks::DISK_SWEEP_MARKS).expect("a number");
    fixture.insert(0, 1, DiskAdmission::Always);
    fixture.insert(marks + 1, 1, DiskAdmission::Always);
    for key in 0..=marks {
        fixture.purge(key, PurgeMode::Hard);
    }
    fixture.store.sweep();
    assert!(fixture.store.marks().is_empty());
    assert!(!fixture.store.on_disk(0));
    let fixture = fixture.restart();
    assert_eq!(fixture.find(0), None);
    assert_eq!(fixture.find(marks + 1), Some((1, Standing::Live)), "what no purge concerns stays");
}

#[test]
fn a_dead_disk_holds_no_marks_back_and_is_not_believed_again() {
    let fixture = Fixture::new();
    let marks = u128::try_from(crate::marks::DISK_SWEEP_MARKS).expect("a number");
    fixture.insert(0, 1, DiskAdmission::Always);
    fixture.insert(marks + 1, 1, DiskAdmission::Always);
    let disk = fixture.store.disk.as_ref().expect("a disk");
    assert!(disk.flush());
    disk.fail_writes();
    (0..=marks).for_each(|key| fixture.purge(key, PurgeMode::Hard));
    let swept = |_| {
        fixture.store.sweep();
        std::thread::yield_now();
        fixture.store.marks().is_empty()
    };
    assert!((0..100_000).any(swept), "the place is out, and the marks go");
    let fixture = fixture.restart();
    assert_eq!((fixture.find(0), fixture.find(marks + 1)), (None, None));
    fixture.insert(1, 1, DiskAdmission::Always);
    assert_eq!(fixture.restart().content(1), Some(1), "what is stored from then on is believed");
}

#[test]
fn nothing_goes_to_disk_that_a_restart_could_not_judge() {
    let fixture = Fixture::new();
    fixture.insert(1, 1, DiskAdmission::Always);
    fixture.store.marks().go_astray();
    fixture.insert(1, 2, DiskAdmission::Always);
    assert!(!fixture.store.on_disk(1));
    assert_eq!(fixture.content(1), Some(2));
    assert!(!block_on(fixture.store.spill(2, &object(2, 1, fixture.store.marks()))));
    assert!(!fixture.store.on_disk(2));
}

#[test]
fn another_log_empties_the_store() {
    let fixture = Fixture::new();
    fixture.insert(1, 1, DiskAdmission::Always);
    fixture.store.marks().follow(LogId::from_bytes([8; 16]), Seq::ZERO, Seq::ZERO);
    assert!(!matches!(fixture.find(1), Some((_, Standing::Live))), "before it is cleared");
    fixture.store.clear();
    assert_eq!(fixture.find(1), None);
}
