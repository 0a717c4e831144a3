//! The superblock: what a place is, and the little about its log that changes. Kept in two copies, written one after the
//! other: what is torn or damaged in one is in the other.

use std::io;

use super::format::{Position, Secret, VERSION, put_stamp};
use super::io::{ALIGN, AlignedBuf, BlockFile};
use super::shape::Shape;
use crate::fields::Fields;
use crate::stamp::Stamp;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Superblock {
    /// The place's own, for ever.
    pub(super) id: [u8; 16],
    pub(super) secret: Secret,
    pub(super) shape: Shape,
    /// How often it was written: of two copies the greater counts.
    pub(super) generation: u64,
    /// Segments of lesser numbers are void.
    pub(super) first: u64,
    /// The last segment that was begun, or was about to be.
    pub(super) opened: u64,
    /// Serials from here on are new.
    pub(super) serial: u64,
    pub(super) swept: Swept,
    /// In segments of lesser numbers only what was stored with at least this stamp counts: a removal may have been lost.
    pub(super) distrust: Distrust,
    /// With whom it was last in use.
    pub(super) members: Members,
    /// The index behind the superblocks, if it is good.
    pub(super) snapshot: Option<Snapshot>,
}

/// Everything before `upto` in the log was held against what `stamp` says, and removed if it was concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) stamp: Stamp,
    pub(super) upto: Position,
}

impl Swept {
    /// The stamp of what was written to this position with that one.
    pub(super) fn effective(self, stamp: Stamp, at: Position) -> Stamp {
        if at < self.upto { stamp.max(self.stamp) } else { stamp }
    }
}

/// See [`Superblock::distrust`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Distrust {
    pub(super) before: u64,
    pub(super) stamp: Stamp,
}

/// A set of places in use together. One that was not of the last set has missed removals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Members {
    /// Grows with every change.
    pub(super) epoch: u64,
    /// The hash of their ids.
    pub(super) ids: [u8; 16],
}

/// The index, as it was at a clean stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// In bytes.
    pub(super) length: u64,
    pub(super) hash: [u8; 32],
}

/// What a place begins with.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing was ever written there.
    Blank,
    /// It is one of ours.
    Ours(Box<Superblock>),
    /// It was one of ours, but neither copy can be read any more.
    Damaged,
    /// It is one of ours, of a version of the format that is not read any more.
    Older,
    /// A version of the format that this one does not know.
    Newer(u32),
    /// Something else.
    Foreign,
}

impl Superblock {
    /// Reads both copies.
    ///
    /// # Errors
    /// Neither can be read from the device.
    pub(super) fn load(file: &BlockFile) -> io::Result<Found> {
        let copies = [0, ALIGN as u64].map(|at| file.read_blocking(at, ALIGN));
        let found: Vec<Found> = copies.iter().flatten().map(|block| decode(block)).collect();
        if found.is_empty() {
            let [first, _] = copies;
            return first.map(|_| Found::Damaged);
        }
        Ok(found.into_iter().fold(Found::Blank, Found::or))
    }

    /// Writes both copies, and waits until they are on the device.
    ///
    /// # Errors
    /// Of the device.
    pub(super) fn store(&mut self, file: &BlockFile) -> io::Result<()> {
        self.generation += 1;
        let block = self.encode();
        for at in [0, ALIGN as u64] {
            file.write_at(&block, at)?;
            file.sync()?;
        }
        Ok(())
    }

    /// Everything stored so far is void.
    pub(super) fn void(&mut self) {
        self.first = self.opened + 1;
        self.distrust = Distrust::default();
        self.snapshot = None;
    }

    fn encode(&self) -> AlignedBuf {
        let mut out = Vec::with_capacity(ALIGN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&prelude_check(&out));
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.secret.0);
        let numbers =
            [self.shape.size, self.shape.segment_size as u64, self.generation, self.first, self.opened, self.serial];
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_stamp(&mut out, self.swept.stamp);
        out.extend_from_slice(&self.swept.upto.segment.to_le_bytes());
        out.extend_from_slice(&u64::from(self.swept.upto.unit).to_le_bytes());
        out.extend_from_slice(&self.distrust.before.to_le_bytes());
        put_stamp(&mut out, self.distrust.stamp);
        out.extend_from_slice(&self.members.epoch.to_le_bytes());
        out.extend_from_slice(&self.members.ids);
        let snapshot = self.snapshot.unwrap_or(Snapshot { length: 0, hash: [0; 32] });
        out.extend_from_slice(&snapshot.length.to_le_bytes());
        out.extend_from_slice(&snapshot.hash);
        out.extend_from_slice(&self.secret.hash(&[&out]));
        let mut block = AlignedBuf::zeroed(ALIGN);
        block[..out.len()].copy_from_slice(&out);
        block
    }
}

impl Found {
    /// What follows from two copies.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Newer(version), _) | (_, Self::Newer(version)) => Self::Newer(version),
            (Self::Ours(a), Self::Ours(b)) => Self::Ours(if b.generation > a.generation { b } else { a }),
            (ours @ Self::Ours(_), _) | (_, ours @ Self::Ours(_)) => ours,
            (Self::Older, _) | (_, Self::Older) => Self::Older,
            (Self::Damaged, _) | (_, Self::Damaged) => Self::Damaged,
            (Self::Foreign, _) | (_, Self::Foreign) => Self::Foreign,
            (Self::Blank, Self::Blank) => Self::Blank,
        }
    }
}

fn decode(block: &[u8]) -> Found {
    if block.iter().all(|byte| *byte == 0) {
        return Found::Blank;
    }
    let mut fields = Fields(block);
    let (magic, version, check) = (fields.array::<8>(), fields.u32(), fields.array::<4>());
    let sound = check == Some(prelude_check(&block[..12]));
    match (magic == Some(*MAGIC), version) {
        (false, _) => Found::Foreign,
        (true, Some(version)) if sound && version > VERSION => Found::Newer(version),
        (true, Some(VERSION)) if sound => {
            decode_fields(block, &mut fields).map_or(Found::Damaged, |found| Found::Ours(Box::new(found)))
        }
        (true, _) if sound => Found::Older,
        (true, _) => Found::Damaged,
    }
}

fn decode_fields(block: &[u8], fields: &mut Fields<'_>) -> Option<Superblock> {
    let (id, secret) = (fields.array()?, Secret(fields.array()?));
    let (size, segment_size) = (fields.u64()?, usize::try_from(fields.u64()?).ok()?);
    let (generation, first, opened, serial) = (fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?);
    let stamp = fields.stamp()?;
    let upto = Position { segment: fields.u64()?, unit: u32::try_from(fields.u64()?).ok()? };
    let distrust = Distrust { before: fields.u64()?, stamp: fields.stamp()? };
    let members = Members { epoch: fields.u64()?, ids: fields.array()? };
    let snapshot = Snapshot { length: fields.u64()?, hash: fields.array()? };
    let hashed = block.len() - fields.0.len();
    if fields.array()? != secret.hash(&[&block[..hashed]]) {
        return None;
    }
    Some(Superblock {
        id,
        secret,
        shape: Shape::of(size, segment_size)?,
        generation,
        first,
        opened,
        serial,
        swept: Swept { stamp, upto },
        distrust,
        members,
        snapshot: (snapshot.length > 0).then_some(snapshot),
    })
}

/// All versions keep the first 16 bytes: magic, version, and this of both.
fn prelude_check(prelude: &[u8]) -> [u8; 4] {
    let mut check = [0; 4];
    check.copy_from_slice(&blake3::hash(prelude).as_bytes()[..4]);
    check
}

const MAGIC: &[u8; 8] = b"HOLMDISK";
