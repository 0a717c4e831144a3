//! A segment's header and footer. The header says which segment it is; the footer, written when it is full, what is in it.

use super::format::{Secret, SegmentId, put_segment, put_stamp};
use super::io::{ALIGN, AlignedBuf};
use super::record::{Head, Kind};
use crate::fields::Fields;
use crate::stamp::Stamp;

/// What a footer says of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) key: u128,
    pub(super) serial: u64,
    pub(super) stamp: Stamp,
    pub(super) unit: u32,
    pub(super) units: u16,
    pub(super) kind: Kind,
    pub(super) scope: &'a [u8],
}

/// The entries of one segment, in the log's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entries {
    bytes: Vec<u8>,
    count: u32,
}

impl Entries {
    pub(super) fn push(&mut self, head: &Head, scope: &[u8]) {
        let out = &mut self.bytes;
        out.extend_from_slice(&head.key.to_le_bytes());
        out.extend_from_slice(&head.serial.to_le_bytes());
        put_stamp(out, head.stamp);
        out.extend_from_slice(&head.unit.to_le_bytes());
        out.extend_from_slice(&head.lengths.units().to_le_bytes());
        out.extend_from_slice(&u16::from(head.kind == Kind::Tombstone).to_le_bytes());
        out.extend_from_slice(&head.lengths.scope.to_le_bytes());
        out.extend_from_slice(scope);
        self.count += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut fields = Fields(&self.bytes);
        std::iter::from_fn(move || entry(&mut fields))
    }

    /// Bytes that the footer takes with one more entry, whose scope is that long.
    pub(super) fn footer_len_with(&self, scope: usize) -> usize {
        footer_len(self.bytes.len() + ENTRY + scope)
    }

    /// The footer's blocks: the last of the segment.
    pub(super) fn footer(&self, id: SegmentId, secret: &Secret) -> AlignedBuf {
        let mut blocks = AlignedBuf::zeroed(footer_len(self.bytes.len()));
        blocks[..self.bytes.len()].copy_from_slice(&self.bytes);
        let mut trailer = Vec::with_capacity(TRAILER);
        trailer.extend_from_slice(FOOTER_MAGIC);
        trailer.extend_from_slice(&SEGMENT_VERSION.to_le_bytes());
        put_segment(&mut trailer, id);
        let length = u32::try_from(self.bytes.len()).expect("invariant: shorter than its segment");
        trailer.extend_from_slice(&length.to_le_bytes());
        trailer.extend_from_slice(&self.count.to_le_bytes());
        let hash = secret.hash(&[&trailer, &self.bytes]);
        trailer.extend_from_slice(&hash);
        let at = blocks.len() - TRAILER;
        blocks[at..].copy_from_slice(&trailer);
        blocks
    }
}

/// The end of a segment, as its last block tells: not to be believed before [`Trailer::entries`] agrees.
#[derive(Debug)]
pub(super) struct Trailer {
    hashed: [u8; TRAILER - 32],
    hash: [u8; 32],
    length: usize,
    count: u32,
}

impl Trailer {
    /// From the last block of a segment of this size. `None`: no footer of this segment ends there.
    pub(super) fn decode(block: &[u8], id: SegmentId, segment_size: usize) -> Option<Self> {
        let trailer = block.get(block.len().checked_sub(TRAILER)?..)?;
        let mut fields = Fields(trailer);
        let hashed = fields.array()?;
        let hash = fields.array()?;
        let mut fields = Fields(&hashed);
        if fields.array::<4>()? != *FOOTER_MAGIC || fields.u32()? != SEGMENT_VERSION || fields.segment()? != id {
            return None;
        }
        let length = usize::try_from(fields.u32()?).ok()?;
        let count = fields.u32()?;
        let fits = length.checked_add(TRAILER + 2 * ALIGN).is_some_and(|whole| whole <= segment_size);
        fits.then_some(Self { hashed, hash, length, count })
    }

    /// Bytes of the footer, whole blocks, at the end of the segment.
    pub(super) fn footer_len(&self) -> usize {
        footer_len(self.length)
    }

    /// The entries of the footer that these blocks are. `None`: it is damaged.
    pub(super) fn entries(&self, footer: &[u8], secret: &Secret) -> Option<Entries> {
        let bytes = footer.get(..self.length)?;
        if secret.hash(&[&self.hashed, bytes]) != self.hash {
            return None;
        }
        let entries = Entries { bytes: bytes.to_vec(), count: self.count };
        (entries.iter().count() == self.count as usize).then_some(entries)
    }
}

/// The first block of a segment.
pub(super) fn header(id: SegmentId, secret: &Secret) -> AlignedBuf {
    let mut out = Vec::with_capacity(HEADER);
    out.extend_from_slice(HEADER_MAGIC);
    out.extend_from_slice(&SEGMENT_VERSION.to_le_bytes());
    put_segment(&mut out, id);
    out.extend_from_slice(&secret.short_hash(&out));
    let mut block = AlignedBuf::zeroed(ALIGN);
    block[..HEADER].copy_from_slice(&out);
    block
}

/// Which segment begins with this block. `None`: none of ours, or a damaged one.
pub(super) fn decode_header(block: &[u8], secret: &Secret) -> Option<SegmentId> {
    let (hashed, hash) = block.get(..HEADER)?.split_at(HEADER - 16);
    let mut fields = Fields(hashed);
    let ours = fields.array::<4>()? == *HEADER_MAGIC && fields.u32()? == SEGMENT_VERSION;
    (ours && secret.short_hash(hashed) == hash).then(|| fields.segment()).flatten()
}

fn entry<'a>(fields: &mut Fields<'a>) -> Option<Entry<'a>> {
    let (key, serial, stamp) = (fields.u128()?, fields.u64()?, fields.stamp()?);
    let (unit, units) = (fields.u32()?, fields.u16()?);
    let kind = if fields.u16()? == 0 { Kind::Stored } else { Kind::Tombstone };
    let scope = usize::try_from(fields.u32()?).ok()?;
    let scope = fields.bytes(scope)?;
    Some(Entry { key, serial, stamp, unit, units, kind, scope })
}

fn footer_len(entries: usize) -> usize {
    (entries + TRAILER).next_multiple_of(ALIGN)
}

/// Bytes of an entry without its scope.
const ENTRY: usize = 16 + 8 + 16 + 4 + 2 + 2 + 4;
const TRAILER: usize = 4 + 4 + 16 + 4 + 4 + 32;
const HEADER: usize = 4 + 4 + 16 + 16;
const HEADER_MAGIC: &[u8; 4] = b"HLMs";
const FOOTER_MAGIC: &[u8; 4] = b"HLMf";
const SEGMENT_VERSION: u32 = 1;
