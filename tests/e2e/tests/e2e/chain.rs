//! The chain: what crosses edge and shield, and what does not.

use holm_e2e::{Holm, Nginx, Pattern, Protocol, get, sha256};

#[test]
fn nginx_over_every_protocol() {
    let nginx = Nginx::start("add_header Cache-Control max-age=60;");
    let content = Pattern::new(100_000).bytes();
    nginx.file("a.txt", &content);
    let holm = Holm::before(nginx.url());
    for protocol in Protocol::ALL {
        let response = holm.ask(&get("/a.txt").over(protocol)).expect(200);
        println!("{}", response.show());
        assert_eq!(sha256(&response.body), sha256(&content), "{protocol:?}");
    }
}
