//! Uploads: parts, resumption, limits, what a crash leaves.

use std::time::Duration;

use super::upload::{TEMP, sweep};
use super::*;

fn blobs() -> (tempfile::TempDir, Blobs) {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    (dir, blobs)
}

#[test]
fn blobs_are_what_their_name_says() {
    let (_dir, blobs) = blobs();
    let digest = Digest::of(b"content");
    assert_eq!((blobs.len(&digest).unwrap(), blobs.read(&digest).unwrap()), (None, None));
    assert!(blobs.file(&digest).unwrap().is_none());
    let error = blobs.put(&digest, &mut &b"other"[..]).unwrap_err();
    assert!(matches!(error, BlobError::Mismatch { found, .. } if found == Digest::of(b"other")), "{error}");
    assert_eq!(blobs.len(&digest).unwrap(), None);
    assert_eq!(blobs.put(&digest, &mut &b"content"[..]).unwrap(), 7);
    assert_eq!(blobs.put(&digest, &mut io::empty()).unwrap(), 7, "it is there: nothing is read");
    assert_eq!(blobs.read(&digest).unwrap().unwrap(), "content");
    for _ in 0..2 {
        let mut text = String::new();
        blobs.file(&digest).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
    }
    assert_eq!(fs::read_dir(&blobs.uploads).unwrap().count(), 0, "nothing is left over");
}

#[test]
fn damage_is_found_and_can_be_healed() {
    let digest = Digest::of(b"content");
    let check = |read: &dyn Fn(&Blobs) -> Result<bool, StoreError>| {
        let (_dir, blobs) = blobs();
        blobs.put(&digest, &mut &b"content"[..]).unwrap();
        assert!(read(&blobs).unwrap());
        fs::write(blobs.path(&digest), "cOntent").unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options().write(true).open(blobs.path(&digest)).unwrap().set_modified(later).unwrap();
        assert!(matches!(read(&blobs), Err(StoreError::CorruptBlob(of)) if of == digest));
        assert!(!read(&blobs).unwrap(), "it counts as missing");
        blobs.put(&digest, &mut &b"content"[..]).unwrap();
        assert!(read(&blobs).unwrap());
    };
    check(&|blobs| blobs.read(&digest).map(|bytes| bytes.is_some()));
    check(&|blobs| blobs.file(&digest).map(|file| file.is_some()));
}

#[test]
fn an_upload_goes_on_where_it_broke_off() {
    let (dir, blobs) = blobs();
    let digest = Digest::of(b"one two three");
    let offset = |offset: u64| match blobs.upload(&digest, offset) {
        Err(BlobError::Offset { have }) => Some(have),
        outcome => {
            drop(outcome.unwrap());
            None
        }
    };
    assert_eq!(offset(4), Some(0));
    let mut upload = blobs.upload(&digest, 0).unwrap();
    upload.write(b"one ").unwrap();
    assert!(matches!(blobs.upload(&digest, 4), Err(BlobError::Busy)));
    drop(upload);
    assert_eq!((blobs.uploaded(&digest), offset(3), offset(5)), (4, Some(4), Some(4)));

    // The process ends and another one goes on.
    drop(blobs);
    let blobs = Blobs::open(dir.path()).unwrap();
    assert_eq!(blobs.uploaded(&digest), 4);
    let mut upload = blobs.upload(&digest, 4).unwrap();
    upload.write(b"two ").unwrap();
    upload.write(b"three").unwrap();
    assert_eq!(upload.finish().unwrap(), 13);
    assert_eq!((blobs.read(&digest).unwrap().unwrap().as_ref(), blobs.uploaded(&digest)), (&b"one two three"[..], 0));
}

#[test]
fn an_upload_of_something_else_is_discarded() {
    let (_dir, blobs) = blobs();
    let digest = Digest::of(b"right");
    let mut upload = blobs.upload(&digest, 0).unwrap();
    upload.write(b"wrong").unwrap();
    assert!(matches!(upload.finish(), Err(BlobError::Mismatch { .. })));
    assert_eq!((blobs.uploaded(&digest), blobs.len(&digest).unwrap()), (0, None));
    let mut upload = blobs.upload(&digest, 0).unwrap();
    upload.write(b"half").unwrap();
    drop(upload);
    let mut upload = blobs.upload(&digest, 0).unwrap();
    upload.write(b"right").unwrap();
    upload.finish().unwrap();
    assert_eq!(blobs.read(&digest).unwrap().unwrap(), "right");
}

#[test]
fn leftovers_are_swept() {
    let (dir, blobs) = blobs();
    let (old, young) = (Digest::of(b"old"), Digest::of(b"young"));
    for digest in [&old, &young] {
        blobs.upload(digest, 0).unwrap().write(b"x").unwrap();
    }
    let torn = blobs.uploads.join(format!("{TEMP}torn"));
    fs::write(&torn, "half of a blob").unwrap();
    let two_days_ago = SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
    let path = blobs.uploads.join(format!("{old}.part"));
    File::options().write(true).open(path).unwrap().set_modified(two_days_ago).unwrap();
    sweep(&dir.path().join("uploads"), SystemTime::now());
    assert_eq!((blobs.uploaded(&old), blobs.uploaded(&young), torn.exists()), (0, 1, false));
}

#[test]
fn broken_uploads_are_bounded() {
    let (_dir, blobs) = blobs();
    let digests: Vec<Digest> = (0..80_u8).map(|index| Digest::of(&[index])).collect();
    let held = blobs.upload(&digests[0], 0).unwrap();
    for digest in &digests[1..] {
        blobs.upload(digest, 0).unwrap().write(b"x").unwrap();
    }
    let left = fs::read_dir(&blobs.uploads).unwrap().count();
    assert!(left <= 65, "{left}");
    assert_eq!(blobs.uploaded(digests.last().unwrap()), 1);
    drop(held);
}
