//! What clients and strangers can make the web tier keep: no more than its limits say, whatever they do.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use futures_util::future::join_all;
use serde_json::{Value, json};
use swarmq::config::Role;
use swarmq::wire::RequestStatus;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::strangers::publisher;
use crate::support::{
    Peer, Running, Web, article_reply, assert_one_outcome_each, eventually, in_time, start, zmq_socket,
};

/// The least that `web.keep_bytes` may be.
const KEEP: usize = 1 << 20;

async fn keeping_little(changes: &[(&str, &str)]) -> Running {
    let keep = KEEP.to_string();
    Running::all(&[&[("web.keep_bytes", &*keep)], changes].concat()).await
}

fn echo(bytes: usize) -> Value {
    json!({ "task": "echo", "parameters": { "bytes": bytes } })
}

#[actix_rt::test]
async fn requests_are_kept_by_their_bytes_and_the_oldest_forgotten_first() {
    let app = keeping_little(&[]).await;
    let mut ids = vec![];
    for _ in 0..20 {
        let view = app.web().ask(echo(60_000)).await;
        assert!(view.replies.iter().all(|reply| reply.body.len() == 60_000), "each is answered whole");
        ids.push(view.request_id);
    }
    let mut kept = 0;
    for id in &ids {
        let answer = app.web().get(&format!("/api/v1/requests/{id}/replies")).await;
        match answer.status {
            200 => kept += 1,
            _ => {
                assert_eq!(kept, 0, "the newest are kept");
                assert!(answer.error(404, "not-found").contains("web.keep_bytes"));
            }
        }
    }
    assert!((3..=KEEP / 180_000).contains(&kept), "{kept} of three times 60,000 bytes");
    app.stop().await;
}

#[actix_rt::test]
async fn a_reply_beyond_the_share_of_a_request_has_its_body_left_out_and_says_so() {
    let app = keeping_little(&[("telemetry.events_per_second", "0")]).await;
    let views = join_all((0..20).map(|_| async { app.web().ask(echo(200_000)).await })).await;
    for view in views {
        assert_one_outcome_each(&view);
        assert_eq!((view.status, view.counts.responses), (RequestStatus::Complete, 3));
        let whole: usize = view.replies.iter().map(|reply| reply.body.len()).sum();
        assert!(whole <= KEEP / 4, "{whole}");
        for reply in view.replies.iter().filter(|reply| reply.body.is_empty()) {
            assert_eq!(serde_json::to_value(reply).unwrap()["bodyBytes"], 200_000);
            assert!(reply.detail.as_ref().unwrap().contains("web.keep_bytes"), "{:?}", reply.detail);
        }
    }
    app.stop().await;
}

#[actix_rt::test]
async fn whoever_waits_gets_the_end_of_a_request_that_is_forgotten_in_the_meantime() {
    let changes = [("web.keep_requests", "1"), ("task.delay.kind", "fixed"), ("task.delay.mean", "20ms")];
    let app = Running::all(&changes).await;
    let web = app.web();
    let waiting = join_all((0..60).map(|_| async { web.ask_any(json!({ "task": "echo" })).await.status }));
    let ids = join_all((0..60).map(|_| async { web.submit(json!({ "task": "echo", "fanOut": "one" })).await })).await;
    let (statuses, views) = tokio::join!(waiting, join_all(ids.iter().map(|id| followed(&web, id))));
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert!(views.iter().any(|known| *known));
    app.stop().await;
}

/// Whether a request was still known; then its lines have an end.
async fn followed(web: &Web, id: &str) -> bool {
    let answer = web.get(&format!("/api/v1/requests/{id}/replies")).await;
    if answer.status == 404 {
        return false;
    }
    let text = answer.text();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["status"], "complete", "{text}");
    true
}

#[actix_rt::test]
async fn a_request_that_grows_in_memory_is_refused_by_what_it_takes() {
    let app = keeping_little(&[]).await;
    // 20,000 elements in 40,000 bytes.
    let many = json!({ "task": "echo", "parameters": { "a": vec![0; 20_000] } });
    assert!(app.web().ask_any(many).await.error(503, "overloaded").contains("web.keep_bytes"));
    app.web().ask(json!({ "task": "echo", "parameters": { "a": vec![0; 500] } })).await;
    app.stop().await;
}

#[actix_rt::test]
async fn a_request_with_more_messages_than_there_is_memory_for_fails_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (requester, keep) = (listener.local_addr().unwrap().to_string(), KEEP.to_string());
    let app = start(Role::Web, &[("web.requester", &*requester), ("web.keep_bytes", &*keep)]);
    let mut peer = Peer::accept(&listener).await;
    app.ready().await;
    let (refused, ()) = tokio::join!(async { app.web().ask_any(json!({})).await }, async {
        let id = peer.object().await["requestId"].clone();
        let promise = |number: u32| json!({ "messageId": number.to_string(), "requesterId": "r" });
        let messages: Vec<Value> = (0..300).map(promise).collect();
        let accepted = json!({ "requestId": id, "accepted": { "instance": "i", "messages": messages } });
        peer.send(accepted.to_string()).await;
    });
    let message = refused.error(503, "overloaded");
    assert!(message.contains("web.keep_bytes"), "{message}");
    let (view, ()) = tokio::join!(async { app.web().ask(json!({})).await }, async {
        let id = peer.object().await["requestId"].as_str().unwrap().to_owned();
        let message = json!({ "requestId": id, "messageId": "m", "requesterId": "r", "requestedAt": 1 });
        peer.send(json!({ id: [article_reply(message.to_string().as_bytes(), "Hello")] }).to_string()).await;
    });
    assert_eq!(view.counts.responses, 1);
    app.stop().await;
}

#[actix_rt::test]
async fn answers_that_nobody_reads_are_bounded_and_what_is_asked_for_then_is_refused_with_the_reason() {
    let app = keeping_little(&[]).await;
    let id = app.web().ask(echo(60_000)).await.request_id;
    let path = format!("/api/v1/requests/{id}");
    let mut slow = vec![];
    let refused = eventually("a refusal", async || {
        // Each takes 180 kB of the 512 KiB for answers, less what both ends of its connection hold.
        let mut peer = Peer::connect_with(app.addresses.web.unwrap(), 4 << 10).await;
        peer.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(40)).await;
        slow.push(peer);
        let answer = app.web().get(&path).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert!(refused.error(503, "overloaded").contains("web.keep_bytes"));
    drop(slow);
    eventually("room for answers", async || (app.web().get(&path).await.status == 200).then_some(())).await;
    app.stop().await;
}

/// What a server answers to a request of which the body does not come, up to the end of the connection.
async fn answer_to_half(address: SocketAddr, call: &str, length: &str) -> String {
    let mut peer = Peer::connect(address).await;
    let head = format!("{call} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{length}\r\n\r\n");
    peer.send(head + "1\r\n{\r\n").await;
    let mut answer = String::new();
    in_time("the end of the connection", peer.stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[actix_rt::test]
async fn a_body_that_does_not_come_ends_its_connection_with_408() {
    let app = Running::all(&[("web.body_timeout", "100ms")]).await;
    let (web, admin) = (app.addresses.web.unwrap(), app.addresses.admin.unwrap());
    let control = format!("PUT /control/{}/workers", app.instances()[0].instance.id);
    for length in ["Content-Length: 60", "Transfer-Encoding: chunked"] {
        let gzip = format!("Content-Encoding: gzip\r\n{length}");
        let (asked, controlled, ignored, compressed) = tokio::join!(
            answer_to_half(web, "POST /api/v1/requests", length),
            answer_to_half(admin, &control, length),
            answer_to_half(web, "POST /api/v1/dispatcher/disconnect", length),
            answer_to_half(web, "POST /api/v1/requests", &gzip),
        );
        for answer in [&asked, &controlled] {
            assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request-timeout"), "{answer}");
        }
        assert!(ignored.starts_with("HTTP/1.1 "), "a call that needs no body is answered without it: {ignored}");
        assert!(compressed.starts_with("HTTP/1.1 415 "), "{compressed}");
    }
    app.web().get("/api/v1/dispatcher/connect").await;
    app.stop().await;
}

#[actix_rt::test]
async fn a_compressed_body_is_refused_unread_by_both_servers() {
    let app = Running::all(&[]).await;
    let control = format!("/control/{}/workers", app.instances()[0].instance.id);
    for (base, path) in [(app.web().base, "/api/v1/requests"), (app.admin().base, &*control)] {
        for (encoding, refused) in [("gzip", true), ("br", true), ("identity", false)] {
            let request = awc::Client::default().request("POST".parse().unwrap(), format!("{base}{path}"));
            let request = request.insert_header(("content-encoding", encoding)).content_type("application/json");
            let mut response = request.send_body("{").await.unwrap();
            let text = String::from_utf8(response.body().await.unwrap().to_vec()).unwrap();
            assert_eq!(response.status() == 415, refused, "{encoding}: {text}");
            assert_eq!(text.contains("unsupported-media-type"), refused, "{text}");
        }
    }
    app.stop().await;
}

const GET_LOAD: &str = "GET /api/v1/load HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Asks for a small answer, and reads it.
async fn load_of(peer: &mut Peer) {
    peer.send(GET_LOAD).await;
    let mut answer = vec![];
    while !answer.ends_with(b"}") {
        assert!(in_time("an answer", peer.stream.read_buf(&mut answer)).await.unwrap() > 0);
    }
}

#[actix_rt::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let app = start(Role::Web, &[("web.max_connections", "2")]);
    let address = app.addresses.web.unwrap();
    let mut idle = [Peer::connect(address).await, Peer::connect(address).await];
    for peer in &mut idle {
        load_of(peer).await;
    }
    let mut third = Peer::connect(address).await;
    third.send(GET_LOAD).await;
    load_of(&mut idle[0]).await;
    let mut head = [0; 12];
    assert_eq!(third.stream.try_read(&mut head).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(idle);
    in_time("its turn", third.stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    app.end().await;
}

#[actix_rt::test]
async fn strangers_telemetry_is_taken_within_limits_and_never_for_the_web_tiers_own() {
    let app = Running::all(&[]).await;
    let before = app.web().topology().await;
    let own = before.instances.values().find(|view| view.snapshot.instance.tier.name() == "web").unwrap();
    let mut forged = serde_json::to_value(&own.snapshot).unwrap();
    let (stranger, _) = zmq_socket(zmq::PUB, Some(app.addresses.telemetry.unwrap()));
    let link = json!({ "type": "link", "instance": forged["instance"]["id"], "address": "forged:1", "at": 1, "state": "connected" });
    let mut number = 0;
    let known = eventually("as many as are known at most", async || {
        let instances: Vec<Value> = (0..500)
            .map(|_| {
                number += 1;
                forged["instance"]["id"] = json!(format!("forged-{number}"));
                json!({ "type": "instance", "snapshot": forged })
            })
            .collect();
        stranger.raw().send(json!([link]).to_string().as_bytes(), 0).unwrap();
        stranger.raw().send(json!(instances).to_string().as_bytes(), 0).unwrap();
        stranger.raw().send("nonsense", 0).unwrap();
        let topology = app.web().topology().await;
        (number > 3_000 && topology.instances.len() >= 900).then_some(topology)
    })
    .await;
    assert!(known.instances.len() <= 1_000, "{}", known.instances.len());
    assert!(before.instances.keys().all(|id| known.instances.contains_key(id)), "those that were known stay");
    assert_eq!(known.links.keys().collect::<Vec<_>>(), before.links.keys().collect::<Vec<_>>());
    assert_eq!(app.web().ask(json!({ "task": "echo" })).await.counts.responses, 3);
    app.stop().await;
}

#[actix_rt::test]
async fn a_flood_of_telemetry_from_one_host_keeps_no_request_and_no_other_hosts_telemetry_waiting() {
    let app = Running::all(&[]).await;
    let web = app.web();
    let id = web.ask(json!({ "task": "echo" })).await.request_id;
    let event = |message: u32| {
        let (requester, broker) = ("r".repeat(5_000), "b".repeat(5_000));
        json!({ "type": "dispatched", "requestId": id, "messageId": message.to_string(), "requesterId": requester,
            "instance": "i", "at": 1, "attempt": 1, "broker": broker })
    };
    let report = json!((0..40).map(event).collect::<Vec<_>>()).to_string();
    let stranger = publisher("127.0.0.2", app.addresses.telemetry.unwrap());
    let (end, ended) = mpsc::channel::<()>();
    let flood = thread::spawn(move || {
        while ended.try_recv() == Err(mpsc::TryRecvError::Empty) {
            stranger.send(&report, 0).unwrap();
            thread::yield_now();
        }
    });
    let before = web.topology().await.instances;
    for _ in 0..20 {
        assert_eq!(web.ask(json!({ "task": "echo" })).await.counts.responses, 3);
    }
    eventually("news of every instance", async || {
        let now = web.topology().await.instances;
        before.iter().all(|(id, view)| now[id].seen_at > view.seen_at).then_some(())
    })
    .await;
    drop(end);
    flood.join().unwrap();
    app.stop().await;
}
