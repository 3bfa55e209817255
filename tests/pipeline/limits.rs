//! Full queues, deadlines that pass, and replies too late or too many.

use serde_json::{Value, json};
use swarmq::config::Role;
use swarmq::wire::{ErrorCode, RequestStatus, Tier};

use crate::support::{ArticleTier, Peer, Running, article_reply, assert_one_outcome_each, start};

const SLOW: [(&str, &str); 4] = [
    ("requester.workers", "1"),
    ("responder.workers", "1"),
    ("task.delay.kind", "fixed"),
    ("task.delay.mean", "400ms"),
];

async fn slow(changes: &[(&str, &str)]) -> Running {
    Running::all(&[&SLOW, changes].concat()).await
}

#[actix_rt::test]
async fn a_full_queue_at_the_requester_answers_overloaded() {
    let app = slow(&[("requester.queue", "1")]).await;
    let first = app.web().submit(json!({ "task": "echo" })).await;
    app.busy(Tier::Requester, 1).await;
    let second = app.web().submit(json!({ "task": "echo" })).await;
    app.until("one waits", || app.status(Tier::Requester).snapshot().queue == 1).await;
    let third = app.web().ask(json!({ "task": "echo" })).await;
    assert_one_outcome_each(&third);
    assert_eq!(third.replies[0].code, Some(ErrorCode::Overloaded), "{third:#?}");
    assert!(third.replies[0].body.contains("requester.queue"), "{}", third.replies[0].body);
    for id in [first, second] {
        assert_eq!(app.web().ended(&id).await.counts.responses, 1);
    }
    app.stop().await;
}

#[actix_rt::test]
async fn a_full_broker_answers_overloaded() {
    for dispatch in ["round-robin", "least-busy"] {
        let app = slow(&[("broker.queue", "1"), ("requester.workers", "3"), ("broker.dispatch", dispatch)]).await;
        let view = app.web().ask(json!({ "task": "echo" })).await;
        assert_one_outcome_each(&view);
        assert_eq!((view.counts.responses, view.counts.errors), (1, 2), "{view:#?}");
        for reply in view.replies.iter().filter(|reply| reply.code.is_some()) {
            assert_eq!(reply.code, Some(ErrorCode::Overloaded));
            assert!(reply.body.contains("broker.queue"), "{}", reply.body);
        }
        app.stop().await;
    }
}

#[actix_rt::test]
async fn a_broker_with_a_small_queue_drops_no_reply_of_a_large_window() {
    let app = slow(&[("broker.queue", "2"), ("requester.socket", "dealer"), ("requester.window", "64")]).await;
    let web = app.web();
    let views = futures_util::future::join_all((0..64).map(|_| web.ask(json!({ "task": "echo" })))).await;
    let responses: u64 = views.iter().map(|view| view.counts.responses).sum();
    for view in &views {
        assert_one_outcome_each(view);
        assert!(view.replies[0].code.is_none_or(|code| code == ErrorCode::Overloaded), "{view:#?}");
    }
    assert!((2..64).contains(&responses), "{responses}");
    app.settle().await;
    assert_eq!(app.ledger(Tier::Requester).retries, 0);
    app.stop().await;
}

#[actix_rt::test]
async fn a_web_tier_with_enough_to_do_says_when_to_come_back() {
    let app = slow(&[("web.max_in_flight", "1")]).await;
    let id = app.web().submit(json!({ "task": "echo" })).await;
    for wait in [true, false] {
        let answer = app.web().post("/api/v1/requests", json!({ "wait": wait }).to_string()).await;
        assert_eq!(answer.headers.get("retry-after").unwrap(), "1");
        assert!(answer.error(503, "overloaded").contains("web.max_in_flight"));
    }
    app.web().get("/api/v1/dispatcher/request").await.error(503, "overloaded");
    assert_eq!(app.web().ended(&id).await.counts.responses, 1);
    assert_eq!(app.web().ask(json!({ "task": "echo" })).await.counts.responses, 1);
    app.stop().await;
}

#[actix_rt::test]
async fn a_deadline_that_passes_is_told_in_the_articles_words() {
    let app = slow(&[("requester.workers", "2"), ("requester.timeout", "100ms")]).await;
    let message = app.web().ask_any(json!({ "task": "echo" })).await.error(504, "timeout");
    assert!(message.contains("none of the 2 messages"), "{message}");
    let id = app.web().submit(json!({ "task": "echo", "timeoutMs": 50 })).await;
    let view = app.web().ended(&id).await;
    assert_one_outcome_each(&view);
    assert_eq!((view.status, view.counts.timeouts), (RequestStatus::Complete, 2), "{view:#?}");
    for reply in &view.replies {
        assert_eq!((reply.responder_id, reply.filename.as_deref()), (-1, None));
        assert_eq!(reply.body, format!("request: {} timed out.", reply.message_id));
        assert!(reply.detail.is_some());
    }
    let set = app.web().get("/api/v1/dispatcher/request").await;
    assert_eq!(set.status, 200);
    for reply in set.json().as_object().unwrap().values().next().unwrap().as_array().unwrap() {
        assert_eq!((&reply["responderId"], &reply["responseType"]), (&json!(-1), &json!("Error")));
        assert_eq!(reply["body"], format!("request: {} timed out.", reply["messageId"].as_str().unwrap()));
    }
    app.stop().await;
}

/// A requester of ours with one worker, its response tier, and a web tier, both in plain sockets.
async fn between_plain_sockets(socket: &str) -> (Running, ArticleTier, Peer) {
    let tier = ArticleTier::bind();
    let changes =
        [("requester.responder", &*tier.address.to_string()), ("requester.socket", socket), ("requester.workers", "1")];
    let app = start(Role::Requester, &changes);
    app.ready().await;
    let peer = Peer::connect(app.addresses.requester.unwrap()).await;
    (app, tier, peer)
}

fn only_reply(set: &serde_json::Map<String, Value>, id: &str) -> Value {
    assert_eq!(set[id].as_array().unwrap().len(), 1, "{set:?}");
    set[id][0].clone()
}

#[actix_rt::test]
async fn a_reply_after_the_deadline_is_counted_late_and_not_taken_for_another_ones() {
    for socket in ["dealer", "req"] {
        let (app, tier, mut peer) = between_plain_sockets(socket).await;
        peer.send(r#"{"requestId":"late","timeoutMs":50}"#).await;
        let (late, late_message) = tier.message().await;
        let reply = only_reply(&peer.object().await, "late");
        assert!(reply["body"].as_str().unwrap().ends_with(" timed out."), "{reply}");
        peer.send(r#"{"requestId":"next"}"#).await;
        let (next, next_message) = tier.message().await;
        tier.reply(&late, &article_reply(&late_message, "late")).await;
        tier.reply(&next, &article_reply(&next_message, "next")).await;
        assert_eq!(only_reply(&peer.object().await, "next")["body"], "next");
        if socket == "dealer" {
            app.until("the late reply", || app.ledger(Tier::Requester).late == 1).await;
        }
        app.settle().await;
        let ledger = app.ledger(Tier::Requester);
        assert_eq!((ledger.timeouts, ledger.responses, ledger.duplicates), (1, 1, 0), "{socket}");
        app.stop().await;
    }
}

#[actix_rt::test]
async fn a_second_reply_is_counted_as_a_duplicate() {
    let (app, tier, mut peer) = between_plain_sockets("dealer").await;
    peer.send(r#"{"requestId":"a"}"#).await;
    let (envelope, message) = tier.message().await;
    tier.reply(&envelope, &article_reply(&message, "first")).await;
    tier.reply(&envelope, &article_reply(&message, "second")).await;
    assert_eq!(only_reply(&peer.object().await, "a")["body"], "first");
    app.until("the duplicate", || app.ledger(Tier::Requester).duplicates == 1).await;
    assert_eq!((app.ledger(Tier::Requester).responses, app.ledger(Tier::Requester).late), (1, 0));
    app.stop().await;
}

#[actix_rt::test]
async fn a_message_without_a_reply_is_sent_again_so_often_and_no_more() {
    let tier = ArticleTier::bind();
    let responder = tier.address.to_string();
    let changes = [
        ("requester.responder", &*responder),
        ("requester.workers", "1"),
        ("requester.retry_after", "50ms"),
        ("requester.max_attempts", "3"),
    ];
    let app = start(Role::Requester, &changes);
    app.ready().await;
    let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
    peer.send(r#"{"requestId":"a","timeoutMs":2000,"attempt":1}"#).await;
    for attempt in 1..=3 {
        let (_, json) = tier.message().await;
        let message: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(message["attempt"], json!(attempt));
    }
    let reply = only_reply(&peer.object().await, "a");
    assert_eq!(reply["code"], "timeout");
    assert!(reply["detail"].as_str().unwrap().contains("sent 3 times"), "{reply}");
    assert_eq!(app.ledger(Tier::Requester).retries, 2);
    app.stop().await;
}
