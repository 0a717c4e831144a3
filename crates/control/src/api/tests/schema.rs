//! The schemas of the OpenAPI document, held against what is really sent: the part of JSON Schema that they use.

use serde_json::{Value, json};

use super::openapi;
use crate::wire;

/// Panics where `value` is not what `schema` says; a property that the schema does not have is a fault too.
pub(super) fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let resolved = document.pointer(reference.trim_start_matches('#'));
        return check(document, resolved.unwrap_or_else(|| panic!("{place}: no {reference}")), value, place);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let fits = kinds.iter().any(|allowed| allowed == kind || (allowed == "number" && kind == "integer"));
    assert!(fits, "{place}: {value} is not a {kinds:?}");
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        assert!(allowed.contains(value), "{place}: {value} is none of {allowed:?}");
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{place}[{index}]"));
    }
    let Some(object) = value.as_object() else { return };
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(object.contains_key(required.as_str().unwrap()), "{place}: no {required} in {value}");
    }
    for (name, member) in object {
        let declared = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        let declared = declared.filter(|declared| declared.is_object());
        let declared = declared.unwrap_or_else(|| panic!("{place}: `{name}` is not in the schema"));
        check(document, declared, member, &format!("{place}.{name}"));
    }
}

/// Every property of a schema is one that the type has: written in full, the type has the same ones.
#[test]
fn schemas_and_types_agree() {
    let document = openapi::value();
    let agree = |name: &str, value: Value| {
        let schema = &document["components"]["schemas"][name];
        check(&document, schema, &value, name);
        let mut declared: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let mut written: Vec<&String> = value.as_object().unwrap().keys().collect();
        declared.sort();
        written.sort();
        assert_eq!(declared, written, "{name}");
    };
    let (digest, node) = ("0".repeat(64), json!({ "node": "a", "ms": 1 }));
    let entry = json!({ "digest": digest, "size": 1, "content_type": "text/html" });
    agree("FileEntry", entry.clone());
    let publish = json!({ "manifest": "", "components": { "a": digest }, "files": { "0": { "/a": entry } } });
    agree("PublishRequest", through::<wire::PublishRequest>(publish));
    agree("ActivateRequest", through::<wire::ActivateRequest>(json!({ "release": 1, "wait": "applied" })));
    let purge =
        json!({ "urls": ["a"], "tags": ["a"], "prefixes": ["a"], "all": true, "soft": true, "wait": "durable" });
    agree("PurgeRequest", through::<wire::PurgeRequest>(purge));
    let lag = json!({ "node": "a", "reason": "" });
    agree("NodeTime", through::<wire::NodeTime>(node.clone()));
    agree("NodeLag", through::<wire::NodeLag>(lag.clone()));
    agree("Purged", through::<wire::Purged>(json!({ "seq": 1, "nodes": [node], "lagging": [lag] })));
    let activated = json!({ "site": "a", "release": 1, "previous": null, "nodes": [], "lagging": [] });
    agree("Activated", through::<wire::Activated>(activated));
    let site = json!({ "site": "a", "hosts": ["*"], "active": 1, "previous": null, "latest": 1 });
    agree("SiteSummary", through::<wire::SiteSummary>(site));
    let problem = json!({ "type": "/problems/x", "title": "X", "status": 404, "detail": "" });
    agree("Problem", through::<wire::Problem>(problem));
    agree("StatsReport", serde_json::to_value(holm_telemetry::StatsReport::default()).unwrap());
    agree("TierReport", serde_json::to_value(holm_telemetry::TierReport::default()).unwrap());
    agree("Latency", serde_json::to_value(holm_telemetry::Latency::default()).unwrap());
}

/// The value as the type reads and writes it.
fn through<T: serde::Serialize + serde::de::DeserializeOwned>(value: Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(value).unwrap()).unwrap()
}

/// References lead somewhere, and every operation has answers.
#[test]
fn the_document_is_whole() {
    let document = openapi::value();
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(!operation["responses"].as_object().unwrap().is_empty(), "{method} {path}");
        }
    }
}
