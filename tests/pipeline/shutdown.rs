//! The end of a process: what is in flight is answered first, and nothing keeps it from ending.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;

use actix_web::web::Bytes;
use awc::ws;
use futures_util::StreamExt;
use nix::sys::signal::Signal;
use serde_json::json;
use swarmq::config::Role;
use swarmq::wire::{RequestView, Tier};

use crate::support::{
    ArticleTier, Child, Peer, Running, Web, article_reply, assert_one_outcome_each, eventually, in_time, start,
};

/// Each message a while in its responder's hand, and all the time to wait for that.
const SLOW: [(&str, &str); 3] =
    [("task.delay.kind", "fixed"), ("task.delay.mean", "500ms"), ("shutdown.deadline", "60s")];

const SIGNALS: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// Waits until every responder worker of this process, or the requester's, has something in hand.
async fn busy(admin: &Web, workers: usize) {
    let busy = |line: &str| line.starts_with("swarmq_workers_busy") && line.ends_with(&format!(" {workers}"));
    eventually("busy workers", async || admin.get("/metrics").await.text().lines().any(busy).then_some(())).await;
}

/// Sends a request off, sends the signal to all processes when `admin`'s workers are busy with it, and checks that it is
/// answered and that all of them end well.
async fn signalled_with_a_request_in_flight(web: Web, admin: Web, children: Vec<Child>, signal: Signal) {
    let asking = actix_rt::spawn(async move { web.ask_any(json!({})).await });
    busy(&admin, 3).await;
    for child in &children {
        child.signal(signal);
    }
    let answer = in_time("the answer", asking).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let view: RequestView = serde_json::from_slice(&answer.body).unwrap();
    assert_one_outcome_each(&view);
    assert_eq!(view.counts.responses, 3, "{view:#?}");
    for mut child in children {
        let status = child.exit().await;
        assert_eq!(status.code(), Some(0), "{signal}: {:?}", status.signal());
    }
}

#[actix_rt::test]
async fn one_process_answers_what_is_in_flight() {
    for signal in SIGNALS {
        let mut all = Child::start(&[], &SLOW);
        let (web, admin) = (all.web().await, all.admin().await);
        admin.ready().await;
        signalled_with_a_request_in_flight(web, admin, vec![all], signal).await;
    }
}

#[actix_rt::test]
async fn three_processes_answer_what_is_in_flight() {
    for signal in SIGNALS {
        let mut responder = Child::start(&["responder"], &SLOW);
        let broker = responder.broker().await.to_string();
        let mut requester = Child::start(&["requester", "--responder", &broker], &SLOW);
        let address = requester.requester().await.to_string();
        let mut web = Child::start(&["web", "--requester", &address], &SLOW);
        requester.admin().await.ready().await;
        web.admin().await.ready().await;
        let (api, admin) = (web.web().await, responder.admin().await);
        signalled_with_a_request_in_flight(api, admin, vec![web, requester, responder], signal).await;
    }
}

#[actix_rt::test]
async fn four_processes_answer_what_is_in_flight() {
    for signal in SIGNALS {
        let mut broker = Child::start(&["broker", "--backend", "tcp://127.0.0.1:0"], &SLOW);
        let backend = format!("tcp://{}", broker.backend().await);
        let mut responder = Child::start(&["responder", "--backend", &backend], &SLOW);
        let mut requester = Child::start(&["requester", "--responder", &broker.broker().await.to_string()], &SLOW);
        let address = requester.requester().await.to_string();
        let mut web = Child::start(&["web", "--requester", &address], &SLOW);
        for child in [&mut responder, &mut requester, &mut web] {
            child.admin().await.ready().await;
        }
        let (api, admin) = (web.web().await, responder.admin().await);
        signalled_with_a_request_in_flight(api, admin, vec![web, requester, broker, responder], signal).await;
    }
}

#[actix_rt::test]
async fn a_response_tier_that_ends_answers_also_what_waits_in_it() {
    let mut responder = Child::start(&["responder", "--workers", "1"], &SLOW);
    let broker = responder.broker().await.to_string();
    // Its messages are sent again while they wait.
    let changes = [&SLOW, &[("requester.retry_after", "300ms")][..]].concat();
    let mut requester = Child::start(&["requester", "--responder", &broker], &changes);
    let address = requester.requester().await.to_string();
    let mut web = Child::start(&["web", "--requester", &address], &SLOW);
    requester.admin().await.ready().await;
    web.admin().await.ready().await;
    let api = web.web().await;
    let id = api.submit(json!({})).await;
    let metrics = responder.admin().await;
    let at_broker = |line: &str| line.starts_with("swarmq_messages_in_flight") && line.ends_with(" 3");
    eventually("all at the broker", async || metrics.get("/metrics").await.text().lines().any(at_broker).then_some(()))
        .await;
    responder.signal(Signal::SIGTERM);
    let view = api.ended(&id).await;
    assert_one_outcome_each(&view);
    assert_eq!(view.counts.responses, 3, "{view:#?}");
    assert_eq!(responder.exit().await.code(), Some(0));
    web.stop().await;
    requester.stop().await;
}

#[actix_rt::test]
async fn a_tier_that_ends_hands_new_work_to_another() {
    let changes = [&SLOW, &[("broker.forget_after", "10s")][..]].concat();
    let mut broker = Child::start(&["broker", "--backend", "tcp://127.0.0.1:0"], &changes);
    let backend = format!("tcp://{}", broker.backend().await);
    let mut first = Child::start(&["responder", "--backend", &backend, "--workers", "2"], &SLOW);
    // What was dealt to a worker in the moment of its leaving is sent again.
    let changes = [&SLOW, &[("requester.retry_after", "5s")][..]].concat();
    let address = broker.broker().await.to_string();
    let mut requester = Child::start(&["requester", "--responder", &address], &changes);
    let address = requester.requester().await.to_string();
    let mut web = Child::start(&["web", "--requester", &address], &SLOW);
    for child in [&mut first, &mut requester, &mut web] {
        child.admin().await.ready().await;
    }
    let api = web.web().await;
    let ids = [api.submit(json!({})).await, api.submit(json!({})).await];
    busy(&first.admin().await, 2).await;
    let mut second = Child::start(&["responder", "--backend", &backend], &SLOW);
    second.admin().await.ready().await;
    first.stop().await;
    for id in ids {
        let view = api.ended(&id).await;
        assert_one_outcome_each(&view);
        assert_eq!(view.counts.responses, 3, "{view:#?}");
    }
    for child in [web, requester, broker, second] {
        child.stop().await;
    }
}

/// A child whose only request will not end for a minute, and that has begun with it.
async fn stuck(deadline: &str) -> Child {
    let changes = [("task.delay.mean", "60s"), ("shutdown.deadline", deadline)];
    let mut all = Child::start(&[], &[&SLOW, &changes[..]].concat());
    let (web, admin) = (all.web().await, all.admin().await);
    admin.ready().await;
    web.submit(json!({})).await;
    busy(&admin, 3).await;
    all
}

#[actix_rt::test]
async fn a_process_with_messages_in_flight_ends_at_the_deadline() {
    let mut all = stuck("200ms").await;
    all.signal(Signal::SIGTERM);
    assert_eq!(all.exit().await.code(), Some(0));
    let line = all.message("the deadline passed with messages in flight").await;
    assert!(line["inFlight"].as_u64().unwrap() > 0, "{line}");
}

#[actix_rt::test]
async fn who_waits_is_answered_before_the_deadline() {
    let mut all = stuck("3s").await;
    let web = all.web().await;
    let asking = web.clone();
    let waiting = actix_rt::spawn(async move { asking.ask_any(json!({})).await });
    let both = async || (web.topology().await.ledger(Tier::Web).in_flight == 2).then_some(());
    eventually("both requests under way", both).await;
    all.signal(Signal::SIGTERM);
    let answer = in_time("the answer", waiting).await.unwrap();
    let message = answer.error(503, "draining");
    assert!(message.contains("shut down before all replies were there"), "{message}");
    let line = all.message("requests had to end before their replies were there").await;
    assert_eq!(line["requests"], 2, "{line}");
    assert_eq!(all.exit().await.code(), Some(0));
}

#[actix_rt::test]
async fn a_second_signal_ends_it_at_once() {
    let mut all = stuck("60s").await;
    all.signal(Signal::SIGINT);
    all.message("shutting down").await;
    all.signal(Signal::SIGINT);
    assert_eq!(all.exit().await.code(), Some(130));
}

#[actix_rt::test]
async fn open_connections_that_say_nothing_do_not_keep_it() {
    let mut all = Child::start(&[], &SLOW);
    let web = all.web().await;
    all.admin().await.ready().await;
    let host = web.base.strip_prefix("http://").unwrap();
    let (_, mut socket) = awc::Client::new().ws(format!("ws://{host}/ws")).connect().await.unwrap();
    in_time("the snapshot", socket.next()).await.unwrap().unwrap();
    let mut idle = [
        Peer::connect(all.requester().await).await,
        Peer::connect(all.broker().await).await,
        Peer::connect(host.parse().unwrap()).await,
        Peer::connect(all.admin().await.base.strip_prefix("http://").unwrap().parse().unwrap()).await,
    ];
    idle[0].send(r#"{"requestId":"not whole"#).await;
    all.signal(Signal::SIGTERM);
    let close = async {
        while let Some(Ok(frame)) = socket.next().await {
            if let ws::Frame::Close(reason) = frame {
                return reason.map(|reason| reason.code);
            }
        }
        None
    };
    assert_eq!(in_time("the close", close).await, Some(ws::CloseCode::Restart));
    assert_eq!(all.exit().await.code(), Some(0));
}

#[actix_rt::test]
async fn a_request_tier_that_ends_refuses_connections_while_it_answers() {
    let broker = ArticleTier::bind();
    let responder = broker.address.to_string();
    let settings = [("requester.responder", &*responder), ("requester.workers", "1"), ("shutdown.deadline", "60s")];
    let requester = start(Role::Requester, &settings);
    requester.ready().await;
    let address = requester.addresses.requester.unwrap();
    let mut peer = Peer::connect(address).await;
    peer.send(r#"{"requestId":"a"}"#).await;
    let (envelope, message) = broker.message().await;
    let running = actix_rt::spawn(requester.into_app().run_until_stopped(async {}));
    eventually("a refusal", async || {
        TcpStream::connect(address).err().filter(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
    .await;
    assert!(!running.is_finished());
    broker.reply(&envelope, &article_reply(&message, "late")).await;
    assert_eq!(peer.object().await["a"][0]["body"], "late");
    in_time("the end", running).await.unwrap().unwrap();
}

#[actix_rt::test]
async fn a_web_tier_that_ends_takes_nothing_new() {
    let app = Running::all(&[("task.delay.kind", "fixed"), ("task.delay.mean", "500ms")]).await;
    let (web, address) = (app.web(), app.addresses);
    let id = web.submit(json!({})).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = actix_rt::spawn(app.into_app().run_until_stopped(async move {
        let _ = stopped.await;
    }));
    stop.send(()).unwrap();
    let refused = eventually("a refusal", async || {
        let answer = web.post("/api/v1/requests", Bytes::from("{}")).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(refused.error(503, "draining").contains("shutting down"));
    assert_eq!(web.ended(&id).await.counts.responses, 3);
    in_time("the end", running).await.unwrap().unwrap();
    // Every socket is closed, ZeroMQ's too: the ports can be had by others.
    for address in [address.web, address.requester, address.broker, address.telemetry, address.admin] {
        let address = address.unwrap();
        eventually(&format!("{address} to be free"), async || TcpListener::bind(address).ok()).await;
    }
}

#[actix_rt::test]
async fn a_process_with_as_many_workers_as_a_context_holds_ends_well() {
    let mut all = Child::start(&["--requesters", "200", "--responders", "1000"], &[]);
    let admin = all.admin().await;
    admin.ready().await;
    all.signal(Signal::SIGTERM);
    let status = all.exit().await;
    assert_eq!(status.code(), Some(0), "{:?}", status.signal());
}

#[actix_rt::test]
async fn a_thread_that_does_not_end_keeps_no_process() {
    // Hashing for minutes, in a thread that nothing stops.
    let changes = [
        ("task.delay.kind", "none"),
        ("task.max_cpu_rounds", "1000000000"),
        ("shutdown.deadline", "1s"),
        ("requester.timeout", "1h"),
    ];
    let mut all = Child::start(&[], &changes);
    let (web, admin) = (all.web().await, all.admin().await);
    admin.ready().await;
    web.submit(json!({ "task": "cpu", "parameters": { "rounds": 1_000_000_000 }, "fanOut": "one" })).await;
    busy(&admin, 1).await;
    all.signal(Signal::SIGTERM);
    assert_eq!(all.exit().await.code(), Some(0));
}
