//! Scanning a segment that has no footer, for the records in it.

use super::footer::Entries;
use super::format::{Secret, SegmentId, UNIT};
use super::io::ALIGN;
use super::record::{HEAD, Head};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) entries: Entries,
    /// The unit behind the write that the last of them came with.
    pub(super) end: u32,
    /// Something is damaged before the last of them.
    pub(super) gap: bool,
}

/// The records of a segment, whose bytes these are. Whether their contents are whole is seen when they are read.
pub(super) fn scan(bytes: &[u8], id: SegmentId, secret: &Secret) -> Scan {
    let mut scan = Scan { end: unit(ALIGN), ..Scan::default() };
    let mut damaged = false;
    let mut at = ALIGN;
    while at + UNIT <= bytes.len() {
        if let Some((head, len)) = record_at(bytes, at, id, secret) {
            scan.gap |= damaged;
            let scope = at + HEAD..at + HEAD + head.lengths.scope as usize;
            scan.entries.push(&head, &bytes[scope]);
            at += len;
            scan.end = unit(at.next_multiple_of(ALIGN));
            continue;
        }
        // Each write begins at a block; the last unit of one may be followed by zeros.
        let next = (at + 1).next_multiple_of(ALIGN).min(bytes.len());
        damaged |= at.is_multiple_of(ALIGN) || bytes[at..next].iter().any(|byte| *byte != 0);
        at = next;
    }
    scan
}

/// The record of this segment that begins there, and its length.
fn record_at(bytes: &[u8], at: usize, id: SegmentId, secret: &Secret) -> Option<(Head, usize)> {
    let head = Head::decode(&bytes[at..], secret)?;
    let len = usize::from(head.lengths.units()) * UNIT;
    let here = head.segment == id && head.unit as usize == at / UNIT && at + len <= bytes.len();
    here.then_some((head, len))
}

fn unit(at: usize) -> u32 {
    u32::try_from(at / UNIT).unwrap_or(u32::MAX)
}
