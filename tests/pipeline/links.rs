//! A web tier whose requester takes its connection and does not keep it, or says what none should.

use std::net::SocketAddr;

use serde_json::{Value, json};
use swarmq::config::Role;
use swarmq::wire::LinkState;
use tokio::net::TcpListener;

use crate::support::{Peer, Running, eventually, in_time, start};

/// What the web tier's `/readyz` says is missing.
async fn trouble(web: &Running, part: &str) -> String {
    eventually(part, async || {
        let answer = web.admin().get("/readyz").await;
        let reason = answer.json()["instances"][0]["reason"].as_str().unwrap_or_default().to_owned();
        (answer.status == 503 && reason.contains(part)).then_some(reason)
    })
    .await
}

/// Fails unless the page and the article's call tell the reason too.
async fn assert_told(web: &Running, address: SocketAddr, part: &str) {
    let link = web.web().topology().await.links[&address.to_string()].clone();
    assert_eq!(link.state, LinkState::Connecting, "{link:?}");
    assert!(link.reason.as_ref().is_some_and(|reason| reason.contains(part)), "{link:?}");
    let answer = web.web().get("/api/v1/dispatcher/connect").await;
    let body = answer.json();
    assert_eq!((answer.status, &body["connected"]), (500, &json!(false)), "{body}");
    assert!(body["msg"]["message"].as_str().unwrap_or_default().contains(part), "{body}");
    assert_eq!(body["msg"]["port"], address.port());
    web.web().post("/api/v1/requests", "{}").await.error(503, "not-connected");
}

#[actix_rt::test]
async fn a_requester_without_a_place_is_not_connected_and_its_words_are_told() {
    let changes = [("requester.max_connections", "1"), ("requester.responder", "127.0.0.1:1")];
    let requester = start(Role::Requester, &changes);
    let address = requester.addresses.requester.unwrap();
    let mut busy = Peer::connect(address).await;
    busy.send(r#"{"requestId":"a","stream":true,"timeoutMs":3600000}"#).await;
    busy.object().await;
    let web = start(Role::Web, &[("web.requester", &address.to_string())]);
    trouble(&web, "requester.max_connections").await;
    assert_told(&web, address, "requester.max_connections").await;
    // A request under way keeps a place no longer than its sender does.
    drop(busy);
    web.ready().await;
    requester.end().await;
    web.end().await;
}

/// A web tier, and a plain server in its requester's place.
async fn web(changes: &[(&str, &str)]) -> (Running, TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let web = start(Role::Web, &[changes, &[("web.requester", &address.to_string())]].concat());
    (web, listener, address)
}

/// Answers each connection with these bytes and closes it.
fn answer_all(listener: TcpListener, bytes: Vec<u8>) {
    actix_rt::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whoever hangs up first does not want them.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await;
        }
    });
}

#[actix_rt::test]
async fn who_accepts_and_closes_is_not_connected() {
    let (web, listener, address) = web(&[]).await;
    answer_all(listener, vec![]);
    trouble(&web, "closed the connection").await;
    assert_told(&web, address, "closed the connection").await;
    web.end().await;
}

#[actix_rt::test]
async fn another_protocol_on_the_port_is_told_as_that() {
    let (web, listener, address) = web(&[]).await;
    // What a ZeroMQ socket says first.
    answer_all(listener, b"\xff\0\0\0\0\0\0\0\x01\x7f".to_vec());
    trouble(&web, "is not a requester").await;
    assert_told(&web, address, "is not a requester").await;
    web.end().await;
}

#[actix_rt::test]
async fn a_frame_without_an_end_costs_its_connection_alone() {
    let (web, listener, address) = web(&[]).await;
    let mut frame = br#"{"requestId":""#.to_vec();
    frame.resize(9 << 20, b'x');
    answer_all(listener, frame);
    trouble(&web, "larger than 8388608 bytes").await;
    assert_told(&web, address, "requester.max_message_bytes").await;
    web.end().await;
}

#[actix_rt::test]
async fn replies_are_read_while_requests_can_not_be_written() {
    let (web, listener, _) = web(&[("web.keep_bytes", "1_000_000_000")]).await;
    let mut peer = Peer::accept(&listener).await;
    web.ready().await;
    let first = web.web().submit(json!({ "task": "echo" })).await;
    assert_eq!(peer.object().await["requestId"], first);
    // Far more than the buffers of a connection hold.
    let mut ids = vec![];
    for _ in 0..300 {
        ids.push(web.web().submit(json!({ "task": "echo", "parameters": { "payload": "x".repeat(60_000) } })).await);
    }
    peer.send(json!({ &first: [] }).to_string()).await;
    in_time("the reply", web.web().ended(&first)).await;
    for id in ids {
        let request: Value = peer.object().await.into();
        assert_eq!(request["requestId"], id);
        peer.send(json!({ id: [] }).to_string()).await;
    }
    web.stop().await;
}
