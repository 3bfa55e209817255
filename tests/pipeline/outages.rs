//! Processes that are killed with messages in hand.

use nix::sys::signal::Signal;
use serde_json::json;
use swarmq::config::Role;
use swarmq::wire::{RequestStatus, Tier};

use crate::support::{Child, Running, assert_one_outcome_each, eventually, own_port, start};

/// Each message is a while in a responder's hand; what was lost with one is sent again, and soon forgotten by the broker.
const SLOW: [(&str, &str); 5] = [
    ("requester.retry_after", "1s"),
    ("task.delay.kind", "fixed"),
    ("task.delay.mean", "300ms"),
    ("requester.max_attempts", "100"),
    ("broker.forget_after", "1s"),
];

/// A web tier and a requester in this process.
fn front(broker: &str, changes: &[(&str, &str)]) -> [Running; 2] {
    let requester = start(Role::Requester, &[&SLOW, &[("requester.responder", broker)][..], changes].concat());
    let address = requester.addresses.requester.unwrap().to_string();
    let web = start(Role::Web, &[&SLOW, &[("web.requester", &*address)][..], changes].concat());
    [web, requester]
}

#[actix_rt::test]
async fn a_broker_that_is_killed_and_started_again_loses_nothing() {
    for (socket, dispatch) in [("req", "round-robin"), ("dealer", "round-robin"), ("req", "least-busy")] {
        let (port, backend) = (own_port().to_string(), format!("tcp://127.0.0.1:{}", own_port()));
        let of_broker = [&SLOW[..], &[("broker.dispatch", dispatch)]].concat();
        let broker = Child::start(&["broker", "--port", &port, "--backend", &backend], &of_broker);
        let responder = Child::start(&["responder", "--backend", &backend], &SLOW);
        let [web, requester] = front(&format!("127.0.0.1:{port}"), &[("requester.socket", socket)]);
        requester.ready().await;
        web.ready().await;
        let ids = [web.web().submit(json!({})).await, web.web().submit(json!({})).await];
        requester.busy(Tier::Requester, 3).await;
        broker.kill().await;
        requester.until("the loss seen", || !requester.status(Tier::Requester).has_peer()).await;
        let broker = Child::start(&["broker", "--port", &port, "--backend", &backend], &of_broker);
        for id in ids {
            let view = web.web().ended(&id).await;
            assert_one_outcome_each(&view);
            assert_eq!((view.status, view.counts.responses), (RequestStatus::Complete, 3), "{view:#?}");
        }
        assert!(requester.ledger(Tier::Requester).retries > 0);
        web.stop().await;
        requester.stop().await;
        broker.stop().await;
        responder.stop().await;
    }
}

#[actix_rt::test]
async fn responder_workers_that_are_killed_lose_nothing_while_others_are_there() {
    let mut broker = Child::start(&["broker", "--backend", "tcp://127.0.0.1:0"], &SLOW);
    let backend = format!("tcp://{}", broker.backend().await);
    let first = Child::start(&["responder", "--backend", &backend], &SLOW);
    let [web, requester] = front(&broker.broker().await.to_string(), &[]);
    requester.ready().await;
    web.ready().await;
    broker.admin().await.ready().await;
    let id = web.web().submit(json!({})).await;
    requester.busy(Tier::Requester, 3).await;
    let second = Child::start(&["responder", "--backend", &backend], &SLOW);
    first.kill().await;
    let view = web.web().ended(&id).await;
    assert_one_outcome_each(&view);
    assert_eq!(view.counts.responses, 3, "{view:#?}");
    web.stop().await;
    requester.stop().await;
    broker.stop().await;
    second.stop().await;
}

/// Settings of messages that are sent once: what is done again, the broker had done again.
const ONCE: [(&str, &str); 2] = [("task.delay.kind", "fixed"), ("task.delay.mean", "300ms")];

#[actix_rt::test]
async fn what_a_killed_responder_had_is_done_by_another_and_not_sent_again() {
    let broker = start(Role::Broker, &[("broker.dispatch", "least-busy"), ("broker.backend", "tcp://127.0.0.1:0")]);
    let backend = format!("tcp://{}", broker.addresses.backend.unwrap());
    let two = ["responder", "--backend", &backend, "--workers", "2"];
    let [first, second] = [Child::start(&two, &ONCE), Child::start(&two, &ONCE)];
    let upstream = broker.addresses.broker.unwrap().to_string();
    let requester = start(Role::Requester, &[("requester.responder", &*upstream), ("requester.workers", "16")]);
    let web = start(Role::Web, &[("web.requester", &requester.addresses.requester.unwrap().to_string())]);
    for app in [&requester, &web] {
        app.ready().await;
    }
    let mut ids = vec![];
    for _ in 0..4 {
        ids.push(web.web().submit(json!({ "task": "echo" })).await);
    }
    broker.until("messages at 4 workers", || broker.status(Tier::Broker).snapshot().queue == 12).await;
    first.kill().await;
    for id in ids {
        let view = web.web().ended(&id).await;
        assert_one_outcome_each(&view);
        assert_eq!(view.counts.responses, 16, "{view:#?}");
    }
    assert_eq!(requester.ledger(Tier::Requester).retries, 0);
    broker.settle().await;
    let ledger = broker.ledger(Tier::Broker);
    assert_eq!((ledger.sent, ledger.responses, ledger.late), (64, 64, 0));
    for app in [web, requester, broker] {
        app.stop().await;
    }
    second.stop().await;
}

#[actix_rt::test]
async fn what_a_stopped_responder_had_is_done_by_another() {
    let heartbeat = ("discovery.heartbeat_timeout", "1s");
    let of_broker = [("broker.dispatch", "least-busy"), ("broker.backend", "tcp://127.0.0.1:0"), heartbeat];
    let broker = start(Role::Broker, &of_broker);
    let backend = format!("tcp://{}", broker.addresses.backend.unwrap());
    let of_worker = [&ONCE[..], &[heartbeat]].concat();
    let first = Child::start(&["responder", "--backend", &backend, "--workers", "1"], &of_worker);
    let upstream = broker.addresses.broker.unwrap().to_string();
    let requester = start(Role::Requester, &[("requester.responder", &*upstream), ("requester.workers", "1")]);
    let web = start(Role::Web, &[("web.requester", &requester.addresses.requester.unwrap().to_string())]);
    web.ready().await;
    requester.ready().await;
    // It works, then it is stopped: its kernel goes on acknowledging what comes.
    assert_eq!(web.web().ask(json!({ "task": "echo" })).await.counts.responses, 1);
    first.signal(Signal::SIGSTOP);
    let id = web.web().submit(json!({ "task": "echo" })).await;
    broker
        .until("a message dealt to it", || {
            let snapshot = broker.status(Tier::Broker).snapshot();
            (snapshot.queue, snapshot.ledger.in_flight) == (0, 1)
        })
        .await;
    let second = Child::start(&["responder", "--backend", &backend, "--workers", "1"], &of_worker);
    let view = web.web().ended(&id).await;
    assert_eq!((view.counts.responses, requester.ledger(Tier::Requester).retries), (1, 0), "{view:#?}");
    first.kill().await;
    for app in [web, requester, broker] {
        app.stop().await;
    }
    second.stop().await;
}

#[actix_rt::test]
async fn a_requester_that_is_killed_and_started_again_ends_every_request() {
    let responder = start(Role::Responder, &SLOW);
    let port = own_port().to_string();
    let upstream = responder.addresses.broker.unwrap().to_string();
    let args = ["requester", "--port", &port, "--responder", &upstream];
    let requester = Child::start(&args, &SLOW);
    let web = start(Role::Web, &[&SLOW[..], &[("web.requester", &format!("127.0.0.1:{port}"))]].concat());
    web.ready().await;
    let id = web.web().submit(json!({})).await;
    eventually("messages on their way", async || (web.web().view(&id).await.messages.len() == 3).then_some(())).await;
    requester.kill().await;
    let requester = Child::start(&args, &SLOW);
    let view = web.web().ended(&id).await;
    assert_one_outcome_each(&view);
    assert_eq!((view.status, view.messages.len()), (RequestStatus::Complete, 6), "{view:#?}");
    assert_eq!((view.counts.responses, view.counts.errors), (3, 3), "{view:#?}");
    let lost: Vec<_> = view.messages.iter().filter_map(|message| message.lost.as_deref()).collect();
    assert!(lost.len() == 3 && lost.iter().all(|reason| reason.contains("sent again")), "{lost:?}");
    assert!(view.reason.as_deref().is_some_and(|reason| reason.contains("was lost")), "{:?}", view.reason);
    web.stop().await;
    requester.stop().await;
    responder.stop().await;
}

#[actix_rt::test]
async fn a_requester_that_is_killed_for_good_ends_its_requests_at_their_deadline() {
    let responder = start(Role::Responder, &SLOW);
    let mut requester =
        Child::start(&["requester", "--responder", &responder.addresses.broker.unwrap().to_string()], &SLOW);
    let address = requester.requester().await.to_string();
    let web = start(Role::Web, &[&SLOW[..], &[("web.requester", &address)]].concat());
    web.ready().await;
    let id = web.web().submit(json!({ "timeoutMs": 1_500 })).await;
    eventually("messages on their way", async || (web.web().view(&id).await.messages.len() == 3).then_some(())).await;
    requester.kill().await;
    let view = web.web().ended(&id).await;
    assert_one_outcome_each(&view);
    assert_eq!((view.status, view.counts.errors), (RequestStatus::Failed, 3), "{view:#?}");
    let reason = view.reason.unwrap();
    assert!(reason.contains(&address) && reason.contains("lost"), "{reason}");
    web.web().post("/api/v1/requests", "{}").await.error(503, "not-connected");
    web.stop().await;
    responder.stop().await;
}

#[actix_rt::test]
async fn a_request_that_waits_for_a_lost_requester_is_told_so() {
    let mut requester = Child::start(&["requester", "--responder", "127.0.0.1:1"], &SLOW);
    let address = requester.requester().await.to_string();
    let web = start(Role::Web, &[&SLOW[..], &[("web.requester", &address)]].concat());
    web.ready().await;
    let api = web.web();
    let asking = actix_rt::spawn(async move { api.ask_any(json!({ "timeoutMs": 1_500 })).await });
    web.until("the request", || web.ledger(Tier::Web).in_flight == 1).await;
    requester.kill().await;
    let message = asking.await.unwrap().error(502, "lost");
    assert!(message.contains(&address), "{message}");
    web.stop().await;
}
