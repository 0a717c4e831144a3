//! The subject of a fetch: what of a request, its target and its route outlives them.

use std::sync::Arc;

use holm_cache_policy::{CacheKey, KeyInput};
use holm_cache_store::Scope;
use holm_model::manifest::{CacheRule, DiskAdmission};
use http::{Method, Request};

use crate::address::Authority;
use crate::internal::Scheme;
use crate::node::{Node, Target, key_input};
use crate::storing::Storing;

/// What of a request, its target and its route outlives them: the right to store is taken from it for each fetch anew.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(super) asked: Request<()>,
    pub(super) place: Place,
    pub(super) primary: CacheKey,
    pub(super) scope: Scope,
    pub(super) rule: CacheRule,
}

/// What of a [`Target`] enters keys, for one who outlives it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) site: String,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) content_digest: Option<[u8; 32]>,
}

impl Subject {
    pub(crate) fn of<B>(target: &Target<'_>, request: &Request<B>) -> Self {
        Self {
            asked: shadow(request),
            place: Place {
                site: target.key_site().to_owned(),
                scheme: target.scheme,
                authority: target.authority.clone(),
                content_digest: target.content_digest,
            },
            primary: target.key(request),
            scope: target.scope(request),
            rule: target.route.rule.clone(),
        }
    }

    /// The right to store what a fetch brings that begins now.
    pub(crate) fn storing(self, node: &Arc<Node>) -> Storing {
        let Self { asked, place, primary, scope, rule } = self;
        let underway = node.underway.enter(primary);
        let guard = node.marks.begin_fill();
        Storing {
            begun: guard.begun(),
            guard,
            asked,
            place,
            _underway: underway,
            primary,
            recalled: None,
            scope,
            rule,
            node: Arc::clone(node),
        }
    }

    /// May what is stored of it go to disk?
    pub(crate) const fn disk(&self) -> DiskAdmission {
        self.rule.disk
    }

    /// Is it a GET's? Only of such a response parts can be asked for.
    pub(crate) fn is_get(&self) -> bool {
        *self.asked.method() == Method::GET
    }
}

impl Place {
    pub(super) fn key_input<'a>(&'a self, request: &'a Request<()>, rule: &'a CacheRule) -> KeyInput<'a> {
        let input = key_input(&self.site, self.scheme, &self.authority, request, &rule.key);
        KeyInput { content: self.content_digest, ..input }
    }
}

/// The request without its body.
pub(crate) fn shadow<B>(request: &Request<B>) -> Request<()> {
    let mut shadow = Request::new(());
    *shadow.method_mut() = request.method().clone();
    *shadow.uri_mut() = request.uri().clone();
    *shadow.headers_mut() = request.headers().clone();
    shadow
}
