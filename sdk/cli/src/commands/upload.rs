//! Uploading a site's content: only what the cluster lacks is sent, with a bar on a terminal.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use holm_control::client::{BlobSource, BlobState, Client, Progress};
use holm_model::ids::Digest;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::Failure;
use crate::site::Blob;

/// What was sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Sent {
    /// Blobs.
    pub(super) blobs: usize,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// Uploads those of `blobs` that the cluster lacks.
pub(super) async fn upload(client: &Client, blobs: &BTreeMap<Digest, Blob>) -> Result<Sent, Failure> {
    let lacking = lacking(client, blobs).await?;
    let bytes = lacking.iter().map(|(blob, _)| blob.size).sum();
    let bar = bar(bytes);
    let sends = lacking.iter().map(|(blob, received)| send(client, blob, *received, &bar));
    let outcome: Result<Vec<()>, Failure> = stream::iter(sends).buffer_unordered(UPLOADS).try_collect().await;
    bar.finish_and_clear();
    outcome.map(|_| Sent { blobs: lacking.len(), bytes })
}

/// What the cluster does not have, and how much of each it has from an upload that broke off.
async fn lacking<'a>(client: &Client, blobs: &'a BTreeMap<Digest, Blob>) -> Result<Vec<(&'a Blob, u64)>, Failure> {
    let questions = blobs.values().map(async |blob| {
        let state = client.blob(blob.digest).await?;
        Ok::<_, Failure>(match state {
            BlobState::Whole => None,
            BlobState::Partial { received } => Some((blob, received)),
        })
    });
    stream::iter(questions).buffer_unordered(QUESTIONS).try_filter_map(async |lacking| Ok(lacking)).try_collect().await
}

async fn send(client: &Client, blob: &Blob, received: u64, bar: &ProgressBar) -> Result<(), Failure> {
    let source = BlobSource { digest: blob.digest, path: &blob.path, size: blob.size };
    let counted = AtomicU64::new(0);
    let progress = Progress::new({
        let bar = bar.clone();
        move |sent| {
            let before = counted.swap(sent, Ordering::Relaxed);
            if sent >= before { bar.inc(sent - before) } else { bar.dec(before - sent) }
        }
    });
    client.put_blob(source, received, progress).await.map(drop).map_err(|error| match error.status() {
        Some(DIGEST_DIFFERS) => {
            Failure::new(format!("{} changed while it was uploaded", blob.path.display())).help("publish again")
        }
        _ => Failure::new(format!("{} could not be uploaded: {error}", blob.path.display())),
    })
}

/// Nothing is drawn where standard error is no terminal.
fn bar(bytes: u64) -> ProgressBar {
    if bytes == 0 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("uploading {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}");
    bar.with_style(style.expect("invariant: a constant template"))
}

/// The server's word for bytes that are not those that the digest says (RFC 9110 §15.5.21).
const DIGEST_DIFFERS: u16 = 422;

/// Uploads at a time: the server syncs each to disk, and others can be sent meanwhile.
const UPLOADS: usize = 4;

/// Questions at a time: a round trip each.
const QUESTIONS: usize = 16;
