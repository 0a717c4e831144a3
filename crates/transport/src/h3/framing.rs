//! Framing: where the frames of a request stream begin and end (RFC 9114 §7.1), watched below h3.
//!
//! h3 0.0.8 takes an empty DATA frame and a FIN in mid-frame for the body's end, closes the whole connection when a FIN
//! comes before HEADERS, buffers frames of any length whole, and buffers ahead of its reader. Handed exactly one frame
//! header or one piece of one payload at a time, it does none of this.

use bytes::{Buf, Bytes, BytesMut};

/// The state of one request stream's receiving side.
#[derive(Debug, Default)]
pub(super) struct Framing {
    within: Within,
    headers_seen: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum Within {
    /// Before or in a frame's type and length.
    #[default]
    Header,
    /// In a payload that h3 is to see.
    Payload(u64),
    /// In the payload of a frame that is ignored (§9).
    Skipped(u64),
}

/// What the buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A frame's header, or a piece of its payload.
    Ready(Bytes),
    /// Nothing whole: more must be read.
    NeedMore,
}

/// A frame that must be whole in memory is larger than [`MAX_BUFFERED_FRAME`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FrameTooLarge;

impl Framing {
    /// Takes the next piece off the front of `buffer`.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Piece, FrameTooLarge> {
        loop {
            match self.within {
                Within::Skipped(left) => {
                    let skipped = left.min(buffer.len() as u64);
                    buffer.advance(usize::try_from(skipped).unwrap_or(usize::MAX));
                    self.within = if skipped == left { Within::Header } else { Within::Skipped(left - skipped) };
                    if buffer.is_empty() {
                        return Ok(Piece::NeedMore);
                    }
                }
                Within::Payload(left) => {
                    if buffer.is_empty() {
                        return Ok(Piece::NeedMore);
                    }
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let rest = left - taken as u64;
                    self.within = if rest == 0 { Within::Header } else { Within::Payload(rest) };
                    return Ok(Piece::Ready(buffer.split_to(taken).freeze()));
                }
                Within::Header => {
                    let Some(header) = FrameHeader::parse(buffer) else { return Ok(Piece::NeedMore) };
                    if let Some(piece) = self.enter(&header, buffer)? {
                        return Ok(Piece::Ready(piece));
                    }
                }
            }
        }
    }

    /// May the stream end here? Not in mid-frame, nor before a head.
    pub(super) fn may_end(&self, buffer: &BytesMut) -> bool {
        self.headers_seen && matches!(self.within, Within::Header) && buffer.is_empty()
    }

    fn enter(&mut self, header: &FrameHeader, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameTooLarge> {
        let known = header.frame_type <= LAST_RESERVED_TYPE || header.frame_type == MAX_PUSH_ID;
        if !known || (header.frame_type == DATA && header.length == 0) {
            buffer.advance(header.size);
            self.within = if header.length == 0 { Within::Header } else { Within::Skipped(header.length) };
            return Ok(None);
        }
        if header.frame_type != DATA && header.length > MAX_BUFFERED_FRAME {
            return Err(FrameTooLarge);
        }
        self.headers_seen |= header.frame_type == HEADERS;
        self.within = if header.length == 0 { Within::Header } else { Within::Payload(header.length) };
        Ok(Some(buffer.split_to(header.size).freeze()))
    }
}

struct FrameHeader {
    frame_type: u64,
    length: u64,
    /// Of the header itself, in bytes.
    size: usize,
}

impl FrameHeader {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (frame_type, first) = varint(bytes)?;
        let (length, second) = varint(bytes.get(first..)?)?;
        Some(Self { frame_type, length, size: first + second })
    }
}

/// RFC 9000 §16: the value, and how many bytes it took.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let size = 1_usize << (first >> 6);
    let rest = bytes.get(1..size)?;
    let value = rest.iter().fold(u64::from(first & 0x3f), |value, byte| (value << 8) | u64::from(*byte));
    Some((value, size))
}

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
const MAX_PUSH_ID: u64 = 0xd;

/// The types up to this one are defined or reserved from HTTP/2 (§11.2.1): h3 refuses those that do not belong here.
const LAST_RESERVED_TYPE: u64 = 0x9;

/// The longest HEADERS frame that is buffered: heads above `MAX_HEAD_BYTES` get a 431, those above this a reset.
pub(super) const MAX_BUFFERED_FRAME: u64 = 4 * holm_model::limits::MAX_HEAD_BYTES as u64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in steps of `step` bytes; the pieces are joined by `|`.
    fn pieces(input: &[u8], step: usize) -> (String, bool) {
        let (mut framing, mut buffer, mut seen) = (Framing::default(), BytesMut::new(), Vec::new());
        for part in input.chunks(step) {
            buffer.extend_from_slice(part);
            loop {
                match framing.take(&mut buffer) {
                    Ok(Piece::Ready(piece)) => seen.push(piece.iter().map(|byte| format!("{byte:02x}")).collect()),
                    Ok(Piece::NeedMore) => break,
                    Err(FrameTooLarge) => {
                        seen.push(String::from("too large"));
                        return (seen.join("|"), false);
                    }
                }
            }
        }
        (seen.join("|"), framing.may_end(&buffer))
    }

    #[test]
    fn frames_come_apart() {
        let check = |input: &[u8], expected: &str, may_end: bool| {
            assert_eq!(pieces(input, usize::MAX), (expected.to_owned(), may_end), "{input:02x?}");
            let (by_byte, end) = pieces(input, 1);
            assert_eq!((by_byte.replace('|', ""), end), (expected.replace('|', ""), may_end), "by byte {input:02x?}");
        };
        check(&[], "", false);
        check(&[1, 2, 0xaa, 0xbb], "0102|aabb", true);
        // FIN before HEADERS.
        check(&[0, 1, 0xaa], "0001|aa", false);
        // FIN in mid-frame.
        check(&[1, 1, 0xaa, 0, 3, 1, 2], "0101|aa|0003|0102", false);
        // Empty DATA frames vanish.
        check(&[1, 1, 0xaa, 0, 0, 0, 1, 7], "0101|aa|0001|07", true);
        // Grease (0x21) and its payload vanish.
        check(&[1, 1, 0xaa, 0x21, 3, 9, 9, 9, 0, 1, 7], "0101|aa|0001|07", true);
        check(&[0x21, 0, 1, 1, 0xaa], "0101|aa", true);
        // A length of two bytes.
        check(&[1, 0x40, 2, 0xaa, 0xbb], "014002|aabb", true);
        // Half a header.
        check(&[1, 1, 0xaa, 0], "0101|aa", false);
        // A head that no one needs.
        check(&[1, 0xbf, 0xff, 0xff, 0xff], "too large", false);
    }
}
