//! Invalidation: what a success of an unsafe method has changed is not served any more. RFC 9111 §4.4, RFC 9875 §3.

use holm_cache_policy::{InvalidatedGroups, TargetUri, invalidated_beside, invalidated_groups, invalidates};
use holm_cache_store::Changed;
use holm_model::manifest::{KeyRule, QueryRule};
use http::{HeaderMap, Request, StatusCode};
use smallvec::SmallVec;

use crate::node::{Node, Target, origin, path_key};
use crate::stored::Aside;

impl Node {
    /// Takes note of what the response to a request (whose body is gone) has changed.
    pub(crate) fn invalidate(
        &self,
        target: &Target<'_>,
        request: &Request<()>,
        status: StatusCode,
        response: &HeaderMap,
    ) {
        let groups = invalidated_groups(request.method(), response);
        let changes = invalidates(request.method(), status);
        if !changes && groups.is_empty() {
            return;
        }
        let (site, host) = (target.site.name(), target.authority.host());
        let (uri, origin) = (request.uri(), origin(target.scheme, target.authority));
        let beside = if changes { invalidated_beside(&target.uri(request), response) } else { SmallVec::new() };
        let mut changed: SmallVec<[Changed<'_>; 4]> = SmallVec::new();
        if changes && self.may_hold(target, request) {
            changed.push(Changed::Url { site, host, path: uri.path(), query: uri.query() });
        }
        changed.extend(beside.iter().map(|named| {
            let (path, query) = (&*named.path, named.query.as_deref());
            Changed::Url { site, host, path, query }
        }));
        match &groups {
            InvalidatedGroups::Named(groups) => {
                changed.extend(groups.iter().map(|group| Changed::Group { site, origin: &origin, group }));
            }
            InvalidatedGroups::All => changed.push(Changed::AnyGroup { site, origin: &origin }),
        }
        self.marks.invalidate(&changed);
    }

    /// Can something of this URL be stored, or be on its way? Most of what is posted to is never stored: it need not be
    /// remembered.
    fn may_hold(&self, target: &Target<'_>, request: &Request<()>) -> bool {
        let KeyRule { query, sort, headers, cookies, share_hosts: _ } = &target.route.rule.key;
        let one_key = *query == QueryRule::All && !sort && headers.is_empty() && cookies.is_empty();
        if !one_key {
            return true;
        }
        let target = target.for_storing();
        let key = target.key(request);
        self.memory.contains(key.0)
            || self.memory.contains(Aside::Parts.of(key))
            || self.traces.has(key)
            || self.traces.has(path_key(&target.key_input(request)))
            || self.fills.concern(key.0)
    }
}

impl Target<'_> {
    /// The URI that a request is for.
    pub(crate) fn uri<'a>(&'a self, request: &'a Request<()>) -> TargetUri<'a> {
        TargetUri {
            scheme: self.scheme.as_str(),
            host: self.authority.host(),
            port: self.authority.port(self.scheme),
            path: request.uri().path(),
            query: request.uri().query(),
        }
    }
}
