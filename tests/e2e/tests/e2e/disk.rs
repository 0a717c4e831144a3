//! The disk tier: what is on it outlives the process, and a disk that fails takes nothing with it but what it held.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use holm_e2e::{Holm, Origin, Pattern, Response, Starting, get, wait_for};

const MIB: u64 = 1 << 20;

/// Folders that outlive a node.
struct Place {
    dir: tempfile::TempDir,
    origin: Origin,
}

impl Place {
    /// An origin of `/ROUTE/SIZE/…`, which is fresh for an hour; and a place for the node before it.
    fn new() -> Self {
        let origin = Origin::start(|asked, exchange| {
            let size = asked.path().split('/').nth(2).and_then(|size| size.parse().ok()).unwrap_or(0);
            let fields = [("cache-control", "max-age=3600"), ("age", "100"), ("etag", "\"a\"")];
            exchange.reply(200, &fields, Pattern::new(size).bytes())
        });
        let place = Self { dir: tempfile::tempdir().expect("a folder"), origin };
        let route = |path: &str, rule: &str| format!("[[routes]]\npath = \"{path}\"\norigin = \"web\"\n{rule}\n");
        let routes =
            route("/always/*", "cache = { disk = \"always\" }") + &route("/never/*", "cache = { disk = \"never\" }");
        let routes = routes + &route("/*", "");
        let url = place.origin.url();
        let text = format!("name = \"a\"\nhosts = [\"*\"]\n{routes}\n[origins.web]\nendpoints = [\"{url}\"]\n");
        std::fs::write(place.path("holm.toml"), text).expect("written");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A folder that is there.
    fn folder(&self, name: &str) -> PathBuf {
        std::fs::create_dir_all(self.path(name)).expect("a folder");
        self.path(name)
    }

    fn up(&self, data: &str, disk: &str) -> Starting {
        let up = Holm::up().arg("--data-dir").arg(self.path(data)).arg("--site").arg(self.path("holm.toml"));
        up.args(&["--memory", "32MiB", "--disk", disk])
    }
}

/// `DIR=SIZE`
fn at(folder: &Path, size: &str) -> String {
    format!("{}={size}", folder.display())
}

/// Asks under one name: the port, which enters the key, is another after a restart.
fn ask(holm: &Holm, path: &str) -> Response {
    let response = holm.ask(&get(path).field("host", "a.example")).expect(200);
    let size: u64 = path.split('/').nth(2).and_then(|size| size.parse().ok()).expect("a size");
    assert!(response.body == Pattern::new(size).bytes(), "{path}: {}", response.show());
    response
}

fn age(response: &Response) -> u64 {
    response.fields.get("age").parse().unwrap_or_else(|error| panic!("{error}: {}", response.show()))
}

#[test]
fn what_was_stored_just_before_a_stop_is_there_after_it() {
    let place = Place::new();
    let paths: Vec<String> = [100, 5_000, 70_000, MIB - 1, MIB, MIB + 1, 5 * MIB / 2]
        .iter()
        .flat_map(|size| (0..4).map(move |number| format!("/always/{size}/{number}")))
        .collect();
    let holm = place.up("data", "512MiB").start();
    for path in &paths {
        ask(&holm, path).expect_miss("fwd=uri-miss");
    }
    assert_eq!(holm.stop().code(), Some(0));
    for restart in 1..=2 {
        let holm = place.up("data", "512MiB").start();
        println!("ready after {:?}", holm.took);
        for path in &paths {
            let response = ask(&holm, path).expect_hit();
            assert!((100..200).contains(&age(&response)), "{}", response.show());
        }
        let before = age(&ask(&holm, &paths[0]));
        wait_for("the age goes on", || age(&ask(&holm, &paths[0])) > before);
        assert!(holm.metric("holm_cache_objects{tier=\"edge\",store=\"disk\"}") >= 28.0);
        assert_eq!(place.origin.log().len(), paths.len(), "the origin is not asked again after restart {restart}");
        assert_eq!(holm.stop().code(), Some(0));
    }
}

#[test]
fn large_bodies_that_come_at_once_are_all_kept() {
    let place = Place::new();
    let paths: Vec<String> = (0..40).map(|number| format!("/always/{MIB}/{number}")).collect();
    let holm = place.up("data", "512MiB").start();
    // As many as the disk's queue takes: the next ones have to wait for it.
    for at_once in paths.chunks(4) {
        let asks = at_once.iter().map(|path| holm.curl(&get(path).field("host", "a.example")).start());
        let transfers: Vec<_> = asks.collect();
        transfers.into_iter().for_each(|transfer| drop(transfer.finish().expect(200)));
    }
    assert_eq!(holm.stop().code(), Some(0));
    let holm = place.up("data", "512MiB").start();
    for path in &paths {
        ask(&holm, path).expect_hit();
    }
}

#[test]
fn routes_rule_what_goes_to_disk() {
    let place = Place::new();
    let holm = place.up("data", "256MiB").start();
    // How often each is asked for, and whether it is there after a restart.
    let cases = [
        ("/always/1000/once", 1, true),
        ("/second/1000/once", 1, false),
        ("/second/1000/twice", 2, true),
        ("/never/1000/once", 1, false),
        ("/never/1000/often", 5, false),
    ];
    for (path, times, _) in cases {
        (0..times).for_each(|_| drop(ask(&holm, path)));
    }
    assert_eq!(holm.stop().code(), Some(0));
    let holm = place.up("data", "256MiB").start();
    for (path, _, kept) in cases {
        let response = ask(&holm, path);
        assert_eq!(response.is_hit(), kept, "{path}: {}", response.show());
        assert_eq!(place.origin.asked(path), if kept { 1 } else { 2 }, "{path}");
    }
}

#[test]
fn a_purge_holds_after_a_restart() {
    let place = Place::new();
    let (kept, gone) = ("/always/1000/kept", "/always/3000000/gone");
    for kill in [true, false] {
        let data = format!("data-{kill}");
        let mut holm = place.up(&data, "256MiB").start();
        for path in [kept, gone] {
            ask(&holm, path);
            ask(&holm, path).expect_hit();
        }
        holm.cli(&format!("purge --url http://a.example{gone}")).ok("");
        if kill {
            // As much as is on the device by now.
            thread::sleep(Duration::from_millis(300));
            holm.process.kill();
        } else {
            holm.process.terminate();
            assert_eq!(holm.process.wait().code(), Some(0));
        }
        let holm = place.up(&data, "256MiB").start();
        ask(&holm, gone).expect_miss("fwd=uri-miss");
        ask(&holm, kept).expect_hit();
    }
}

#[test]
fn content_of_another_cluster_is_not_served() {
    let place = Place::new();
    let disk = at(&place.folder("mnt"), "256MiB");
    let holm = place.up("one", &disk).start();
    ask(&holm, "/always/1000/a");
    assert_eq!(holm.stop().code(), Some(0));
    // Nobody knows what was purged there meanwhile.
    let holm = place.up("two", &disk).start();
    ask(&holm, "/always/1000/a").expect_miss("fwd=uri-miss");
    ask(&holm, "/always/1000/a").expect_hit();
}

#[test]
fn places_that_cannot_be_used_are_refused_with_the_cure() {
    let place = Place::new();
    let check = |disk: &str, status: i32, words: &[&str]| {
        let mut ran = place.up("data", disk).run();
        for word in words {
            ran = ran.fails(status, word);
        }
    };
    check("lots", 2, &["10GiB", "/mnt/a=100GiB"]);
    check("1MiB", 2, &["1MiB is too little", "128MiB is the least"]);
    check(&at(&place.path("gone"), "1GiB"), 1, &["no such folder or device", "make it, or mount it first"]);
    check(&at(&place.path("holm.toml"), "1GiB"), 1, &["neither a folder nor a block device"]);
    check("900TiB", 1, &["holm-shield.segments: cannot open", "of room"]);
    let foreign = place.folder("foreign");
    std::fs::write(foreign.join("holm-edge.segments"), "somebody's".repeat(1000)).expect("written");
    check(&at(&foreign, "256MiB"), 1, &["holds data that is not a Holm disk cache"]);
    let disk = at(&place.folder("mnt"), "256MiB");
    let holm = place.up("one", &disk).start();
    place.up("two", &disk).run().fails(1, "holm-shield.segments");
    ask(&holm, "/always/1000/a");
}

/// What was stored is lost, and nothing else: answers are right, and the operator is told.
#[test]
fn a_disk_that_loses_its_content_is_taken_out() {
    let place = Place::new();
    let mnt = place.folder("mnt");
    let holm = place.up("data", &at(&mnt, "256MiB")).start();
    let paths: Vec<String> = (0..60).map(|number| format!("/always/500000/{number}")).collect();
    paths.iter().for_each(|path| drop(ask(&holm, path)));
    let written = || holm.metric("holm_disk_written_bytes_total{tier=\"edge\"}");
    // More than memory holds. All of it: what is written later would make the file longer again.
    wait_for("all is written", || written() > 30e6);
    for role in ["edge", "shield"] {
        cut(&mnt.join(format!("holm-{role}.segments")));
    }
    paths.iter().for_each(|path| drop(ask(&holm, path)));
    expect_taken_out(&holm, &mnt, "edge");
    // From memory and from upstream.
    for _ in 0..2 {
        paths.iter().take(10).for_each(|path| drop(ask(&holm, path)));
    }
    ask(&holm, "/always/1000/new");
    ask(&holm, "/always/1000/new").expect_hit();
    assert_eq!(holm.stop().code(), Some(0));
    // The file is made anew; nothing wrong is in it.
    let holm = place.up("data", &at(&mnt, "256MiB")).start();
    paths.iter().take(10).for_each(|path| drop(ask(&holm, path)));
}

#[test]
fn a_disk_that_is_full_is_taken_out() {
    if !Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success()) {
        println!("this machine lets nobody mount anything: nothing is tried");
        return;
    }
    let place = Place::new();
    let mnt = place.folder("mnt");
    let mount = "mount -t tmpfs -o size=280m none \"$0\" && exec \"$@\"";
    let up = place.up("data", &at(&mnt, "256MiB"));
    let folder = mnt.display().to_string();
    let holm = up.under("unshare", &["-rm", "sh", "-c", mount, &folder]).start();
    ask(&holm, "/always/300000/before");
    // Nobody sees the mount but the node: by way of it, somebody else takes all the room.
    let inside = PathBuf::from(format!("/proc/{}/root{folder}", holm.process.id()));
    for role in ["edge", "shield"] {
        cut(&inside.join(format!("holm-{role}.segments")));
    }
    let mut filler = File::create(inside.join("filler")).expect("room");
    while filler.write_all(&[0; 1 << 16]).is_ok() {}
    for number in 0..40 {
        ask(&holm, &format!("/always/300000/{number}"));
    }
    expect_taken_out(&holm, &mnt, "edge");
    ask(&holm, "/always/1000/new");
    ask(&holm, "/always/1000/new").expect_hit();
    assert_eq!(holm.stop().code(), Some(0));
}

#[test]
fn a_folder_that_is_pulled_takes_nothing_with_it() {
    let place = Place::new();
    let holm = place.up("data", "256MiB").start();
    ask(&holm, "/always/1000/before");
    std::fs::remove_dir_all(place.path("data/cache")).expect("it was there");
    ask(&holm, "/always/1000/before").expect_hit();
    for number in 0..20 {
        ask(&holm, &format!("/always/300000/{number}"));
    }
    holm.cli("purge --all").ok("");
    ask(&holm, "/always/1000/before").expect_miss("fwd=uri-miss");
    assert_eq!(holm.stop().code(), Some(0));
    let holm = place.up("data", "256MiB").start();
    ask(&holm, "/always/1000/before").expect_miss("fwd=uri-miss");
    ask(&holm, "/always/1000/before").expect_hit();
}

/// Takes all that is in a file away.
fn cut(file: &Path) {
    OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(0)).expect("a file of ours");
}

/// The log, the metrics and `holm nodes` say that this role's place is out of use; the node is ready all the same.
fn expect_taken_out(holm: &Holm, mnt: &Path, role: &str) {
    let file = mnt.join(format!("holm-{role}.segments")).display().to_string();
    let healthy = || holm.metric(&format!("holm_disk_healthy{{tier=\"{role}\"}}")) > 0.0;
    wait_for("it is taken out", || !healthy());
    assert!(holm.metric(&format!("holm_disk_healthy{{tier=\"{role}\",path=\"{file}\"}}")) < 1.0);
    wait_for("it is told", || holm.cli("nodes").ok("").out.contains("degraded"));
    let nodes = holm.cli("nodes").ok("degraded").out;
    assert!(nodes.contains(&format!("{role}: {file}: can't ")), "{nodes}");
    let log = holm.process.log();
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains(&file)), "{log}");
    holm.cli("nodes --json").ok("\"faults\"");
}
