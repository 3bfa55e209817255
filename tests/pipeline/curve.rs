//! ZeroMQ with a key: for those alone that have it, and with a word to those that have not.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use serde_json::json;
use swarmq::config::CurveKey;
use swarmq::runtime::zeromq::Socket;

use crate::support::{Child, assert_one_outcome_each, eventually, frames, in_time, own_port, run, run_into};

const MESSAGE: &str = r#"{"requestId":"7189","messageId":"d5f2","requesterId":"4fcf","requestedAt":1795346736497}"#;

fn new_key() -> CurveKey {
    CurveKey::generate().expect("this build is without CURVE: see .cargo/config.toml")
}

/// A REQ socket as another program's, which asks once it is connected. `own` and `server` are its key and the one that it
/// expects.
async fn ask_by_hand(broker: SocketAddr, keys: Option<(&CurveKey, &CurveKey)>) -> Socket {
    let socket = zmq::Context::new().socket(zmq::REQ).unwrap();
    socket.set_linger(0).unwrap();
    if let Some((own, server)) = keys {
        socket.set_curve_publickey(own.public()).unwrap();
        socket.set_curve_secretkey(own.secret()).unwrap();
        socket.set_curve_serverkey(server.public()).unwrap();
    }
    socket.connect(&format!("tcp://{broker}")).unwrap();
    let socket = Socket::attach(socket).unwrap();
    in_time("room for the first message", socket.send(frames([MESSAGE.as_bytes()]))).await.unwrap();
    socket
}

#[actix_rt::test]
async fn tiers_with_one_key_work_together_and_admit_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key_file = path.to_str().unwrap();
    assert!(run(&["keygen", key_file]).await.status.success());
    let telemetry = own_port().to_string();
    let telemetry_at = format!("127.0.0.1:{telemetry}");
    let changes = [("telemetry.web", &*telemetry_at), ("curve.key_file", key_file)];
    let mut broker = Child::start(&["broker", "--backend", "tcp://127.0.0.1:0"], &changes);
    let backend = format!("tcp://{}", broker.backend().await);
    let mut responder = Child::start(&["responder", "--backend", &backend], &changes);
    let address = broker.broker().await;
    let mut requester = Child::start(&["requester", "--responder", &address.to_string()], &changes);
    let master = requester.requester().await.to_string();
    let web_changes = [("telemetry.port", &*telemetry), ("curve.key_file", key_file)];
    let mut web = Child::start(&["web", "--requester", &master], &web_changes);
    let api = web.web().await;
    for child in [&mut responder, &mut requester, &mut web] {
        child.admin().await.ready().await;
    }
    let view = api.ask(json!({})).await;
    assert_one_outcome_each(&view);
    assert_eq!(view.counts.responses, 3, "{view:#?}");
    eventually("all four by telemetry", async || (api.topology().await.instances.len() == 4).then_some(())).await;

    let key = CurveKey::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let member = ask_by_hand(address, Some((&key, &key))).await;
    assert!(in_time("a reply", member.recv()).await.unwrap()[0].starts_with(b"{\"responderId\""));
    for child in [web, requester, broker, responder] {
        child.stop().await;
    }
}

#[actix_rt::test]
async fn a_member_that_sends_one_message_without_end_loses_its_connection() {
    let key = new_key();
    let mut responder = Child::start(&["responder"], &[("curve.key", &key.expose())]);
    let broker = responder.broker().await;
    let member = ask_by_hand(broker, Some((&key, &key))).await;
    in_time("a reply", member.recv()).await.unwrap();
    member.send((0..1_000).map(|_| zmq::Message::from(vec![b'x'; 10_000])).collect()).await.unwrap();
    let line = responder.message("a ZeroMQ connection was closed").await;
    assert_eq!((&line["level"], &line["peer"]), (&json!("WARN"), &json!("127.0.0.1")), "{line}");
    let next = ask_by_hand(broker, Some((&key, &key))).await;
    in_time("another's reply", next.recv()).await.unwrap();
    responder.stop().await;
}

/// What a broker with a key says of a peer, which has no answer from it.
async fn refusal(keys: impl FnOnce(&CurveKey) -> Option<(CurveKey, CurveKey)>, text: &str) {
    let key = new_key();
    let mut responder = Child::start(&["responder"], &[("curve.key", &key.expose())]);
    let broker = responder.broker().await;
    let keys = keys(&key);
    let stranger = ask_by_hand(broker, keys.as_ref().map(|(own, server)| (own, server))).await;
    let line = responder.message(text).await;
    assert_eq!(line["level"], "WARN", "{line}");
    // Whoever has the key is served meanwhile: the broker has had its time to answer the stranger too.
    let member = ask_by_hand(broker, Some((&key, &key))).await;
    in_time("a reply", member.recv()).await.unwrap();
    assert!(stranger.try_recv().unwrap().is_none());
    responder.stop().await;
}

/// The greeting of a ZMTP 3.0 peer, whole (ZeroMQ RFC 23): signature, version, mechanism, filler.
fn greeting(mechanism: &str) -> [u8; 64] {
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    greeting[12..12 + mechanism.len()].copy_from_slice(mechanism.as_bytes());
    greeting
}

/// Of two ZeroMQ peers whose keys don't fit, one hangs up when it has read the other's greeting, and then the other may
/// never read its own: so this one only greets, and waits.
#[actix_rt::test]
async fn a_peer_without_a_key_is_refused() {
    let mut responder = Child::start(&["responder"], &[("curve.key", &new_key().expose())]);
    let mut stranger = std::net::TcpStream::connect(responder.broker().await).unwrap();
    stranger.write_all(&greeting("NULL")).unwrap();
    let line = responder.message("it has no key, and one is set here").await;
    assert_eq!(line["level"], "WARN", "{line}");
    responder.stop().await;
}

#[actix_rt::test]
async fn a_peer_with_another_key_is_refused() {
    refusal(|_| Some((new_key(), new_key())), "it has another key than is set here").await;
}

#[actix_rt::test]
async fn a_peer_that_knows_the_public_key_alone_is_refused() {
    refusal(
        |key| Some((new_key(), key.clone())),
        "it knows the deployment's public key, but authenticates with another key pair",
    )
    .await;
}

#[actix_rt::test]
async fn either_side_says_that_one_of_them_has_no_key() {
    let mut web = Child::start(&["web"], &[]);
    let mut stranger = std::net::TcpStream::connect(web.telemetry().await).unwrap();
    stranger.write_all(&greeting("CURVE")).unwrap();
    web.message("it has a key, and none is set here").await;
    web.stop().await;

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut keyed = Child::start(&["requester"], &[("curve.key", &new_key().expose()), ("telemetry.web", &address)]);
    let (mut connection, _) = tokio::task::spawn_blocking(move || listener.accept()).await.unwrap().unwrap();
    connection.write_all(&greeting("NULL")).unwrap();
    keyed.message("it has no key, and one is set here").await;
    keyed.stop().await;
}

#[actix_rt::test]
async fn keygen_writes_a_key_that_only_its_owner_reads_and_overwrites_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let file = path.to_str().unwrap();
    let output = run(&["keygen", file]).await;
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("docker secret create"));
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(CurveKey::parse(&written).is_some());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let output = run(&["keygen", file]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("exists already"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);

    let output = run(&["keygen"]).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(CurveKey::parse(&printed).is_some() && printed != written);
    // Already on its way into a secret: no advice to make one.
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("curve.key_file") && !said.contains("docker secret create"), "{said}");
    for (mode, told) in [(0o644, true), (0o600, false)] {
        let path = folder.path().join(mode.to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).unwrap();
        let output = run_into(&["keygen"], file.into()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.contains("a file that other users of this machine can read"), told, "{said}");
    }
    let output = run(&["keygen", "/nowhere/key"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("can't write /nowhere/key"));
}
