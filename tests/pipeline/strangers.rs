//! Telemetry and messages of those who are not of the deployment.

use std::net::SocketAddr;

use serde_json::{Value, json};
use swarmq::runtime::telemetry::Proof;
use swarmq::wire::{DeliveryFrame, Tier};

use crate::support::{Running, Web, eventually, frames, in_time, zmq_socket};

/// A PUB socket, as an instance's, that calls from an address of its own.
pub fn publisher(from: &str, telemetry: SocketAddr) -> zmq::Socket {
    let socket = zmq::Context::new().socket(zmq::PUB).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_sndhwm(20).unwrap();
    socket.connect(&format!("tcp://{from}:0;{telemetry}")).unwrap();
    socket
}

/// What an instance would tell of itself.
fn told(app: &Running, id: &str, admin: &str) -> Value {
    let mut snapshot = json!(app.status(Tier::Responder).snapshot());
    snapshot["instance"]["id"] = id.into();
    snapshot["instance"]["admin"] = admin.into();
    snapshot["instance"]["node"] = "evil".into();
    json!({ "type": "instance", "snapshot": snapshot })
}

#[actix_rt::test]
async fn with_a_token_telemetry_has_to_prove_it() {
    let app = Running::all(&[("admin.token", "s3cret")]).await;
    let stranger = publisher("127.0.0.1", app.addresses.telemetry.unwrap());
    let proof = |token: &str| Proof::of(&serde_json::from_value(token.into()).unwrap());
    let send = |id: &str, proof: Option<Proof>| {
        let report = json!([told(&app, id, "127.0.0.1:9666")]).to_string().into_bytes();
        let signature = proof.map(|proof| proof.sign(&report));
        stranger.send_multipart([Some(report), signature].into_iter().flatten(), 0).unwrap();
    };
    // Sent in this order each time: when the last is known, the others have been left out.
    eventually("telemetry with a proof", async || {
        send("without", None);
        send("another", Some(proof("S3cret")));
        send("with", Some(proof("s3cret")));
        app.web().topology().await.instances.contains_key("with").then_some(())
    })
    .await;
    let known = app.web().topology().await.instances;
    assert!(!known.contains_key("without") && !known.contains_key("another"), "{:?}", known.keys());
    app.stop().await;
}

#[actix_rt::test]
async fn nobody_speaks_for_another_host() {
    let app = Running::all(&[]).await;
    let stranger = publisher("127.0.0.2", app.addresses.telemetry.unwrap());
    let real = app.status(Tier::Responder).instance.clone();
    let gone = json!({ "type": "instance-gone", "id": real.id, "at": 1, "reason": "forged" });
    let forged = json!([
        told(&app, &real.id, "127.0.0.2:9666"),
        gone,
        told(&app, "elsewhere", "192.0.2.1:80"),
        told(&app, "own", "127.0.0.2:9666"),
    ]);
    eventually("the stranger's own instance", async || {
        stranger.send(forged.to_string().as_bytes(), 0).unwrap();
        app.web().topology().await.instances.contains_key("own").then_some(())
    })
    .await;
    let known = app.web().topology().await.instances;
    let view = |id: &str| &known[id].snapshot;
    assert_eq!((&view(&real.id).instance, view(&real.id).reason.as_deref()), (&real, None));
    assert_eq!(view("elsewhere").instance.admin, None, "an address of another host is not called");
    let control = async |web: &Web, id: &str| {
        web.call("DELETE", &format!("/api/v1/control/instances/{id}/faults"), &[("authorization", "Bearer x")]).await
    };
    control(&app.web(), "elsewhere").await.error(404, "not-found");
    assert_eq!(control(&app.web(), &real.id).await.status, 200);
    app.stop().await;
}

#[actix_rt::test]
async fn an_admin_address_with_a_path_is_not_read() {
    let app = Running::all(&[]).await;
    let stranger = publisher("127.0.0.2", app.addresses.telemetry.unwrap());
    eventually("the report that can be read", async || {
        stranger.send(json!([told(&app, "path", "127.0.0.2:80/x?y=")]).to_string().as_bytes(), 0).unwrap();
        stranger.send(json!([told(&app, "plain", "127.0.0.2:80")]).to_string().as_bytes(), 0).unwrap();
        app.web().topology().await.instances.contains_key("plain").then_some(())
    })
    .await;
    assert!(!app.web().topology().await.instances.contains_key("path"));
    app.stop().await;
}

#[actix_rt::test]
async fn who_knows_a_message_id_does_not_get_its_reply() {
    for dispatch in ["round-robin", "least-busy"] {
        let slow = [("broker.dispatch", dispatch), ("task.delay.kind", "fixed"), ("task.delay.mean", "500ms")];
        let app = Running::all(&slow).await;
        let id = app.web().submit(json!({ "task": "echo", "fanOut": "one" })).await;
        app.busy(Tier::Responder, 1).await;
        let message_id = eventually("the message in the request's view", async || {
            app.web().view(&id).await.messages.first().map(|message| message.message_id.clone())
        })
        .await;
        let (stranger, _) = zmq_socket(zmq::DEALER, app.addresses.broker);
        let message = json!({ "requestId": id, "messageId": message_id, "requesterId": "x", "requestedAt": 1 });
        let delivery =
            DeliveryFrame { delivery_id: message_id.parse().unwrap(), host: 0, deadline_us: 0, left_ms: 60_000 };
        stranger.send(frames([b"", message.to_string().as_bytes(), &delivery.encode()])).await.unwrap();
        let view = app.web().ended(&id).await;
        assert_eq!(view.counts.responses, 1, "{dispatch}: {view:#?}");
        // Its own message is another one.
        in_time("a reply to the stranger", stranger.recv()).await.unwrap();
        app.settle().await;
        let broker = app.ledger(Tier::Broker);
        assert_eq!((broker.sent, broker.retries), (2, 0), "{dispatch}");
        app.stop().await;
    }
}
