//! The HTTP client's side.

use std::net::SocketAddr;

use actix_web::web::Bytes;
use awc::ClientRequest;
use awc::http::header::{AUTHORIZATION, HeaderMap};
use futures_util::StreamExt;
use serde_json::{Value, json};
use swarmq::wire::{RequestStatus, RequestView, Topology};

use super::{PATIENCE, eventually};

/// The largest body that a test reads.
const LARGEST: usize = 64 << 20;

/// An HTTP server of ours.
#[derive(Clone)]
pub struct Web {
    pub base: String,
    /// Shown with each `POST`, `PUT` and `DELETE`.
    pub token: Option<String>,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// Fails unless it is an error of this status and code; its message.
    #[track_caller]
    pub fn error(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!((self.status, &body["error"]["code"]), (status, &json!(code)), "{body}");
        body["error"]["message"].as_str().unwrap().to_owned()
    }
}

impl Web {
    pub fn at(address: SocketAddr) -> Self {
        Self { base: format!("http://{address}"), token: None }
    }

    fn client() -> awc::Client {
        awc::Client::builder().timeout(PATIENCE).finish()
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        answer(Self::client().get(format!("{}{path}", self.base)).send().await.unwrap()).await
    }

    /// `POST path` with any body.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = self.permitted(Self::client().post(format!("{}{path}", self.base)));
        answer(request.content_type("application/json").send_body(body.into()).await.unwrap()).await
    }

    /// `PUT path` with a body.
    pub async fn put(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = self.permitted(Self::client().put(format!("{}{path}", self.base)));
        answer(request.content_type("application/json").send_body(body.into()).await.unwrap()).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Answer {
        answer(self.permitted(Self::client().delete(format!("{}{path}", self.base))).send().await.unwrap()).await
    }

    /// Any call, with these headers.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let method = method.parse().unwrap();
        let mut request =
            Self::client().request(method, format!("{}{path}", self.base)).content_type("application/json");
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        answer(request.send_body("{}").await.unwrap()).await
    }

    /// Method and path of every route that the description has, any parameter filled in, and of those it leaves out.
    pub async fn routes(&self) -> Vec<(String, String)> {
        let description = self.get("/api/v1/openapi.json").await.json();
        let paths = description["paths"].as_object().unwrap();
        let described = paths.iter().flat_map(|(path, methods)| {
            let path = path.replace("{index}", "0").replace("{id}", "x").replace("{name}", "x");
            assert!(!path.contains('{'), "{path}");
            methods.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
        });
        let others = ["/", "/app.js", "/ws", "/api/v1/openapi.json"].map(|path| ("GET".to_owned(), path.to_owned()));
        described.chain(others).collect()
    }

    fn permitted(&self, request: ClientRequest) -> ClientRequest {
        match &self.token {
            Some(token) => request.insert_header((AUTHORIZATION, format!("Bearer {token}"))),
            None => request,
        }
    }

    /// Asks for a request and waits for its end, whatever it is.
    pub async fn ask_any(&self, mut request: Value) -> Answer {
        request["wait"] = json!(true);
        self.post("/api/v1/requests", request.to_string()).await
    }

    /// Asks for a request, and gives it when it has ended as it should.
    pub async fn ask(&self, request: Value) -> RequestView {
        let answer = self.ask_any(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Sends a request off; its id.
    pub async fn submit(&self, request: Value) -> String {
        let answer = self.post("/api/v1/requests", request.to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["requestId"].as_str().unwrap().to_owned()
    }

    /// A request as it is now.
    pub async fn view(&self, id: &str) -> RequestView {
        serde_json::from_slice(&self.get(&format!("/api/v1/requests/{id}")).await.body).unwrap()
    }

    /// Waits until a request has ended; its last line of NDJSON.
    pub async fn ended(&self, id: &str) -> RequestView {
        let lines = self.lines(id).await;
        let view: RequestView = serde_json::from_value(lines.last().unwrap().clone()).unwrap();
        assert_ne!(view.status, RequestStatus::Pending);
        view
    }

    /// The lines of a request's replies, to the end.
    pub async fn lines(&self, id: &str) -> Vec<Value> {
        let url = format!("{}/api/v1/requests/{id}/replies", self.base);
        let mut response = Self::client().get(url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let mut text = Vec::new();
        while let Some(chunk) = response.next().await {
            text.extend_from_slice(&chunk.unwrap());
        }
        let text = String::from_utf8(text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub async fn topology(&self) -> Topology {
        serde_json::from_slice(&self.get("/api/v1/topology").await.body).unwrap()
    }

    /// Waits until the server says that it would do work.
    pub async fn ready(&self) {
        eventually("/readyz", async || (self.get("/readyz").await.status == 200).then_some(())).await;
    }
}

async fn answer<S>(mut response: awc::ClientResponse<S>) -> Answer
where
    S: futures_util::Stream<Item = Result<Bytes, awc::error::PayloadError>>,
{
    let body = response.body().limit(LARGEST).await.unwrap();
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
}
