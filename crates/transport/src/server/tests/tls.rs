//! TLS: who is let in, and which certificate is shown to whom.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Request;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::body::Body;
use crate::client::{Connection, Dialer, Security, Target};
use crate::h3;
use crate::listen::Bound;
use crate::server::{ServerLimits, serve_clear};
use crate::shutdown::Shutdown;
use crate::testing::{Fixture, Raw, TestService, in_time};
use crate::tls::{
    Authority, CertificateSource, ClientConfig, SiteCertificate, SiteCertificates, mutual_client_config,
    mutual_server_config, origin_client_config, peer_name, server_config,
};
use crate::workers::Workers;

fn authority() -> Authority {
    Authority::generate("test").expect("an authority")
}

fn sites(authority: &Authority) -> SiteCertificates {
    let issue = |names: &[&str]| CertificateSource::from(authority.issue_server(names).expect("a certificate"));
    let site = |names: &[&str]| SiteCertificate { names: Vec::new(), source: issue(names) };
    let certificates = SiteCertificates::empty();
    let all = vec![site(&["www.shop.test"]), site(&["*.shop.test", "shop.test"]), site(&["blog.test"])];
    certificates.replace(Some(issue(&["fallback.test", "localhost"])), all).expect("certificates");
    certificates
}

fn trusting(authority: &Authority) -> Arc<ClientConfig> {
    origin_client_config(Some(authority.ca_pem().as_bytes())).expect("a configuration")
}

/// What `/info` says, or the error.
async fn info(addr: SocketAddr, server_name: &str, tls: Arc<ClientConfig>) -> Result<String, String> {
    let security = Security::Tls { server_name: server_name.to_owned() };
    let target = Target { host: addr.ip().to_string(), port: addr.port(), security };
    let dialed = Dialer::new(Some(tls), Duration::from_secs(10)).dial(&target).await;
    let mut connection = dialed.map_err(|error| error.to_string())?;
    let uri = match connection {
        Connection::Http1(_) => "/info".to_owned(),
        Connection::Http2(_) => format!("https://{server_name}/info"),
    };
    let request = Request::get(uri).header("host", server_name).body(Body::empty()).expect("a request");
    let response = in_time(connection.send(request)).await.map_err(|error| error.to_string())?;
    let body = response.into_body().collect(1000).await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The first name in the certificate that is shown to one who asks for `server_name`.
async fn shown(addr: SocketAddr, server_name: &str, authority: &Authority) -> Option<String> {
    let tcp = TcpStream::connect(addr).await.expect("a connection");
    let mut config = ClientConfig::clone(&trusting(authority));
    config.resumption = rustls::client::Resumption::disabled();
    let name = ServerName::try_from(server_name.to_owned()).expect("a name");
    match TlsConnector::from(Arc::new(config)).connect(name, tcp).await {
        Ok(stream) => stream.get_ref().1.peer_certificates().and_then(peer_name),
        Err(_) => None,
    }
}

#[tokio::test]
async fn the_protocol_is_agreed() {
    let authority = authority();
    let server = Fixture::tls(server_config(Arc::new(sites(&authority))).expect("a configuration"));
    let check = async |alpn: &[&[u8]], versions: &[&'static rustls::SupportedProtocolVersion], expected: &str| {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in crate::tls::certificates("test", authority.ca_pem().as_bytes()).expect("certificates") {
            roots.add(certificate).expect("a root");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let answer = info(server.addr, "Blog.test", Arc::new(config)).await;
        assert_eq!(answer.as_deref(), Ok(expected));
    };
    let (tls12, tls13) = (&rustls::version::TLS12, &rustls::version::TLS13);
    check(&[b"h2", b"http/1.1"], &[tls13], "h2 sni=blog.test identity=").await;
    check(&[b"http/1.1"], &[tls13], "h1 sni=blog.test identity=").await;
    check(&[b"h2"], &[tls12], "h2 sni=blog.test identity=").await;
    check(&[b"http/1.1"], &[tls12], "h1 sni=blog.test identity=").await;
}

#[tokio::test]
async fn the_certificate_is_chosen_by_name() {
    let authority = authority();
    let certificates = Arc::new(sites(&authority));
    let server = Fixture::tls(server_config(Arc::clone(&certificates)).expect("a configuration"));
    let check = async |name: &str, expected: Option<&str>| {
        assert_eq!(shown(server.addr, name, &authority).await.as_deref(), expected, "{name}");
    };
    check("www.shop.test", Some("www.shop.test")).await;
    check("img.shop.test", Some("*.shop.test")).await;
    check("shop.test", Some("*.shop.test")).await;
    check("blog.test", Some("blog.test")).await;
    check("localhost", Some("fallback.test")).await;
    // The default is shown, and the client does not accept it.
    check("a.img.shop.test", None).await;
    certificates.replace(None, Vec::new()).expect("nothing to read");
    check("localhost", None).await;
}

#[tokio::test]
async fn only_nodes_are_let_in() {
    let (ours, theirs) = (authority(), authority());
    let ca = ours.ca_pem().as_bytes();
    let shield = ours.issue_node("shield-1").expect("a certificate");
    let server = Fixture::tls(mutual_server_config(&shield, ca).expect("a configuration"));
    let edge = ours.issue_node("edge-1").expect("a certificate");
    let as_edge = mutual_client_config(&edge, ca).expect("a configuration");
    let answer = info(server.addr, "shield-1", Arc::clone(&as_edge)).await;
    assert_eq!(answer.as_deref(), Ok("h2 sni=shield-1 identity=edge-1"));
    let stranger = theirs.issue_node("edge-1").expect("a certificate");
    let refused = [
        ("no certificate", "shield-1", trusting(&ours)),
        ("another authority's", "shield-1", mutual_client_config(&stranger, ca).expect("a configuration")),
        ("a server's only", "shield-1", {
            let not_a_node = ours.issue_server(&["edge-1"]).expect("a certificate");
            mutual_client_config(&not_a_node, ca).expect("a configuration")
        }),
        ("another node's name", "shield-2", as_edge),
        ("a server of another authority", "shield-1", {
            mutual_client_config(&edge, theirs.ca_pem().as_bytes()).expect("a configuration")
        }),
    ];
    for (what, name, tls) in refused {
        let answer = info(server.addr, name, tls).await;
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn quic_knows_the_node_too() {
    let ours = authority();
    let ca = ours.ca_pem().as_bytes();
    let shield = ours.issue_node("shield-1").expect("a certificate");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let addr = socket.local_addr().expect("an address");
    let (service, _seen) = TestService::new();
    let tls = mutual_server_config(&shield, ca).expect("a configuration");
    tokio::spawn(h3::serve(socket, tls, service, Shutdown::new(), h3::Limits::internal()));
    let edge = ours.issue_node("edge-1").expect("a certificate");
    let ask = async |tls: &ClientConfig| {
        let client = h3::Client::new(tls, h3::Limits::internal()).expect("TLS 1.3");
        let connection = client.connect(addr, "shield-1").await.map_err(|error| error.to_string())?;
        let request = Request::get("https://shield-1/info").body(Body::empty()).expect("a request");
        let response = in_time(connection.send(request)).await.map_err(|error| error.to_string())?;
        response.into_body().collect(1000).await.map_err(|error| error.to_string())
    };
    let known = ask(&mutual_client_config(&edge, ca).expect("a configuration")).await;
    assert_eq!(known.as_deref(), Ok("h3 sni=shield-1 identity=edge-1".as_bytes()));
    let unknown = ask(&trusting(&ours)).await;
    assert!(unknown.is_err(), "{unknown:?}");
}

#[tokio::test]
async fn changed_files_are_read_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let mut age = 1000;
    // Distinct times, however fast this runs.
    let mut write = |path: &Path, text: &str| {
        age -= 1;
        std::fs::write(path, text).expect("a file");
        let file = std::fs::File::options().write(true).open(path).expect("a file");
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).expect("a time");
    };
    let make = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let (first, second) = (make("first.test"), make("second.test"));
    write(&cert, &first.cert.pem());
    write(&key, &first.signing_key.serialize_pem());
    let source = CertificateSource::Files { cert: cert.clone(), key: key.clone() };
    let certificates = SiteCertificates::new(source).expect("files that are read");
    let check = |reloaded: usize, errors: &[&str], name: &str| {
        let outcome = certificates.reload_changed();
        let told: Vec<String> = outcome.errors.iter().map(ToString::to_string).collect();
        assert_eq!((outcome.reloaded, told.len()), (reloaded, errors.len()), "{told:?}");
        assert!(told.iter().zip(errors).all(|(told, part)| told.contains(part)), "{told:?}");
        let shown = certificates.default_names();
        assert_eq!(shown, [name]);
    };
    check(0, &[], "first.test");
    write(&cert, &second.cert.pem());
    check(0, &["does not belong to"], "first.test");
    check(0, &[], "first.test");
    write(&key, &second.signing_key.serialize_pem());
    check(1, &[], "second.test");
    std::fs::remove_file(&key).expect("a file");
    check(0, &["key.pem"], "second.test");
    write(&key, &second.signing_key.serialize_pem());
    check(1, &[], "second.test");
}

#[test]
fn workers_share_a_port() {
    let bound = Bound::tcp("127.0.0.1:0".parse().expect("an address"), 2).expect("sockets");
    let (addr, sockets, shutdown) = (bound.addr, Workers::share(bound.tcp), Shutdown::new());
    let told = shutdown.clone();
    let workers = Workers::start(2, "test", move |index| {
        let socket = sockets.take(index).expect("a socket for each");
        let (service, _) = TestService::new();
        serve_clear(socket, service, told.clone(), ServerLimits::default())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for _ in 0..20 {
            let mut client = Raw::connect(addr).await;
            client.ask("GET /hello HTTP/1.1\nHost: a\nConnection: close").await;
            assert!(client.rest().await.ends_with("hello"));
        }
    });
    shutdown.begin();
    workers.expect("threads").join().expect("no error");
    assert_eq!(shutdown.connections(), 0);
}
