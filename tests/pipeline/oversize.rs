//! Messages and replies above a limit: each ends as an error that names it, and nobody else waits.

use serde_json::{Value, json};
use swarmq::config::Role;
use swarmq::wire::{ErrorCode, Outcome, Tier};

use crate::support::{
    ArticleTier, Peer, Running, article_reply, assert_one_outcome_each, eventually, frames, in_time, start, zmq_socket,
};

/// As small as limits get, so that what is above them is small too.
const SMALL: [(&str, &str); 3] =
    [("requester.max_message_bytes", "65536"), ("task.max_file_bytes", "1000"), ("web.max_body_bytes", "60000")];

/// A message of an extended requester, with a field of so many bytes.
fn message(id: &str, bytes: usize) -> String {
    json!({ "requestId": "r", "messageId": id, "requesterId": "q", "requestedAt": 1, "attempt": 1, "x": "x".repeat(bytes),
        "task": "echo", "parameters": { "payload": "p" } })
    .to_string()
}

fn only_reply(set: &serde_json::Map<String, Value>, id: &str) -> Value {
    assert_eq!(set[id].as_array().unwrap().len(), 1, "{set:?}");
    set[id][0].clone()
}

#[actix_rt::test]
async fn the_largest_file_of_control_characters_is_answered_and_a_larger_one_refused_by_the_defaults() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("target.txt"), "Hello Paul").unwrap();
    std::fs::write(root.path().join("most"), vec![0; 163_840]).unwrap();
    std::fs::write(root.path().join("more"), vec![0; 262_144]).unwrap();
    let app = Running::all(&[("task.root", root.path().to_str().unwrap())]).await;
    let view = app.web().ask(json!({ "filename": "most" })).await;
    assert_one_outcome_each(&view);
    assert!(view.counts.responses == 3 && view.replies.iter().all(|reply| reply.body.len() == 163_840));
    let view = app.web().ask(json!({ "filename": "more" })).await;
    assert!(view.replies.iter().all(|reply| reply.body.contains("task.max_file_bytes")), "{view:#?}");
    assert_eq!(app.web().ask(json!({})).await.counts.responses, 3);
    assert_eq!(app.ledger(Tier::Requester).retries, 0);
    app.stop().await;
}

#[actix_rt::test]
async fn a_reply_above_the_limit_is_an_error_at_the_responder_and_the_next_is_answered() {
    for socket in ["req", "dealer"] {
        let app = Running::all(&[("requester.socket", socket), ("task.name", "echo")]).await;
        let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
        // Doubled as JSON, and once more as JSON in a reply's body.
        let request = json!({ "requestId": "big", "parameters": { "x": "\\".repeat(300_000) } });
        peer.send(request.to_string()).await;
        for reply in peer.object().await["big"].as_array().unwrap() {
            assert_eq!(reply["code"], "too-large", "{reply}");
            let body = reply["body"].as_str().unwrap();
            assert!(body.contains("1048576 are allowed (requester.max_message_bytes)"), "{body}");
        }
        assert_eq!(app.web().ask(json!({ "parameters": { "payload": "next" } })).await.counts.responses, 3);
        assert_eq!(app.ledger(Tier::Requester).retries, 0, "{socket}: no connection was lost");
        app.stop().await;
    }
}

#[actix_rt::test]
async fn a_message_above_the_limit_is_an_error_at_the_requester_and_is_not_sent() {
    let app = Running::all(&[&SMALL[..], &[("requester.workers", "1")]].concat()).await;
    let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
    // The request is within the limit; with its message's ids it is not.
    let request = json!({ "requestId": "a", "attempt": 1, "x": "x".repeat(65_470) }).to_string();
    assert!(request.len() <= 65_536);
    peer.send(request).await;
    let reply = only_reply(&peer.object().await, "a");
    assert_eq!((&reply["code"], &reply["responderId"]), (&json!("too-large"), &json!(-1)), "{reply}");
    assert!(reply["body"].as_str().unwrap().contains("65536 are allowed (requester.max_message_bytes)"), "{reply}");
    assert_eq!(app.ledger(Tier::Broker).sent, 0);
    assert_eq!(app.web().ask(json!({})).await.counts.responses, 1);
    app.stop().await;
}

#[actix_rt::test]
async fn a_responder_with_a_larger_limit_keeps_to_the_requesters() {
    let larger = [("requester.max_message_bytes", "4194304"), ("task.name", "echo")];
    let responder = start(Role::Responder, &larger);
    let broker = responder.addresses.broker.unwrap().to_string();
    let requester = start(Role::Requester, &[("requester.responder", &*broker), ("requester.workers", "1")]);
    requester.ready().await;
    let mut peer = Peer::connect(requester.addresses.requester.unwrap()).await;
    let request = json!({ "requestId": "big", "parameters": { "x": "\\".repeat(300_000) } });
    peer.send(request.to_string()).await;
    let reply = only_reply(&peer.object().await, "big");
    assert_eq!(reply["code"], "too-large", "{reply}");
    assert_eq!(requester.ledger(Tier::Requester).retries, 0);
    requester.stop().await;
    responder.stop().await;
}

#[actix_rt::test]
async fn a_message_that_a_broker_with_a_smaller_limit_hangs_up_on_ends_and_the_next_is_answered() {
    for socket in ["req", "dealer"] {
        let responder = start(Role::Responder, &[&SMALL[..], &[("task.name", "echo")]].concat());
        let broker = responder.addresses.broker.unwrap().to_string();
        let changes = [("requester.responder", &*broker), ("requester.workers", "1"), ("requester.socket", socket)];
        let requester = start(Role::Requester, &changes);
        requester.ready().await;
        let mut peer = Peer::connect(requester.addresses.requester.unwrap()).await;
        peer.send(json!({ "requestId": "big", "attempt": 1, "x": "x".repeat(100_000) }).to_string()).await;
        let reply = only_reply(&peer.object().await, "big");
        assert_eq!(reply["code"], "lost", "{reply}");
        assert!(reply["body"].as_str().unwrap().contains("requester.max_attempts"), "{reply}");
        peer.send(json!({ "requestId": "next", "attempt": 1 }).to_string()).await;
        assert_eq!(only_reply(&peer.object().await, "next")["responseType"], "Response");
        requester.stop().await;
        responder.stop().await;
    }
}

/// A requester of ours with one worker, its response tier, and a web tier, both in plain sockets.
async fn between_plain_sockets(socket: &str) -> (Running, ArticleTier, Peer) {
    let tier = ArticleTier::bind();
    let responder = tier.address.to_string();
    let changes = [("requester.responder", &*responder), ("requester.socket", socket), ("requester.workers", "1")];
    let app = start(Role::Requester, &[&SMALL[..], &changes].concat());
    app.ready().await;
    let peer = Peer::connect(app.addresses.requester.unwrap()).await;
    (app, tier, peer)
}

#[actix_rt::test]
async fn a_connection_that_a_too_large_reply_ended_is_made_anew_and_the_message_sent_again() {
    for socket in ["req", "dealer"] {
        let (app, tier, mut peer) = between_plain_sockets(socket).await;
        peer.send(r#"{"requestId":"a","attempt":1}"#).await;
        let (envelope, json) = tier.message().await;
        tier.reply(&envelope, &article_reply(&json, &"x".repeat(100_000))).await;
        let (envelope, json) = tier.message().await;
        tier.reply(&envelope, &article_reply(&json, "small")).await;
        assert_eq!(only_reply(&peer.object().await, "a")["body"], "small", "{socket}");
        assert_eq!(app.ledger(Tier::Requester).retries, 1);
        app.stop().await;
    }
}

#[actix_rt::test]
async fn a_message_whose_reply_ends_each_connection_ends_alone() {
    let (app, tier, mut peer) = between_plain_sockets("dealer").await;
    for id in ["good-1", "good-2", "bad", "good-3"] {
        peer.send(json!({ "requestId": id, "attempt": 1 }).to_string()).await;
    }
    let is_bad = |json: &[u8]| serde_json::from_slice::<Value>(json).unwrap()["requestId"] == "bad";
    let answer_badly = async |envelope: &[Vec<u8>], json: &[u8]| {
        tier.reply(envelope, &article_reply(json, &"x".repeat(100_000))).await;
    };
    // The others are at it too when the connection ends, twice; and then each has it for itself.
    for _ in 0..2 {
        let mut messages = vec![];
        for _ in 0..4 {
            messages.push(tier.message().await);
        }
        let (envelope, json) = messages.iter().find(|(_, json)| is_bad(json)).unwrap();
        answer_badly(envelope, json).await;
    }
    for _ in 0..4 {
        let (envelope, json) = tier.message().await;
        match is_bad(&json) {
            true => answer_badly(&envelope, &json).await,
            false => tier.reply(&envelope, &article_reply(&json, "good")).await,
        }
    }
    for _ in 0..4 {
        let set = peer.object().await;
        let (id, _) = set.iter().next().unwrap();
        let reply = only_reply(&set, id);
        match &**id {
            "bad" => assert_eq!(reply["code"], "lost", "{reply}"),
            _ => assert_eq!(reply["body"], "good", "{reply}"),
        }
    }
    app.settle().await;
    assert_eq!((app.ledger(Tier::Requester).responses, app.ledger(Tier::Requester).errors), (3, 1));
    app.stop().await;
}

#[actix_rt::test]
async fn a_message_of_too_many_frames_or_bytes_in_all_is_refused_by_the_broker() {
    let app = start(Role::Responder, &SMALL);
    app.ready().await;
    let (socket, _) = zmq_socket(zmq::DEALER, app.addresses.broker);
    let flood = |count: usize, bytes: usize| {
        let mut flood = frames([b"", message("flood", 0).as_bytes()]);
        flood.extend((0..count).map(|_| zmq::Message::from(vec![b'x'; bytes])));
        flood
    };
    for (count, bytes, reason) in [(300, 10, "303 frames"), (3, 60_000, "requester.max_message_bytes")] {
        socket.send(flood(count, bytes)).await.unwrap();
        let reply = in_time("a refusal", socket.recv()).await.unwrap();
        assert_eq!(reply.len(), 2);
        let reply: Value = serde_json::from_slice(&reply[1]).unwrap();
        assert_eq!((&reply["code"], &reply["messageId"]), (&json!("too-large"), &json!("flood")));
        assert!(reply["body"].as_str().unwrap().contains(reason), "{reply}");
    }
    // Before the empty frame: to be answered it would have to be sent back.
    let mut envelope = flood(300, 1_000);
    envelope.reverse();
    socket.send(envelope).await.unwrap();
    socket.send(frames([b"", message("next", 0).as_bytes()])).await.unwrap();
    let reply = in_time("a reply", socket.recv()).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&reply[1]).unwrap()["body"], "p");
    app.settle().await;
    assert_eq!((app.ledger(Tier::Broker).sent, app.ledger(Tier::Broker).errors), (4, 3));
    assert_eq!(app.ledger(Tier::Responder).sent, 1);
    app.stop().await;
}

#[actix_rt::test]
async fn a_peer_that_sends_one_message_without_end_loses_its_connection_and_nobody_else_does() {
    let app = Running::all(&SMALL).await;
    let address = app.addresses.broker;
    let context = zmq::Context::new();
    let socket = context.socket(zmq::DEALER).unwrap();
    socket.set_linger(0).unwrap();
    socket.monitor("inproc://endless", i32::from(zmq::SocketEvent::DISCONNECTED as u16)).unwrap();
    let events = context.socket(zmq::PAIR).unwrap();
    events.connect("inproc://endless").unwrap();
    let events = swarmq::runtime::zeromq::Socket::attach(events).unwrap();
    socket.connect(&format!("tcp://{}", address.unwrap())).unwrap();
    let socket = swarmq::runtime::zeromq::Socket::attach(socket).unwrap();
    // libzmq sends a message once it has it whole. More than any broker of this process takes.
    let endless = (0..1_000).map(|_| zmq::Message::from(vec![b'x'; 60_000])).collect();
    socket.send(endless).await.unwrap();
    in_time("the end of the connection", events.recv()).await.unwrap();
    assert_eq!(app.web().ask(json!({})).await.counts.responses, 3);
    assert_eq!(app.ledger(Tier::Requester).retries, 0, "no other connection was lost");
    socket.send(frames([b"", message("next", 0).as_bytes()])).await.unwrap();
    let reply = in_time("a reply", socket.recv()).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&reply[1]).unwrap()["messageId"], "next");
    app.stop().await;
}

#[actix_rt::test]
async fn bytes_that_wait_at_the_broker_are_bounded_and_more_is_overloaded() {
    for dispatch in ["round-robin", "least-busy"] {
        let changes = [
            ("broker.queue_bytes", "131072"),
            ("broker.dispatch", dispatch),
            ("responder.workers", "1"),
            ("task.delay.kind", "fixed"),
            ("task.delay.mean", "300ms"),
        ];
        let app = start(Role::Responder, &[&SMALL[..], &changes].concat());
        app.ready().await;
        let (socket, _) = zmq_socket(zmq::DEALER, app.addresses.broker);
        for id in ["1", "2", "3"] {
            socket.send(frames([b"", message(id, 60_000).as_bytes()])).await.unwrap();
        }
        let mut replies = vec![];
        for _ in 0..3 {
            let frames = in_time("a reply", socket.recv()).await.unwrap();
            replies.push(serde_json::from_slice::<Value>(&frames[1]).unwrap());
        }
        assert_eq!((&replies[0]["code"], &replies[0]["messageId"]), (&json!("overloaded"), &json!("3")), "{dispatch}");
        let body = replies[0]["body"].as_str().unwrap();
        assert!(body.contains("131072 are allowed (broker.queue_bytes)"), "{body}");
        assert!(replies[1..].iter().all(|reply| reply["responseType"] == "Response"), "{replies:?}");
        app.until("nothing left", || app.status(Tier::Broker).snapshot().queue_bytes == Some(0)).await;
        app.stop().await;
    }
}

#[actix_rt::test]
async fn a_requester_that_does_not_read_costs_the_broker_no_more_than_its_bound() {
    const MESSAGES: u64 = 600;
    const BOUND: u64 = 4 << 20;
    let app = start(Role::Responder, &[("broker.queue_bytes", "4194304"), ("task.name", "echo")]);
    app.ready().await;
    let silent = zmq::Context::new().socket(zmq::DEALER).unwrap();
    silent.set_linger(0).unwrap();
    silent.set_rcvhwm(1).unwrap();
    silent.set_rcvbuf(65_536).unwrap();
    silent.connect(&format!("tcp://{}", app.addresses.broker.unwrap())).unwrap();
    let silent = swarmq::runtime::zeromq::Socket::attach(silent).unwrap();
    let ask = json!({ "requestId": "r", "messageId": "m", "requesterId": "q", "requestedAt": 1, "attempt": 1,
        "parameters": { "bytes": 100_000 } });
    let mut most = 0;
    for _ in 0..MESSAGES {
        silent.send(frames([b"", ask.to_string().as_bytes()])).await.unwrap();
        most = most.max(app.status(Tier::Broker).snapshot().queue_bytes.unwrap());
    }
    eventually("every message ended", async || {
        let ledger = app.ledger(Tier::Broker);
        most = most.max(app.status(Tier::Broker).snapshot().queue_bytes.unwrap());
        (ledger.sent == MESSAGES && ledger.in_flight == 0).then_some(())
    })
    .await;
    eventually("a refusal of whoever does not read", async || {
        silent.send(frames([b"", ask.to_string().as_bytes()])).await.unwrap();
        most = most.max(app.status(Tier::Broker).snapshot().queue_bytes.unwrap());
        (app.ledger(Tier::Broker).errors > 0).then_some(())
    })
    .await;
    assert!(most <= 2 * BOUND, "{most}");
    let (other, _) = zmq_socket(zmq::REQ, app.addresses.broker);
    other.send(frames([ask.to_string().as_bytes()])).await.unwrap();
    assert!(in_time("another's reply", other.recv()).await.unwrap()[0].len() > 100_000);
    drop(silent);
    app.until("its replies forgotten", || app.status(Tier::Broker).snapshot().queue_bytes == Some(0)).await;
    app.stop().await;
}

#[actix_rt::test]
async fn replies_that_come_faster_than_they_are_read_arrive_all_the_same() {
    // One message of libzmq's own at a time, and all replies at once.
    let changes =
        [("broker.queue_bytes", "8388608"), ("task.name", "echo"), ("requester.max_message_bytes", "4194304")];
    let app = start(Role::Responder, &changes);
    app.ready().await;
    let (socket, _) = zmq_socket(zmq::DEALER, app.addresses.broker);
    for number in 0..200 {
        let ask = json!({ "requestId": "r", "messageId": number.to_string(), "requesterId": "q", "requestedAt": 1,
            "attempt": 1, "parameters": { "bytes": 10_000 } });
        socket.send(frames([b"", ask.to_string().as_bytes()])).await.unwrap();
    }
    for _ in 0..200 {
        let reply = in_time("a reply", socket.recv()).await.unwrap();
        let reply = swarmq::wire::Reply::parse(&reply[1]).unwrap();
        assert_eq!((reply.outcome(), reply.code), (Outcome::Response, None::<ErrorCode>));
    }
    app.stop().await;
}
