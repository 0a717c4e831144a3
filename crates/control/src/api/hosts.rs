//! Which names a loopback listener answers to: a page that had its own name resolve to 127.0.0.1 (DNS rebinding) must not
//! read what is here without a token.

use std::net::IpAddr;
use std::str::FromStr;

use holm_transport::service::ConnInfo;
use http::uri::Authority;
use http::{Request, StatusCode, header};

use super::problem::Failure;

/// Refuses a request to a loopback listener that asks for a name of elsewhere.
pub(super) fn check<B>(request: &Request<B>, connection: &ConnInfo, allowed: &[String]) -> Result<(), Failure> {
    if !connection.local.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let field = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().cloned().or_else(|| Authority::from_str(field?).ok());
    // HTTP/1.0 has no Host; no browser speaks it.
    if request.version() == http::Version::HTTP_10 && field.is_none() && authority.is_none() {
        return Ok(());
    }
    let host = authority.as_ref().map_or("", Authority::host).trim_matches(['[', ']']).trim_end_matches('.');
    let local = host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
        || host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || allowed.iter().any(|name| name.eq_ignore_ascii_case(host));
    if local {
        return Ok(());
    }
    let detail =
        format!("this listener is for this machine alone: ask for localhost, 127.0.0.1 or [::1], not `{host}`");
    Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "other-host", detail))
}
