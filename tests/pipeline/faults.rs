//! Workers that die with a message in hand: nothing is lost, and nothing is answered twice.

use serde_json::json;
use swarmq::config::Role;
use swarmq::wire::{ErrorCode, NO_RESPONDER, Tier, WorkerState};

use crate::support::{Running, assert_one_outcome_each, in_time, start};

/// One worker of each kind, and each message a while in its responder's hand. Nothing is sent again meanwhile, which
/// could hide a loss.
const SLOW: [(&str, &str); 4] = [
    ("requester.workers", "1"),
    ("responder.workers", "1"),
    ("task.delay.kind", "fixed"),
    ("task.delay.mean", "300ms"),
];

async fn slow(changes: &[(&str, &str)]) -> Running {
    Running::all(&[&SLOW, changes].concat()).await
}

const DISPATCHES: [&str; 2] = ["round-robin", "least-busy"];

#[actix_rt::test]
async fn a_message_survives_the_death_of_its_responder_worker() {
    for dispatch in DISPATCHES {
        let app = slow(&[("broker.dispatch", dispatch)]).await;
        let id = app.web().submit(json!({ "task": "echo" })).await;
        app.busy(Tier::Responder, 1).await;
        assert!(app.crash_worker(Tier::Responder, 0).await);
        let view = app.web().ended(&id).await;
        assert_one_outcome_each(&view);
        assert_eq!(view.counts.responses, 1, "{view:#?}");
        assert_eq!(app.workers(Tier::Responder)[0].restarts, 1);
        app.settle().await;
        assert_eq!(app.ledger(Tier::Requester).retries, 0, "the pool kept the message: it was not sent again");
        app.stop().await;
    }
}

#[actix_rt::test]
async fn a_message_on_which_workers_die_again_and_again_is_answered_with_an_error() {
    let app = slow(&[]).await;
    let id = app.web().submit(json!({ "task": "echo" })).await;
    for deaths in 0..2 {
        app.busy_after(Tier::Responder, deaths).await;
        assert!(app.crash_worker(Tier::Responder, 0).await);
    }
    let view = app.web().ended(&id).await;
    assert_one_outcome_each(&view);
    assert_eq!(view.replies[0].code, Some(ErrorCode::Panicked), "{view:#?}");
    assert!(view.replies[0].body.contains("died 2 times"), "{}", view.replies[0].body);
    assert_ne!(view.replies[0].responder_id, NO_RESPONDER);
    let view = app.web().ask(json!({ "task": "echo" })).await;
    assert_eq!(view.counts.responses, 1, "the next message is worked on as usual");
    app.stop().await;
}

#[actix_rt::test]
async fn a_message_survives_the_death_of_its_requester_worker() {
    for socket in ["req", "dealer"] {
        let app = slow(&[("requester.socket", socket)]).await;
        let id = app.web().submit(json!({ "task": "echo" })).await;
        app.busy(Tier::Responder, 1).await;
        assert!(app.crash_worker(Tier::Requester, 0).await);
        let view = app.web().ended(&id).await;
        assert_one_outcome_each(&view);
        assert_eq!(view.counts.responses, 1, "{view:#?}");
        assert_eq!(app.workers(Tier::Requester)[0].restarts, 1);
        app.settle().await;
        let broker = app.ledger(Tier::Broker);
        assert_eq!((app.ledger(Tier::Requester).sent, broker.sent, broker.retries), (1, 1, 1), "{socket}");
        assert_eq!(app.ledger(Tier::Responder).sent, 1, "{socket}: what is sent again is not worked on twice");
        app.stop().await;
    }
}

#[actix_rt::test]
async fn messages_survive_the_death_of_the_broker() {
    for dispatch in DISPATCHES {
        let app = slow(&[("broker.dispatch", dispatch), ("requester.workers", "3")]).await;
        let id = app.web().submit(json!({ "task": "echo" })).await;
        app.busy(Tier::Responder, 1).await;
        app.until("all messages at the broker", || app.ledger(Tier::Broker).in_flight == 3).await;
        assert!(app.crash_worker(Tier::Broker, 0).await);
        let view = app.web().ended(&id).await;
        assert_one_outcome_each(&view);
        assert_eq!(view.counts.responses, 3, "{view:#?}");
        app.settle().await;
        assert_eq!((app.ledger(Tier::Requester).retries, app.ledger(Tier::Broker).sent), (0, 3));
        assert_eq!(app.workers(Tier::Broker)[0].restarts, 1);
        app.stop().await;
    }
}

#[actix_rt::test]
async fn workers_that_die_all_the_time_lose_nothing() {
    let changes = [("task.delay.mean", "20ms"), ("supervision.restarts", "1000"), ("responder.workers", "3")];
    let app = slow(&changes).await;
    let web = app.web();
    let requests = futures_util::future::join_all((0..30).map(|_| web.ask(json!({ "task": "echo" }))));
    let dying = async {
        for turn in 0..30 {
            app.until("a worker at work", || app.status(Tier::Responder).snapshot().busy_workers() > 0).await;
            app.crash_worker(Tier::Responder, turn % 3).await;
            app.crash_worker(Tier::Requester, 0).await;
        }
    };
    let (views, ()) = in_time("the replies", futures_util::future::join(requests, dying)).await;
    for view in views {
        assert_one_outcome_each(&view);
        assert_eq!(view.counts.total(), 1);
        assert!(view.replies[0].code.is_none_or(|code| code == ErrorCode::Panicked), "{view:#?}");
    }
    app.stop().await;
}

#[actix_rt::test]
async fn a_pool_whose_workers_die_too_often_ends_the_process_with_an_error_that_names_it() {
    for (tier, pool) in
        [(Tier::Responder, "responder worker"), (Tier::Requester, "requester worker"), (Tier::Broker, "broker")]
    {
        let app = Running::all(&[("supervision.restarts", "1")]).await;
        assert!(app.crash_worker(tier, 0).await);
        app.until("the restart", || {
            let worker = &app.workers(tier)[0];
            worker.restarts == 1 && worker.state == WorkerState::Idle
        })
        .await;
        assert!(app.crash_worker(tier, 0).await);
        let ended = in_time("the end", app.into_app().run_until_stopped(std::future::pending())).await;
        let error = format!("{:#}", ended.unwrap_err());
        assert!(error.starts_with(&format!("{pool}: panicked")), "{error}");
        assert!(error.contains("supervision.restarts"), "{error}");
    }
}

#[actix_rt::test]
async fn there_is_nothing_to_crash_where_no_worker_is() {
    let app = start(Role::Web, &[]);
    assert!(!app.crash_worker(Tier::Responder, 0).await);
    app.stop().await;
    let app = Running::all(&[]).await;
    assert!(!app.crash_worker(Tier::Responder, 99).await);
    app.stop().await;
}
