//! The ZeroMQ hop in the article's formats, with plain sockets: first in the requester's place, then in the response
//! tier's.

use serde_json::{Map, Value, json};
use swarmq::config::Role;
use swarmq::wire::Tier;

use crate::ARTICLE_FIELDS;
use crate::support::{ArticleTier, Child, Peer, Running, article_reply, frames, in_time, start, zmq_socket};

const MESSAGE: &str = r#"{"requestId":"7189","messageId":"d5f2","requesterId":"4fcf","requestedAt":1795346736497}"#;

async fn response_tier(changes: &[(&str, &str)]) -> Running {
    let app = start(Role::Responder, changes);
    app.ready().await;
    app
}

fn object(json: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(json).unwrap()
}

#[actix_rt::test]
async fn a_plain_req_gets_the_articles_fields_and_no_more_frames() {
    let app = response_tier(&[]).await;
    let (socket, _) = zmq_socket(zmq::REQ, app.addresses.broker);
    for _ in 0..4 {
        socket.send(frames([MESSAGE.as_bytes()])).await.unwrap();
        let reply = in_time("a reply", socket.recv()).await.unwrap();
        assert_eq!(reply.len(), 1);
        let reply = object(&reply[0]);
        assert_eq!(reply.keys().collect::<Vec<_>>(), ARTICLE_FIELDS);
        assert_eq!((&reply["body"], &reply["messageId"]), (&json!("Hello Paul"), &json!("d5f2")));
    }
    let missing = MESSAGE.replace(r#","messageId""#, r#","filename":"no.txt","color":{"a":[1]},"messageId""#);
    socket.send(frames([missing.as_bytes()])).await.unwrap();
    let reply = object(&in_time("a reply", socket.recv()).await.unwrap()[0]);
    assert_eq!((&reply["responseType"], &reply["color"]), (&json!("Error"), &json!({ "a": [1] })));
    assert_eq!(reply["body"], "ENOENT: no such file or directory, open 'no.txt'");
    assert!(!reply.contains_key("code"));
    app.stop().await;
}

#[actix_rt::test]
async fn a_plain_dealer_may_have_many_under_way_and_its_frames_come_back() {
    for dispatch in ["round-robin", "least-busy"] {
        let app = response_tier(&[("broker.dispatch", dispatch)]).await;
        let (socket, _) = zmq_socket(zmq::DEALER, app.addresses.broker);
        for number in 0..20 {
            let message = MESSAGE.replace("d5f2", &format!("d5f2-{number}"));
            socket.send(frames([b"", message.as_bytes(), b"extra", b""])).await.unwrap();
        }
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let reply = in_time("a reply", socket.recv()).await.unwrap();
            assert_eq!(
                (reply.len(), &reply[0][..], &reply[2][..], &reply[3][..]),
                (4, &b""[..], &b"extra"[..], &b""[..])
            );
            ids.insert(object(&reply[1])["messageId"].as_str().unwrap().to_owned());
        }
        assert_eq!(ids.len(), 20);
        app.stop().await;
    }
}

#[actix_rt::test]
async fn bad_messages_do_not_harm_the_response_tier() {
    let app = response_tier(&[]).await;
    let (socket, _) = zmq_socket(zmq::REQ, app.addresses.broker);
    for bad in ["null", "7", "{}", "not JSON", "", "\u{0}", r#"{"requestId":1}"#, "[]", r#"{"requestId":"a"}"#] {
        socket.send(frames([bad.as_bytes()])).await.unwrap();
        let reply = object(&in_time("a reply", socket.recv()).await.unwrap()[0]);
        assert_eq!(reply["responseType"], "Error", "{bad}");
        assert!(reply["body"].as_str().unwrap().contains("cannot be parsed"), "{bad}: {reply:?}");
    }
    let (dealer, _) = zmq_socket(zmq::DEALER, app.addresses.broker);
    for no_message in [&[MESSAGE.as_bytes()][..], &[b""], &[b"a", b"b"], &[b"a", b""]] {
        dealer.send(no_message.iter().map(|part| zmq::Message::from(*part)).collect()).await.unwrap();
    }
    dealer.send(frames([b"", MESSAGE.as_bytes()])).await.unwrap();
    let reply = in_time("a reply", dealer.recv()).await.unwrap();
    assert_eq!(object(&reply[1])["body"], "Hello Paul");
    app.settle().await;
    let ledger = app.ledger(Tier::Broker);
    assert_eq!((ledger.sent, ledger.errors), (14, 4), "what is no message at all counts as an error");
    assert_eq!(app.ledger(Tier::Responder).errors, 9);
    assert!(app.workers(Tier::Responder).iter().all(|worker| worker.restarts == 0));
    app.stop().await;
}

#[actix_rt::test]
async fn a_requester_that_vanishes_harms_nobody() {
    let app = response_tier(&[("task.delay.kind", "fixed"), ("task.delay.mean", "200ms")]).await;
    let (socket, _) = zmq_socket(zmq::REQ, app.addresses.broker);
    socket.send(frames([MESSAGE.as_bytes()])).await.unwrap();
    app.busy(Tier::Responder, 1).await;
    drop(socket);
    let (socket, _) = zmq_socket(zmq::REQ, app.addresses.broker);
    socket.send(frames([MESSAGE.as_bytes()])).await.unwrap();
    in_time("a reply", socket.recv()).await.unwrap();
    app.settle().await;
    assert_eq!(app.ledger(Tier::Broker).responses, 2);
    app.stop().await;
}

#[actix_rt::test]
async fn the_articles_response_tier_serves_our_requester() {
    for socket in ["req", "dealer"] {
        let tier = ArticleTier::bind();
        let app = start(
            Role::Requester,
            &[
                ("requester.responder", &*tier.address.to_string()),
                ("requester.socket", socket),
                ("requester.workers", "2"),
            ],
        );
        app.ready().await;
        let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
        peer.send(r#"{"requestId":"7189","filename":"../../target.txt"}"#).await;
        for body in ["first", "second"] {
            let (envelope, json) = tier.message().await;
            let message = object(&json);
            assert_eq!(message.keys().next().unwrap(), "requestId");
            for field in ["requestId", "filename", "messageId", "requesterId", "requestedAt"] {
                assert!(message.contains_key(field), "{message:?}");
            }
            tier.reply(&envelope, &article_reply(&json, body)).await;
        }
        let set = peer.object().await;
        let replies = set["7189"].as_array().unwrap();
        let mut bodies: Vec<_> = replies.iter().map(|reply| reply["body"].as_str().unwrap()).collect();
        bodies.sort_unstable();
        assert_eq!(bodies, ["first", "second"]);
        for reply in replies {
            assert_eq!(reply.as_object().unwrap().keys().collect::<Vec<_>>(), ARTICLE_FIELDS);
        }
        app.stop().await;
    }
}

#[actix_rt::test]
async fn messages_that_come_one_at_a_time_go_to_the_brokers_in_turn() {
    for socket in ["req", "dealer"] {
        let tiers = [ArticleTier::bind(), ArticleTier::bind()];
        let brokers = format!("{},{}", tiers[0].address, tiers[1].address);
        let settings = [("requester.responder", &*brokers), ("requester.socket", socket), ("requester.workers", "1")];
        let app = start(Role::Requester, &settings);
        app.until("both brokers", || {
            app.status(Tier::Requester).snapshot().peers.iter().filter(|peer| peer.connected).count() == 2
        })
        .await;
        let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
        let mut asked = vec![];
        for _ in 0..6 {
            peer.send(r#"{"requestId":"7189"}"#).await;
            let (index, (envelope, json)) = tokio::select! {
                message = tiers[0].message() => (0, message),
                message = tiers[1].message() => (1, message),
            };
            asked.push(index);
            tiers[index].reply(&envelope, &article_reply(&json, "done")).await;
            peer.object().await;
        }
        assert!(asked.windows(2).all(|pair| pair[0] != pair[1]), "{socket}: {asked:?}");
        app.stop().await;
    }
}

#[actix_rt::test]
async fn a_reply_that_can_not_be_read_is_an_error_with_its_reason() {
    let tier = ArticleTier::bind();
    let responder = tier.address.to_string();
    let app = start(Role::Requester, &[("requester.responder", &*responder), ("requester.workers", "1")]);
    app.ready().await;
    let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
    for (number, bad) in [json!(null), json!({}), json!({ "body": 7 })].iter().enumerate() {
        let id = format!("bad {number}");
        peer.send(json!({ "requestId": id }).to_string()).await;
        let (envelope, _) = tier.message().await;
        tier.reply(&envelope, bad).await;
        let set = peer.object().await;
        assert_eq!(set[&id][0]["responseType"], "Error");
        assert!(set[&id][0]["body"].as_str().unwrap().contains("cannot be parsed"), "{set:?}");
    }
    app.stop().await;
}

#[actix_rt::test]
async fn a_plain_router_and_dealer_with_plain_rep_workers_serve_both_our_tiers() {
    let (router, address) = zmq_socket(zmq::ROUTER, None);
    let (dealer, backend) = zmq_socket(zmq::DEALER, None);
    actix_rt::spawn(async move {
        loop {
            tokio::select! {
                message = router.recv() => dealer.send(message.unwrap()).await.unwrap(),
                reply = dealer.recv() => router.send(reply.unwrap()).await.unwrap(),
            }
        }
    });
    for _ in 0..3 {
        let (worker, _) = zmq_socket(zmq::REP, Some(backend));
        actix_rt::spawn(async move {
            loop {
                let message = worker.recv().await.unwrap();
                let reply = article_reply(&message[0], "Hello Paul").to_string();
                worker.send(frames([reply.as_bytes()])).await.unwrap();
            }
        });
    }
    let requester = start(Role::Requester, &[("requester.responder", &*address.to_string())]);
    let web = start(Role::Web, &[("web.requester", &requester.addresses.requester.unwrap().to_string())]);
    requester.ready().await;
    web.ready().await;
    for _ in 0..3 {
        let set = web.web().get("/api/v1/dispatcher/request").await.json();
        let replies = set.as_object().unwrap().values().next().unwrap().as_array().unwrap().clone();
        assert!(replies.len() == 3 && replies.iter().all(|reply| reply["body"] == "Hello Paul"), "{set}");
    }
    let view = web.web().ask(json!({})).await;
    assert_eq!(view.counts.responses, 3);
    web.stop().await;
    requester.stop().await;
}

#[actix_rt::test]
async fn our_workers_serve_a_plain_router_and_dealer() {
    let (router, address) = zmq_socket(zmq::ROUTER, None);
    let (dealer, backend) = zmq_socket(zmq::DEALER, None);
    let responder = start(Role::Responder, &[("responder.backend", &format!("tcp://{backend}"))]);
    actix_rt::spawn(async move {
        loop {
            tokio::select! {
                message = router.recv() => dealer.send(message.unwrap()).await.unwrap(),
                reply = dealer.recv() => router.send(reply.unwrap()).await.unwrap(),
            }
        }
    });
    responder.ready().await;
    let (socket, _) = zmq_socket(zmq::REQ, Some(address));
    for _ in 0..6 {
        socket.send(frames([MESSAGE.as_bytes()])).await.unwrap();
        let reply = object(&in_time("a reply", socket.recv()).await.unwrap()[0]);
        assert_eq!((&reply["body"], &reply["messageId"]), (&json!("Hello Paul"), &json!("d5f2")));
    }
    responder.stop().await;
}

#[actix_rt::test]
async fn a_least_busy_broker_says_that_no_worker_has_announced_itself() {
    let broker = start(Role::Broker, &[("broker.dispatch", "least-busy"), ("broker.backend", "tcp://127.0.0.1:0")]);
    let backend = broker.addresses.backend.unwrap();
    let (_rep, _) = zmq_socket(zmq::REP, Some(backend));
    let lacks = || broker.status(Tier::Broker).state().1.is_some_and(|reason| reason.contains("REP sockets"));
    broker.until("a reason", lacks).await;
    let responder = start(Role::Responder, &[("responder.backend", &format!("tcp://{backend}"))]);
    broker.ready().await;
    responder.stop().await;
    broker.until("a reason", lacks).await;
    broker.stop().await;
}

#[actix_rt::test]
async fn a_broker_tells_who_has_come_to_the_wrong_port() {
    let changes = [("broker.dispatch", "least-busy")];
    let mut broker = Child::start(&["broker", "--backend", "tcp://127.0.0.1:0"], &changes);
    let upstream = format!("tcp://{}", broker.broker().await);
    let worker = start(Role::Responder, &[("responder.backend", &*upstream)]);
    let line = broker.message("a worker has connected").await;
    assert!(line["msg"].as_str().unwrap().contains("broker.backend"), "{line}");
    let (requester, _) = zmq_socket(zmq::REQ, Some(broker.backend().await));
    requester.send(frames([MESSAGE.as_bytes()])).await.unwrap();
    let line = broker.message("has not announced itself as a worker").await;
    assert!(line["msg"].as_str().unwrap().contains("broker.port"), "{line}");
    worker.end().await;
    broker.stop().await;
}
