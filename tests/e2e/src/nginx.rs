//! nginx as an origin: files, validators, ranges, and HTTP/2 with TLS.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use crate::PATIENCE;
use crate::process::Process;
use crate::tools::{program, unused_port};

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    port: u16,
    scheme: &'static str,
    dir: tempfile::TempDir,
    _process: Process,
}

impl Nginx {
    /// Starts one that serves the folder [`Nginx::root`]; `locations` are added to its server block.
    ///
    /// # Panics
    /// It is missing or can't be started.
    pub fn start(locations: &str) -> Self {
        Self::start_with("http", "", locations)
    }

    /// The same with TLS and HTTP/2, for a certificate and its key (PEM files).
    pub fn start_tls(cert: &Path, key: &Path, locations: &str) -> Self {
        let tls = format!("ssl_certificate {};\nssl_certificate_key {};", cert.display(), key.display());
        Self::start_with("https", &tls, locations)
    }

    fn start_with(scheme: &'static str, tls: &str, locations: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("root")).expect("a folder");
        // Another process may take a port between our look and nginx's.
        for _ in 0..TRIES {
            let port = unused_port();
            let listen = if scheme == "https" { format!("{port} ssl http2") } else { port.to_string() };
            let config = config(dir.path(), &format!("listen 127.0.0.1:{listen};\n{tls}"), locations);
            let file = dir.path().join("nginx.conf");
            std::fs::write(&file, config).expect("written");
            let mut nginx = program("nginx");
            nginx.arg("-p").arg(dir.path()).arg("-c").arg(&file).args(["-e", "stderr"]).stdin(Stdio::null());
            let mut process = Process::start("nginx", &mut nginx, &dir.path().join("nginx.log"));
            if answers(&mut process, port) {
                return Self { port, scheme, dir, _process: process };
            }
        }
        panic!("nginx does not start: {}", std::fs::read_to_string(dir.path().join("nginx.log")).unwrap_or_default());
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// The folder that it serves.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Writes a file to serve.
    ///
    /// # Panics
    /// It can't be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().expect("invariant: below the root")).expect("a folder");
        std::fs::write(path, content).expect("written");
    }

    /// Its access log: a line for each request, `METHOD TARGET STATUS PROTOCOL`.
    pub fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How many requests its log has for this target.
    pub fn asked(&self, target: &str) -> usize {
        self.log().iter().filter(|line| line.split(' ').nth(1) == Some(target)).count()
    }
}

fn answers(process: &mut Process, port: u16) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while process.ended().is_none() && Instant::now() < deadline {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    false
}

fn config(dir: &Path, listen: &str, locations: &str) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let dir = dir.display();
    format!(
        "{user}daemon off;\nmaster_process off;\npid {dir}/pid;\nworker_processes 1;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         include /etc/nginx/mime.types;\ndefault_type application/octet-stream;\n\
         log_format told '$request_method $request_uri $status $server_protocol';\n\
         access_log {dir}/access.log told;\n\
         client_body_temp_path {dir}/t1;\nproxy_temp_path {dir}/t2;\nfastcgi_temp_path {dir}/t3;\n\
         uwsgi_temp_path {dir}/t4;\nscgi_temp_path {dir}/t5;\n\
         client_max_body_size 0;\nsendfile on;\nkeepalive_timeout 60s;\n\
         server {{\n{listen}\nroot {dir}/root;\n{locations}\n}}\n}}\n"
    )
}

const TRIES: usize = 5;
