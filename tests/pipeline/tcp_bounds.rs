//! What one TCP connection, and all of them, may have open at a requester.

use serde_json::json;
use swarmq::config::Role;
use swarmq::wire::Tier;

use crate::support::{ArticleTier, Peer, Running, article_reply, start};

/// A requester of ours with one worker and many messages in flight, and its response tier in a plain socket.
async fn requester(changes: &[(&str, &str)]) -> (Running, ArticleTier) {
    let tier = ArticleTier::bind();
    let responder = tier.address.to_string();
    let own = [
        ("requester.responder", &*responder),
        ("requester.socket", "dealer"),
        ("requester.window", "100"),
        ("requester.workers", "1"),
    ];
    let app = start(Role::Requester, &[&own, changes].concat());
    app.ready().await;
    (app, tier)
}

#[actix_rt::test]
async fn no_more_is_read_from_a_connection_than_may_be_under_way_on_it() {
    let (app, tier) = requester(&[("requester.max_in_flight", "2")]).await;
    let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
    let requests: String = (0..5).map(|number| json!({ "requestId": format!("{number}") }).to_string()).collect();
    peer.send(requests).await;
    let mut messages = vec![tier.message().await, tier.message().await];
    let mut other = Peer::connect(app.addresses.requester.unwrap()).await;
    other.send(r#"{"requestId":"other"}"#).await;
    let (envelope, message) = tier.message().await;
    tier.reply(&envelope, &article_reply(&message, "another connection's")).await;
    assert!(other.object().await.contains_key("other"), "nobody else waits");
    for ended in 1..=5 {
        assert_eq!(app.ledger(Tier::Requester).sent, 1 + (ended + 1).min(5), "each end lets one more in");
        let (envelope, message) = messages.remove(0);
        tier.reply(&envelope, &article_reply(&message, "done")).await;
        peer.object().await;
        if ended <= 3 {
            messages.push(tier.message().await);
        }
    }
    app.stop().await;
}

#[actix_rt::test]
async fn requests_above_the_memory_are_refused_and_taken_again_when_there_is_room() {
    let changes = [
        ("requester.max_message_bytes", "131072"),
        ("requester.max_memory_bytes", "1048576"),
        ("web.max_body_bytes", "4096"),
        ("task.max_file_bytes", "4096"),
    ];
    let (app, tier) = requester(&changes).await;
    let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
    let request = |id: &str| {
        let payload = "x".repeat(120_000);
        json!({ "requestId": id, "parameters": { "payload": payload }, "attempt": 1 }).to_string()
    };
    // Each is there twice: as a request and as a message. A quarter of the memory is for reading, a quarter of the rest
    // for replies.
    peer.send(request("first")).await;
    peer.send(request("second")).await;
    let mut messages = [tier.message().await, tier.message().await].into_iter();
    peer.send(request("third")).await;
    let refusal = peer.object().await;
    assert_eq!((&refusal["requestId"], &refusal["error"]["code"]), (&json!("third"), &json!("overloaded")));
    assert!(refusal["error"]["message"].as_str().unwrap().contains("requester.max_memory_bytes"), "{refusal:?}");
    let (envelope, message) = messages.next().unwrap();
    tier.reply(&envelope, &article_reply(&message, "done")).await;
    assert!(peer.object().await.contains_key("first"));
    // What was held for it is given back just after its reply.
    loop {
        peer.send(request("fourth")).await;
        let said = {
            let (envelope, message) = tokio::select! {
                message = tier.message() => message,
                refusal = peer.object() => {
                    assert_eq!(refusal["error"]["code"], "overloaded");
                    continue;
                }
            };
            tier.reply(&envelope, &article_reply(&message, "done")).await;
            peer.object().await
        };
        assert!(said.contains_key("fourth"), "{said:?}");
        break;
    }
    let (envelope, message) = messages.next().unwrap();
    tier.reply(&envelope, &article_reply(&message, "done")).await;
    assert!(peer.object().await.contains_key("second"));
    app.stop().await;
}

/// Its own replies take the memory for which its last messages wait.
#[actix_rt::test]
async fn a_request_whose_replies_take_more_than_the_memory_ends_all_the_same() {
    let changes = [
        ("requester.workers", "16"),
        ("requester.max_message_bytes", "1048576"),
        ("requester.max_memory_bytes", "8388608"),
        ("web.max_in_flight", "1000"),
    ];
    let app = Running::all(&changes).await;
    let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
    peer.send(
        json!({ "requestId": "a", "task": "echo", "parameters": { "bytes": 260_000 }, "attempt": 1 }).to_string(),
    )
    .await;
    let set = peer.object().await;
    let replies = set["a"].as_array().unwrap();
    assert_eq!(replies.len(), 16);
    let ended = |reply: &serde_json::Value| reply["responseType"] == "Response" || reply["code"] == "overloaded";
    assert!(replies.iter().all(ended), "{:?}", replies.iter().map(|reply| &reply["code"]).collect::<Vec<_>>());
    drop(peer);
    app.stop().await;
}

#[actix_rt::test]
async fn idle_connections_keep_nobody_out() {
    let app = Running::all(&[("requester.max_connections", "3")]).await;
    assert_eq!(app.web().ask(json!({})).await.counts.responses, 3);
    let address = app.addresses.requester.unwrap();
    let mut idle = [Peer::connect(address).await, Peer::connect(address).await];
    let mut peer = Peer::connect(address).await;
    peer.send(r#"{"requestId":"a"}"#).await;
    assert!(peer.object().await.contains_key("a"), "who comes is served");
    assert_eq!(idle[0].next().await, None, "by the place of the oldest that never asked for anything");
    let mut next = Peer::connect(address).await;
    next.send(r#"{"requestId":"b"}"#).await;
    assert!(next.object().await.contains_key("b"));
    assert_eq!(idle[1].next().await, None);
    assert_eq!(app.web().ask(json!({})).await.counts.responses, 3, "the web tier has asked: it kept its place");
    assert_eq!(app.ledger(Tier::Web).retries, 0);
    app.stop().await;
}
