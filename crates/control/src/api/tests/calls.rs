//! Calls of the API in this process. Every answer is held against the OpenAPI document.

use super::*;
use crate::control::tests::Store;

/// A store, its API and a token for everything.
pub(super) struct Calls {
    pub(super) store: Store,
    service: ApiService,
    document: Value,
}

/// What was answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self::with(ApiOptions::default())
    }

    pub(super) fn with(options: ApiOptions) -> Self {
        let store = Store::new();
        let service = api_service(Arc::clone(&store.control), options);
        Self { store, service, document: openapi::value() }
    }

    pub(super) fn token(&self) -> String {
        std::fs::read_to_string(self.store.control.token_file()).unwrap().trim().to_owned()
    }

    pub(super) fn request(method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(path).header(header::HOST, "localhost").header("x-token", "admin")
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Self::request(Method::GET, path), Body::empty()).await
    }

    pub(super) async fn head(&self, path: &str) -> Answer {
        self.send(Self::request(Method::HEAD, path), Body::empty()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(Self::request(Method::DELETE, path), Body::empty()).await
    }

    pub(super) async fn put(&self, path: &str, body: Bytes) -> Answer {
        self.send(Self::request(Method::PUT, path), Body::full(body)).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send_json(Self::request(Method::POST, path), body).await
    }

    pub(super) async fn put_json(&self, path: &str, body: &Value) -> Answer {
        self.send_json(Self::request(Method::PUT, path), body).await
    }

    pub(super) async fn send_json(&self, request: http::request::Builder, body: &Value) -> Answer {
        self.send(request.header(header::CONTENT_TYPE, "application/json"), Body::full(body.to_string())).await
    }

    pub(super) async fn send(&self, request: http::request::Builder, body: Body) -> Answer {
        self.send_at(request, body, "127.0.0.1:8081").await
    }

    /// Sends as if it had come in at this address.
    pub(super) async fn send_at(&self, request: http::request::Builder, body: Body, local: &str) -> Answer {
        let mut request = request.body(body).unwrap();
        if request.headers_mut().remove("x-token").is_some() {
            let field = format!("Bearer {}", self.token());
            request.headers_mut().insert(header::AUTHORIZATION, field.parse().unwrap());
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let connection = Arc::new(ConnInfo {
            peer: "127.0.0.1:40000".parse().unwrap(),
            local: local.parse().unwrap(),
            protocol: Protocol::Http1,
            tls: None,
        });
        let response = self.service.call(request, &connection, &Interims::nowhere()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect(1 << 24).await.unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        answer.check_problem(&method);
        self.check_documented(&method, &path, &answer);
        answer
    }

    /// Does the document say that this may be answered?
    fn check_documented(&self, method: &Method, path: &str, answer: &Answer) {
        let paths = self.document["paths"].as_object().unwrap();
        let matches = |template: &str| {
            let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            let same = |(template, path): (&&str, &&str)| template.starts_with('{') || template == path;
            template.len() == path.len() && template.iter().zip(&path).all(same)
        };
        let found = paths.iter().find(|(template, _)| matches(template)).map(|(_, found)| found);
        let Some(operation) = found.and_then(|found| found.get(method.as_str().to_ascii_lowercase())) else {
            assert!(matches!(answer.status.as_u16(), 404 | 405 | 421), "{method} {path} is not in the document");
            return;
        };
        let documented = &operation["responses"][answer.status.as_str()];
        assert!(documented.is_object(), "{method} {path}: {} is not in the document", answer.status);
        let Some(content) = documented.get("content").and_then(Value::as_object).filter(|_| method != Method::HEAD)
        else {
            assert!(answer.body.is_empty(), "{method} {path}: a body that the document does not have");
            return;
        };
        let (kind, content) = content.iter().next().unwrap();
        let sent = answer.headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(sent.starts_with(kind.as_str()), "{method} {path}: {sent}, not {kind}");
        if let Some(schema) = content.get("schema") {
            schema::check(&self.document, schema, &answer.json(), &format!("{method} {path}"));
        }
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn status(&self, expected: u16) {
        assert_eq!(self.status.as_u16(), expected, "{}", self.text());
    }

    /// Is it a problem of this kind, whose detail says this?
    pub(super) fn is(&self, status: u16, kind: &str, detail: &str) {
        self.status(status);
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{kind}"), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}, expected {detail}");
    }

    /// Every refusal is a problem document that repeats its status.
    fn check_problem(&self, method: &Method) {
        if self.status.is_success() {
            return;
        }
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{} {}", self.status, self.text());
        if method != Method::HEAD {
            assert_eq!(self.json()["status"], self.status.as_u16());
        }
    }
}
