//! The HTTP API and the WebSocket as a program sees them: errors, descriptions, health, figures, events.

use std::collections::BTreeMap;

use awc::ws;
use futures_util::StreamExt;
use serde_json::{Value, json};
use swarmq::config::Role;

use crate::support::{Child, Running, eventually, in_time, own_port, start};

#[actix_rt::test]
async fn what_is_asked_wrongly_is_told_so() {
    let app = Running::all(&[("web.max_body_bytes", "1000")]).await;
    for (body, reason) in [
        ("{", "EOF"),
        ("null", "invalid type"),
        (r#"{"tasks":"echo"}"#, "unknown field `tasks`"),
        (r#"{"task":"sleep"}"#, "there is no task 'sleep'"),
        (r#"{"fanOut":"some"}"#, "unknown variant `some`"),
        (r#"{"timeoutMs":0}"#, "give 1 to 3600000"),
        (r#"{"timeoutMs":3600001}"#, "give 1 to 3600000"),
        (r#"{"timeoutMs":-1}"#, "invalid value"),
        (r#"{"timeoutMs":1.5}"#, "expected a whole number"),
        (r#"{"parameters":[]}"#, "invalid type"),
    ] {
        let message = app.web().post("/api/v1/requests", body).await.error(400, "bad-request");
        assert!(message.contains(reason), "{body}: {message}");
    }
    app.web().post("/api/v1/requests?wait=maybe", "{}").await.error(400, "bad-request");
    let long = json!({ "task": "echo", "parameters": { "payload": "x".repeat(2_000) } });
    let message = app.web().post("/api/v1/requests", long.to_string()).await.error(413, "too-large");
    assert!(message.contains("web.max_body_bytes"), "{message}");
    for path in ["/api/v1/requests/7", "/api/v1/requests/7/replies", "/api/v1/nothing", "/api/v2/requests"] {
        app.web().get(path).await.error(404, "not-found");
    }
    let parameter = app.web().ask(json!({ "task": "cpu", "parameters": { "rounds": "many" } })).await;
    assert!(parameter.replies[0].body.contains("parameter 'rounds'"), "{}", parameter.replies[0].body);
    app.stop().await;
}

#[actix_rt::test]
async fn ended_requests_are_kept_and_the_oldest_are_forgotten() {
    let app = Running::all(&[("web.keep_requests", "2")]).await;
    let mut ids = vec![];
    for _ in 0..3 {
        ids.push(app.web().ask(json!({ "task": "echo" })).await.request_id);
    }
    app.web().get(&format!("/api/v1/requests/{}/replies", ids[0])).await.error(404, "not-found");
    for id in &ids[1..] {
        assert_eq!(app.web().view(id).await.counts.responses, 3);
    }
    app.stop().await;
}

#[actix_rt::test]
async fn the_description_lists_every_route() {
    let app = Running::all(&[]).await;
    let description = app.web().get("/api/v1/openapi.json").await.json();
    let paths = description["paths"].as_object().unwrap();
    for (path, method) in [
        ("/api/v1/requests", "post"),
        ("/api/v1/requests/{id}", "get"),
        ("/api/v1/requests/{id}/replies", "get"),
        ("/api/v1/topology", "get"),
        ("/api/v1/dispatcher/connect", "get"),
        ("/api/v1/dispatcher/disconnect", "post"),
        ("/api/v1/dispatcher/request", "get"),
    ] {
        let call = &paths[path][method];
        assert!(call["responses"].as_object().is_some_and(|responses| !responses.is_empty()), "{method} {path}");
    }
    let mut references = vec![];
    collect_references(&description, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    app.stop().await;
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| collect_references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[actix_rt::test]
async fn a_dashboard_gets_a_snapshot_and_then_what_happens() {
    let app = Running::all(&[]).await;
    eventually("every tier known", async || (app.web().topology().await.instances.len() == 4).then_some(())).await;
    let url = app.web().base.replace("http", "ws") + "/ws";
    let (_, mut socket) = awc::Client::new().ws(url).max_frame_size(16 << 20).connect().await.unwrap();
    let mut next = async || loop {
        if let ws::Frame::Text(text) = in_time("a text", socket.next()).await.unwrap().unwrap() {
            return serde_json::from_slice::<Value>(&text).unwrap();
        }
    };
    let snapshot = next().await;
    assert_eq!(snapshot["type"], "snapshot");
    assert_eq!(snapshot["topology"]["instances"].as_object().unwrap().len(), 4);
    let id = app.web().submit(json!({ "task": "echo" })).await;
    let (mut seen, mut seq) = (BTreeMap::<String, u64>::new(), snapshot["seq"].as_u64().unwrap());
    while !seen.contains_key("outcome") {
        let batch = next().await;
        assert_eq!((&batch["type"], batch["seq"].as_u64().unwrap()), (&json!("events"), seq + 1));
        seq += 1;
        for event in batch["events"].as_array().unwrap() {
            let of = event["requestId"].as_str().or_else(|| event["reply"]["requestId"].as_str());
            if of == Some(&id) {
                *seen.entry(event["type"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    let expected = [("accepted", 1), ("dispatched", 3), ("outcome", 1), ("reply", 3), ("request", 1)];
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)).into());
    app.stop().await;
}

#[actix_rt::test]
async fn readiness_says_what_is_missing_until_it_is_there() {
    let port = own_port();
    let requester = start(Role::Requester, &[("requester.responder", &format!("127.0.0.1:{port}"))]);
    assert_eq!(requester.admin().get("/healthz").await.json(), json!({ "status": "alive" }));
    let answer = requester.admin().get("/readyz").await;
    assert_eq!((answer.status, &answer.json()["ready"]), (503, &json!(false)));
    eventually("the reason", async || {
        let instances = requester.admin().get("/readyz").await.json()["instances"].clone();
        let reason = instances[0]["reason"].as_str()?.to_owned();
        reason.contains(&format!("no connection to 127.0.0.1:{port}")).then_some(())
    })
    .await;
    let responder = Child::start(&["responder", "--port", &port.to_string()], &[]);
    requester.admin().ready().await;
    responder.stop().await;
    eventually("the loss", async || (requester.admin().get("/readyz").await.status == 503).then_some(())).await;
    requester.stop().await;
}

/// The samples of a text in the Prometheus format, each by its name and labels; fails on a line that is none.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let kind = comment.split(' ').next().unwrap();
            assert!(["HELP", "TYPE"].contains(&kind), "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let bare = name.split('{').next().unwrap();
        assert!(bare.starts_with("swarmq_") && (bare == name || name.ends_with('}')), "{line}");
        assert!(bare.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
    }
    samples
}

#[actix_rt::test]
async fn the_figures_are_those_of_the_ledgers() {
    let app = Running::all(&[]).await;
    for _ in 0..2 {
        app.web().ask(json!({ "task": "echo" })).await;
    }
    app.web().ask(json!({ "filename": "nowhere.txt" })).await;
    app.settle().await;
    let answer = app.admin().get("/metrics").await;
    assert!(answer.headers.get("content-type").unwrap().to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let samples = samples(&answer.text());
    for status in app.instances() {
        let ledger = status.ledger.read();
        let labels = format!(r#"tier="{}",instance="{}""#, status.instance.tier.name(), status.instance.id);
        let value = |name: &str| samples[&format!("swarmq_{name}{{{labels}}}")];
        assert_eq!(value("messages_sent_total"), ledger.sent as f64);
        assert_eq!((value("messages_in_flight"), value("ready")), (0.0, 1.0));
        for (outcome, count) in [("response", ledger.responses), ("error", ledger.errors), ("timeout", ledger.timeouts)]
        {
            assert_eq!(
                samples[&format!(r#"swarmq_messages_ended_total{{outcome="{outcome}",{labels}}}"#)],
                count as f64
            );
        }
    }
    let hops: Vec<_> = samples.iter().filter(|(name, _)| name.starts_with("swarmq_hop_seconds_bucket")).collect();
    let of_requester = |name: &str| name.contains(r#"tier="requester""#) && name.contains(r#"hop="total""#);
    let whole = hops.iter().find(|(name, _)| of_requester(name) && name.contains(r#"le="+Inf""#));
    assert_eq!(*whole.unwrap().1, 9.0);
    app.stop().await;
}
