//! `GET /v1/openapi.json`: the API as an OpenAPI 3.1 document, made from the table of operations and the schemas of what
//! crosses it. Tests hold both against real answers.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};

use super::operations::{Answer, Input, OPERATIONS, Operation, Output};

/// The document.
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT.clone()).into_response()
}

/// The document as a value.
pub(super) fn value() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation);
    }
    let schemas: Value =
        serde_json::from_str(include_str!("schemas.json")).expect("invariant: a constant that is tested");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Holm control API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Errors are RFC 9457 problem documents.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Signed with Ed25519; scopes: publish, purge, read, kv, admin (which allows all).",
                },
            },
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut answers: Map<String, Value> = Map::new();
    for answer in common(operation).iter().chain(operation.answers) {
        answers.insert(answer.status.to_string(), describe_answer(answer));
    }
    let security = if operation.scopes.is_empty() { json!([]) } else { json!([{ "token": [] }]) };
    let mut described = json!({
        "summary": operation.summary,
        "security": security,
        "responses": answers,
    });
    if !operation.scopes.is_empty() {
        let scopes: Vec<&str> = operation.scopes.iter().map(|scope| scope.as_str()).collect();
        described["description"] = format!("Scope: {}.", scopes.join(" or ")).into();
    }
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    let content = match operation.input {
        Input::Nothing => return described,
        Input::Json(schema) => json!({ "application/json": { "schema": reference(schema) } }),
        Input::Bytes => json!({ "application/octet-stream": {} }),
    };
    described["requestBody"] = json!({ "required": true, "content": content });
    described
}

/// Answers that come with what an operation takes.
fn common(operation: &Operation) -> Vec<Answer> {
    let problem = |status, description| Answer { status, description, output: Output::Problem };
    let mut answers = vec![
        problem(421, "A listener on a loopback address was asked for a name of elsewhere"),
        problem(500, "The node failed; its log says why"),
    ];
    if !operation.scopes.is_empty() {
        answers.push(problem(401, "No token, or none that is valid"));
        answers.push(problem(403, "The token lacks the scope or is not good for the site; the detail names it"));
    }
    if operation.path.contains("{site}") {
        answers.push(problem(404, "There is no such site"));
    }
    if operation.input != Input::Nothing {
        answers.push(problem(400, "The body or a header can't be read"));
        answers.push(problem(408, "The body did not arrive in time"));
    }
    if let Input::Json(_) = operation.input {
        answers.push(problem(413, "The body is too large"));
        answers.push(problem(415, "The body is not application/json"));
        answers.push(problem(422, "The body says something that can't be; the detail names it"));
    }
    answers
}

fn describe_answer(answer: &Answer) -> Value {
    let content = match answer.output {
        Output::Nothing => return json!({ "description": answer.description }),
        Output::Json(schema) => json!({ "application/json": { "schema": reference(schema) } }),
        Output::List(schema) => {
            json!({ "application/json": { "schema": { "type": "array", "items": reference(schema) } } })
        }
        Output::Text(kind) => json!({ kind: {} }),
        Output::Problem => json!({ "application/problem+json": { "schema": reference("Problem") } }),
    };
    json!({ "description": answer.description, "content": content })
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        let schema = if name == "digest" { "Digest" } else { "Name" };
        json!({ "name": name, "in": "path", "required": true, "schema": reference(schema) })
    });
    let others = operation.parameters.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": parameter.place,
            "description": parameter.description,
            "schema": { "type": "string" },
        })
    });
    in_path.chain(others).collect()
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| value().to_string());
