//! The certificates of sites: those that their manifests name, kept as the files and the releases change.

use std::sync::Arc;
use std::time::Duration;

use holm_proxy::Node;
use holm_transport::tls::{CertificateSource, SiteCertificate, SiteCertificates};

/// Keeps `certificates` in step with the sites of `node` and with their files, until it is dropped.
pub(crate) async fn keep(certificates: Arc<SiteCertificates>, default: CertificateSource, node: Arc<Node>) {
    let mut tick = tokio::time::interval(INTERVAL);
    let mut known = Vec::new();
    loop {
        tick.tick().await;
        let named = named(&node);
        let (certificates, default) = (Arc::clone(&certificates), default.clone());
        let changed = named != known;
        let work = tokio::task::spawn_blocking(move || {
            bring_up_to_date(&certificates, changed.then_some((default, named.clone())), named)
        });
        // What can't be read now is tried again with the next change; it has been told.
        known = work.await.unwrap_or_default();
    }
}

/// Host names, certificate and key of each site that has its own.
type Named = Vec<(Vec<String>, holm_model::manifest::TlsFiles)>;

fn named(node: &Node) -> Named {
    let mut named: Named = node
        .sites()
        .all()
        .iter()
        .filter_map(|site| {
            let manifest = &site.release().manifest;
            let hosts = manifest.hosts.iter().map(ToString::to_string).filter(|host| host != "*").collect();
            Some((hosts, manifest.tls.clone()?))
        })
        .collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}

fn bring_up_to_date(
    certificates: &SiteCertificates,
    change: Option<(CertificateSource, Named)>,
    known: Named,
) -> Named {
    if let Some((default, named)) = change {
        let sites = named.into_iter().map(|(names, files)| SiteCertificate {
            names,
            source: CertificateSource::Files { cert: files.cert.into(), key: files.key.into() },
        });
        if let Err(error) = certificates.replace(Some(default), sites.collect()) {
            tracing::error!(%error, "a site's certificate can't be used; the former ones stay");
        }
        return known;
    }
    for error in certificates.reload_changed().errors {
        tracing::error!(%error, "a changed certificate can't be used; the former one stays");
    }
    known
}

/// How soon a change of a file, or of a site, is seen.
const INTERVAL: Duration = Duration::from_secs(2);
