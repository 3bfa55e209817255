//! Pools that grow and shrink, and how work is dealt out to them.

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use serde_json::json;
use swarmq::config::Role;
use swarmq::wire::{Tier, WorkerState};

use crate::support::{Running, assert_one_outcome_each, in_time, start};

const DISPATCHES: [&str; 2] = ["round-robin", "least-busy"];

const SHORT: [(&str, &str); 2] = [("task.delay.kind", "fixed"), ("task.delay.mean", "5ms")];

async fn resized(app: &Running, tier: Tier, size: usize) {
    assert!(app.resize(tier, size).await);
    app.until(&format!("{size} {tier:?} workers"), || {
        let workers = app.workers(tier);
        workers.len() == size
            && workers.iter().all(|worker| matches!(worker.state, WorkerState::Idle | WorkerState::Busy))
    })
    .await;
}

#[actix_rt::test]
async fn responders_may_come_and_go_while_requests_run() {
    for dispatch in DISPATCHES {
        let app = Running::all(&[&SHORT[..], &[("broker.dispatch", dispatch)]].concat()).await;
        let web = app.web();
        let asking = join_all((0..8).map(|_| async {
            for _ in 0..25 {
                let view = web.ask(json!({ "task": "echo" })).await;
                assert_one_outcome_each(&view);
                assert_eq!(view.counts.responses, 3, "{view:#?}");
            }
        }));
        let resizing = async {
            for size in [1, 6, 2, 5, 1, 3, 8, 4] {
                resized(&app, Tier::Responder, size).await;
            }
        };
        in_time("the replies", join(asking, resizing)).await;
        assert_eq!((app.ledger(Tier::Requester).retries, app.status(Tier::Broker).snapshot().queue), (0, 0));
        app.stop().await;
    }
}

#[actix_rt::test]
async fn workers_of_a_separate_broker_may_come_and_go_under_least_busy_dispatch() {
    let broker = start(Role::Broker, &[("broker.dispatch", "least-busy"), ("broker.backend", "tcp://127.0.0.1:0")]);
    let backend = format!("tcp://{}", broker.addresses.backend.unwrap());
    let of_workers = [&SHORT[..], &[("responder.backend", &*backend)]].concat();
    let responders = [start(Role::Responder, &of_workers), start(Role::Responder, &of_workers)];
    let requester = start(Role::Requester, &[("requester.responder", &broker.addresses.broker.unwrap().to_string())]);
    let web = start(Role::Web, &[("web.requester", &requester.addresses.requester.unwrap().to_string())]);
    for app in [&responders[0], &responders[1], &requester, &web] {
        app.ready().await;
    }
    let api = web.web();
    let asking = join_all((0..8).map(|_| async {
        for _ in 0..25 {
            let view = api.ask(json!({ "task": "echo" })).await;
            assert_one_outcome_each(&view);
            assert_eq!(view.counts.responses, 3, "{view:#?}");
        }
    }));
    let resizing = async {
        for size in [1, 6, 2, 5, 1, 3, 8, 4] {
            resized(&responders[size % 2], Tier::Responder, size).await;
        }
        let [first, second] = responders;
        first.stop().await;
        second
    };
    let ((), second) = in_time("the replies", join(asking.map(drop), resizing)).await;
    assert_eq!((requester.ledger(Tier::Requester).retries, broker.ledger(Tier::Broker).sent), (0, 600));
    for app in [web, requester, broker, second] {
        app.stop().await;
    }
}

#[actix_rt::test]
async fn dispatch_may_change_while_requests_run() {
    let app = Running::all(&SHORT).await;
    let (web, admin) = (app.web(), app.admin());
    let path = format!("/control/{}/dispatch", app.status(Tier::Broker).instance.id);
    let asking = join_all((0..8).map(|_| async {
        for _ in 0..25 {
            let view = web.ask(json!({ "task": "echo" })).await;
            assert_one_outcome_each(&view);
            assert_eq!(view.counts.responses, 3, "{view:#?}");
        }
    }));
    let changing = async {
        for dispatch in DISPATCHES.into_iter().cycle().skip(1).take(10) {
            let before = app.ledger(Tier::Broker).responses;
            let answer = admin.put(&path, json!({ "dispatch": dispatch }).to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            app.until("messages dealt out so", || {
                let now = app.ledger(Tier::Broker).responses;
                now > before + 10 || now == 600
            })
            .await;
        }
    };
    in_time("the replies", join(asking, changing)).await;
    assert_eq!(app.ledger(Tier::Requester).retries, 0);
    app.stop().await;
}

#[actix_rt::test]
async fn the_queue_of_a_broker_is_what_no_worker_has_begun() {
    for dispatch in DISPATCHES {
        let changes = [
            ("broker.dispatch", dispatch),
            ("requester.workers", "6"),
            ("responder.workers", "2"),
            ("task.delay.kind", "fixed"),
            ("task.delay.mean", "10min"),
            ("shutdown.deadline", "0s"),
        ];
        let app = Running::all(&changes).await;
        app.web().submit(json!({ "task": "echo" })).await;
        app.busy(Tier::Responder, 2).await;
        app.until("4 messages that wait", || app.status(Tier::Broker).snapshot().queue == 4).await;
        assert_eq!(app.ledger(Tier::Broker).in_flight, 6);
        app.end().await;
    }
}

#[actix_rt::test]
async fn requesters_may_come_and_go_while_requests_run() {
    for socket in ["req", "dealer"] {
        let app = Running::all(&[&SHORT, &[("requester.socket", socket)][..]].concat()).await;
        let web = app.web();
        let asking = join_all((0..8).map(|_| async {
            for _ in 0..25 {
                let view = web.ask(json!({ "task": "echo" })).await;
                assert_one_outcome_each(&view);
                assert_eq!(view.counts.responses, view.messages.len() as u64, "{view:#?}");
                assert!((1..=8).contains(&view.messages.len()));
            }
        }));
        let resizing = async {
            for size in [1, 6, 2, 5, 1, 3, 8, 4] {
                resized(&app, Tier::Requester, size).await;
            }
        };
        in_time("the replies", join(asking, resizing)).await;
        assert_eq!(web.ask(json!({ "task": "echo" })).await.messages.len(), 4);
        app.stop().await;
    }
}

#[actix_rt::test]
async fn a_pool_that_grows_again_takes_work_at_once() {
    let app = Running::all(&SHORT).await;
    for _ in 0..20 {
        resized(&app, Tier::Requester, 1).await;
        assert!(app.resize(Tier::Requester, 3).await);
        let view = app.web().ask(json!({ "task": "echo" })).await;
        assert_one_outcome_each(&view);
        assert_eq!(view.counts.responses, 3, "{view:#?}");
    }
    app.stop().await;
}

#[actix_rt::test]
async fn what_waits_for_a_pool_without_workers_is_done_when_it_has_some() {
    for dispatch in DISPATCHES {
        let changes = [("broker.dispatch", dispatch)];
        let app = Running::all(&[&SHORT[..], &changes].concat()).await;
        resized(&app, Tier::Responder, 0).await;
        let id = app.web().submit(json!({ "task": "echo" })).await;
        app.until("all at the broker", || app.ledger(Tier::Broker).in_flight == 3).await;
        assert!(!app.status(Tier::Responder).snapshot().reason.unwrap().is_empty());
        resized(&app, Tier::Responder, 1).await;
        let view = app.web().ended(&id).await;
        assert_one_outcome_each(&view);
        assert_eq!(view.counts.responses, 3, "{view:#?}");
        app.stop().await;
    }
    let app = Running::all(&[]).await;
    resized(&app, Tier::Requester, 0).await;
    let message = app.web().ask_any(json!({})).await.error(503, "not-connected");
    assert!(message.contains("requester.workers"), "{message}");
    app.stop().await;
}

#[actix_rt::test]
async fn least_busy_dispatch_gives_the_next_message_to_an_idle_worker() {
    let changes = [("broker.dispatch", "least-busy"), ("responder.workers", "2"), ("task.max_cpu_rounds", "1500000")];
    let app = Running::all(&changes).await;
    let long = json!({ "task": "cpu", "parameters": { "rounds": 1_500_000 }, "fanOut": "one" });
    let long = app.web().submit(long).await;
    app.busy(Tier::Responder, 1).await;
    let mut responders = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let view = app.web().ask(json!({ "task": "echo", "fanOut": "one" })).await;
        responders.insert(view.replies[0].responder_id);
    }
    assert_eq!(app.web().view(&long).await.replies.len(), 0, "it was to last longer than ten short ones");
    assert_eq!(responders.len(), 1, "none waited behind the long one");
    let view = app.web().ended(&long).await;
    assert!(!responders.contains(&view.replies[0].responder_id));
    app.stop().await;
}

#[actix_rt::test]
async fn a_process_has_more_workers_than_libzmq_has_sockets_by_default() {
    for dispatch in DISPATCHES {
        let app =
            Running::all(&[&SHORT[..], &[("broker.dispatch", dispatch), ("responder.workers", "1100")]].concat()).await;
        app.until("all of them at work", || {
            let workers = app.workers(Tier::Responder);
            workers.iter().filter(|worker| worker.state == WorkerState::Idle).count() == 1_100
        })
        .await;
        assert_eq!(app.web().ask(json!({ "task": "echo" })).await.counts.responses, 3);
        app.stop().await;
    }
}

#[actix_rt::test]
async fn a_dealer_has_a_window_of_messages_in_flight_and_a_req_has_one() {
    for (socket, in_flight) in [("req", 1), ("dealer", 4)] {
        let changes = [
            ("requester.socket", socket),
            ("requester.window", "4"),
            ("requester.workers", "1"),
            ("responder.workers", "6"),
            ("task.delay.mean", "400ms"),
        ];
        let app = Running::all(&[&SHORT[..], &changes].concat()).await;
        let mut ids = vec![];
        for _ in 0..6 {
            ids.push(app.web().submit(json!({ "task": "echo" })).await);
        }
        app.busy(Tier::Responder, in_flight).await;
        let most = in_flight as u64;
        app.until("all sent or waiting", || {
            let requester = app.status(Tier::Requester).snapshot();
            let at_broker = app.ledger(Tier::Broker).in_flight;
            assert!(at_broker <= most, "{at_broker} of {most}");
            requester.queue + at_broker == requester.ledger.in_flight
        })
        .await;
        for id in ids {
            assert_eq!(app.web().ended(&id).await.counts.responses, 1);
        }
        app.stop().await;
    }
}

#[actix_rt::test]
async fn files_are_read_inside_their_root_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("root")).unwrap();
    std::fs::write(folder.path().join("root/empty.txt"), "").unwrap();
    std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    let root = folder.path().join("root");
    let app = Running::all(&[("task.root", root.to_str().unwrap()), ("requester.workers", "1")]).await;
    let view = app.web().ask(json!({ "filename": "empty.txt" })).await;
    assert_eq!((&*view.replies[0].body, view.counts.responses), ("", 1));
    for (name, reason) in [
        ("missing.txt", "ENOENT: no such file or directory, open 'missing.txt'"),
        ("../secret.txt", "task.root"),
        ("/etc/hostname", "task.root"),
        (".", "is a directory"),
    ] {
        let view = app.web().ask(json!({ "filename": name })).await;
        assert_one_outcome_each(&view);
        assert_eq!(view.counts.errors, 1);
        assert!(view.replies[0].body.contains(reason), "{}", view.replies[0].body);
    }
    app.stop().await;
}
