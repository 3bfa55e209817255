//! What a dashboard may do to the web tier: nothing.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::dashboards::Dashboard;
use crate::support::{Peer, Running, eventually, in_time};

/// An open WebSocket in plain bytes, which reads nothing but the server's answer to the upgrade.
async fn upgraded(app: &Running) -> Peer {
    let mut peer = Peer::connect(app.addresses.web.unwrap()).await;
    peer.send(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .await;
    peer
}

/// The end of what a server sends, up to the end of the connection.
async fn last_bytes(peer: &mut Peer) -> Vec<u8> {
    let mut all = vec![];
    in_time("the end of the connection", peer.stream.read_to_end(&mut all)).await.unwrap();
    all.split_off(all.len().saturating_sub(4))
}

#[actix_rt::test]
async fn a_frame_that_announces_much_closes_its_connection_before_its_data_comes() {
    let app = Running::all(&[]).await;
    let mut watcher = Dashboard::open(app.addresses.web.unwrap()).await;
    // Of 2^40 bytes; and a part of a message, of 64 KiB.
    for head in [&[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0][..], &[0x02, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]] {
        let mut peer = upgraded(&app).await;
        peer.send(head).await;
        assert_eq!(last_bytes(&mut peer).await, [0x88, 2, 0x03, 0xf1], "a close frame with 1009, too big");
    }
    let mut peer = upgraded(&app).await;
    peer.send([0x81, 0x01, b'x']).await;
    assert_eq!(last_bytes(&mut peer).await, [0x88, 2, 0x03, 0xea], "not masked: 1002, a protocol error");
    let id = app.web().submit(json!({ "task": "echo" })).await;
    watcher.end_of(&id).await;
    app.stop().await;
}

/// How many bytes a peer can send until its connection is gone.
async fn pour(peer: &mut Peer) -> usize {
    let (mut sent, data) = (0, vec![0; 1 << 16]);
    while let Ok(count) = in_time("the end of the connection", peer.stream.write(&data)).await {
        sent += count;
    }
    sent
}

#[actix_rt::test]
async fn little_is_read_of_who_goes_on_sending_after_the_end_and_the_connection_is_closed() {
    let app = Running::all(&[]).await;
    // A frame of 2^40 bytes; one that is not masked; the client's own close frame.
    for last in [&[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0][..], &[0x81, 0x01, b'x'], &[0x88, 0x80, 0, 0, 0, 0]] {
        let mut peer = upgraded(&app).await;
        peer.send(last).await;
        let sent = pour(&mut peer).await;
        assert!(sent < 32 << 20, "what both ends hold, and 256 KiB: {sent} bytes after {last:?}");
    }
    app.stop().await;
}

#[actix_rt::test]
async fn what_a_dashboard_sends_is_ignored_however_much_it_is() {
    let app = Running::all(&[]).await;
    let mut peer = upgraded(&app).await;
    // Texts, and the parts of a message that never ends, of the longest frame taken.
    let mut frame = vec![0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0];
    frame.resize(8 + 0xffff, b'x');
    for first in [0x81, 0x81, 0x01].into_iter().chain([0x00; 60]) {
        frame[0] = first;
        peer.send(&frame).await;
    }
    peer.send([0x89, 0x84, 0, 0, 0, 0, b'p', b'i', b'n', b'g']).await;
    let mut received = vec![];
    let pong = [&[0x8a, 4][..], b"ping"].concat();
    while !received.windows(pong.len()).any(|bytes| bytes == pong) {
        in_time("the pong", peer.stream.read_buf(&mut received)).await.unwrap();
    }
    app.stop().await;
}

#[actix_rt::test]
async fn dashboards_have_a_number_and_one_that_leaves_makes_room() {
    let app = Running::all(&[("web.max_dashboards", "1")]).await;
    let first = Dashboard::open(app.addresses.web.unwrap()).await;
    let mut refused = upgraded(&app).await;
    let mut answer = vec![];
    while !String::from_utf8_lossy(&answer).contains("web.max_dashboards") {
        assert!(in_time("a refusal", refused.stream.read_buf(&mut answer)).await.unwrap() > 0);
    }
    assert!(answer.starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&answer));
    drop(first);
    opens(&app).await;
    app.stop().await;
}

/// Waits until a dashboard can be opened.
async fn opens(app: &Running) {
    eventually("room for a dashboard", async || {
        let mut peer = upgraded(app).await;
        let mut head = [0; 12];
        in_time("an answer", peer.stream.read_exact(&mut head)).await.unwrap();
        (&head == b"HTTP/1.1 101").then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn a_dashboard_that_reads_nothing_is_dropped() {
    let changes =
        [("web.max_dashboards", "1"), ("web.send_timeout", "300ms"), ("telemetry.events_per_second", "100000")];
    let app = Running::all(&changes).await;
    let silent = Dashboard::open(app.addresses.web.unwrap()).await;
    let web = app.web();
    // More than both ends of its connection can hold.
    for _ in 0..20 {
        let ask = async || web.ask(json!({ "task": "echo", "parameters": { "bytes": 16 << 10 } })).await;
        futures_util::future::join_all((0..20).map(|_| ask())).await;
    }
    opens(&app).await;
    drop(silent);
    app.stop().await;
}

#[actix_rt::test]
async fn a_snapshot_has_the_newest_requests_and_says_how_many_it_leaves_out() {
    let changes = [("web.keep_bytes", "67108864"), ("telemetry.events_per_second", "100000")];
    let app = Running::all(&changes).await;
    let mut last = String::new();
    let requests = 120;
    for _ in 0..requests {
        last = app.web().ask(json!({ "task": "echo", "parameters": { "bytes": 16 << 10 } })).await.request_id;
    }
    let snapshot: Value = eventually("a snapshot with the last request", async || {
        let snapshot = Dashboard::open(app.addresses.web.unwrap()).await.next().await;
        (snapshot["requests"][0]["requestId"] == last).then_some(snapshot)
    })
    .await;
    let shown = snapshot["requests"].as_array().unwrap();
    let bytes = snapshot["requests"].to_string().len();
    assert!(bytes < 4 << 20 && bytes > 3 << 20, "{bytes} bytes of requests");
    let left_out = snapshot["requestsLeftOut"].as_u64().unwrap();
    assert_eq!(left_out, requests - shown.len() as u64);
    assert!(left_out > 0);
    app.stop().await;
}
