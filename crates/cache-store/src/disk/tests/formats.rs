//! What is encoded is decoded again, and nothing else is.

use proptest::prelude::*;

use super::footer::{Entries, Trailer, decode_header, header};
use super::format::{Position, Secret, SegmentId, UNIT};
use super::index::{Index, Location};
use super::io::{ALIGN, BlockFile};
use super::record::{HEAD, Head, Kind, Lengths};
use super::shape::Shape;
use super::superblock::{Distrust, Found, Members, Snapshot, Superblock, Swept};
use super::*;

const SECRET: Secret = Secret([7; 32]);

prop_compose! {
    fn heads()(
        numbers in any::<[u64; 5]>(), key: u128, unit in 8_u32..32768, tombstone: bool, content: [u8; 16],
        scope in 0..=MAX_RECORD_SCOPE as u32, meta in 0..=MAX_RECORD_META as u32, body in 0..=MAX_RECORD_BODY as u32,
    ) -> Head {
        let [number, nonce, serial, seq, local] = numbers;
        let kind = if tombstone { Kind::Tombstone } else { Kind::Stored };
        let lengths = Lengths { scope, meta, body };
        Head { segment: SegmentId { number, nonce }, unit, kind, key, serial, stamp: stamp(seq, local), lengths, content }
    }
}

fn superblock(numbers: [u64; 12], snapshot: bool) -> Superblock {
    let [generation, first, opened, serial, a, b, c, d, e, f, g, h] = numbers;
    Superblock {
        id: [1; 16],
        secret: SECRET,
        shape: Shape::new(16 << 20, 1 << 20).unwrap(),
        generation: generation / 2,
        first,
        opened,
        serial,
        swept: Swept { stamp: stamp(a, b), upto: Position { segment: c, unit: (d >> 32) as u32 } },
        distrust: Distrust { before: e, stamp: stamp(f, g) },
        members: Members { epoch: h, ids: [3; 16] },
        snapshot: snapshot.then_some(Snapshot { length: a | 1, hash: [9; 32] }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn heads_are_whole_or_nothing(head in heads(), at in 0..HEAD * 8) {
        let mut bytes = head.encode(&SECRET);
        prop_assert_eq!(Head::decode(&bytes, &SECRET), Some(head));
        prop_assert_eq!(Head::decode(&bytes, &Secret([8; 32])), None);
        prop_assert_eq!(Head::decode(&bytes[..HEAD - 1], &SECRET), None);
        bytes[at / 8] ^= 1 << (at % 8);
        prop_assert_eq!(Head::decode(&bytes, &SECRET), None);
    }

    #[test]
    fn footers_are_whole_or_nothing(
        heads in prop::collection::vec(heads(), 0..30), nonce: u64, flip in any::<prop::sample::Index>(),
    ) {
        let id = SegmentId { number: 5, nonce };
        let mut entries = Entries::default();
        for mut head in heads.clone() {
            head.lengths.scope %= 300;
            entries.push(&head, &vec![1; head.lengths.scope as usize]);
        }
        let mut blocks = entries.footer(id, &SECRET);
        let decode = |blocks: &[u8], id| {
            let trailer = Trailer::decode(&blocks[blocks.len() - ALIGN..], id, 1 << 20)?;
            trailer.entries(blocks.get(blocks.len().checked_sub(trailer.footer_len())?..)?, &SECRET)
        };
        prop_assert_eq!(decode(&blocks, id), Some(entries.clone()));
        prop_assert_eq!(decode(&blocks, SegmentId { number: 6, nonce }), None);
        prop_assert_eq!(entries.iter().map(|entry| entry.key).collect::<Vec<_>>(), heads.iter().map(|head| head.key).collect::<Vec<_>>());
        let at = flip.index(blocks.len());
        blocks[at] ^= 1;
        // Padding aside: it means nothing.
        if let Some(found) = decode(&blocks, id) {
            prop_assert_eq!(found, entries);
        }
        prop_assert_eq!(decode_header(&header(id, &SECRET), &SECRET), Some(id));
        prop_assert_eq!(decode_header(&header(id, &SECRET), &Secret([8; 32])), None);
    }

    #[test]
    fn superblocks_survive_a_damaged_copy(
        numbers: [u64; 12], snapshot: bool, copy in 0_u64..2, at in 0_usize..400,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let file = BlockFile::open(&folder.path().join("file"), 0, 8192).unwrap();
        let mut state = superblock(numbers, snapshot);
        state.store(&file).unwrap();
        let mut block = file.read_blocking(copy * ALIGN as u64, ALIGN).unwrap();
        block[at] ^= 0x10;
        file.write_at(&block, copy * ALIGN as u64).unwrap();
        match Superblock::load(&file).unwrap() {
            Found::Ours(found) => prop_assert_eq!(*found, state),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn anything_is_some_superblock_or_none(bytes in prop::collection::vec(any::<u8>(), ALIGN)) {
        let folder = tempfile::tempdir().unwrap();
        let file = BlockFile::open(&folder.path().join("file"), 0, 8192).unwrap();
        let mut block = file.read_blocking(0, ALIGN).unwrap();
        block.copy_from_slice(&bytes);
        file.write_at(&block, 0).unwrap();
        prop_assert!(matches!(Superblock::load(&file).unwrap(), Found::Foreign));
    }

    #[test]
    fn locations_keep_their_bits(place in 0_u8..64, slot in 0_u32..1 << 29, unit in 0_u32..1 << 15, units in 0_u16..1 << 13) {
        let at = Location { place, slot, unit, units };
        let index = Index::new(64);
        prop_assert_eq!(index.insert(1, at), None);
        prop_assert_eq!(index.get(1), Some(at));
        prop_assert_eq!(index.used_at(1, at), Some(false));
        prop_assert_eq!(index.used(1), Some(at));
        prop_assert_eq!(index.used_at(1, at), Some(true));
        prop_assert_eq!(index.live(place), (1, u64::from(units) * UNIT as u64));
        prop_assert!(index.remove_at(1, at));
        prop_assert_eq!(index.live(place), (0, 0));
    }

    #[test]
    fn shapes_stay_within_their_place(size in 1_u64 << 20..1 << 42, segment in 0_usize..32 << 20) {
        let shape = Shape::new(size, segment).unwrap();
        prop_assert!(shape.segments >= 8);
        prop_assert!(shape.slot_at(shape.segments) <= size);
        prop_assert_eq!(Shape::of(shape.size, shape.segment_size), Some(shape));
        // Little is lost.
        prop_assert!(shape.capacity() > size / 10 * 8, "{:?}", shape);
    }
}

/// A place that says it is of this version.
fn of_version(version: u32) -> Rig {
    let rig = Rig::new(&[ByteSize::mib(1)]);
    drop(rig.open());
    let file = BlockFile::open(&rig.path(0), 0, 1 << 20).unwrap();
    for at in [0, ALIGN as u64] {
        let mut block = file.read_blocking(at, ALIGN).unwrap();
        block[8..12].copy_from_slice(&version.to_le_bytes());
        let check = blake3::hash(&block[..12]);
        block[12..16].copy_from_slice(&check.as_bytes()[..4]);
        file.write_at(&block, at).unwrap();
    }
    drop(file);
    rig
}

#[test]
fn an_older_version_is_dropped_whole() {
    let rig = of_version(1);
    assert!(rig.open().is_empty());
    assert_eq!(rig.alerts(), [DiskAlert::Dropped { path: rig.path(0), why: Dropped::Older }]);
}

#[test]
fn a_newer_version_is_refused_and_says_what_to_do() {
    let rig = of_version(3);
    let error = Disk::open(rig.config()).unwrap_err();
    assert!(matches!(error, DiskError::Newer { version: 3, .. }), "{error}");
    assert!(error.to_string().contains("start the newer release again, or delete the file"), "{error}");
}

#[test]
fn an_object_costs_at_most_forty_bytes_of_index() {
    let index = Index::new(1);
    let at = Location { place: 0, slot: 1, unit: 8, units: 1 };
    for n in 0..300_000_u64 {
        index.insert(index::tag(key(n)), at);
        if n % 4999 == 0 && n > 10_000 {
            assert!(index.memory() <= 40 * n, "{} bytes for {n}", index.memory());
        }
    }
}

/// A body that is the image of a record of another key, where a scan looks for one.
#[test]
fn content_cannot_pose_as_a_record() {
    let rig = Rig::new(&[ByteSize::mib(1)]);
    let disk = rig.open();
    let secret = Secret([0; 32]);
    let victim = record(1, 1, 100, ZERO);
    let head = Head::stored(&victim, Lengths::of(&victim).unwrap(), 99, &secret);
    let mut image = vec![0; 60_000];
    for at in (0..59_000).step_by(UNIT) {
        image[at..at + HEAD].copy_from_slice(&head.encode(&secret));
    }
    assert!(disk.offer(Record {
        key: key(2),
        stamp: ZERO,
        scope: Bytes::new(),
        meta: Bytes::new(),
        body: image.into()
    }));
    disk.flush();
    disk.crash();
    let disk = rig.open();
    assert!(disk.contains(key(2)) && !disk.contains(key(1)));
}
