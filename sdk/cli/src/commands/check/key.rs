//! `holm check --key`: where a request goes, and what its response is stored under.

use holm_edge_node::{Explanation, KeyPart, LookUp};
use holm_model::manifest::{Manifest, Route};
use http::{Request, Uri};
use serde::Serialize;

use crate::Failure;
use crate::args::CheckArgs;
use crate::output::{NONE, Side, Table};

/// What is looked up for a request, as it is printed.
#[derive(Serialize)]
pub(super) struct LookedUp {
    /// The handler that runs first; what it fetches of its own URL is what follows.
    handler: Option<String>,
    /// The path pattern of the route whose cache is looked up.
    route: Option<String>,
    /// The origin or the folder of files that the route ends at.
    content: Option<String>,
    path: String,
    /// Why nothing is looked up.
    bypass: Option<&'static str>,
    /// In hex.
    key: Option<String>,
    entered: Vec<Part>,
    left_out: Vec<Part>,
}

/// One part of a request; no value where the request lacks it.
#[derive(Serialize)]
struct Part {
    name: String,
    value: Option<String>,
}

impl LookedUp {
    /// Asks for the URL with the options' method and fields.
    pub(super) fn by(url: &Uri, args: &CheckArgs, manifest: &Manifest) -> Result<Self, Failure> {
        let mut request = Request::new(());
        *request.uri_mut() = url.clone();
        *request.method_mut() = args.method.clone();
        for (name, value) in &args.header {
            request.headers_mut().append(name, value.clone());
        }
        let found = LookUp::of(manifest, request).map_err(|reason| refused(reason, url, manifest))?;
        let Explanation { entered, left_out } = found.explanation;
        let parts =
            |parts: Vec<KeyPart>| parts.into_iter().map(|KeyPart { name, value }| Part { name, value }).collect();
        Ok(Self {
            handler: found.handler.and_then(|route| Some(route.handler.as_ref()?.name.clone())),
            route: found.route.map(|route| route.name().to_owned()),
            content: found.route.and_then(content),
            path: found.path,
            bypass: found.bypass,
            key: found.key.map(|key| format!("{:032x}", key.0)),
            entered: parts(entered),
            left_out: parts(left_out),
        })
    }

    pub(super) fn render(&self) -> String {
        let mut table = Table::bare(&[Side::Left, Side::Left]);
        let mut row = |name: &str, value: &str| table.row(vec![name.to_owned(), value.to_owned()]);
        if let Some(handler) = &self.handler {
            row("handler", &format!("{handler}, which runs first"));
        }
        if let Some(route) = &self.route {
            row("route", &format!("{route} ({})", self.content.as_deref().unwrap_or(NONE)));
        }
        row("path", &self.path);
        if let Some(reason) = self.bypass {
            row("bypass", &format!("{reason}: nothing is looked up, nothing is stored"));
        }
        if self.route.is_some() {
            row("key", self.key.as_deref().unwrap_or("differs with each release"));
        }
        let mut text = table.render();
        for (title, parts) in [("enters the key:", &self.entered), ("does not enter:", &self.left_out)] {
            if !parts.is_empty() {
                text.push_str(&format!("\n\n{title}\n{}", render_parts(parts)));
            }
        }
        if self.route.is_some() {
            text.push_str("\n\nThe fields that a response names in `Vary` select beside the key.");
        }
        text
    }
}

fn render_parts(parts: &[Part]) -> String {
    let mut table = Table::bare(&[Side::Left, Side::Left]);
    for part in parts {
        table.row(vec![format!("  {}", part.name), part.value.clone().unwrap_or_else(|| "(absent)".to_owned())]);
    }
    table.render()
}

fn content(route: &Route) -> Option<String> {
    let origin = route.origin.as_ref().map(|name| format!("origin {name}"));
    origin.or_else(|| route.files.as_ref().map(|files| format!("files {}", files.dir)))
}

fn refused(reason: &str, url: &Uri, manifest: &Manifest) -> Failure {
    match reason {
        "no-such-site" => {
            let hosts: Vec<String> = manifest.hosts.iter().map(ToString::to_string).collect();
            let message = format!("the site `{}` does not answer for the host of {url}", manifest.name);
            Failure::usage(message).help(format!("its hosts: {}", hosts.join(", ")))
        }
        "no-route" => Failure::new(format!("no route matches {url}")),
        reason => Failure::new(format!("the nodes refuse this request: {reason}")),
    }
}
