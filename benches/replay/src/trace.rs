//! Traces in libCacheSim's public `oracleGeneral` format, plain or compressed with zstd: records of 24 bytes,
//! little-endian, without padding: clock time (u32, seconds), object id (u64), object size (u32), and the number of the
//! next request for the same object (i64; -1 for none).
//! Format: `libCacheSim/traceReader/customizedReader/oracle/oracleGeneralBin.h`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::sequence::Sequence;

/// Reads a trace, at most `most` requests of it.
pub(crate) fn read(path: &Path, most: usize) -> Result<Sequence> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let file = BufReader::with_capacity(BUFFER, file);
    let sequence = if is_compressed(path) {
        read_records(zstd::Decoder::with_buffer(file).context("not compressed with zstd")?, most)
    } else {
        read_records(file, most)
    };
    let sequence = sequence.with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(!sequence.requests.is_empty(), "{} holds no requests", path.display());
    Ok(sequence)
}

/// Writes a trace. There is one request a millisecond.
pub(crate) fn write(path: &Path, sequence: &Sequence) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let write = || -> io::Result<()> {
        if is_compressed(path) {
            let mut encoder = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            write_records(&mut BufWriter::with_capacity(BUFFER, &mut encoder), sequence)?;
            encoder.finish()?.sync_all()
        } else {
            write_records(&mut BufWriter::with_capacity(BUFFER, file), sequence)
        }
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst" || extension == "zstd")
}

fn read_records(mut from: impl Read, most: usize) -> Result<Sequence> {
    let mut requests = Vec::new();
    let mut record = [0; RECORD];
    while requests.len() < most {
        let length = read_fully(&mut from, &mut record)?;
        if length == 0 {
            break;
        }
        ensure!(length == RECORD, "it ends in the middle of a record, after {} whole ones", requests.len());
        let [.., id, size, _] = fields(&record);
        requests.push((id, u32::try_from(size).expect("invariant: a size has four bytes")));
    }
    Ok(Sequence::of(requests))
}

/// As many bytes as there are, up to the buffer's length.
fn read_fully(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Time, id, size and next access, each widened.
fn fields(record: &[u8; RECORD]) -> [u64; 4] {
    let number = |from: usize, length: usize| {
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(&record[from..from + length]);
        u64::from_le_bytes(bytes)
    };
    [number(0, 4), number(4, 8), number(12, 4), number(16, 8)]
}

fn write_records(to: &mut impl Write, sequence: &Sequence) -> io::Result<()> {
    for (at, (object, next)) in sequence.requests.iter().zip(sequence.next_uses()).enumerate() {
        let seconds = u32::try_from(at / REQUESTS_A_SECOND).unwrap_or(u32::MAX);
        let next = next.map_or(-1, |next| i64::try_from(next).unwrap_or(i64::MAX));
        to.write_all(&seconds.to_le_bytes())?;
        to.write_all(&sequence.ids[*object as usize].to_le_bytes())?;
        to.write_all(&sequence.size(*object).to_le_bytes())?;
        to.write_all(&next.to_le_bytes())?;
    }
    to.flush()
}

const RECORD: usize = 24;
const BUFFER: usize = 1 << 20;
const REQUESTS_A_SECOND: usize = 1000;

#[cfg(test)]
mod tests {
    use super::{read, read_records, write, write_records};
    use crate::sequence::Sequence;

    #[test]
    fn what_is_written_is_read() {
        let sequence = Sequence::of([(u64::MAX, 1), (3, u32::MAX), (u64::MAX, 1), (0, 7)]);
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["plain.oracleGeneral.bin", "packed.oracleGeneral.zst"] {
            let path = dir.path().join(name);
            write(&path, &sequence).expect("written");
            assert_eq!(read(&path, usize::MAX).expect("read"), sequence, "{name}");
            assert_eq!(read(&path, 2).expect("read").requests, [0, 1], "{name}");
        }
    }

    #[test]
    fn a_record_byte_by_byte() {
        let mut bytes = Vec::new();
        write_records(&mut bytes, &Sequence::of([(0x0807_0605_0403_0201, 0x0c0b_0a09)])).expect("written");
        assert_eq!(bytes, [&[0; 4][..], &(1..=12).collect::<Vec<_>>(), &[0xff; 8]].concat());
    }

    #[test]
    fn a_torn_record() {
        let error = read_records(&[0_u8; 30][..], usize::MAX).expect_err("torn");
        assert!(error.to_string().contains("after 1 whole"), "{error}");
    }
}
