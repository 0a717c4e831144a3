//! `[[routes]]`: which requests go where. The first match wins.

use std::ops::Range;

use toml::de::DeValue;

use super::block::{Block, Keys};
use super::cache;
use super::report::Report;
use super::value::{Value, Wanted};
use crate::manifest::{CacheRule, FilesSpec, HostPattern, PathPattern, Position, Route, RouteHandler};

/// What routes may refer to.
pub(super) struct Names<'a> {
    /// The origins that the manifest defines.
    pub(super) origins: Vec<&'a str>,
    /// The handlers that the manifest defines.
    pub(super) handlers: Vec<&'a str>,
    /// The hosts that the site answers for, where they could be read.
    pub(super) hosts: Option<&'a [HostPattern]>,
}

/// Reads all routes.
pub(super) fn read<'a>(root: &Block<'a>, names: &Names<'_>, report: &mut Report<'_>) -> Option<Vec<Route>> {
    let Some(value) = root.get("routes") else {
        if !root.mentions("routes") {
            report.error_with_help(0..0, "the manifest has no routes: nothing would be served", EXAMPLE_ROUTE);
        }
        return None;
    };
    let list = ROUTES.list(value, report)?;
    if list.is_empty() {
        report.error_with_help(value.span(), "`routes` is empty: nothing would be served", EXAMPLE_ROUTE);
        return None;
    }
    let read: Vec<_> = list.iter().map(|item| route(item, names, report)).collect();
    let routes: Vec<_> = read.into_iter().collect::<Option<_>>()?;
    refuse_dead(&routes, report);
    Some(routes.into_iter().map(|(route, _)| route).collect())
}

/// One route, and the place of its path.
fn route<'a>(value: &'a Value<'a>, names: &Names<'_>, report: &mut Report<'_>) -> Option<(Route, Range<usize>)> {
    let block = Block::open(value, "a route".to_owned(), &KEYS, report)?;
    let path_value = block.require("path", PATH.example, report);
    let path = path_value.and_then(|value| PATH.parsed::<PathPattern>(value, report));
    let origin = block.get("origin").map(|value| reference(&ORIGIN, value, "origin", &names.origins, report));
    let files = block.get("files").map(|value| files(value, report));
    let handler = handler(&block, names, report);
    let cache = block.get("cache").map_or(Some(CacheRule::default()), |value| cache::read(value, names.hosts, report));
    check_content(&block, report);
    let route = Route {
        path: path?,
        origin: present(origin)?,
        files: present(files)?,
        handler: present(handler)?,
        cache: cache?,
    };
    Some((route, path_value?.span()))
}

/// A route has an origin or files, or at least a handler; never both an origin and files.
fn check_content(block: &Block<'_>, report: &mut Report<'_>) {
    if let (Some(_), Some(files)) = (block.get("origin"), block.get("files")) {
        let help = "keep one of the two, or make two routes with different paths";
        report.error_with_help(files.span(), "a route has an origin or files, not both", help);
    }
    if !["origin", "files", "handler"].iter().any(|key| block.mentions(key)) {
        let help = "add origin = \"…\" or files = \"…\", or handler = \"…\"";
        report.error_with_help(block.head(), "a route needs an origin, files or a handler", help);
    }
}

fn files(value: &Value<'_>, report: &mut Report<'_>) -> Option<FilesSpec> {
    FILES.text(value, report).map(|dir| FilesSpec { dir: dir.to_owned() })
}

/// `handler = "api"`, with `position` beside it, or `handler = { name = "api", position = "viewer" }`.
fn handler<'a>(block: &Block<'a>, names: &Names<'_>, report: &mut Report<'_>) -> Option<Option<RouteHandler>> {
    let beside = block.get("position");
    if let Some(value) = beside {
        position(value, report);
    }
    let Some(value) = block.get("handler") else {
        if let Some(value) = beside {
            report.error_with_help(value.span(), "`position` without a handler", "add handler = \"…\" or remove it");
        }
        return None;
    };
    Some(handler_reference(value, names, report))
}

fn handler_reference<'a>(value: &'a Value<'a>, names: &Names<'_>, report: &mut Report<'_>) -> Option<RouteHandler> {
    let name = match value.get_ref() {
        DeValue::Array(_) => {
            report.not_available(value.span(), "a list of handlers", "name one handler");
            return None;
        }
        DeValue::Table(_) => {
            let block = Block::open(value, "`handler`".to_owned(), &HANDLER_KEYS, report)?;
            if let Some(value) = block.get("position") {
                position(value, report);
            }
            block.require("name", HANDLER.example, report)?
        }
        _ => value,
    };
    let name = reference(&HANDLER, name, "handler", &names.handlers, report)?;
    Some(RouteHandler { name, position: Position::Viewer })
}

/// Checks a position: this version runs handlers before the cache only.
fn position(value: &Value<'_>, report: &mut Report<'_>) {
    match POSITION.text(value, report) {
        None | Some("viewer") => {}
        Some("origin") => {
            let help = "use position = \"viewer\", which runs before the cache, or leave it out";
            report.not_available(value.span(), "`position = \"origin\"`", help);
        }
        Some(other) => {
            let message = format!("there is no position `{other}`");
            report.unknown(value.span(), message, other, &["viewer", "origin"]);
        }
    }
}

/// A name that must be one of `known`.
fn reference(
    wanted: &Wanted<'_>,
    value: &Value<'_>,
    kind: &str,
    known: &[&str],
    report: &mut Report<'_>,
) -> Option<String> {
    let name = wanted.text(value, report)?;
    if !known.contains(&name) {
        let message = format!("there is no {kind} `{name}`");
        if known.is_empty() {
            report.error_with_help(value.span(), message, format!("define it: [{kind}s.{name}]"));
        } else {
            report.unknown(value.span(), message, name, known);
        }
        return None;
    }
    Some(name.to_owned())
}

/// Refuses a route that no request can reach, because an earlier one has the same path. A route with a handler alone
/// leaves its path free for one with an origin or files: the handler's own fetches go there.
fn refuse_dead(routes: &[(Route, Range<usize>)], report: &mut Report<'_>) {
    for (index, (route, span)) in routes.iter().enumerate() {
        let mut same = routes[..index].iter().filter(|(earlier, _)| earlier.path == route.path);
        if same.any(|(earlier, _)| earlier.has_content() || !route.has_content()) {
            let message = format!("an earlier route has the path `{}` already", route.path);
            report.error_with_help(span.clone(), message, "the first match wins: remove one of the two");
        }
    }
}

/// `Some(None)` for what is absent, `None` for what is there and wrong.
fn present<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

const KEYS: Keys = Keys { known: &["path", "origin", "files", "handler", "position", "cache"], later: &[] };
const HANDLER_KEYS: Keys = Keys { known: &["name", "position"], later: &[] };

const ROUTES: Wanted<'_> = Wanted { name: "routes", what: "a list of tables", example: "[[routes]]" };
const PATH: Wanted<'_> = Wanted { name: "path", what: "a path pattern", example: "path = \"/assets/*\"" };
const ORIGIN: Wanted<'_> = Wanted { name: "origin", what: "the name of an origin", example: "origin = \"web\"" };
const FILES: Wanted<'_> = Wanted { name: "files", what: "a folder", example: "files = \"./public\"" };
const HANDLER: Wanted<'_> = Wanted { name: "handler", what: "the name of a handler", example: "handler = \"api\"" };
const POSITION: Wanted<'_> =
    Wanted { name: "position", what: "\"viewer\" or \"origin\"", example: "position = \"viewer\"" };

const EXAMPLE_ROUTE: &str = "add: [[routes]] with path = \"/*\" and origin = \"…\" or files = \"…\"";
