//! What a journal keeps over a kill, a torn end, damage, and a disk that fails.

use std::collections::BTreeMap;

use holm_model::ids::{LogId, Seq, SiteName};
use holm_model::purge::{PurgeEntry, PurgeMode, Selector};
use holm_model::units::Timestamp;

use super::*;
use crate::marks::inner::Scalars;
use crate::marks::purges::Mark;
use crate::marks::{Changed, Followed, Local, Marks, Opened, Standing};
use crate::scope::{MarkId, Scope};

fn site() -> SiteName {
    "s".parse().unwrap()
}

fn scope(path: &str) -> Scope {
    Scope::new(&site(), "h", path, None, &["t"])
}

fn purge(seq: u64, path: &str, mode: PurgeMode) -> PurgeEntry {
    let selector = Selector::Url { host: "h".into(), path: path.into(), query: None };
    PurgeEntry { seq: Seq::new(seq), site: site(), selector, mode, time: Timestamp::from_secs(seq) }
}

fn url<'a>(site: &'a SiteName, path: &'a str) -> Changed<'a> {
    Changed::Url { site, host: "h", path, query: None }
}

fn log(id: u8) -> LogId {
    LogId::from_bytes([id; 16])
}

fn quiet() -> OnAlert {
    Arc::new(|alert| panic!("{alert}"))
}

fn open(folder: &Path) -> Opened {
    Marks::open(folder, quiet()).unwrap()
}

/// A folder as it would be found if the process that has this one open were killed now.
fn killed(folder: &Path) -> tempfile::TempDir {
    let found = tempfile::tempdir().unwrap();
    if let Ok(bytes) = fs::read(folder.join(FILE)) {
        fs::write(found.path().join(FILE), bytes).unwrap();
    }
    found
}

/// Marks that vouch for what is stored, and follow a log.
fn begun(folder: &Path) -> Arc<Marks> {
    let Opened { marks, known } = open(folder);
    assert!(!known, "nobody knows what a disk without a journal holds");
    marks.vouch();
    assert_eq!(marks.follow(log(1), Seq::ZERO, Seq::ZERO), Followed::From(Seq::ZERO));
    marks
}

type Kept = (Scalars, BTreeMap<u64, Mark>, BTreeMap<u64, (u64, BTreeMap<u64, u64>)>);

/// All that must outlive a process.
fn kept(marks: &Marks) -> Kept {
    let inner = marks.inner.read();
    let purges = inner.purges.iter().map(|(id, mark)| (MarkId::raw(id), mark)).collect();
    let sites = inner.local.sites().map(|site| {
        let marks = site.marks.iter().map(|(id, at)| (id.raw(), *at)).collect();
        (site.site.raw(), (site.forgotten, marks))
    });
    (inner.scalars, purges, sites.collect())
}

#[test]
fn a_killed_process_loses_nothing() {
    let (folder, own) = (tempfile::tempdir().unwrap(), site());
    let marks = begun(folder.path());
    let check = |what: &str| {
        let found = killed(folder.path());
        let again = open(found.path());
        assert!(again.known, "{what}");
        assert_eq!(kept(&again.marks), kept(&marks), "{what}");
        assert!(again.marks.local() > marks.local(), "{what}: no count comes again");
        assert_eq!(again.marks.applied(), marks.applied(), "{what}");
    };
    check("nothing yet");
    marks.apply_all(&(1..=300).map(|seq| purge(seq, &format!("/{}", seq % 50), PurgeMode::Hard)).collect::<Vec<_>>());
    check("a batch");
    marks.apply(&purge(301, "/soft", PurgeMode::Soft));
    marks.apply(&purge(302, "/soft", PurgeMode::Soft));
    marks.apply(&PurgeEntry {
        selector: Selector::Prefix { host: None, path: "/x".into() },
        ..purge(303, "", PurgeMode::Hard)
    });
    check("a soft one, and a prefix");
    marks.invalidate(&[url(&own, "/x"), Changed::Group { site: &own, origin: "http://h", group: "g" }]);
    marks.invalidate(&[]);
    assert!(marks.invalidate_but(&[url(&own, "/y")], &scope("/y"), marks.local()).is_some());
    check("changes");
    let (guard, early) = (marks.begin_fill(), marks.begin_sweep());
    marks.apply(&purge(304, "/late", PurgeMode::Hard));
    marks.end_sweep(early);
    check("a sweep");
    drop(guard);
    assert_eq!(marks.follow(log(2), Seq::new(7), Seq::new(1)), Followed::Anew(Seq::new(7)));
    check("another log");
    marks.apply(&purge(8, "/z", PurgeMode::Hard));
    check("and on");
}

#[test]
fn where_a_log_is_followed_from() {
    let check = |then: LogId, head: u64, oldest: u64, expected: Followed| {
        let folder = tempfile::tempdir().unwrap();
        let marks = begun(folder.path());
        marks.apply_all(&(1..=5).map(|seq| purge(seq, "/a", PurgeMode::Hard)).collect::<Vec<_>>());
        let (seq, local) = (marks.applied(), marks.local());
        drop(marks);
        let marks = open(folder.path()).marks;
        let followed = marks.follow(then, Seq::new(head), Seq::new(oldest));
        assert_eq!(followed, expected, "{then} {head} {oldest}");
        let dropped = matches!(followed, Followed::Anew(_));
        for again in [None, Some(killed(folder.path()))] {
            let marks = again.as_ref().map_or_else(|| Arc::clone(&marks), |found| open(found.path()).marks);
            let standing = marks.standing_on_disk(&scope("/b"), seq, local);
            assert_eq!(standing == Standing::Hard, dropped, "{then} {head} {oldest}");
        }
    };
    let (from, anew) = (|seq| Followed::From(Seq::new(seq)), |seq| Followed::Anew(Seq::new(seq)));
    check(log(1), 5, 1, from(5));
    check(log(1), 9, 1, from(5));
    check(log(1), 9, 6, from(5));
    check(log(1), 9, 7, anew(9));
    // Its backup was restored.
    check(log(1), 4, 1, anew(4));
    check(log(2), 5, 1, anew(5));
    check(log(2), 0, 0, anew(0));
}

#[test]
fn what_is_unknown_stays_so_until_the_caller_has_cleared_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).marks);
    let opened = open(folder.path());
    assert!(!opened.known);
    opened.marks.vouch();
    drop(opened);
    assert!(open(folder.path()).known);
    let in_use = open(folder.path());
    assert!(matches!(Marks::open(folder.path(), quiet()), Err(JournalError::InUse { .. })));
    drop(in_use);
}

#[test]
fn damage_costs_the_end_or_everything() {
    let (folder, own) = (tempfile::tempdir().unwrap(), site());
    let marks = begun(folder.path());
    marks.apply_all(&[purge(1, "/a", PurgeMode::Hard), purge(2, "/b", PurgeMode::Soft)]);
    marks.invalidate(&[url(&own, "/a")]);
    marks.apply(&purge(3, "/c", PurgeMode::Hard));
    let bytes = fs::read(folder.path().join(FILE)).unwrap();
    let read = |bytes: &[u8]| format::recover(bytes).map(|inner| inner.scalars.applied.get());
    assert_eq!(read(&bytes), Some(3));
    let mut known = 0;
    for length in 0..bytes.len() {
        let found = read(&bytes[..length]);
        known = known.max(found.unwrap_or_default());
        assert!(found.unwrap_or_default() == known, "a longer beginning says no less: {length}");
    }
    assert_eq!(known, 2, "the last entry was never whole");
    for at in 0..bytes.len() {
        for bit in [0x01, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= bit;
            // All but the last entry is followed by something, so its damage is no torn end.
            assert!(matches!(read(&damaged), None | Some(2)), "{at}");
        }
    }
    let mut longer = bytes.clone();
    longer.extend_from_slice(&[0xb7, 0x4d, 5, 0xff, 0xff, 0xff, 0x7f, 0]);
    assert_eq!(read(&longer), Some(3), "a length from the disk is not believed");
}

#[test]
fn a_journal_does_not_outgrow_its_marks() {
    let (folder, own) = (tempfile::tempdir().unwrap(), site());
    let marks = begun(folder.path());
    let size = || fs::metadata(folder.path().join(FILE)).map_or(0, |metadata| metadata.len());
    let mut written = 0;
    for seq in 1.. {
        marks.apply(&purge(seq, "/same", PurgeMode::Hard));
        marks.invalidate(&[url(&own, "/same")]);
        written += 200;
        // It is written anew behind our back.
        if written > 20 * MIN_GROWTH as u64 && size() < 2 * MIN_GROWTH as u64 {
            break;
        }
        if written > 5 * MIN_GROWTH as u64 {
            std::thread::yield_now();
        }
    }
    assert!(marks.flush());
    let found = killed(folder.path());
    assert_eq!(kept(&open(found.path()).marks), kept(&marks));
}

#[test]
fn a_journal_that_fails_is_erased_and_made_anew() {
    fails_and_is_made_anew(Duration::ZERO);
}

/// Nothing else would wake its thread.
#[test]
fn a_journal_that_fails_while_it_is_idle_is_made_anew() {
    fails_and_is_made_anew(2 * SYNC_WITHIN);
}

/// After so long without a change.
fn fails_and_is_made_anew(idle: Duration) {
    let (folder, own) = (tempfile::tempdir().unwrap(), site());
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    drop(begun(folder.path()));
    let alert: OnAlert = Arc::new(move |alert: JournalAlert| tell.lock().push((alert.action, alert.erased)));
    let marks = Marks::open(folder.path(), alert).unwrap().marks;
    let shared = &marks.journal.as_ref().unwrap().shared;
    std::thread::sleep(idle);
    // Nothing can be written through it.
    let broken = File::open(folder.path().join(FILE)).unwrap();
    {
        let mut writer = shared.writer.lock();
        writer.file = Some(Arc::new(broken));
    }
    {
        // The thread waits for this lock before it makes a new one.
        let mut turn = marks.turn().unwrap();
        turn.append(|out| format::changes(out, 1, &[]));
        assert_eq!(*told.lock(), [("write to", true)]);
        let found = killed(folder.path());
        assert!(!open(found.path()).known, "no restart believes it");
    }
    let count = marks.invalidate(&[url(&own, "/a")]);
    assert_eq!(marks.standing(&scope("/a"), Seq::ZERO, Local(count.0 - 1)), Standing::Hard);
    while shared.writer.lock().file.is_none() {
        std::thread::yield_now();
    }
    let found = killed(folder.path());
    let again = open(found.path());
    assert!(again.known);
    assert_eq!(kept(&again.marks), kept(&marks));
}
