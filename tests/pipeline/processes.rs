//! A request through tiers in processes of their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::{Value, json};
use swarmq::wire::Tier;

use crate::support::{Child, Web, assert_one_outcome_each, eventually, is_settled, own_port, run};

/// Asks in every way there is; how many messages that made.
async fn ask_in_every_way(web: &Web) -> u64 {
    let view = web.ask(json!({})).await;
    assert_one_outcome_each(&view);
    assert_eq!(view.counts.responses, 3, "{view:#?}");
    assert!(view.replies.iter().all(|reply| reply.body == "Hello Paul"));

    let id = web.submit(json!({ "task": "echo", "parameters": { "payload": "one" }, "fanOut": "one" })).await;
    let view = web.ended(&id).await;
    assert_one_outcome_each(&view);
    assert_eq!((view.messages.len(), view.counts.responses, &*view.replies[0].body), (1, 1, "one"));

    let set = web.get("/api/v1/dispatcher/request").await;
    assert_eq!(set.status, 200);
    let set = set.json();
    let replies = set.as_object().unwrap().values().next().unwrap().as_array().unwrap().clone();
    assert!(replies.len() == 3 && replies.iter().all(|reply| reply["body"] == "Hello Paul"), "{set}");

    let output = run(&["request", "--url", &web.base, "--task", "cpu", "--param", "rounds=10"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("3 responses, 0 errors, 0 timeouts"), "{text}");

    let output = run(&["request", "--url", &web.base, "--json"]).await;
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[3]["status"]), (4, &json!("complete")), "{text}");
    3 + 1 + 3 + 3 + 3
}

/// Waits until the web tier has heard from every tier that all messages ended as responses.
async fn every_ledger_has(web: &Web, messages: u64) {
    eventually("every tier's ledger", async || {
        let topology = web.topology().await;
        let settled = |tier, sent| {
            let ledger = topology.ledger(tier);
            is_settled(&ledger) && (ledger.sent, ledger.responses) == (sent, sent)
        };
        let workers = [Tier::Requester, Tier::Broker, Tier::Responder].iter().all(|tier| settled(*tier, messages));
        (workers && settled(Tier::Web, 5)).then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn one_process() {
    let mut all = Child::start(&[], &[]);
    let web = all.web().await;
    all.admin().await.ready().await;
    let messages = ask_in_every_way(&web).await;
    every_ledger_has(&web, messages).await;
    all.stop().await;
}

#[actix_rt::test]
async fn three_processes() {
    let telemetry = own_port().to_string();
    let telemetry_at = format!("127.0.0.1:{telemetry}");
    let changes = [("telemetry.web", &*telemetry_at)];
    let mut responder = Child::start(&["responder"], &changes);
    let broker = responder.broker().await.to_string();
    let mut requester = Child::start(&["requester", "--responder", &broker], &changes);
    let address = requester.requester().await.to_string();
    let mut web = Child::start(&["web", "--requester", &address], &[("telemetry.port", &telemetry)]);
    let api = web.web().await;
    for child in [&mut responder, &mut requester, &mut web] {
        child.admin().await.ready().await;
    }
    let messages = ask_in_every_way(&api).await;
    every_ledger_has(&api, messages).await;
    for child in [web, requester, responder] {
        child.stop().await;
    }
}

/// Runs each tier in a process of its own, with two responders, that all listen at this IP address.
async fn four_processes_at(ip: IpAddr) {
    let (host, telemetry) = (ip.to_string(), own_port());
    let telemetry_at = SocketAddr::new(ip, telemetry).to_string();
    let binds = ["web.bind", "requester.bind", "broker.bind", "telemetry.bind", "admin.bind"].map(|key| (key, &*host));
    let changes = [&binds[..], &[("telemetry.web", &*telemetry_at)]].concat();
    let any_port = format!("tcp://{}", SocketAddr::new(ip, 0));
    let mut broker = Child::start(&["broker", "--backend", &any_port], &changes);
    let backend = format!("tcp://{}", broker.backend().await);
    let mut responder = Child::start(&["responder", "--backend", &backend, "--workers", "2"], &changes);
    let mut other = Child::start(&["responder", "--backend", &backend, "--workers", "2"], &changes);
    let address = broker.broker().await.to_string();
    let mut requester = Child::start(&["requester", "--responder", &address], &changes);
    let address = requester.requester().await.to_string();
    let port = telemetry.to_string();
    let of_web = [&changes[..], &[("telemetry.port", &*port)]].concat();
    let mut web = Child::start(&["web", "--requester", &address], &of_web);
    let api = web.web().await;
    for child in [&mut responder, &mut other, &mut requester, &mut web] {
        let admin = child.admin().await;
        admin.ready().await;
        let address = admin.base.strip_prefix("http://").unwrap();
        let check = run(&["healthcheck", "--ready", "--address", address]).await;
        assert!(check.status.success(), "{check:?}");
    }
    let messages = ask_in_every_way(&api).await;
    every_ledger_has(&api, messages).await;
    // By way of the address that each of them tells for its admin server.
    for id in api.topology().await.instances.keys().filter(|id| id.starts_with("responder")) {
        let well = api.call("DELETE", &format!("/api/v1/control/instances/{id}/faults"), &[]).await;
        assert_eq!(well.status, 200, "{well:?}");
    }
    for child in [web, requester, broker, responder, other] {
        child.stop().await;
    }
}

#[actix_rt::test]
async fn four_processes_with_a_separate_broker_and_two_responders() {
    four_processes_at(Ipv4Addr::LOCALHOST.into()).await;
}

#[actix_rt::test]
async fn every_hop_can_be_ipv6() {
    four_processes_at(Ipv6Addr::LOCALHOST.into()).await;
}

#[actix_rt::test]
async fn a_requester_that_was_replaced_is_connected_by_itself() {
    let mut responder = Child::start(&["responder"], &[]);
    let broker = responder.broker().await.to_string();
    let port = own_port().to_string();
    let first = Child::start(&["requester", "--port", &port, "--responder", &broker], &[]);
    let mut web = Child::start(&["web", "--requester", &format!("127.0.0.1:{port}")], &[]);
    web.admin().await.ready().await;
    let api = web.web().await;
    assert_eq!(api.ask(json!({})).await.counts.responses, 3);
    first.stop().await;
    eventually("no requester", async || (web_is_unready(&mut web).await).then_some(())).await;
    let second = Child::start(&["requester", "--port", &port, "--responder", &broker], &[]);
    web.admin().await.ready().await;
    assert_eq!(api.ask(json!({})).await.counts.responses, 3);
    for child in [web, second, responder] {
        child.stop().await;
    }
}

async fn web_is_unready(web: &mut Child) -> bool {
    web.admin().await.get("/readyz").await.status == 503
}
