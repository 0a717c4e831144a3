//! Storing, finding, removing, over clean stops and crashes.

use super::*;

/// How a tier ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Close,
    Drop,
    Crash,
}

fn end(disk: Disk, how: End) {
    match how {
        End::Close => assert!(disk.close()),
        End::Drop => drop(disk),
        End::Crash => disk.crash(),
    }
}

const ENDS: [End; 3] = [End::Close, End::Drop, End::Crash];

#[test]
fn found_at_once_when_written_and_after_a_restart() {
    for how in ENDS {
        let rig = Rig::new(&[ByteSize::mib(16)]);
        let disk = rig.open();
        let lengths = [0, 1, 383, 384, 385, 511, 512, 4096, 16 << 10, 200_000];
        let records: Vec<_> = (0..).zip(lengths).map(|(n, len)| record(n, 1, len, stamp(n, 2 * n))).collect();
        let check = |disk: &Disk, when: &str| {
            for (n, record) in (0..).zip(&records) {
                assert!(disk.contains(key(n)), "{n} {when}, {how:?}");
                assert_eq!(read(disk, n).as_ref(), Some(record), "{n} {when}, {how:?}");
            }
            assert_eq!(disk.stats().objects, records.len() as u64, "{when}, {how:?}");
            assert_eq!(disk.oldest(), Some(ZERO));
        };
        records.iter().for_each(|record| assert!(disk.offer(record.clone())));
        check(&disk, "pending");
        assert!(disk.flush());
        check(&disk, "written");
        end(disk, how);
        let disk = rig.open();
        check(&disk, "after a restart");
        end(disk, how);
        check(&rig.open(), "after another");
        assert_eq!(rig.alerts(), [], "{how:?}");
    }
}

#[test]
fn the_latest_counts_and_what_is_removed_stays_removed() {
    for how in ENDS {
        let rig = Rig::new(&[ByteSize::mib(16)]);
        let disk = rig.open();
        for version in 1..4 {
            (0..10).for_each(|n| assert!(disk.offer(record(n, version, 1000, ZERO))));
            if version == 2 {
                disk.flush();
            }
        }
        (0..5).for_each(|n| disk.remove(key(n)));
        disk.flush();
        (5..7).for_each(|n| disk.remove(key(n)));
        disk.offer(record(0, 9, 10, ZERO));
        let check = |disk: &Disk| {
            for n in 0..10 {
                let version = [Some(9), None, None, None, None, None, None, Some(3), Some(3), Some(3)][n as usize];
                let expected = version.map(|version| record(n, version, if version == 9 { 10 } else { 1000 }, ZERO));
                assert_eq!(read(disk, n), expected, "{n}, {how:?}");
            }
        };
        check(&disk);
        disk.flush();
        check(&disk);
        end(disk, how);
        check(&rig.open());
    }
}

#[test]
fn cleared_for_ever() {
    for how in ENDS {
        let rig = Rig::new(&[ByteSize::mib(16)]);
        let disk = rig.open();
        (0..100).for_each(|n| assert!(disk.offer(record(n, 1, 10_000, ZERO))));
        disk.flush();
        (100..200).for_each(|n| assert!(disk.offer(record(n, 1, 10_000, ZERO))));
        assert!(disk.clear());
        let check = |disk: &Disk| {
            assert!((0..200).all(|n| !disk.contains(key(n)) && read(disk, n).is_none()));
            assert_eq!(disk.stats().objects, 0);
        };
        check(&disk);
        assert_eq!(disk.oldest(), None);
        assert!(disk.is_empty());
        disk.offer(record(300, 1, 10, ZERO));
        assert!(!disk.is_empty());
        disk.flush();
        check_one(&disk);
        end(disk, how);
        let disk = rig.open();
        check_one(&disk);
        assert!((0..200).all(|n| !disk.contains(key(n))));
    }
    fn check_one(disk: &Disk) {
        assert_eq!(read(disk, 300), Some(record(300, 1, 10, ZERO)));
        assert_eq!(disk.stats().objects, 1);
    }
}

#[test]
fn reads_wait_while_too_much_is_being_read() {
    let rig = Rig::new(&[ByteSize::mib(16)]);
    let disk = Disk::open(DiskConfig { reads: ByteSize::kib(64), ..rig.config() }).unwrap();
    (0..4).for_each(|n| assert!(disk.offer(record(n, 1, 40_000, ZERO))));
    assert!(disk.flush());
    let [first, second, third, given_up] = [0, 1, 2, 3].map(|n| disk.read(key(n)).unwrap());
    let others: Vec<_> = [second, third].into_iter().map(|read| thread::spawn(|| wait(read))).collect();
    let mut given_up = Box::pin(given_up);
    let polled = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(
        polled.is_pending() && others.iter().all(|other| !other.is_finished()),
        "one takes more than half of the room"
    );
    drop(given_up);
    assert_eq!(wait(first), Some(record(0, 1, 40_000, ZERO)));
    let others: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
    assert_eq!(others, [1, 2].map(|n| Some(record(n, 1, 40_000, ZERO))));
    assert_eq!(disk.stats().shed, 0);
}
