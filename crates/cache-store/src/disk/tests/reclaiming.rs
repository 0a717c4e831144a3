//! Reclaiming and sweeping: what makes room, what stays, what is judged.

use std::collections::HashSet;

use super::*;

#[test]
fn what_is_read_stays_and_what_is_not_goes() {
    let rig = Rig::in_memory(&[ByteSize::mib(4)]);
    let disk = rig.open();
    // Twelve that are read again and again, while thrice as much as there is room for goes by.
    (0..12).for_each(|n| assert!(disk.offer(record(n, 1, 8000, stamp(3, n)))));
    for n in 100..1600 {
        assert!(wait(disk.write(record(n, 1, 8000, stamp(3, 50)))));
        if n.is_multiple_of(10) {
            disk.flush();
            (0..12).for_each(|n| assert_eq!(read(&disk, n), Some(record(n, 1, 8000, stamp(3, n))), "{n}"));
        }
    }
    disk.flush();
    let stats = disk.stats();
    assert!(stats.reinserted >= 24, "{stats:?}");
    assert!(stats.reclaimed > 900, "{stats:?}");
    assert_eq!((stats.written, stats.refused), (1512, 0));
    assert_eq!(stats.objects + stats.reclaimed, 1512);
    assert!(stats.bytes <= stats.capacity && stats.bytes > stats.capacity / 2, "{stats:?}");
    let newest = (1500..1600).filter(|n| disk.contains(key(*n))).count();
    assert_eq!(newest, 100);
    drop(disk);
    let disk = rig.open();
    (0..12).for_each(|n| assert_eq!(read(&disk, n), Some(record(n, 1, 8000, stamp(3, n))), "{n}"));
}

#[test]
fn an_index_that_is_full_drops_the_oldest_early() {
    let limit = ByteSize::kib(48);
    let rig = Rig::in_memory(&[ByteSize::mib(16)]);
    let disk = Disk::open(DiskConfig { index: limit, ..rig.config() }).unwrap();
    let accepted = (0..20_000)
        .filter(|n| {
            let accepted = disk.offer(record(*n, 1, 100, ZERO));
            if n % 200 == 0 {
                disk.flush();
            }
            accepted
        })
        .max();
    disk.flush();
    let stats = disk.stats();
    // Tables of a few entries are not filled as evenly as large ones.
    assert!(stats.index_bytes <= limit.get() * 3 / 2 && stats.objects > 400, "{stats:?}");
    assert!(stats.refused > 0 && stats.reclaimed > 0, "{stats:?}");
    assert!(accepted > Some(19_000) && accepted.is_some_and(|n| read(&disk, n).is_some()), "it goes on");
    assert!(matches!(rig.alerts()[..], [DiskAlert::IndexFull { .. }]));
}

#[test]
fn what_is_in_use_elsewhere_stays() {
    let rig = Rig::in_memory(&[ByteSize::mib(4)]);
    let in_use: HashSet<u128> = (0..12).map(key).collect();
    let disk = Disk::open(DiskConfig { in_use: Arc::new(move |key| in_use.contains(&key)), ..rig.config() }).unwrap();
    for n in 0..1600 {
        assert!(wait(disk.write(record(n, 1, 8000, ZERO))));
    }
    disk.flush();
    let kept: Vec<_> = (0..1000).filter(|n| disk.contains(key(*n))).collect();
    assert_eq!(kept, (0..12).collect::<Vec<_>>());
}

#[test]
fn what_all_is_read_shares_half_of_the_room() {
    let rig = Rig::in_memory(&[ByteSize::mib(4)]);
    let disk = rig.open();
    for n in 0..1200 {
        assert!(wait(disk.write(record(n, 1, 8000, ZERO))));
        if n.is_multiple_of(20) {
            disk.flush();
            (0..n).for_each(|n| drop(read(&disk, n)));
        }
    }
    disk.flush();
    let stats = disk.stats();
    assert!(stats.reinserted > 0 && stats.reclaimed > 0);
    // Each segment that is reclaimed brings as much new room as it moves on, or more.
    assert!(stats.reinserted <= stats.written + stats.capacity / 8000, "{stats:?}");
}

#[test]
fn the_smallest_place_takes_large_and_small() {
    for size in [ByteSize::mib(1), ByteSize::mib(16), ByteSize::bytes((16 << 20) + 777)] {
        let rig = Rig { segment: ByteSize::mib(16), ..Rig::in_memory(&[size]) };
        let disk = rig.open();
        let largest = usize::try_from(size.get() / 10).unwrap();
        for n in 0..60 {
            let len = if n % 3 == 0 { largest.min(1 << 20) } else { 100 };
            assert!(wait(disk.write(record(n, 1, len, ZERO))), "{size}, {n}");
            assert_eq!(read(&disk, n), Some(record(n, 1, len, ZERO)), "{size}, {n}");
        }
        disk.flush();
        assert_eq!(read(&disk, 57), Some(record(57, 1, largest.min(1 << 20), ZERO)), "{size}");
        let too_large = usize::try_from(size.get() / 7).unwrap();
        assert!(!disk.offer(record(99, 1, too_large, ZERO)), "{size}");
        assert_eq!(disk.stats().refused, 1);
    }
    let rig = Rig::new(&[ByteSize::kib(900)]);
    assert!(matches!(Disk::open(rig.config()), Err(DiskError::TooSmall { .. })));
}

#[test]
fn a_full_queue_refuses_offers_and_lets_writes_wait() {
    let rig = Rig { queue: ByteSize::kib(64), ..Rig::in_memory(&[ByteSize::mib(16)]) };
    let disk = Disk::open(DiskConfig { delay: Duration::from_secs(3600), ..rig.config() }).unwrap();
    let taken = (0..100).take_while(|n| disk.offer(record(*n, 1, 7000, ZERO))).count();
    assert_eq!(taken, 64 * 2 / 14);
    assert_eq!(disk.stats().refused, 1);
    // Nothing makes room but a flush.
    let mut writing = pin!(disk.write(record(50, 1, 7000, ZERO)));
    assert!(writing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    thread::scope(|scope| {
        scope.spawn(|| disk.flush());
        assert!(wait(writing));
    });
    assert_eq!(read(&disk, 50), Some(record(50, 1, 7000, ZERO)));
    // Removals are never refused.
    (0..1000).for_each(|n| disk.remove(key(n)));
    assert_eq!(disk.stats().objects, 0);
}

#[test]
fn swept_across_crashes() {
    for crash in [true, false] {
        let rig = Rig::in_memory(&[ByteSize::mib(4)]);
        let disk = rig.open();
        (0..100).for_each(|n| assert!(disk.offer(record(n, 1, 5000, stamp(n, 0)))));
        let mut judged = HashSet::new();
        assert!(disk.sweep(stamp(50, 0), &mut |entry| {
            assert!(judged.insert(entry.key), "judged once");
            assert_eq!(entry.scope, format!("scope of {}", entry.stamp.seq.get()).as_bytes());
            entry.stamp.seq.get().is_multiple_of(2)
        }));
        assert_eq!(judged, (0..50).map(key).collect());
        assert_eq!(disk.oldest(), Some(stamp(50, 0)));
        assert!(disk.offer(record(200, 1, 10, stamp(70, 3))));
        disk.flush();
        let check = |disk: &Disk| {
            for n in 0..100 {
                let found = read(disk, n).map(|found| found.stamp);
                let expected = (n >= 50 || n % 2 == 0).then(|| stamp(n.max(50), 0));
                assert_eq!(found, expected, "{n}");
            }
            assert_eq!(read(disk, 200).map(|found| found.stamp), Some(stamp(70, 3)));
        };
        check(&disk);
        if crash {
            disk.crash()
        } else {
            drop(disk)
        }
        let disk = rig.open();
        check(&disk);
        // A lower one changes nothing, and asks nothing.
        assert!(disk.sweep(stamp(40, 0), &mut |_| panic!("all was held against that")));
        check(&disk);
    }
}

/// While records are stored, read, moved and dropped.
#[test]
fn sweeps_during_everything() {
    let rig = Rig { segment: ByteSize::kib(64), ..Rig::in_memory(&[ByteSize::mib(1)]) };
    let disk = rig.open();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..LAST {
                assert!(wait(disk.write(record(n, 1, 2000, stamp(n / 100, 0)))));
                drop(read(&disk, n.saturating_sub(n % 97)));
                drop(read(&disk, n / 2));
            }
        });
        let mut upto = 0;
        while !writer.is_finished() {
            // What has not been stored yet has a greater stamp.
            let newest = (0..LAST).rev().find(|n| disk.contains(key(*n))).unwrap_or(0);
            upto = upto.max(newest / 100);
            assert!(disk.sweep(stamp(upto, 0), &mut |entry| entry.stamp.seq.get().is_multiple_of(2)));
        }
    });
    assert!(disk.sweep(stamp(40, 0), &mut |entry| entry.stamp.seq.get().is_multiple_of(2)));
    let left: Vec<_> = (0..LAST).filter(|n| read(&disk, *n).is_some()).collect();
    assert!(!left.is_empty());
    for n in left {
        assert!((n / 100).is_multiple_of(2), "{n} was to be swept");
        assert_eq!(read(&disk, n).map(|found| found.stamp), Some(stamp(40, 0)), "{n}");
    }
}

/// The last hundred are kept: sweeps that follow one another closely leave room for few before them.
const LAST: u64 = 3100;
