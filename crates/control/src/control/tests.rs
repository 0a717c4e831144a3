//! Releases, activation and what nodes are told.

use std::fs;
use std::sync::Barrier;

use holm_model::manifest::{Manifest, parse};
use holm_model::release::{FileEntry, Files};

use super::*;
use crate::component::tests::{component_exporting, handler};
use crate::error::{ActivateError, PublishError, SiteError};
use crate::{db, wire};

/// A store in a folder of its own.
pub(crate) struct Store {
    pub(crate) control: Arc<Control>,
    pub(crate) dir: tempfile::TempDir,
}

impl Store {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { control: Control::open(dir.path(), Telemetry::new()).unwrap(), dir }
    }

    fn reopen(self) -> Self {
        drop(self.control);
        Self { control: Control::open(self.dir.path(), Telemetry::new()).unwrap(), dir: self.dir }
    }

    /// Publishes a site of one route; another `ttl` makes another release.
    pub(crate) fn publish(&self, site: &str, hosts: &str, ttl: u32) -> Result<wire::ReleaseSummary, PublishError> {
        self.control.publish(manifest(&plain(site, hosts, ttl)), BTreeMap::new(), BTreeMap::new())
    }

    pub(crate) fn put(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.control.put_blob(&digest, bytes).unwrap();
        digest
    }
}

/// The manifest's text of a site with one origin.
pub(crate) fn plain(site: &str, hosts: &str, ttl: u32) -> String {
    format!(
        "name = \"{site}\"\nhosts = [{hosts}]\n[[routes]]\npath = \"/*\"\norigin = \"web\"\n\
         cache = {{ default_ttl = \"{ttl}s\" }}\n[origins.web]\nendpoints = [\"http://127.0.0.1:1\"]\n"
    )
}

/// The manifest's text of a site with a handler and files.
pub(crate) const FULL: &str = "name = \"shop\"\nhosts = [\"shop.example\"]\n\
    [[routes]]\npath = \"/api/*\"\nhandler = \"api\"\n[[routes]]\npath = \"/*\"\nfiles = \"public\"\n\
    [handlers.api]\ncomponent = \"api.wasm\"\n";

pub(crate) fn manifest(text: &str) -> Manifest {
    parse("holm.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(crate) fn site(name: &str) -> SiteName {
    name.parse().unwrap()
}

fn number(number: u64) -> ReleaseNumber {
    ReleaseNumber::new(number)
}

fn files(path: &str, digest: Digest, size: u64, content_type: &str) -> BTreeMap<usize, Files> {
    let entry = FileEntry { digest, size, content_type: content_type.to_owned() };
    BTreeMap::from([(1, Files::from([(path.to_owned(), entry)]))])
}

#[test]
fn the_life_of_a_site() {
    let store = Store::new();
    let control = &store.control;
    let shop = site("shop");
    let mut active = control.active();

    let first = store.publish("shop", "\"a.example\"", 1).unwrap();
    assert_eq!((first.release, first.active), (number(1), false));
    assert!(active.borrow().is_empty());
    let same = store.publish("shop", "\"a.example\"", 1).unwrap();
    assert_eq!(same, first, "nothing changed: the latest release is given back");
    assert_eq!(store.publish("shop", "\"a.example\"", 2).unwrap().release, number(2));
    assert_eq!(store.publish("shop", "\"a.example\"", 1).unwrap().release, number(3), "only the latest counts");

    let activated = control.activate(&shop, number(1), Some(None)).unwrap();
    assert_eq!((activated.release, activated.previous), (number(1), None));
    assert!(active.has_changed().unwrap());
    assert_eq!(active.borrow_and_update()[&shop].number, number(1));
    assert_eq!(control.previous(&shop).unwrap(), None);
    control.activate(&shop, number(3), Some(Some(number(1)))).unwrap();
    control.activate(&shop, number(3), None).unwrap();
    assert_eq!(control.previous(&shop).unwrap(), Some(number(1)));
    let back = control.activate(&shop, number(1), None).unwrap();
    assert_eq!(back.previous, Some(number(3)));
    assert_eq!(control.previous(&shop).unwrap(), Some(number(3)));

    let releases = control.releases(&shop).unwrap();
    let shown: Vec<_> = releases.iter().map(|release| (release.release.get(), release.active)).collect();
    assert_eq!(shown, [(1, true), (2, false), (3, false)]);
    let sites = control.sites().unwrap();
    assert_eq!(
        (sites[0].hosts.as_slice(), sites[0].active, sites[0].latest),
        (&["a.example".to_owned()][..], Some(number(1)), number(3))
    );
    assert_eq!(sites[0].previous, Some(number(3)));

    let before = control.last_seq();
    control.delete_site(&shop).unwrap();
    assert!(active.borrow_and_update().is_empty());
    assert!(matches!(control.releases(&shop), Err(SiteError::NoSuchSite(_))));
    assert!(matches!(control.previous(&shop), Err(SiteError::NoSuchSite(_))));
    assert!(matches!(control.delete_site(&shop), Err(SiteError::NoSuchSite(_))));
    let purged = control.purges_after(before, 10).unwrap();
    assert_eq!((purged.len(), &purged[0].selector), (1, &Selector::All), "a later site must not serve the old content");
    assert_eq!(store.publish("shop", "\"a.example\"", 9).unwrap().release, number(4), "a number is never given twice");
}

#[test]
fn activation_is_refused_with_a_reason() {
    let store = Store::new();
    let shop = site("shop");
    store.publish("shop", "\"a.example\"", 1).unwrap();
    store.publish("shop", "\"b.example\"", 1).unwrap();
    store.control.activate(&shop, number(2), None).unwrap();
    let check = |name: &str, release: u64, expected: Option<Option<u64>>, message: &str| {
        let expected = expected.map(|expected| expected.map(number));
        let error = store.control.activate(&site(name), number(release), expected).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    check("other", 1, None, "no site named `other`");
    check("shop", 3, None, "no release 3");
    check("shop", 1, Some(None), "release 2 is active now");
    check("shop", 1, Some(Some(1)), "release 2 is active now");
    store.publish("rival", "\"a.example\"", 1).unwrap();
    check("rival", 1, Some(Some(1)), "no release is active now");
    store.control.activate(&site("rival"), number(1), None).unwrap();
    check("shop", 1, None, "the host `a.example` belongs to the site `rival` by now");
}

#[test]
fn a_release_is_refused_with_a_reason() {
    let store = Store::new();
    let component = store.put(&handler("a"));
    let core = store.put(b"\0asm\x01\0\0\0");
    let cli = store.put(&component_exporting("wasi:cli/run@0.2.0"));
    let page = store.put(b"<p>");
    let absent = Digest::of(b"absent");
    let api = |digest| BTreeMap::from([("api".to_owned(), digest)]);
    let good = files("/index.html", page, 3, "text/html");
    let check = |components: BTreeMap<String, Digest>, files: BTreeMap<usize, Files>, message: &str| {
        let outcome = store.control.publish(manifest(FULL), components, files);
        let outcome = outcome.map_or_else(|error| error.to_string(), |release| format!("{release:?}"));
        assert!(outcome.contains(message), "{outcome}, expected {message}");
    };
    check(BTreeMap::new(), good.clone(), "component of [handlers.api]");
    check(BTreeMap::from([("api".to_owned(), component), ("x".to_owned(), core)]), good.clone(), "no [handlers.x]");
    check(api(absent), good.clone(), &format!("1 blob(s) that the release names have not been uploaded: {absent}"));
    check(api(core), good.clone(), "[handlers.api] can't be used: it is a core module");
    check(api(cli), good.clone(), "it exports wasi:cli/run@0.2.0");
    check(api(component), BTreeMap::new(), "no files were given for the route /*");
    check(api(component), BTreeMap::from([(0, Files::new()), (1, Files::new())]), "number 0");
    check(api(component), BTreeMap::from([(1, Files::new()), (7, Files::new())]), "number 7");
    check(api(component), files("index.html", page, 3, "text/html"), "must begin with /");
    check(api(component), files("/a", page, 3, "text/html\r\nX: y"), "content type");
    check(api(component), files("/a", page, 4, "text/html"), "given as 4, its blob has 3 bytes");
    check(api(component), files("/a", absent, 4, "text/html"), "have not been uploaded");
    check(api(component), good, "handlers: 1, files: 1");

    store.control.activate(&site("shop"), number(1), None).unwrap();
    let error = store.publish("rival", "\"x.example\", \"shop.example\"", 1).unwrap_err().to_string();
    assert!(error.contains("`shop.example` belongs to the site `shop`"), "{error}");
    store.publish("rival", "\"*.shop.example\"", 1).unwrap();
}

#[test]
fn one_swap_of_a_generation_wins() {
    const THREADS: u64 = 16;
    let store = Store::new();
    let shop = site("shop");
    for ttl in 1..=2 * THREADS {
        store.publish("shop", "\"a.example\"", u32::try_from(ttl).unwrap()).unwrap();
    }
    let mut current = None;
    for generation in 0..8 {
        let start = Barrier::new(usize::try_from(THREADS).unwrap());
        // Nobody activates what is active already: the halves take turns.
        let releases = (1..=THREADS).map(|thread| number(thread + THREADS * (generation % 2)));
        let winners: Vec<ReleaseNumber> = std::thread::scope(|scope| {
            let swap = |release| {
                start.wait();
                store.control.activate(&shop, release, Some(current))
            };
            let threads: Vec<_> = releases.map(|release| scope.spawn(move || swap(release))).collect();
            let outcomes = threads.into_iter().map(|thread| thread.join().unwrap());
            let win = |outcome| match outcome {
                Ok(wire::Activated { release, previous, .. }) => {
                    assert_eq!(previous, current);
                    Some(release)
                }
                Err(ActivateError::Conflict { .. }) => None,
                Err(error) => panic!("{error}"),
            };
            outcomes.filter_map(win).collect()
        });
        assert_eq!(winners.len(), 1, "generation {generation}");
        current = Some(winners[0]);
        assert_eq!(store.control.active().borrow()[&shop].number, winners[0]);
    }
}

#[test]
fn concurrent_purges_have_one_order() {
    let store = Store::new();
    store.publish("shop", "\"a.example\"", 1).unwrap();
    let control = &store.control;
    let tags = |thread: usize, turn: usize| {
        let tag = |part| Selector::parse_tag(&format!("{thread}-{turn}-{part}")).unwrap();
        (0..=turn % 3).map(tag).collect::<Vec<_>>()
    };
    let purge = |thread: usize| {
        let one = |turn: usize| {
            let selectors = tags(thread, turn);
            let last = control.purge(&site("shop"), selectors.clone(), PurgeMode::Hard).unwrap();
            assert!(control.last_seq() >= last, "the head is told before the caller");
            (last, selectors)
        };
        (0..60).map(one).collect::<Vec<_>>()
    };
    let mut answers: Vec<(Seq, Vec<Selector>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|thread| scope.spawn(move || purge(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    answers.sort_by_key(|(last, _)| *last);
    let expected: Vec<Selector> = answers.iter().flat_map(|(_, selectors)| selectors.clone()).collect();

    let mut log = Vec::new();
    let mut after = Seq::ZERO;
    loop {
        let page = control.purges_after(after, 100).unwrap();
        let Some(last) = page.last() else { break };
        after = last.seq;
        log.extend(page);
    }
    let seqs: Vec<u64> = log.iter().map(|entry| entry.seq.get()).collect();
    assert_eq!(seqs, (1..=expected.len() as u64).collect::<Vec<_>>());
    assert_eq!(log.iter().map(|entry| entry.selector.clone()).collect::<Vec<_>>(), expected);
    assert!(log.windows(2).all(|pair| pair[0].time <= pair[1].time));
    assert_eq!(
        (control.last_seq(), *control.head().borrow(), control.oldest_seq().unwrap()),
        (after, after, Seq::new(1))
    );
}

#[test]
fn purges_are_refused_with_a_reason() {
    let store = Store::new();
    store.publish("shop", "\"a.example\"", 1).unwrap();
    let check = |name: &str, selectors: Vec<Selector>, message: &str| {
        let error = store.control.purge(&site(name), selectors, PurgeMode::Soft).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    check("other", vec![Selector::All], "no site named `other`");
    check("shop", vec![], "nothing is selected");
    check("shop", vec![Selector::All; 1001], "1001 selectors");
    assert_eq!(store.control.last_seq(), Seq::ZERO);
    assert_eq!(store.control.purge(&site("shop"), vec![Selector::All; 1000], PurgeMode::Soft).unwrap(), Seq::new(1000));
}

#[test]
fn the_log_is_bounded() {
    let store = Store::new();
    store.publish("shop", "\"a.example\"", 1).unwrap();
    for _ in 0..6 {
        store.control.purge(&site("shop"), vec![Selector::All; 1000], PurgeMode::Hard).unwrap();
    }
    assert_eq!((store.control.oldest_seq().unwrap(), store.control.last_seq()), (Seq::new(1001), Seq::new(6000)));
    let first = store.control.purges_after(Seq::ZERO, 1).unwrap();
    assert_eq!(first[0].seq, Seq::new(1001));
}

#[test]
fn all_of_it_survives_a_restart() {
    let store = Store::new();
    let component = store.put(&handler("a"));
    let page = store.put(b"<p>");
    let components = BTreeMap::from([("api".to_owned(), component)]);
    store.control.publish(manifest(FULL), components, files("/index.html", page, 3, "text/html")).unwrap();
    store.control.activate(&site("shop"), number(1), None).unwrap();
    let seq = store.control.purge(&site("shop"), vec![Selector::All; 3], PurgeMode::Soft).unwrap();
    let state = |store: &Store| {
        let control = &store.control;
        let token = fs::read_to_string(control.token_file()).unwrap();
        assert!(control.tokens().check(token.trim()).is_ok());
        let active = control.active().borrow().clone();
        let purges = control.purges_after(Seq::ZERO, 10).unwrap();
        (control.log_id(), control.last_seq(), active, purges, control.releases(&site("shop")).unwrap(), token)
    };
    let before = state(&store);
    assert_eq!((before.1, before.3.len()), (seq, 3));
    let store = store.reopen();
    assert_eq!(state(&store), before);
    assert_eq!(store.control.blob(&page).unwrap().unwrap(), "<p>");
    assert_eq!(store.control.purge(&site("shop"), vec![Selector::All], PurgeMode::Hard).unwrap(), seq.next());
    let other = Store::new();
    assert_ne!(other.control.log_id(), before.0, "each log has an id of its own");
}

#[test]
fn secrets_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let store = Store::new();
    let mode = |name: &str| fs::metadata(store.dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("token"), mode("token.key")), (0o600, 0o600));
    fs::set_permissions(store.dir.path().join("token"), fs::Permissions::from_mode(0o644)).unwrap();
    let store = store.reopen();
    let mode = |name: &str| fs::metadata(store.dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("token"), 0o600);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let check = |spoil: &dyn Fn(&Path), message: &str| {
        let store = Store::new();
        let path = store.dir.path().to_owned();
        drop(store.control);
        spoil(&path);
        let error = Control::open(&path, Telemetry::new()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}, expected {message}");
    };
    check(&|dir| fs::write(dir.join(db::FILE), vec![0x5a; 100_000]).unwrap(), "damaged or not a control store");
    check(&|dir| fs::write(dir.join(db::FILE), "short").unwrap(), "damaged or not a control store");
    check(&|dir| db::set_schema_for_tests(dir, 99), "has schema 99, this version reads 1");
    check(&|dir| fs::write(dir.join("token.key"), "junk").unwrap(), "is not an Ed25519 key");
    let file_in_the_way = |dir: &Path| {
        fs::remove_dir_all(dir.join("blobs")).unwrap();
        fs::write(dir.join("blobs"), "").unwrap();
    };
    check(&file_in_the_way, "can't make");

    let store = Store::new();
    let error = Control::open(store.dir.path(), Telemetry::new()).unwrap_err().to_string();
    assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
    let file = store.dir.path().join("token");
    let error = Control::open(&file, Telemetry::new()).unwrap_err().to_string();
    assert!(error.contains("can't make"), "{error}");
}

/// A page flipped in a file that was closed cleanly is found when it is opened: not later, and not by a panic.
#[test]
fn damage_within_the_database_is_found() {
    let store = Store::new();
    for ttl in 1..=40 {
        store.publish("shop", "\"a.example\"", ttl).unwrap();
    }
    let path = store.dir.path().to_owned();
    drop(store.control);
    let clean = fs::read(path.join(db::FILE)).unwrap();
    let mut found = 0;
    let texts: Vec<usize> = clean.windows(9).enumerate().filter(|(_, w)| w == b"a.example").map(|(at, _)| at).collect();
    for at in texts {
        let mut damaged = clean.clone();
        damaged[at] ^= 1;
        fs::write(path.join(db::FILE), &damaged).unwrap();
        match Control::open(&path, Telemetry::new()) {
            Err(error) => {
                assert!(error.to_string().contains("damaged"), "{error}");
                found += 1;
            }
            // The byte was in a page that is free by now.
            Ok(control) => assert_eq!(control.releases(&site("shop")).unwrap().len(), 40),
        }
    }
    assert!(found > 0);
}

#[test]
fn metrics_tell_what_nodes_say() {
    let store = Store::new();
    let control = &store.control;
    store.publish("shop", "\"a.example\"", 1).unwrap();
    control.activate(&site("shop"), number(1), None).unwrap();
    let join = NodeJoin {
        node: "edge-1".parse().unwrap(),
        role: "edge".to_owned(),
        region: "local".parse().unwrap(),
        version: "0".to_owned(),
    };
    let node = control.join(join);
    assert_eq!(control.missing().len(), 1);
    node.applied(Seq::new(7));
    node.serving(&site("shop"), Ok(number(1)));
    assert!(control.missing().is_empty());
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    control.on_collect(Box::new(move || *counted.lock() += 1));
    let text = control.metrics();
    assert!(text.contains("holm_purge_applied_seq{node=\"edge-1\"} 7"), "{text}");
    assert!(text.contains("holm_release_active{node=\"edge-1\",site=\"shop\",release=\"1\"} 1"), "{text}");
    drop(node);
    assert!(!control.metrics().contains("edge-1"));
    assert_eq!(*calls.lock(), 2);
}
