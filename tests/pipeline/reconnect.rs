//! ZeroMQ connections that ended by a protocol error, after which libzmq never connects again: they come back as soon as
//! the cause is gone, and what is wrong until then is told.

use std::net::SocketAddr;

use serde_json::json;
use swarmq::config::CurveKey;
use swarmq::config::Role;
use swarmq::wire::Tier;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{Child, Running, Web, assert_one_outcome_each, eventually, own_port, start};

/// A web tier and a requester for a broker at an address; they share a key, or have none.
fn front(broker: &str, changes: &[(&str, &str)]) -> [Running; 2] {
    let requester = start(Role::Requester, &[&[("requester.responder", broker)][..], changes].concat());
    let address = requester.addresses.requester.unwrap().to_string();
    let web = start(Role::Web, &[&[("web.requester", &*address)][..], changes].concat());
    [web, requester]
}

/// Waits until a tier says why it has no connection.
async fn told(app: &Running, tier: Tier, reason: &str) {
    app.until(reason, || app.status(tier).state().1.is_some_and(|told| told.contains(reason))).await;
}

/// Another program at a port, which answers whatever it is sent as a web server would, until it is dropped.
struct OtherProgram(actix_rt::task::JoinHandle<()>);

impl OtherProgram {
    async fn at(port: &str) -> Self {
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
        Self(actix_rt::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // The peer may have hung up already.
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
            }
        }))
    }

    async fn end(self) {
        self.0.abort();
        assert!(self.0.await.unwrap_err().is_cancelled());
    }
}

const NO_HANDSHAKE: &str = "it does not complete the handshake: is another program there";

/// Waits until the tiers have found each other, has a request answered, and stops them.
async fn answers_and_ends(web: Running, requester: Running, responder: Child) {
    requester.ready().await;
    web.ready().await;
    assert_eq!(web.web().ask(json!({})).await.counts.responses, 3);
    for app in [web, requester] {
        app.stop().await;
    }
    responder.stop().await;
}

#[actix_rt::test]
async fn a_broker_is_found_where_another_program_was_first() {
    for socket in ["req", "dealer"] {
        let port = own_port().to_string();
        let other = OtherProgram::at(&port).await;
        let [web, requester] = front(&format!("127.0.0.1:{port}"), &[("requester.socket", socket)]);
        told(&requester, Tier::Requester, NO_HANDSHAKE).await;
        other.end().await;
        let responder = Child::start(&["responder"], &[("broker.port", &port)]);
        answers_and_ends(web, requester, responder).await;
    }
}

#[actix_rt::test]
async fn a_separate_brokers_backend_is_found_where_another_program_was_first() {
    let port = own_port().to_string();
    let backend = format!("tcp://127.0.0.1:{port}");
    let other = OtherProgram::at(&port).await;
    let responder = start(Role::Responder, &[("responder.backend", &backend)]);
    told(&responder, Tier::Responder, NO_HANDSHAKE).await;
    other.end().await;
    let mut broker = Child::start(&["broker", "--backend", &backend], &[]);
    let [web, requester] = front(&broker.broker().await.to_string(), &[]);
    for app in [&responder, &requester, &web] {
        app.ready().await;
    }
    // Each of the workers: three requests find all of them.
    for _ in 0..3 {
        assert_one_outcome_each(&web.web().ask(json!({})).await);
    }
    responder
        .until("every worker at work", || responder.workers(Tier::Responder).iter().all(|worker| worker.handled == 3))
        .await;
    for app in [web, requester, responder] {
        app.stop().await;
    }
    broker.stop().await;
}

/// Waits until a web tier knows an instance by its telemetry.
async fn known(web: &Web, id: &str) {
    eventually("telemetry", async || web.topology().await.instances.contains_key(id).then_some(())).await;
}

#[actix_rt::test]
async fn a_web_tier_is_told_where_another_program_was_first() {
    let port = own_port().to_string();
    let other = OtherProgram::at(&port).await;
    let mut responder = Child::start(&["responder"], &[("telemetry.web", &format!("127.0.0.1:{port}"))]);
    responder.message(NO_HANDSHAKE).await;
    other.end().await;
    let web = start(Role::Web, &[("telemetry.port", &port)]);
    let responders = async || web.web().topology().await.living(Tier::Responder).count();
    eventually("telemetry", async || (responders().await == 1).then_some(())).await;
    web.end().await;
    responder.stop().await;
}

type Changes = Vec<(&'static str, String)>;

/// The settings of the side that stays, with which the other side is started at last, and those that it has at first: no
/// key where the first has one, the other way round, and another key.
fn orders(key: &CurveKey) -> [(Changes, Changes); 3] {
    let keyed = |key: &CurveKey| vec![("curve.key", key.expose().to_string())];
    let other = CurveKey::generate().expect("this build is without CURVE: see README.md");
    [(keyed(key), vec![]), (vec![], keyed(key)), (keyed(key), keyed(&other))]
}

fn borrowed<'a>(changes: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    changes.iter().map(|(key, value)| (*key, &**value)).collect()
}

#[actix_rt::test]
async fn a_broker_that_is_started_again_with_the_right_key_is_found() {
    let key = CurveKey::generate().expect("this build is without CURVE: see README.md");
    for (ours, wrong) in orders(&key) {
        let port = own_port().to_string();
        let at_port = ("broker.port", &*port);
        let (ours, wrong) = (borrowed(&ours), borrowed(&wrong));
        let responder = Child::start(&["responder"], &[&[at_port][..], &wrong[..]].concat());
        let [web, requester] = front(&format!("127.0.0.1:{port}"), &ours);
        told(&requester, Tier::Requester, "key").await;
        responder.stop().await;
        let responder = Child::start(&["responder"], &[&[at_port][..], &ours[..]].concat());
        answers_and_ends(web, requester, responder).await;
    }
}

#[actix_rt::test]
async fn a_separate_broker_and_a_web_tier_that_are_started_again_with_the_right_key_are_found() {
    let key = CurveKey::generate().expect("this build is without CURVE: see README.md");
    for (ours, wrong) in orders(&key) {
        let [backend, telemetry] = [own_port().to_string(), own_port().to_string()];
        let url = format!("tcp://127.0.0.1:{backend}");
        let (ours, wrong) = (borrowed(&ours), borrowed(&wrong));
        let telemetry_at = format!("127.0.0.1:{telemetry}");
        let start_broker = |changes: &[(&str, &str)]| Child::start(&["broker", "--backend", &url], changes);
        let start_web = |changes: &[(&str, &str)]| {
            Child::start(&["web"], &[&[("telemetry.port", &*telemetry)][..], changes].concat())
        };
        let changes = [("responder.backend", &*url), ("telemetry.web", &*telemetry_at)];
        let (broker, web) = (start_broker(&wrong), start_web(&wrong));
        let responder = start(Role::Responder, &[&changes[..], &ours[..]].concat());
        told(&responder, Tier::Responder, "key").await;
        broker.stop().await;
        web.stop().await;
        let (broker, mut web) = (start_broker(&ours), start_web(&ours));
        responder.ready().await;
        known(&web.web().await, &responder.status(Tier::Responder).instance.id).await;
        web.stop().await;
        responder.stop().await;
        broker.stop().await;
    }
}

#[actix_rt::test]
async fn addresses_at_which_nothing_is_are_named() {
    let port = own_port();
    let requester = start(Role::Requester, &[("requester.responder", &format!("127.0.0.1:{port}"))]);
    let nobody = SocketAddr::from(([127, 0, 0, 1], port));
    told(&requester, Tier::Requester, &format!("no connection to {nobody}: is it running?")).await;
    requester.stop().await;
}
