//! What people and tools expect of any HTTP server, on every route of both servers.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use swarmq::admin::admin_routes;
use swarmq::runtime::http::{Access, Route};
use swarmq::web::http::access;
use swarmq::wire::{RequestStatus, Tier};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Running, Web, in_time};

/// What ids may be taken for, as they stand in a path: white space, slashes, quotes, umlauts, the marks of a query and of a
/// fragment, a percent sign, parts of paths, bytes that are no text.
const ODD: [&str; 12] =
    ["a%20b", "a%2Fb", "%22", "'", "%C3%BC", "%3F", "%23", "%25", "..%2F..", "%00", "%FF%FE", "%0D%0AX-Y:%20z"];

/// The routes of both servers, each with the server that has it.
fn servers(app: &Running) -> [(Web, Vec<Route>); 2] {
    [(app.web(), access()), (app.admin(), admin_routes())]
}

fn filled(path: &str, id: &str) -> String {
    path.replace("{index}", "0").replace("{id}", id).replace("{name}", id)
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Fails unless the answer has what every answer has, and an error its shape.
#[track_caller]
fn assert_sound(answer: &Answer, what: &str) {
    assert_eq!(header(answer, "x-content-type-options"), "nosniff", "{what}");
    assert_eq!(header(answer, "referrer-policy"), "same-origin", "{what}");
    assert!(!header(answer, "content-security-policy").is_empty(), "{what}");
    assert!(header(answer, "vary").contains("accept"), "{what}");
    if answer.status >= 400 && !answer.body.is_empty() {
        assert_eq!(header(answer, "content-type"), "application/json", "{what}: {}", answer.text());
        let body = answer.json();
        let fields: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["error"], "{what}");
        assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string(), "{what}: {body}");
    }
}

async fn call(server: &Web, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let answer = server.call(method, path, headers).await;
    assert_sound(&answer, &format!("{method} {path} {headers:?}: {}", answer.status));
    answer
}

#[actix_rt::test]
async fn every_route_answers_head_and_options_and_names_its_methods() {
    let app = Running::all(&[]).await;
    for (server, routes) in servers(&app) {
        let paths: BTreeSet<_> = routes.iter().map(|route| route.1).collect();
        for pattern in paths {
            let path = filled(pattern, "x");
            let mut methods: BTreeSet<_> =
                routes.iter().filter(|route| route.1 == pattern).map(|route| route.0.as_str()).collect();
            if methods.contains("GET") {
                methods.insert("HEAD");
                let (get, head) = (call(&server, "GET", &path, &[]).await, call(&server, "HEAD", &path, &[]).await);
                assert_eq!((get.status, head.body.len()), (head.status, 0), "{path}");
                assert_eq!(header(&get, "content-type"), header(&head, "content-type"), "{path}");
            }
            methods.insert("OPTIONS");
            for (method, status) in [("OPTIONS", 204), ("PATCH", 405), ("TRACE", 405)] {
                let answer = call(&server, method, &path, &[]).await;
                assert_eq!(answer.status, status, "{method} {path}");
                assert_eq!(header(&answer, "allow").split(", ").collect::<BTreeSet<_>>(), methods, "{method} {path}");
            }
        }
        call(&server, "GET", "/nothing", &[]).await.error(404, "not-found");
        call(&server, "OPTIONS", "/nothing", &[]).await.error(404, "not-found");
    }
    app.stop().await;
}

/// All that comes after the head of an answer, to the end of the connection.
async fn after_head(server: &Web, call: &str) -> Vec<u8> {
    let host = server.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let text = format!("{call} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = vec![];
    in_time("the answer", stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "), "{call}");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    answer.split_off(end + 4)
}

#[actix_rt::test]
async fn head_sends_no_byte_of_a_body_whatever_is_answered() {
    let app = Running::all(&[]).await;
    for (server, routes) in servers(&app) {
        for (_, pattern, _) in routes {
            let call = format!("HEAD {}", filled(pattern, "x"));
            assert!(after_head(&server, &call).await.is_empty(), "{call}");
        }
    }
    // Its lines come until the request ends, which these don't wait for.
    assert!(app.resize(Tier::Responder, 0).await);
    app.until("no responder worker", || app.workers(Tier::Responder).is_empty()).await;
    let id = app.web().submit(json!({})).await;
    assert!(after_head(&app.web(), &format!("HEAD /api/v1/requests/{id}/replies")).await.is_empty());
    assert_eq!(app.web().view(&id).await.status, RequestStatus::Pending);
    assert!(app.resize(Tier::Responder, 1).await);
    app.stop().await;
}

#[actix_rt::test]
async fn an_accept_header_that_excludes_the_answer_is_told_so() {
    let app = Running::all(&[]).await;
    for (server, routes) in servers(&app) {
        for (_, pattern, access) in routes.into_iter().filter(|route| route.0 == "GET") {
            let path = filled(pattern, "x");
            let found = call(&server, "GET", &path, &[("accept", "text/html;q=0.5, */*;q=0.1")]).await.status;
            let excluded = call(&server, "GET", &path, &[("accept", "font/woff")]).await;
            match (found, access) {
                (200, Access::Open) => drop(excluded.error(406, "not-acceptable")),
                // What has been done is answered, and an error is an error.
                _ => assert_eq!(excluded.status, found, "{path}"),
            }
        }
    }
    app.stop().await;
}

#[actix_rt::test]
async fn a_body_that_is_not_json_is_unsupported_on_every_route_that_reads_one() {
    let app = Running::all(&[]).await;
    let description = app.web().get("/api/v1/openapi.json").await.json();
    let mut read = 0;
    for (server, routes) in servers(&app) {
        for (method, pattern, _) in routes {
            // The admin server's controls are those of the web tier.
            let described = pattern.replace("/control/{id}", "/api/v1/control/instances/{id}");
            let described = description["paths"]
                .get(&described)
                .or_else(|| description["paths"].get(described.replace("/instances/{id}", "")))
                .unwrap_or(&Value::Null);
            if described[method.as_str().to_lowercase()].get("requestBody").is_none() {
                continue;
            }
            read += 1;
            let path = filled(pattern, "x");
            for content_type in ["text/plain", "application/x-www-form-urlencoded", "nonsense"] {
                let answer = call(&server, method.as_str(), &path, &[("content-type", content_type)]).await;
                let message = answer.error(415, "unsupported-media-type");
                assert!(message.contains("application/json"), "{message}");
            }
            let json =
                call(&server, method.as_str(), &path, &[("content-type", "application/json; charset=utf-8")]).await;
            assert_ne!(json.status, 415, "{path}");
        }
    }
    assert!(read > 10, "{read}");
    app.stop().await;
}

#[actix_rt::test]
async fn odd_characters_in_a_path_or_query_are_answered_as_any_other() {
    let app = Running::all(&[]).await;
    for (server, routes) in servers(&app) {
        for (method, pattern, _) in routes.into_iter().filter(|route| route.1.contains('{')) {
            for odd in ODD {
                let path = filled(pattern, odd);
                let answer = call(&server, method.as_str(), &path, &[]).await;
                assert!((400..500).contains(&answer.status), "{method} {path}: {}", answer.text());
            }
        }
    }
    for odd in ODD {
        call(&app.web(), "GET", &format!("/{odd}"), &[]).await.error(404, "not-found");
        let comparison = format!("/api/v1/experiments/comparison?before={odd}&after={odd}");
        call(&app.web(), "GET", &comparison, &[]).await.error(404, "not-found");
        call(&app.web(), "POST", &format!("/api/v1/requests?wait={odd}"), &[]).await.error(400, "bad-request");
    }
    for index in ["x", "-1", "1.5", "99999999999999999999999"] {
        let path = format!("/api/v1/control/instances/x/workers/{index}/panic");
        assert!(call(&app.web(), "POST", &path, &[]).await.error(404, "not-found").contains(index));
    }
    app.stop().await;
}

#[actix_rt::test]
async fn nobody_gets_gzip_who_does_not_take_it() {
    let app = Running::all(&[]).await;
    for path in ["/", "/api/v1/openapi.json"] {
        for accepted in ["", "identity", "gzip;q=0", "br", "identity, gzip;q=0.5"] {
            let answer = call(&app.web(), "GET", path, &[("accept-encoding", accepted)]).await;
            assert_eq!((answer.status, header(&answer, "content-encoding")), (200, ""), "{path}, {accepted}");
            assert!(answer.text().starts_with(['<', '{']), "{path}, {accepted}");
        }
        let plain = call(&app.web(), "GET", path, &[]).await;
        assert_eq!(header(&plain, "content-encoding"), "", "{path}");
        for accepted in ["gzip", "gzip, deflate, br, zstd", "br;q=1, gzip;q=0.8, identity;q=0"] {
            let answer = call(&app.web(), "GET", path, &[("accept-encoding", accepted)]).await;
            assert_eq!(header(&answer, "content-encoding"), "gzip", "{path}, {accepted}");
            assert!(answer.body.starts_with(b"\x1f\x8b") && header(&answer, "vary").contains("accept-encoding"));
        }
        let none = call(&app.web(), "GET", path, &[("accept-encoding", "br, identity;q=0")]).await;
        assert!(none.error(406, "not-acceptable").contains("Accept-Encoding"));
    }
    app.stop().await;
}

#[actix_rt::test]
async fn a_browser_that_has_the_page_is_told_so_in_either_form() {
    let app = Running::all(&[]).await;
    for accepted in ["gzip", "identity"] {
        let page = call(&app.web(), "GET", "/", &[("accept-encoding", accepted)]).await;
        for other in ["gzip", "identity"] {
            let known = [("if-none-match", header(&page, "etag")), ("accept-encoding", other)];
            assert_eq!(call(&app.web(), "GET", "/", &known).await.status, 304, "{accepted}, {other}");
        }
    }
    app.stop().await;
}
