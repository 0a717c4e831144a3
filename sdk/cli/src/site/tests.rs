//! Sites in folders and what is found there.

use std::fs;
use std::path::Path;

use holm_model::ids::Digest;

use super::{Site, check_component, parse, read_manifest};

/// The preamble of a component, and of a core module.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

const MANIFEST: &str = "name = \"shop\"\nhosts = [\"*\"]\n\
    [[routes]]\npath = \"/api/*\"\nhandler = \"api\"\n\
    [[routes]]\npath = \"/*\"\nfiles = \"public\"\n\
    [handlers.api]\ncomponent = \"api\"\n";

const TLS: &str = "tls = { cert = \"shop.pem\", key = \"./shop.pem\" }\n";

/// A site with a crate that was built, and two files of the same content.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(dir.path(), "holm.toml", MANIFEST.as_bytes());
    write(dir.path(), "api/Cargo.toml", b"[package]\nname = \"my-api\"\n");
    write(dir.path(), "api/target/wasm32-wasip2/release/my_api.wasm", COMPONENT);
    write(dir.path(), "api/target/wasm32-wasip2/release/other.wasm", COMPONENT);
    write(dir.path(), "public/index.html", b"hello");
    write(dir.path(), "public/a/copy.txt", b"hello");
    write(dir.path(), "public/.git/config", b"secret");
    write(dir.path(), "public/.well-known/security.txt", b"x");
    dir
}

fn write(dir: &Path, name: &str, content: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, content).expect("a file");
}

/// After `change`, loading fails and says these words.
#[track_caller]
fn check_refused(change: impl FnOnce(&Path), words: &str) {
    let dir = folder();
    change(dir.path());
    let failure = Site::load(dir.path()).expect_err("a broken site").to_string();
    assert!(failure.contains(words), "`{words}` is missing in:\n{failure}");
}

#[test]
fn a_site_is_loaded() {
    let dir = folder();
    let site = Site::load(dir.path()).unwrap_or_else(|failure| panic!("{failure}"));
    let files = &site.files[&1];
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["/.well-known/security.txt", "/a/copy.txt", "/index.html"]);
    assert_eq!(files["/index.html"].content_type, "text/html; charset=utf-8");
    assert_eq!(files["/index.html"].digest, Digest::of(b"hello"));
    assert_eq!(files["/index.html"].size, 5);
    assert_eq!(site.components["api"], Digest::of(COMPONENT));
    assert_eq!(site.blobs.len(), 3, "equal content is one blob");
    assert!(site.notes.iter().any(|note| note.contains("1 hidden")), "{:?}", site.notes);
}

#[test]
fn what_is_published_says_what_was_loaded() {
    let dir = folder();
    let load = || Site::load_with_text(dir.path()).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(load().1, MANIFEST, "as it stands");

    write(dir.path(), "shop.pem", b"");
    write(dir.path(), "holm.toml", format!("{TLS}{MANIFEST}").as_bytes());
    let (site, text) = load();
    let published = parse("published", &text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(published, site.manifest);
    assert!(published.tls.expect("certificates").cert.starts_with('/'));
}

#[test]
fn a_manifest_may_be_named_itself() {
    let dir = folder();
    fs::rename(dir.path().join("holm.toml"), dir.path().join("shop.toml")).expect("renamed");
    assert!(Site::load(&dir.path().join("shop.toml")).is_ok());
    let failure = Site::load(dir.path()).expect_err("no holm.toml").to_string();
    assert!(failure.contains("there is no holm.toml"), "{failure}");
}

#[test]
fn what_is_missing_is_named() {
    check_refused(|dir| fs::remove_dir_all(dir.join("public")).expect("removed"), "public");
    check_refused(|dir| fs::remove_dir_all(dir.join("api")).expect("removed"), "[handlers.api]");
    check_refused(|dir| fs::remove_dir_all(dir.join("api/target")).expect("removed"), "holm build");
    check_refused(|dir| fs::remove_file(dir.join("api/Cargo.toml")).expect("removed"), "holds no .wasm");
}

#[test]
fn what_is_wrong_is_named() {
    check_refused(|dir| write(dir, "holm.toml", b"nmae = 1"), "did you mean `name`?");
    check_refused(|dir| write(dir, "holm.toml", b"\xff\xfe"), "not text in UTF-8");
    let built = "api/target/wasm32-wasip2/release/my_api.wasm";
    check_refused(|dir| write(dir, built, MODULE), "core module");
    check_refused(|dir| write(dir, built, b"hello"), "not WebAssembly");
    check_refused(|dir| write(dir, built, b""), "not WebAssembly");
    check_refused(|dir| write(dir, built, b"(module)"), "WebAssembly text");
}

#[test]
fn links_out_of_the_folder_are_refused() {
    let link =
        |to: &'static str| move |dir: &Path| std::os::unix::fs::symlink(to, dir.join("public/l")).expect("a link");
    check_refused(link("../holm.toml"), "a link out of its folder");
    check_refused(link("a"), "a link to a folder");
    check_refused(link("nowhere"), "cannot follow the link");
    let dir = folder();
    link("index.html")(dir.path());
    assert!(Site::load(dir.path()).is_ok(), "a link within the folder");
}

#[test]
fn paths_that_are_no_site() {
    let dir = folder();
    let wasm = dir.path().join("a.wasm");
    fs::write(&wasm, COMPONENT).expect("a file");
    assert!(check_component(&wasm).is_ok());
    assert!(check_component(dir.path()).is_err());
    assert!(check_component(&dir.path().join("none")).is_err());
    let failure = read_manifest(&wasm).expect_err("a component").to_string();
    assert!(failure.contains("holm serve"), "{failure}");
}
