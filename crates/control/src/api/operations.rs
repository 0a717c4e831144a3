//! The operations of the API, each declared once: the router, the check of scopes and the OpenAPI document come from here.

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, head, post, put};

use super::auth::authorise;
use super::{Api, Routes, dashboard, observe, openapi, publish, purge, sites, uploads};
use crate::token::Scope;

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// A token needs one of these; none: open to all.
    pub(super) scopes: &'static [Scope],
    /// Query and header parameters.
    pub(super) parameters: &'static [Parameter],
    pub(super) input: Input,
    /// Answers beside those that come with scopes, inputs and paths.
    pub(super) answers: &'static [Answer],
    pub(super) routes: fn() -> Routes,
}

/// A parameter outside the path. All are optional.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// `query` or `header`.
    pub(super) place: &'static str,
    pub(super) description: &'static str,
}

/// What a request's body is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Nothing,
    /// A JSON document of this schema.
    Json(&'static str),
    Bytes,
}

/// One status and what comes with it.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) output: Output,
}

/// What a response's body is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Nothing,
    /// A JSON document of this schema.
    Json(&'static str),
    /// An array of this schema.
    List(&'static str),
    /// Text of this type.
    Text(&'static str),
    /// A problem document.
    Problem,
}

impl Operation {
    /// The routes behind the check of the scopes.
    pub(super) fn guarded(&self, api: &Arc<Api>) -> Routes {
        if self.scopes.is_empty() {
            return (self.routes)();
        }
        (self.routes)().route_layer(from_fn_with_state((Arc::clone(api), self.scopes), authorise))
    }
}

const fn answer(status: u16, output: Output, description: &'static str) -> Answer {
    Answer { status, description, output }
}

const fn problem(status: u16, description: &'static str) -> Answer {
    answer(status, Output::Problem, description)
}

/// Every operation.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "get",
        path: "/v1/sites",
        summary: "The sites that the token is good for",
        scopes: &[Scope::Read],
        parameters: &[],
        input: Input::Nothing,
        answers: &[answer(200, Output::List("SiteSummary"), "The sites, by name")],
        routes: || get(sites::list),
    },
    Operation {
        method: "delete",
        path: "/v1/sites/{site}",
        summary: "End a site: its releases are gone, its hosts are free, its content is purged",
        scopes: &[Scope::Admin],
        parameters: &[],
        input: Input::Nothing,
        answers: &[answer(204, Output::Nothing, "It is gone")],
        routes: || delete(sites::delete),
    },
    Operation {
        method: "get",
        path: "/v1/sites/{site}/releases",
        summary: "The releases of a site",
        scopes: &[Scope::Read],
        parameters: &[],
        input: Input::Nothing,
        answers: &[answer(200, Output::List("ReleaseSummary"), "The releases, the oldest first")],
        routes: || get(sites::releases),
    },
    Operation {
        method: "post",
        path: "/v1/sites/{site}/releases",
        summary: "Make a release; the site is made with its first one",
        scopes: &[Scope::Publish],
        parameters: &[],
        input: Input::Json("PublishRequest"),
        answers: &[
            answer(201, Output::Json("ReleaseSummary"), "The release; the latest one if nothing has changed since"),
            problem(409, "Blobs are missing, a host belongs to another site, or there are too many sites"),
        ],
        routes: || post(publish::create),
    },
    Operation {
        method: "put",
        path: "/v1/sites/{site}/active",
        summary: "Serve a release",
        scopes: &[Scope::Publish],
        parameters: &[Parameter {
            name: "If-Match",
            place: "header",
            description: "The number of the release that must be active, quoted; \"0\" for none",
        }],
        input: Input::Json("ActivateRequest"),
        answers: &[
            answer(200, Output::Json("Activated"), "It is active"),
            problem(409, "A host belongs to another site by now"),
            problem(412, "Another release is active"),
        ],
        routes: || put(sites::activate),
    },
    Operation {
        method: "post",
        path: "/v1/sites/{site}/purge",
        summary: "Purge content from every cache",
        scopes: &[Scope::Purge],
        parameters: &[],
        input: Input::Json("PurgeRequest"),
        answers: &[
            answer(200, Output::Json("Purged"), "Every node has applied it (with wait: applied)"),
            answer(202, Output::Json("Purged"), "It is durable; with wait: applied, some nodes lag"),
            problem(503, "Too many purges wait; try again"),
        ],
        routes: || post(purge::create),
    },
    Operation {
        method: "head",
        path: "/v1/blobs/{digest}",
        summary: "Is a blob here, and if not, how much of it",
        scopes: &[Scope::Publish, Scope::Read],
        parameters: &[],
        input: Input::Nothing,
        answers: &[
            answer(200, Output::Nothing, "It is here; Content-Length is its length"),
            answer(404, Output::Nothing, "It is not; Upload-Offset says how much of it is, if any"),
        ],
        routes: || head(uploads::head),
    },
    Operation {
        method: "put",
        path: "/v1/blobs/{digest}",
        summary: "Upload a blob, or the rest of it; the path names the BLAKE3 digest of the whole",
        scopes: &[Scope::Publish],
        parameters: &[Parameter {
            name: "Upload-Offset",
            place: "header",
            description: "How many bytes are here already; absent for none",
        }],
        input: Input::Bytes,
        answers: &[
            answer(200, Output::Nothing, "It was here already"),
            answer(201, Output::Nothing, "It is stored"),
            problem(404, "The path does not name a digest"),
            problem(
                409,
                "The upload does not go on where it ended (Upload-Offset says where), or another is under way",
            ),
            problem(413, "It is too large"),
            problem(422, "The bytes have another digest"),
        ],
        routes: || put(uploads::put),
    },
    Operation {
        method: "get",
        path: "/v1/stats",
        summary: "Requests, hit ratio and latency",
        scopes: &[Scope::Read],
        parameters: &[
            Parameter { name: "site", place: "query", description: "One site; absent for all" },
            Parameter { name: "window", place: "query", description: "How far back, 1s to 1h; absent for 5m" },
        ],
        input: Input::Nothing,
        answers: &[
            answer(200, Output::Json("StatsReport"), "What happened within the window"),
            problem(400, "A parameter is wrong"),
            problem(404, "There is no such site"),
        ],
        routes: || get(observe::stats),
    },
    Operation {
        method: "get",
        path: "/v1/nodes",
        summary: "The nodes of the cluster",
        scopes: &[Scope::Read],
        parameters: &[],
        input: Input::Nothing,
        answers: &[answer(200, Output::List("NodeStatus"), "The nodes, in the order in which they joined")],
        routes: || get(observe::nodes),
    },
    Operation {
        method: "get",
        path: "/v1/openapi.json",
        summary: "This document",
        scopes: &[],
        parameters: &[],
        input: Input::Nothing,
        answers: &[answer(200, Output::Text("application/json"), "OpenAPI 3.1")],
        routes: || get(openapi::document),
    },
    Operation {
        method: "get",
        path: "/metrics",
        summary: "All metrics, for Prometheus",
        scopes: &[],
        parameters: &[],
        input: Input::Nothing,
        answers: &[answer(200, Output::Text("text/plain"), "The text format")],
        routes: || get(observe::metrics),
    },
    Operation {
        method: "get",
        path: "/healthz",
        summary: "Does the process answer",
        scopes: &[],
        parameters: &[],
        input: Input::Nothing,
        answers: &[answer(200, Output::Text("text/plain"), "It does")],
        routes: || get(observe::healthz),
    },
    Operation {
        method: "get",
        path: "/readyz",
        summary: "Does every node serve every active release",
        scopes: &[],
        parameters: &[],
        input: Input::Nothing,
        answers: &[
            answer(200, Output::Text("text/plain"), "They do"),
            problem(503, "No node has joined, or some do not; the detail names them"),
        ],
        routes: || get(observe::readyz),
    },
    Operation {
        method: "get",
        path: "/",
        summary: "A page that shows the numbers",
        scopes: &[],
        parameters: &[],
        input: Input::Nothing,
        answers: &[answer(200, Output::Text("text/html"), "The page")],
        routes: || get(dashboard::page),
    },
];
