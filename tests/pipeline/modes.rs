//! A request through every tier in one process: each task, each way to ask, each way to fan out.

use serde_json::json;
use swarmq::wire::{RequestStatus, Tier};

use crate::support::{Running, assert_one_outcome_each};

#[actix_rt::test]
async fn every_task_answers_by_every_requester_worker() {
    let app = Running::all(&[("task.root", "."), ("task.file", "files/target.txt")]).await;
    let requests = [
        (json!({}), "Hello Paul"),
        (json!({ "task": "file", "filename": "rustfmt.toml" }), include_str!("../../rustfmt.toml")),
        (json!({ "task": "echo", "parameters": { "payload": "Grüß Gott" } }), "Grüß Gott"),
    ];
    for (request, body) in requests {
        let view = app.web().ask(request).await;
        assert_one_outcome_each(&view);
        assert_eq!((view.status, view.counts.responses), (RequestStatus::Complete, 3), "{view:#?}");
        assert!(view.replies.iter().all(|reply| reply.body == body), "{view:#?}");
        let mut requesters: Vec<_> = view.replies.iter().map(|reply| reply.requester_id.clone()).collect();
        requesters.sort();
        requesters.dedup();
        assert_eq!(requesters.len(), 3);
    }
    let view = app.web().ask(json!({ "task": "cpu", "parameters": { "rounds": 10 } })).await;
    assert_eq!(view.counts.responses, 3);
    for reply in &view.replies {
        assert!(reply.body.len() == 64 && reply.body.bytes().all(|byte| byte.is_ascii_hexdigit()), "{}", reply.body);
        let timings = reply.timings.unwrap();
        assert!(timings.service_us.is_some() && timings.broker_us.is_some() && timings.wire_us.is_some());
    }
    app.settle().await;
    for (tier, sent) in [(Tier::Web, 4), (Tier::Requester, 12), (Tier::Broker, 12), (Tier::Responder, 12)] {
        assert_eq!((app.ledger(tier).sent, app.ledger(tier).responses), (sent, sent), "{tier:?}");
    }
    app.stop().await;
}

#[actix_rt::test]
async fn fan_out_to_one_is_one_message() {
    let app = Running::all(&[]).await;
    for _ in 0..5 {
        let view = app.web().ask(json!({ "task": "echo", "fanOut": "one" })).await;
        assert_one_outcome_each(&view);
        assert_eq!((view.messages.len(), view.counts.responses), (1, 1));
    }
    app.stop().await;
}

#[actix_rt::test]
async fn replies_come_line_by_line_and_the_request_last() {
    let app = Running::all(&[]).await;
    let id = app.web().submit(json!({ "task": "echo" })).await;
    let lines = app.web().lines(&id).await;
    assert_eq!(lines.len(), 4);
    assert!(lines[..3].iter().all(|line| line["responseType"] == "Response" && line["requestId"] == id.as_str()));
    assert_eq!(
        (&lines[3]["status"], lines[3]["replies"].as_array().unwrap()),
        (&json!("complete"), &lines[..3].to_vec())
    );
    assert_eq!(app.web().lines(&id).await, lines, "they can be read again");
    assert_eq!(json!(app.web().view(&id).await), lines[3]);
    app.stop().await;
}

#[actix_rt::test]
async fn the_articles_call_answers_with_the_articles_fields_alone() {
    let app = Running::all(&[]).await;
    let answer = app.web().get("/api/v1/dispatcher/request").await;
    assert_eq!(answer.status, 200);
    let set = answer.json();
    let (id, replies) = set.as_object().unwrap().iter().next().unwrap();
    assert_eq!(set.as_object().unwrap().len(), 1);
    assert_eq!(replies.as_array().unwrap().len(), 3);
    for reply in replies.as_array().unwrap() {
        let fields: Vec<_> = reply.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, crate::ARTICLE_FIELDS);
        assert_eq!((&reply["requestId"], &reply["body"]), (&json!(id), &json!("Hello Paul")));
    }
    app.stop().await;
}

#[actix_rt::test]
async fn many_requests_at_once_each_get_their_own_replies() {
    let app = Running::all(&[]).await;
    let requests = (0..40).map(|number| {
        let web = app.web();
        async move {
            let payload = format!("number {number}");
            let view = web.ask(json!({ "task": "echo", "parameters": { "payload": payload } })).await;
            assert_one_outcome_each(&view);
            assert!(view.replies.len() == 3 && view.replies.iter().all(|reply| reply.body == payload), "{view:#?}");
        }
    });
    futures_util::future::join_all(requests).await;
    app.settle().await;
    assert_eq!(app.ledger(Tier::Requester).responses, 120);
    app.stop().await;
}
