//! The article's HTTP calls: connect, request, and our disconnect.

use serde_json::{Value, json};
use swarmq::config::Role;
use swarmq::wire::Tier;

use crate::support::{Running, Web, start};

async fn connect(web: &Web) -> (u16, Value) {
    let answer = web.get("/api/v1/dispatcher/connect").await;
    (answer.status, answer.json())
}

#[actix_rt::test]
async fn connect_says_where_it_is_connected_each_time() {
    let app = Running::all(&[]).await;
    let port = app.addresses.requester.unwrap().port();
    let connected = json!({ "connected": true, "msg": format!("Socket connected to: {port} on 127.0.0.1") });
    for _ in 0..2 {
        assert_eq!(connect(&app.web()).await, (200, connected.clone()));
    }
    app.stop().await;
}

#[actix_rt::test]
async fn connect_says_why_nobody_is_there_in_nodes_words_and_tries_anew_each_time() {
    // The second call comes long before the link would try again by itself.
    let changes =
        [("web.requester", "127.0.0.1:1"), ("supervision.backoff_min", "5m"), ("supervision.backoff_max", "5m")];
    let app = start(Role::Web, &changes);
    let refused =
        json!({ "errno": -111, "code": "ECONNREFUSED", "syscall": "connect", "address": "127.0.0.1", "port": 1 });
    for _ in 0..3 {
        assert_eq!(connect(&app.web()).await, (500, json!({ "connected": false, "msg": refused })));
    }
    let answer = app.web().get("/api/v1/dispatcher/request").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("127.0.0.1:1"), "{}", answer.text());
    app.stop().await;
}

#[actix_rt::test]
async fn a_name_that_nobody_knows_is_not_found() {
    let changes = [("web.requester", "nowhere.invalid:5678"), ("discovery.connect_timeout", "200ms")];
    let app = start(Role::Web, &changes);
    let (status, body) = connect(&app.web()).await;
    assert_eq!(
        (status, &body["msg"]["code"], &body["msg"]["address"]),
        (500, &json!("ENOTFOUND"), &json!("nowhere.invalid"))
    );
    app.stop().await;
}

#[actix_rt::test]
async fn manual_connections_are_made_and_closed_when_asked_for() {
    let app = start(Role::All, &[("web.connect", "manual")]);
    let web = app.web();
    for _ in 0..2 {
        let answer = web.get("/api/v1/dispatcher/request").await;
        assert_eq!(answer.status, 500);
        assert!(answer.headers.get("content-type").unwrap().to_str().unwrap().starts_with("text/plain"));
        assert!(answer.text().contains("connect the socket"), "{}", answer.text());
        web.post("/api/v1/requests", "{}").await.error(503, "not-connected");

        assert_eq!(connect(&web).await.0, 200);
        app.ready().await;
        assert_eq!(web.get("/api/v1/dispatcher/request").await.status, 200);

        let answer = web.post("/api/v1/dispatcher/disconnect", "").await;
        assert_eq!((answer.status, &answer.json()["connected"]), (200, &json!(false)));
        app.until("the end of the connection", || !app.status(Tier::Web).has_peer()).await;
    }
    app.stop().await;
}

#[actix_rt::test]
async fn what_is_under_way_at_a_disconnect_ends_as_lost() {
    let app = Running::all(&[("task.delay.kind", "fixed"), ("task.delay.mean", "500ms")]).await;
    let web = app.web();
    let asking = actix_rt::spawn(async move { web.ask_any(json!({})).await });
    app.busy(Tier::Responder, 3).await;
    app.web().post("/api/v1/dispatcher/disconnect", "").await;
    let message = asking.await.unwrap().error(502, "lost");
    assert!(message.contains("the web tier was disconnected"), "{message}");
    app.stop().await;
}
