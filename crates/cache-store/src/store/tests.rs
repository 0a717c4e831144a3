use std::task::{Context, Waker};

use bytes::Bytes;
use futures_executor::block_on;
use holm_model::disk::DiskPlace;
use holm_model::ids::{LogId, Seq, SiteName};
use holm_model::purge::{PurgeEntry, PurgeMode, Selector};
use holm_model::units::Timestamp;
use tempfile::TempDir;

use super::*;
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

    /// What is found, if anything: its content, and how the purges leave it.
    fn find(&self, key: u128) -> Option<(u64, Standing)> {
        let object = block_on(self.store.find(key))?;
        assert_eq!(object.body(), format!("body of {key}"), "another key's");
        Some((*object.meta(), self.store.marks().standing_of(&object)))
    }

    /// Objects leave memory.
    fn forget(&self, key: u128) {
        self.store.memory.remove(key);
    }
}

fn open(dir: &TempDir) -> Store<u64> {
    let path = dir.path().join("segments");
    let places = vec![DiskPlace { path, offset: 0, size: ByteSize::mib(64) }];
    let alert = Arc::new(|alert: StoreAlert| panic!("nothing fails here: {alert}"));
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
    let scope = Scope::new(&site(), "h", &format!("/{key}"), None, &[]);
    let body = Bytes::from(format!("body of {key}"));
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
fn what_is_on_disk_outlives_memory_and_the_process() {
    let fixture = Fixture::new();
    fixture.insert(1, 11, DiskAdmission::Always);
    fixture.forget(1);
    assert_eq!(fixture.find(1), Some((11, Standing::Live)));
    assert!(fixture.store.get(1).is_some(), "what was read has a place in memory");
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
    assert!(fixture.store.get(1).is_none(), "what is purged gets no place in memory");
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
fn another_log_empties_the_store() {
    let fixture = Fixture::new();
    fixture.insert(1, 1, DiskAdmission::Always);
    fixture.store.marks().follow(LogId::from_bytes([8; 16]), Seq::ZERO, Seq::ZERO);
    assert!(!matches!(fixture.find(1), Some((_, Standing::Live))), "before it is cleared");
    fixture.store.clear();
    assert_eq!(fixture.find(1), None);
}

#[test]
fn what_is_read_from_disk_takes_no_newer_ones_place() {
    let check = |meanwhile: &dyn Fn(&Fixture), expected: Option<(u64, Standing)>| {
        let fixture = Fixture::new();
        fixture.insert(1, 1, DiskAdmission::Always);
        fixture.store.flush();
        fixture.store.forget_memory();
        let mut reading = std::pin::pin!(fixture.store.find(1));
        let polled = reading.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        meanwhile(&fixture);
        if polled.is_pending() {
            block_on(reading);
        }
        assert_eq!(fixture.store.get(1).map(|object| *object.meta()), expected.map(|(content, _)| content));
        assert_eq!(fixture.find(1), expected);
    };
    check(&|_| {}, Some((1, Standing::Live)));
    check(&|fixture| fixture.insert(1, 2, DiskAdmission::Always), Some((2, Standing::Live)));
    check(&|fixture| fixture.insert(1, 2, DiskAdmission::Never), Some((2, Standing::Live)));
    check(&|fixture| fixture.store.remove(1), None);
}

#[test]
fn what_was_replaced_since_its_look_up_does_not_go_to_disk() {
    let check = |meanwhile: &dyn Fn(&Fixture)| {
        let fixture = Fixture::new();
        fixture.insert(1, 1, DiskAdmission::Never);
        let found = fixture.store.get(1).expect("it is in memory");
        meanwhile(&fixture);
        fixture.store.used(1, &found, DiskAdmission::Always);
        fixture.store.forget_memory();
        assert_eq!(fixture.find(1), None);
    };
    check(&|fixture| fixture.insert(1, 2, DiskAdmission::Never));
    check(&|fixture| fixture.store.remove(1));
}

#[test]
fn what_the_disk_refuses_is_not_said_to_be_there() {
    let fixture = Fixture::new();
    let body = Bytes::from(vec![0; crate::disk::MAX_RECORD_BODY + 1]);
    let scope = Scope::new(&site(), "h", "/1", None, &[]);
    let object = Arc::new(Object::new(1, body, scope, Seq::ZERO, fixture.store.marks().local()));
    assert!(!block_on(fixture.store.spill(1, &object)));
    assert!(!object.is_on_disk() && !fixture.store.on_disk(1));
}
