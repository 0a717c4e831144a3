//! Invalidation: what a success of an unsafe method has changed is not served any more. RFC 9111 §4.4, RFC 9875 §3.

use holm_cache_policy::{InvalidatedGroups, TargetUri, invalidated_beside, invalidated_groups, invalidates};
use holm_cache_store::Changed;
use holm_model::manifest::{KeyRule, QueryRule};
use http::{HeaderMap, Request, StatusCode};
use smallvec::SmallVec;

use crate::node::{Node, Target, origin, path_key};
use crate::stored::Aside;
use crate::storing::Storing;

impl Node {
    /// Takes note of what the response to a request (whose body is gone) has changed. What `storing` is to store of the
    /// same response is not concerned by that, only by what others change; `false` where they have already.
    pub(crate) fn invalidate(
        &self,
        target: &Target<'_>,
        request: &Request<()>,
        (status, response): (StatusCode, &HeaderMap),
        storing: Option<&mut Storing>,
    ) -> bool {
        let groups = invalidated_groups(request.method(), response);
        let changes = invalidates(request.method(), status);
        let beside = if changes { invalidated_beside(&target.uri(request), response) } else { SmallVec::new() };
        let itself = changes && self.may_hold(target, request, storing.is_some());
        if !itself && beside.is_empty() && groups.is_empty() {
            return storing.is_none_or(|storing| storing.is_untouched());
        }
        let (site, host, uri) = (target.site.name(), target.authority.host(), request.uri());
        let url = |path, query| Changed::Url { site, host, path, query };
        // Groups are those of the origin in whose name their members were fetched.
        let named = target.for_storing();
        let origin = &*origin(named.scheme, named.authority);
        let mut changed: SmallVec<[Changed<'_>; 4]> =
            itself.then(|| url(uri.path(), uri.query())).into_iter().collect();
        changed.extend(beside.iter().map(|named| url(&named.path, named.query.as_deref())));
        match &groups {
            InvalidatedGroups::Named(groups) => {
                changed.extend(groups.iter().map(|group| Changed::Group { site, origin, group }));
            }
            InvalidatedGroups::All => changed.push(Changed::AnyGroup { site, origin }),
        }
        match storing {
            Some(storing) => storing.change(&changed),
            None => {
                self.marks.invalidate(&changed);
                true
            }
        }
    }

    /// Can something of this URL be stored, or be on its way? Most of what is posted to is never stored: it need not be
    /// remembered. `posted`: this request is itself among those under way. What is on its way is asked for first: it may be
    /// stored meanwhile, but not the other way round.
    fn may_hold(&self, target: &Target<'_>, request: &Request<()>, posted: bool) -> bool {
        let KeyRule { query, sort, headers, cookies, share_hosts: _ } = &target.route.rule.key;
        let one_key = *query == QueryRule::All && !sort && headers.is_empty() && cookies.is_empty();
        if !one_key {
            return true;
        }
        let target = target.for_storing();
        let key = target.key(request);
        self.underway.count(key) > usize::from(posted)
            || self.traces.has(key)
            || self.traces.has(path_key(&target.key_input(request)))
            || self.store.contains(key.0)
            || self.store.contains(Aside::Parts.of(key))
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
