//! A record: a head of fixed size, then scope, metadata and body, filled up with zeros to whole units.
//!
//! The head's hash covers the checksum of what follows it, so the whole is covered; and a new head for the same content, as a
//! reinserted record gets, costs no hashing of the content.

use super::format::{Secret, SegmentId, UNIT, put_segment, put_stamp};
use crate::disk::{MAX_RECORD_BODY, MAX_RECORD_META, MAX_RECORD_SCOPE, Record};
use crate::fields::Fields;
use crate::stamp::Stamp;

/// What a record begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) segment: SegmentId,
    /// Where in the segment it lies.
    pub(super) unit: u32,
    pub(super) kind: Kind,
    pub(super) key: u128,
    /// The greater one is the newer one, in whichever place it lies.
    pub(super) serial: u64,
    pub(super) stamp: Stamp,
    pub(super) lengths: Lengths,
    /// The checksum of what follows.
    pub(super) content: [u8; 16],
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// This is stored.
    Stored,
    /// Nothing of this key that lies before it in this place's log is stored any more. Has no content.
    Tombstone,
}

/// In bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) scope: u32,
    pub(super) meta: u32,
    pub(super) body: u32,
}

impl Lengths {
    /// `None`: it is too long for a record.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let length = |len: usize| u32::try_from(len).ok();
        let lengths = Self {
            scope: length(record.scope.len())?,
            meta: length(record.meta.len())?,
            body: length(record.body.len())?,
        };
        lengths.are_allowed().then_some(lengths)
    }

    fn are_allowed(self) -> bool {
        self.scope as usize <= MAX_RECORD_SCOPE
            && self.meta as usize <= MAX_RECORD_META
            && self.body as usize <= MAX_RECORD_BODY
    }

    /// Bytes behind the head.
    pub(super) fn content(self) -> usize {
        self.scope as usize + self.meta as usize + self.body as usize
    }

    /// Units of the whole record.
    pub(super) fn units(self) -> u16 {
        u16::try_from((HEAD + self.content()).div_ceil(UNIT)).expect("invariant: the limits allow fewer than 8192")
    }
}

impl Head {
    /// The head of a record that is not placed yet.
    pub(super) fn stored(record: &Record, lengths: Lengths, serial: u64, secret: &Secret) -> Self {
        let content = secret.checksum(&[&record.scope, &record.meta, &record.body]);
        let (key, stamp) = (record.key, record.stamp);
        Self { segment: SegmentId::default(), unit: 0, kind: Kind::Stored, key, serial, stamp, lengths, content }
    }

    /// A tombstone's head, not placed yet.
    pub(super) fn tombstone(key: u128, serial: u64) -> Self {
        Self {
            segment: SegmentId::default(),
            unit: 0,
            kind: Kind::Tombstone,
            key,
            serial,
            stamp: Stamp::default(),
            lengths: Lengths::default(),
            content: [0; 16],
        }
    }

    pub(super) fn encode(&self, secret: &Secret) -> [u8; HEAD] {
        let mut out = Vec::with_capacity(HEAD);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&RECORD_VERSION.to_le_bytes());
        let kind: u16 = match self.kind {
            Kind::Stored => 0,
            Kind::Tombstone => 1,
        };
        out.extend_from_slice(&kind.to_le_bytes());
        put_segment(&mut out, self.segment);
        out.extend_from_slice(&self.key.to_le_bytes());
        put_stamp(&mut out, self.stamp);
        out.extend_from_slice(&self.serial.to_le_bytes());
        for number in [self.unit, self.lengths.scope, self.lengths.meta, self.lengths.body] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.content);
        out.extend_from_slice(&secret.short_hash(&out));
        out.try_into().expect("invariant: the fields add up to the head's length")
    }

    /// The head that `bytes` begin with. `None`: they begin with none of ours, or with a damaged one.
    pub(super) fn decode(bytes: &[u8], secret: &Secret) -> Option<Self> {
        let (hashed, hash) = bytes.get(..HEAD)?.split_at(HEAD - 16);
        let mut fields = Fields(hashed);
        if fields.array::<4>()? != *MAGIC || fields.u16()? != RECORD_VERSION || secret.short_hash(hashed) != hash {
            return None;
        }
        let kind = match fields.u16()? {
            0 => Kind::Stored,
            1 => Kind::Tombstone,
            _ => return None,
        };
        let segment = fields.segment()?;
        let (key, stamp, serial) = (fields.u128()?, fields.stamp()?, fields.u64()?);
        let unit = fields.u32()?;
        let lengths = Lengths { scope: fields.u32()?, meta: fields.u32()?, body: fields.u32()? };
        let content = fields.array()?;
        lengths.are_allowed().then_some(Self { segment, unit, kind, key, serial, stamp, lengths, content })
    }
}

/// Writes the whole record to where it belongs: `out` is as many whole units.
pub(super) fn write(out: &mut [u8], head: &Head, record: Option<&Record>, secret: &Secret) {
    out[..HEAD].copy_from_slice(&head.encode(secret));
    let mut at = HEAD;
    for part in record.iter().flat_map(|record| [&record.scope, &record.meta, &record.body]) {
        out[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    out[at..].fill(0);
}

/// The record that `bytes` are, if it is undamaged, and the one that was written there.
pub(super) fn read(bytes: &bytes::Bytes, segment: SegmentId, unit: u32, secret: &Secret) -> Option<(Record, Lengths)> {
    let head = Head::decode(bytes, secret)?;
    if head.segment != segment || head.unit != unit || head.kind != Kind::Stored {
        return None;
    }
    let content = bytes.get(HEAD..HEAD + head.lengths.content())?;
    if secret.checksum(&[content]) != head.content {
        return None;
    }
    let meta_at = HEAD + head.lengths.scope as usize;
    let body_at = meta_at + head.lengths.meta as usize;
    let record = Record {
        key: head.key,
        stamp: head.stamp,
        scope: bytes.slice(HEAD..meta_at),
        meta: bytes.slice(meta_at..body_at),
        body: bytes.slice(body_at..body_at + head.lengths.body as usize),
    };
    Some((record, head.lengths))
}

/// Bytes of a head.
pub(super) const HEAD: usize = 112;
/// The most units of a record.
pub(super) const MAX_UNITS: usize = (HEAD + MAX_RECORD_SCOPE + MAX_RECORD_META + MAX_RECORD_BODY).div_ceil(UNIT);
const MAGIC: &[u8; 4] = b"HLMr";
const RECORD_VERSION: u16 = 2;
const _: () = assert!(MAX_UNITS < 1 << 13, "an index entry has 13 bits for the length");
