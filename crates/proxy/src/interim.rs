//! Interim responses on their way through a tier (RFC 9110 §15.2): to the clients that wait for a fetch, and the early
//! hints (RFC 8297) that a route may have remembered for the clients of the next one.

use std::sync::{Arc, OnceLock};

use holm_cache_policy::{CacheKey, strip_for_client, strip_hop_by_hop};
use holm_cache_store::Standing;
use holm_transport::body::Body;
use holm_transport::interim::{Interim, InterimSender, Interims, MAX_INTERIMS, OnInterim};
use http::header::{CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, LINK, REFERRER_POLICY};
use http::{Method, Request, StatusCode};
use parking_lot::Mutex;

use crate::hop::Answer;
use crate::internal;
use crate::node::{Node, Role, Target};
use crate::stored::{Aside, Stored};
use crate::storing::Storing;

/// The client of one request, as one that may be told something before its answer. It costs nothing until it is.
#[derive(Debug)]
pub(crate) struct Listener<'a> {
    interims: &'a Interims,
    hearer: OnceLock<Hearer>,
}

impl<'a> Listener<'a> {
    pub(crate) const fn new(interims: &'a Interims) -> Self {
        Self { interims, hearer: OnceLock::new() }
    }

    pub(crate) fn hearer(&self) -> &Hearer {
        self.hearer.get_or_init(|| Hearer(Arc::new(Told { sender: self.interims.sender(), hints: Mutex::default() })))
    }
}

/// A client that waits; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Hearer(Arc<Told>);

#[derive(Debug)]
struct Told {
    sender: InterimSender,
    /// Early hints that it has: it may hear of the same ones from memory, a shared fetch and one of its own.
    hints: Mutex<Vec<HeaderMap>>,
}

impl Hearer {
    fn tell(&self, interim: &Interim) {
        if !self.0.sender.is_open() {
            return;
        }
        if interim.status == StatusCode::EARLY_HINTS {
            let hints = hints(&interim.headers);
            let mut known = self.0.hints.lock();
            if !hints.is_empty() && known.contains(&hints) {
                return;
            }
            if known.len() < MAX_INTERIMS {
                known.push(hints);
            }
        }
        self.0.sender.send(interim.clone());
    }
}

/// Those who wait for the head of one shared fetch. Who comes late is told what was said before.
#[derive(Debug, Default)]
pub(crate) struct Audience(Mutex<Seats>);

#[derive(Debug, Default)]
struct Seats {
    closed: bool,
    beginner: Option<Hearer>,
    others: Vec<Hearer>,
    /// What everyone may hear.
    said: Vec<Interim>,
}

impl Audience {
    /// The one whose request is sent: it hears everything.
    pub(crate) fn begin(&self, hearer: &Hearer) {
        self.0.lock().beginner = Some(hearer.clone());
    }

    /// Another one, who hears only what may be said to anyone: whether it will share the response is not known yet.
    pub(crate) fn join(&self, hearer: &Hearer) {
        let mut seats = self.0.lock();
        if !seats.closed {
            seats.said.iter().for_each(|interim| hearer.tell(interim));
            seats.others.push(hearer.clone());
        }
    }

    /// Tells everyone of the interim responses to this request.
    pub(crate) fn attend(self: &Arc<Self>, request: &mut Request<Body>, role: Role) {
        let audience = Arc::clone(self);
        request.extensions_mut().insert(OnInterim::new(move |interim| audience.tell(&clean(interim, role))));
    }

    fn tell(&self, interim: &Interim) {
        let mut seats = self.0.lock();
        if seats.closed {
            return;
        }
        if let Some(beginner) = &seats.beginner {
            beginner.tell(interim);
        }
        // Tries at several endpoints may say more than one does.
        if seats.said.len() < MAX_INTERIMS {
            let shared = Interim { status: interim.status, headers: hints(&interim.headers) };
            seats.others.iter().for_each(|hearer| hearer.tell(&shared));
            seats.said.push(shared);
        }
    }

    /// The final head is here, or there is none: gives the hints that were said last.
    pub(crate) fn close(&self) -> Option<HeaderMap> {
        let said = {
            let mut seats = self.0.lock();
            seats.closed = true;
            (seats.beginner, seats.others) = (None, Vec::new());
            std::mem::take(&mut seats.said)
        };
        let mut hints =
            said.into_iter().filter(|said| said.status == StatusCode::EARLY_HINTS && !said.headers.is_empty());
        hints.next_back().map(|hints| hints.headers)
    }
}

impl Node {
    /// The client of a request that has to wait: it is told at once of the hints that are remembered.
    pub(crate) fn hearer<'a>(&self, target: &Target<'a>, request: &Request<Body>) -> &'a Hearer {
        let hearer = target.listener.hearer();
        if target.route.rule.early_hints
            && *request.method() == Method::GET
            && let Some(known) = self.recall_hints(target.key(request))
        {
            hearer.tell(&Interim::early_hints(known));
        }
        hearer
    }

    fn recall_hints(&self, primary: CacheKey) -> Option<HeaderMap> {
        let object = self.store.get(Aside::Hints.of(primary))?;
        match object.meta() {
            Stored::EarlyHints(hints) if self.marks.standing_of(&object) == Standing::Live => Some(hints.to_map()),
            _ => None,
        }
    }

    /// Tells a client of the interim responses to a request that is sent for it alone.
    pub(crate) fn hear_alone(self: &Arc<Self>, target: &Target<'_>, request: &mut Request<Body>) -> Alone {
        let audience = Arc::new(Audience::default());
        audience.begin(self.hearer(target, request));
        audience.attend(request, self.role);
        let remembers = *request.method() == Method::GET && target.route.rule.early_hints;
        Alone { audience, storing: remembers.then(|| Storing::begin(self, target, request)) }
    }
}

/// A client that waits for a fetch of its own.
pub(crate) struct Alone {
    audience: Arc<Audience>,
    storing: Option<Storing>,
}

impl Alone {
    /// The final head is here.
    pub(crate) fn end(self, answer: Answer) -> Answer {
        let hints = self.audience.close();
        if let Some(storing) = &self.storing {
            storing.settle_hints(hints, answer.response.status());
        }
        answer
    }
}

/// What the next one may see of an interim response.
fn clean(mut interim: Interim, role: Role) -> Interim {
    strip_hop_by_hop(&mut interim.headers);
    internal::strip(&mut interim.headers);
    if role == Role::Edge {
        strip_for_client(&mut interim.headers);
    }
    interim
}

/// The fields that are about the content, not about the client: those that a user agent acts on before the answer.
fn hints(headers: &HeaderMap) -> HeaderMap {
    let fields =
        HINTS.iter().flat_map(|name| headers.get_all(name).iter().map(move |value| (name.clone(), value.clone())));
    let mut hints = HeaderMap::new();
    for (name, value) in fields {
        hints.append(name, value);
    }
    hints
}

/// <https://html.spec.whatwg.org/multipage/semantics.html#early-hints>: links, and the policies that they come under.
const HINTS: [HeaderName; 3] = [LINK, CONTENT_SECURITY_POLICY, REFERRER_POLICY];
