//! The journal's format, version 1: a header, the whole state as it was, and what has changed since.
//!
//! Numbers are little-endian. An entry is two bytes of magic, its kind, its payload's length (4 bytes), the payload, and the first
//! 8 bytes of the BLAKE3 of all that. Nothing that is read is believed before its checksum holds, and no length beyond
//! the bytes that are there.
//!
//! Upgrade rule: a change of any kind of entry, or of how a mark's id is made, takes a new version. A journal of a version
//! that is not known is as good as none: what the disk holds is dropped. Who writes version *n* may read *n* − 1: it
//! is written anew when it is opened anyway.

use holm_model::ids::{LogId, Seq};
use holm_model::purge::PurgeMode;
use holm_model::units::Timestamp;
use smallvec::SmallVec;

use crate::fields::Fields;
use crate::marks::inner::{Inner, Scalars};
use crate::marks::local::{Change, KeptSite};
use crate::marks::purges::{Mark, Purge, SoftMark};
use crate::scope::MarkId;

/// Adds entries of the log.
pub(in crate::marks) fn purges(out: &mut Vec<u8>, purges: &[Purge]) {
    frame(out, PURGES, |out| {
        for purge in purges {
            let flags = u8::from(purge.prefix) | if purge.mode == PurgeMode::Soft { SOFT } else { 0 };
            out.push(flags);
            out.push(u8::try_from(purge.ids.len()).expect("invariant: a purge has four ids at most"));
            put(out, &[purge.seq.get(), purge.time.as_millis()]);
            purge.ids.iter().for_each(|id| put(out, &[id.raw()]));
        }
    });
}

/// Adds what has changed under a count.
pub(in crate::marks) fn changes(out: &mut Vec<u8>, count: u64, changes: &[Change]) {
    // The count is noted even where nothing has an id.
    let (first, rest) = changes.split_at(changes.len().min(A_FRAME));
    for changes in std::iter::once(first).chain(rest.chunks(A_FRAME)) {
        frame(out, CHANGES, |out| {
            put(out, &[count]);
            changes.iter().for_each(|Change { site, id }| put(out, &[site.raw(), id.raw()]));
        });
    }
}

/// Adds what is a number. `anew`: the marks from before are of no use.
pub(in crate::marks) fn state(out: &mut Vec<u8>, inner: &Inner, anew: bool) {
    let Scalars { log, applied, dropped, vouched } = inner.scalars;
    frame(out, STATE, |out| {
        let flag = |set, flag| if set { flag } else { 0 };
        out.push(flag(anew, ANEW) | flag(vouched, VOUCHED) | flag(log.is_some(), LOG));
        out.extend_from_slice(log.unwrap_or(LogId::from_bytes([0; 16])).as_bytes());
        put(out, &[applied.get(), dropped.get(), inner.local.count(), inner.local.dropped()]);
    });
}

/// A journal of everything as it is.
pub(super) fn snapshot(inner: &Inner) -> Vec<u8> {
    let mut out = Vec::with_capacity(weight(inner) + 256);
    out.extend_from_slice(&HEADER);
    state(&mut out, inner, true);
    let marks: Vec<(MarkId, Mark)> = inner.purges.iter().collect();
    for marks in marks.chunks(A_FRAME) {
        frame(&mut out, MARKS, |out| marks.iter().for_each(|(id, mark)| put_mark(out, *id, mark)));
    }
    for site in inner.local.sites() {
        let (first, rest) = site.marks.split_at(site.marks.len().min(A_FRAME));
        for marks in std::iter::once(first).chain(rest.chunks(A_FRAME)) {
            frame(&mut out, SITE, |out| {
                put(out, &[site.site.raw(), site.forgotten]);
                marks.iter().for_each(|(id, at)| put(out, &[id.raw(), *at]));
            });
        }
    }
    frame(&mut out, WHOLE, |_| ());
    out
}

/// Bytes that a snapshot takes, about.
pub(super) fn weight(inner: &Inner) -> usize {
    inner.purges.len() * 34 + inner.local.len() * 16
}

/// What a journal says: `None` where it can't be believed, for its beginning is not whole, or because something follows what
/// is damaged. A damaged end alone is what was being written when the power went: it is left out.
pub(super) fn recover(bytes: &[u8]) -> Option<Inner> {
    let mut rest = bytes.strip_prefix(&HEADER)?;
    let (mut inner, mut whole) = (Inner::default(), false);
    while let Some((kind, payload, after)) = next(rest) {
        let mut fields = Fields(payload);
        match kind {
            WHOLE => whole = true,
            _ => read(&mut inner, kind, &mut fields)?,
        }
        if !fields.0.is_empty() {
            return None;
        }
        rest = after;
    }
    let more = (1..rest.len()).any(|at| next(&rest[at..]).is_some());
    (whole && !more).then_some(inner)
}

fn read(inner: &mut Inner, kind: u8, fields: &mut Fields<'_>) -> Option<()> {
    match kind {
        STATE => read_state(inner, fields)?,
        MARKS => {
            while !fields.0.is_empty() {
                let (id, mark) = fields.mark()?;
                inner.purges.restore(id, mark);
            }
        }
        SITE => {
            let (site, forgotten) = (fields.id()?, fields.u64()?);
            let mut marks = Vec::with_capacity(fields.0.len() / 16);
            while !fields.0.is_empty() {
                marks.push((fields.id()?, fields.u64()?));
            }
            inner.local.restore(KeptSite { site, forgotten, marks });
        }
        PURGES => {
            while !fields.0.is_empty() {
                let purge = fields.purge()?;
                inner.scalars.applied = purge.seq.max(inner.scalars.applied);
                inner.purges.note(&purge);
            }
        }
        CHANGES => {
            let count = fields.u64()?;
            let mut changes = Vec::with_capacity(fields.0.len() / 16);
            while !fields.0.is_empty() {
                changes.push(Change { site: fields.id()?, id: fields.id()? });
            }
            inner.local.note(count, changes);
        }
        _ => return None,
    }
    Some(())
}

fn read_state(inner: &mut Inner, fields: &mut Fields<'_>) -> Option<()> {
    let [flags] = fields.array()?;
    let log = LogId::from_bytes(fields.array()?);
    let (applied, dropped) = (Seq::new(fields.u64()?), Seq::new(fields.u64()?));
    if flags & ANEW != 0 {
        inner.purges.clear();
    }
    inner.purges.drop_to(dropped);
    inner.local.restore_counts(fields.u64()?, fields.u64()?);
    let log = (flags & LOG != 0).then_some(log);
    inner.scalars = Scalars { log, applied, dropped, vouched: flags & VOUCHED != 0 };
    inner.floor = dropped;
    Some(())
}

/// The next entry: its kind, its payload and what follows.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let head: [u8; HEAD] = bytes.first_chunk().copied()?;
    let [m0, m1, kind, length @ ..] = head;
    let length = u32::from_le_bytes(length) as usize;
    if [m0, m1] != MAGIC || length > MAX_PAYLOAD {
        return None;
    }
    let (entry, rest) = bytes.split_at_checked(HEAD + length)?;
    let (sum, rest) = rest.split_at_checked(SUM)?;
    (sum == checksum(entry)).then_some((kind, &entry[HEAD..], rest))
}

fn frame(out: &mut Vec<u8>, kind: u8, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[kind, 0, 0, 0, 0]);
    payload(out);
    let length = u32::try_from(out.len() - start - HEAD).expect("invariant: entries are short");
    debug_assert!(length as usize <= MAX_PAYLOAD);
    out[start + HEAD - 4..start + HEAD].copy_from_slice(&length.to_le_bytes());
    let sum = checksum(&out[start..]);
    out.extend_from_slice(&sum);
}

fn checksum(entry: &[u8]) -> [u8; SUM] {
    *blake3::hash(entry).as_bytes().first_chunk().expect("invariant: a hash has 32 bytes")
}

fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn put_mark(out: &mut Vec<u8>, id: MarkId, mark: &Mark) {
    out.push(u8::from(mark.prefix) | if mark.soft.is_some() { SOFT } else { 0 });
    put(out, &[id.raw(), mark.hard.get()]);
    if let Some(SoftMark { since, last }) = mark.soft {
        put(out, &[since.as_millis(), last.get()]);
    }
}

impl Fields<'_> {
    fn id(&mut self) -> Option<MarkId> {
        self.u64().map(MarkId::from_raw)
    }

    fn mark(&mut self) -> Option<(MarkId, Mark)> {
        let [flags] = self.array()?;
        let (id, hard) = (self.id()?, Seq::new(self.u64()?));
        let soft = match flags & SOFT {
            0 => None,
            _ => {
                let (since, last) = (Timestamp::from_millis(self.u64()?), Seq::new(self.u64()?));
                Some(SoftMark { since, last })
            }
        };
        Some((id, Mark { prefix: flags & PREFIX != 0, hard, soft }))
    }

    fn purge(&mut self) -> Option<Purge> {
        let [flags, count] = self.array()?;
        let (seq, time) = (Seq::new(self.u64()?), Timestamp::from_millis(self.u64()?));
        let ids = (0..count).map(|_| self.id()).collect::<Option<SmallVec<[MarkId; 4]>>>()?;
        let mode = if flags & SOFT == 0 { PurgeMode::Hard } else { PurgeMode::Soft };
        Some(Purge { seq, mode, prefix: flags & PREFIX != 0, time, ids })
    }
}

/// The name and the version.
const HEADER: [u8; 16] = *b"holm-marks\0\0\x01\0\0\0";

const MAGIC: [u8; 2] = [0xb7, 0x4d];

// Kinds of entries.
/// What is a number.
const STATE: u8 = 1;
/// Marks of purges.
const MARKS: u8 = 2;
/// Local marks of a site.
const SITE: u8 = 3;
/// The state ends here: what follows came later.
const WHOLE: u8 = 4;
/// Entries of the purge log that were applied.
const PURGES: u8 = 5;
/// Ids that have changed under one count.
const CHANGES: u8 = 6;

// Flags.
const PREFIX: u8 = 1;
const SOFT: u8 = 2;
const ANEW: u8 = 1;
const VOUCHED: u8 = 2;
const LOG: u8 = 4;

/// Magic, kind and length.
const HEAD: usize = 7;
const SUM: usize = 8;

/// How many marks or ids one entry holds: of 33 bytes at most.
const A_FRAME: usize = 10_000;

/// More is no entry of ours, in bytes.
const MAX_PAYLOAD: usize = 1 << 20;
