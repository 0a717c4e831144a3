//! TLS: versions, and certificates of one's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use holm_e2e::{Curl, Holm, Origin, Protocol, get, ok, wait_for};

/// A certificate that vouches for itself, and its key.
fn certificate(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName=DNS:{name},IP:127.0.0.1")])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl is missing: run `cargo xtask setup`");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (cert, key)
}

fn origin() -> Origin {
    Origin::start(|_, exchange| ok(exchange, "x"))
}

#[test]
fn versions_and_protocols() {
    let origin = origin();
    let holm = Holm::before(origin.url());
    for (args, version, connects) in [
        (&["--tlsv1.3", "--http2"][..], "HTTP/2", true),
        (&["--tls-max", "1.2", "--http2"], "HTTP/2", true),
        (&["--tls-max", "1.2", "--http1.1"], "HTTP/1.1", true),
        (&["--no-alpn"], "HTTP/1.1", true),
        (&["--tls-max", "1.1"], "", false),
    ] {
        let response = holm.curl(&get("/").over(Protocol::Http2)).args(args).run();
        assert_eq!(
            (response.status, response.version.as_str()),
            (if connects { 200 } else { 0 }, version),
            "{args:?}: {}",
            response.show()
        );
    }
    // Whoever speaks in the clear to a port that does not is no harm to others.
    let answer = holm_e2e::Raw::connect(holm.https()).send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").until_closed();
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    holm.ask(&get("/").over(Protocol::Http3)).expect(200);
}

#[test]
fn a_certificate_of_ones_own() {
    let origin = origin();
    let dir = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(dir.path(), "own.example");
    let holm = Holm::up().args(&["--origin", &origin.url()]).arg("--cert").arg(&cert).arg("--key").arg(&key).start();
    let response = Curl::new(&get("/").over(Protocol::Http2), holm.ready("https"), &cert).run();
    response.expect(200);
    holm_e2e::H3Client::start(holm.https(), &cert).run(&get("/").over(Protocol::Http3)).expect(200);
    let missing = dir.path().join("none.pem");
    Holm::up().arg("--cert").arg(&missing).arg("--key").arg(&key).run().fails(1, "none.pem");
    let (other, _) = certificate(dir.path(), "other.example");
    Holm::up().arg("--cert").arg(&other).arg("--key").arg(&key).run().fails(1, "error");
}

#[test]
fn a_site_shows_its_own_certificate_by_name() {
    let origin = origin();
    let holm = Holm::up().start();
    let (cert, _) = certificate(&holm.site_folder(), "shop.example");
    holm.write(
        "holm.toml",
        format!(
            "name = \"shop\"\nhosts = [\"shop.example\"]\ntls = {{ cert = \"shop.example.pem\", key = \"shop.example.key\" }}\n\
             [[routes]]\npath = \"/*\"\norigin = \"web\"\n[origins.web]\nendpoints = [\"{}\"]\n",
            origin.url()
        ),
    );
    holm.cli("publish").ok("is live on 2 nodes");
    let (_, port) = holm.https().rsplit_once(':').expect("a port");
    let resolve = format!("shop.example:{port}:127.0.0.1");
    let by_name = |protocol| {
        let curl = Curl::new(&get("/").over(protocol), &format!("https://shop.example:{port}"), &cert);
        curl.args(&["--resolve", &resolve]).run()
    };
    // The edge looks for new certificates every two seconds.
    wait_for("the site's certificate", || by_name(Protocol::Https1).status == 200);
    by_name(Protocol::Http2).expect(200);
    // Without its name one gets the node's own.
    holm.ask(&get("/").field("host", "shop.example").over(Protocol::Http2)).expect(200);
}
