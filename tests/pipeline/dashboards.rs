//! Dashboards on the WebSocket: what a slow one misses, and what it costs.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use awc::ws::{Codec, Frame, Message};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use swarmq::wire::Tier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::codec::Framed;

use crate::support::{Child, Running, eventually, in_time, own_port};

/// What both ends of a slow connection can hold must be far less than what is sent in the meantime.
const RECEIVE_BUFFER: u32 = 16 << 10;
const SENT_MEANWHILE: usize = 24 << 20;

/// What dashboards get of a longer body.
const SHOWN_BODY: usize = 16 << 10;

/// A dashboard that reads when it is told to.
pub struct Dashboard {
    socket: Framed<TcpStream, Codec>,
    bytes: usize,
}

impl Dashboard {
    pub async fn open(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let upgrade = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(upgrade.as_bytes()).await.unwrap();
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(in_time("the upgrade", stream.read_u8()).await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        Self { socket: Framed::new(stream, Codec::new().client_mode().max_size(64 << 20)), bytes: 0 }
    }

    pub async fn next(&mut self) -> Value {
        loop {
            match in_time("a message", self.socket.next()).await.unwrap().unwrap() {
                Frame::Text(text) => {
                    self.bytes += text.len();
                    return serde_json::from_slice(&text).unwrap();
                }
                Frame::Ping(data) => self.socket.send(Message::Pong(data)).await.unwrap(),
                frame => panic!("{frame:?}"),
            }
        }
    }

    /// Reads until a message tells the end of a request; that message.
    pub async fn end_of(&mut self, request: &str) -> Value {
        loop {
            let message = self.next().await;
            if is_end(&message, request) {
                return message;
            }
        }
    }
}

/// Whether a snapshot or a batch tells the end of a request.
fn is_end(message: &Value, request: &str) -> bool {
    let ended = |event: &Value| event["type"] == "outcome" && event["requestId"] == request;
    let known = |view: &Value| view["status"] == "complete" && view["requestId"] == request;
    message["events"].as_array().is_some_and(|events| events.iter().any(ended))
        || message["requests"].as_array().is_some_and(|views| views.iter().any(known))
}

/// The replies that a snapshot or a batch tells of.
fn replies_in(message: &Value) -> Vec<&Value> {
    let events = message["events"].as_array().into_iter().flatten().map(|event| &event["reply"]);
    let views =
        message["requests"].as_array().into_iter().flatten().flat_map(|view| view["replies"].as_array()).flatten();
    events.chain(views).filter(|reply| reply.is_object()).collect()
}

#[actix_rt::test]
async fn a_long_body_comes_cut_and_the_api_has_the_whole() {
    let app = Running::all(&[]).await;
    let mut early = Dashboard::open(app.addresses.web.unwrap()).await;
    early.next().await;
    let id = app.web().ask(json!({ "task": "echo", "parameters": { "bytes": 200_000 } })).await.request_id;
    let mut seen = BTreeSet::new();
    let mut look = |message: Value| {
        for reply in replies_in(&message) {
            assert_eq!(reply["bodyBytes"], 200_000);
            assert_eq!(reply["body"].as_str().unwrap().len(), SHOWN_BODY);
            seen.insert(reply["messageId"].to_string());
        }
        seen.len()
    };
    while look(early.next().await) < 3 {}
    let mut late = Dashboard::open(app.addresses.web.unwrap()).await;
    let snapshot = late.next().await;
    assert_eq!(replies_in(&snapshot).len(), 3);
    look(snapshot);
    let view = app.web().view(&id).await;
    assert!(view.replies.iter().all(|reply| reply.body.len() == 200_000 && reply.extra.is_empty()));
    app.stop().await;
}

#[actix_rt::test]
async fn a_dashboard_that_does_not_read_costs_nothing_and_skips_to_a_snapshot() {
    // It is to be slow, not dropped for it, however long a busy machine takes.
    let changes = [("web.keep_requests", "4"), ("telemetry.events_per_second", "100000"), ("web.send_timeout", "10m")];
    let app = Running::all(&changes).await;
    let address = app.addresses.web.unwrap();
    let (mut brisk, mut slow) = (Dashboard::open(address).await, Dashboard::open(address).await);
    let first = slow.next().await;
    assert_eq!(first["type"], "snapshot");
    brisk.next().await;
    let mut last = String::new();
    while brisk.bytes < SENT_MEANWHILE {
        let burst = (0..4).map(|_| async {
            app.web().submit(json!({ "task": "echo", "parameters": { "bytes": SHOWN_BODY } })).await
        });
        last = join_all(burst).await.pop().unwrap();
        brisk.end_of(&last).await;
    }
    let before = slow.bytes;
    let (mut seq, mut message) = (first["seq"].as_u64().unwrap(), slow.next().await);
    while message["type"] == "events" {
        seq += 1;
        assert_eq!(message["seq"], seq, "what it has is without a gap");
        message = slow.next().await;
    }
    assert!(message["seq"].as_u64().unwrap() > seq, "it has skipped to {}", message["seq"]);
    let newest = |message: &Value| message["requests"][0]["requestId"] == last;
    while !newest(&message) {
        // The snapshot was made while requests were under way: what came since follows it.
        message = slow.end_of(&last).await;
        if message["type"] == "events" {
            break;
        }
    }
    assert!(slow.bytes - before < SENT_MEANWHILE / 2, "{} bytes were kept for it", slow.bytes - before);
    let after = app.web().submit(json!({ "task": "echo" })).await;
    slow.end_of(&after).await;
    brisk.end_of(&after).await;
    app.stop().await;
}

#[actix_rt::test]
async fn every_reply_of_a_wide_fan_out_is_shown() {
    // Per-message events are left out, of which its own requests are none.
    let wide = [("requester.workers", "500"), ("responder.workers", "500"), ("telemetry.events_per_second", "0")];
    // As deployed: the states of a thousand workers every 50 ms are more than a busy machine gets done, and among so many
    // connections that are made at once some may be lost with their message.
    let deployed = [("telemetry.interval", "500ms"), ("web.batch", "50ms"), ("requester.retry_after", "5s")];
    let changes = [&wide[..], &deployed].concat();
    let app = Running::all(&changes).await;
    let mut early = Dashboard::open(app.addresses.web.unwrap()).await;
    early.next().await;
    let id = app.web().ask(json!({ "task": "echo" })).await.request_id;
    let (mut replied, mut ended) = (BTreeSet::new(), false);
    while !ended {
        let message = early.next().await;
        replied.extend(replies_in(&message).into_iter().map(|reply| reply["messageId"].to_string()));
        ended = is_end(&message, &id);
    }
    assert_eq!(replied.len(), 500);
    let late = Dashboard::open(app.addresses.web.unwrap()).await.next().await;
    assert_eq!(replies_in(&late).len(), 500);
    app.stop().await;
}

#[actix_rt::test]
async fn no_request_of_a_burst_is_left_out() {
    let app = Running::all(&[("telemetry.events_per_second", "20")]).await;
    let mut early = Dashboard::open(app.addresses.web.unwrap()).await;
    early.next().await;
    let burst = (0..60).map(|_| async { app.web().ask(json!({ "task": "echo" })).await.request_id });
    let mut left: BTreeSet<String> = join_all(burst).await.into_iter().collect();
    let late = Dashboard::open(app.addresses.web.unwrap()).await.next().await;
    let is_whole = |view: &Value| view["status"] == "complete" && view["replies"].as_array().unwrap().len() == 3;
    assert_eq!(late["requests"].as_array().unwrap().iter().filter(|view| is_whole(view)).count(), 60);
    while !left.is_empty() {
        let message = early.next().await;
        // It may have been too slow for some batches.
        let views = message["requests"].as_array().into_iter().flatten().filter(|view| is_whole(view));
        let ends = message["events"].as_array().into_iter().flatten().filter(|event| event["type"] == "outcome");
        for ended in views.chain(ends) {
            left.remove(ended["requestId"].as_str().unwrap());
        }
    }
    app.stop().await;
}

#[actix_rt::test]
async fn the_page_of_another_web_instance_shows_a_request_without_bodies() {
    let (here, there) = (own_port().to_string(), own_port().to_string());
    let both = format!("127.0.0.1:{here},127.0.0.1:{there}");
    let mut all = Child::start(&[], &[]);
    let requester = all.requester().await.to_string();
    let web = async |port: &str| {
        let changes = [("telemetry.port", port), ("telemetry.web", &both)];
        let mut child = Child::start(&["web", "--requester", &requester], &changes);
        let web = child.web().await;
        child.admin().await.ready().await;
        (child, web)
    };
    let ((one, asked), (other, asking_not)) = (web(&here).await, web(&there).await);
    eventually("both web instances know each other", async || {
        let topologies = [asked.topology().await, asking_not.topology().await];
        topologies.iter().all(|topology| topology.living(Tier::Web).count() == 2).then_some(())
    })
    .await;
    let view = asked.ask(json!({ "task": "echo", "parameters": { "bytes": 100 } })).await;
    let told = eventually("the request at the other web instance", async || {
        let answer = asking_not.get(&format!("/api/v1/requests/{}", view.request_id)).await;
        (answer.status == 200).then(|| answer.json()).filter(|told| told["status"] == "complete")
    })
    .await;
    assert_eq!(told["counts"], json!({ "responses": 3, "errors": 0, "timeouts": 0 }));
    for (reply, whole) in told["replies"].as_array().unwrap().iter().zip(&view.replies) {
        assert_eq!((&reply["body"], &reply["bodyBytes"]), (&json!(""), &json!(whole.body.len())));
    }
    for child in [one, other, all] {
        child.stop().await;
    }
}
