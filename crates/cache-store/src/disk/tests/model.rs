//! The log against a map: whatever happens, in whatever order, a key is found with its latest version or not at all.
//!
//! Seeded; a failure names its seed. `HOLM_SEED` runs one seed only, `HOLM_ROUNDS` more or fewer of them.

use std::collections::HashMap;

use fastrand::Rng;

use super::*;

/// What may be found of each key after a crash: its states since the last flush, the last of which is the present one.
type Model = HashMap<u64, Vec<Option<Record>>>;

struct Run {
    rig: Rig,
    disk: Option<Disk>,
    model: Model,
    rng: Rng,
    version: u64,
    swept: Stamp,
    seen: Seen,
}

/// How a tier ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Crash,
    Torn,
}

/// What the runs came across, so that it is known that they test something.
#[derive(Debug, Default)]
struct Seen {
    hits: u64,
    misses: u64,
    crashes: u64,
    sweeps: u64,
    judged: u64,
    reinserted: u64,
    reclaimed: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let sizes = vec![ByteSize::mib(1); rng.usize(1..=3)];
        let rig = Rig { segment: ByteSize::kib(64), ..Rig::in_memory(&sizes) };
        let disk = Some(rig.open());
        Self { rig, disk, model: Model::new(), rng, version: 0, swept: ZERO, seen: Seen::default() }
    }

    fn disk(&self) -> &Disk {
        self.disk.as_ref().unwrap()
    }

    fn step(&mut self) {
        let n = self.rng.u64(..KEYS);
        match self.rng.u32(..1000) {
            0..400 => self.store(n),
            400..850 => self.read(n),
            850..930 => self.remove(n),
            930..960 => self.flush(),
            960..975 => self.sweep(),
            975 => self.clear(),
            976..983 => self.restart(End::Close),
            983..990 => self.restart(End::Crash),
            990..995 => self.restart(End::Torn),
            _ => {}
        }
    }

    fn store(&mut self, n: u64) {
        self.version += 1;
        let len = [10, 300, 2000, 9000, 30_000][self.rng.usize(..5)];
        let newer = stamp(self.swept.seq.get() + self.rng.u64(..3), self.swept.local.0 + self.rng.u64(..3));
        let record = record(n, self.version, len, newer);
        if self.rng.bool() {
            assert!(wait(self.disk().write(record.clone())));
        } else {
            assert!(self.disk().offer(record.clone()));
        }
        self.model.entry(n).or_default().push(Some(record));
    }

    fn read(&mut self, n: u64) {
        let found = read(self.disk(), n);
        let states = self.model.entry(n).or_insert_with(|| vec![None]);
        if found.is_some() {
            self.seen.hits += 1;
            assert_eq!(&found, states.last().unwrap(), "key {n}");
        } else {
            self.seen.misses += 1;
            states.push(None);
        }
    }

    fn remove(&mut self, n: u64) {
        self.disk().remove(key(n));
        self.model.entry(n).or_default().push(None);
        assert!(!self.disk().contains(key(n)), "key {n}");
    }

    fn flush(&mut self) {
        assert!(self.disk().flush());
        self.settle();
    }

    /// What came before the present state is past.
    fn settle(&mut self) {
        self.model.values_mut().for_each(|states| drop(states.drain(..states.len() - 1)));
    }

    fn sweep(&mut self) {
        let upto = self.swept.max(stamp(self.swept.seq.get() + self.rng.u64(..3), self.rng.u64(..6)));
        let residue = self.rng.u64(..5);
        let mut judged = Vec::new();
        let disk = self.disk.as_ref().unwrap();
        assert!(disk.sweep(upto, &mut |entry| {
            let n: u64 = std::str::from_utf8(entry.scope).unwrap()["scope of ".len()..].parse().unwrap();
            assert_eq!(key(n), entry.key);
            assert!(!entry.stamp.covers(upto));
            judged.push((n, entry.stamp));
            n % 5 != residue
        }));
        for (n, stamp) in &judged {
            let state = self.model[n].last().unwrap().as_ref().expect("only what is stored is judged");
            assert_eq!(state.stamp, *stamp, "key {n}");
        }
        for (n, states) in &mut self.model {
            let last = states.last_mut().unwrap();
            match last {
                Some(record) if !record.stamp.covers(upto) => {
                    record.stamp = record.stamp.max(upto);
                    if n % 5 == residue || !judged.iter().any(|(judged, _)| judged == n) {
                        *last = None;
                    }
                }
                Some(_) | None => {}
            }
        }
        self.settle();
        (self.swept, self.seen.sweeps, self.seen.judged) =
            (upto, self.seen.sweeps + 1, self.seen.judged + judged.len() as u64);
        let oldest = self.disk().oldest();
        assert!(oldest.is_none_or(|oldest| oldest.covers(upto)), "{oldest:?} after a sweep up to {upto:?}");
    }

    fn clear(&mut self) {
        assert!(self.disk().clear());
        self.model.clear();
        assert_eq!(self.disk().stats().objects, 0);
    }

    /// The power fails in the midst of a write.
    fn tear(&mut self) {
        for place in self.disk().tier.places.clone() {
            let most = if self.rng.bool() { 20_000 } else { 200_000 };
            place.file.faults().tear_writes_after(self.rng.usize(..most));
        }
        for _ in 0..self.rng.u32(..40) {
            self.version += 1;
            let (n, len) = (self.rng.u64(..KEYS), self.rng.usize(..30_000));
            let record = record(n, self.version, len, self.swept);
            if self.disk().offer(record.clone()) {
                self.model.entry(n).or_insert_with(|| vec![None]).push(Some(record));
            }
        }
        self.disk().flush();
    }

    fn restart(&mut self, how: End) {
        if how == End::Torn {
            self.tear();
        }
        let disk = self.disk.take().unwrap();
        let stats = disk.stats();
        self.seen.reinserted += stats.reinserted;
        self.seen.reclaimed += stats.reclaimed;
        if how == End::Close {
            assert!(disk.close());
            drop(disk);
            self.settle();
        } else {
            disk.crash();
            self.seen.crashes += 1;
        }
        self.disk = Some(self.rig.open());
        assert!(self.rig.alerts().is_empty() || how == End::Torn);
        let mut objects = 0;
        let disk = self.disk.as_ref().unwrap();
        for (n, states) in &mut self.model {
            let found = read(disk, *n);
            // Burying what a torn write has left may make room meanwhile, at the cost of what has just been read.
            let contained = disk.contains(key(*n));
            assert!(found.is_some() || !contained, "key {n}, {how:?}");
            assert!(
                found.is_none() || states.contains(&found),
                "key {n}, {how:?}\nfound {:?}\nallowed {:?}",
                found.map(|found| (found.meta, found.stamp)),
                states.iter().map(|state| state.as_ref().map(|state| (&state.meta, state.stamp))).collect::<Vec<_>>()
            );
            objects += u64::from(found.is_some());
            *states = vec![found];
        }
        let counted = disk.stats().objects;
        assert!(counted <= objects, "{counted} of {objects}, {how:?}");
    }
}

#[test]
fn like_a_map() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match number("HOLM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("HOLM_ROUNDS").unwrap_or(16)).collect(),
    };
    let mut seen = Seen::default();
    for seed in seeds {
        eprintln!("seed {seed}");
        let mut run = Run::new(seed);
        (0..STEPS).for_each(|_| run.step());
        run.restart(End::Close);
        let more = run.seen;
        seen.hits += more.hits;
        seen.misses += more.misses;
        seen.crashes += more.crashes;
        seen.sweeps += more.sweeps;
        seen.judged += more.judged;
        seen.reinserted += more.reinserted;
        seen.reclaimed += more.reclaimed;
    }
    eprintln!("{seen:?}");
    assert!(
        seen.reinserted > 0 && seen.reclaimed > 0 && seen.crashes > 0 && seen.judged > 0 && seen.hits > seen.misses / 4
    );
}

const KEYS: u64 = 200;
const STEPS: usize = 1500;
