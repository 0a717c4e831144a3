//! What an object costs in memory beside its own bytes: `cargo xtask bench memory` runs this alone.

use super::*;

/// That of the `holm` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Prints what each object added to the process beyond its body and the text of its header, and what it was charged.
#[tokio::test]
#[ignore = "measures: cargo xtask bench memory runs it alone"]
async fn what_an_object_costs() {
    let body = Bytes::from(vec![b'x'; BODY]);
    let sent = body.clone();
    let respond = move |request: &Request<Body>| Ok(response(200, &fields(), with_number(&sent, request.uri().path())));
    let origin = Fixture::sized(ByteSize::mib(2048), respond);
    let path = |number: usize| format!("/images/{number:08}.jpg");
    let text: usize = fields().iter().map(|(name, value)| name.len() + value.len()).sum();
    let own = BODY + text;
    for number in 0..WARM_UP {
        origin.reply(get(&path(number), &[])).await.response.into_body().collect(1 << 20).await.expect("a body");
    }
    origin.node.store.stats();
    let (before, charged_before) = (resident(), origin.node.store.stats().memory);
    for round in ["stored", "and hit"] {
        for number in WARM_UP..WARM_UP + OBJECTS {
            let reply = origin.reply(get(&path(number), &[])).await;
            reply.response.into_body().collect(1 << 20).await.expect("a body");
        }
        let held = origin.node.store.stats().memory;
        let objects = held.objects - charged_before.objects;
        let each = (resident() - before) / usize::try_from(objects).expect("few");
        let charged = (held.bytes - charged_before.bytes) / objects.max(1);
        println!(
            "{round}: {objects} objects of {BODY} + {text} bytes: {} beside, charged {charged} for {each}",
            each.saturating_sub(own)
        );
        assert!(each < own + MOST, "{each} bytes each, of which {own} are its own");
    }
}

fn with_number(body: &Bytes, path: &str) -> Bytes {
    let mut body = body.to_vec();
    body[..path.len()].copy_from_slice(path.as_bytes());
    body.into()
}

fn fields() -> Vec<(&'static str, &'static str)> {
    vec![
        ("date", "Tue, 10 Nov 2026 10:00:00 GMT"),
        ("content-type", "image/jpeg"),
        ("content-length", "1024"),
        ("cache-control", "public, max-age=31536000, stale-while-revalidate=60"),
        ("etag", "\"5f3c1a2b-400\""),
        ("last-modified", "Mon, 02 Nov 2026 08:30:00 GMT"),
        ("server", "nginx"),
        ("x-content-type-options", "nosniff"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("access-control-allow-origin", "*"),
    ]
}

/// What of the process is in memory, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

const BODY: usize = 1024;

const OBJECTS: usize = 200_000;

/// What tables and pools take at the beginning is not counted.
const WARM_UP: usize = 2_000;

/// What an object may cost beside its own bytes.
const MOST: usize = 400;
