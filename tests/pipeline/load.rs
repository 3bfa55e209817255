//! Load that the web tier makes itself, and who may ask for it.

use serde_json::{Value, json};
use swarmq::wire::Tier;

use crate::support::{Running, Web, eventually, is_settled};

async fn running(web: &Web) -> bool {
    web.get("/api/v1/load").await.json()["running"] == true
}

#[actix_rt::test]
async fn a_burst_is_sent_once_and_ends() {
    let app = Running::all(&[]).await;
    let burst = json!({ "count": 20, "request": { "task": "echo" } });
    assert_eq!(app.web().post("/api/v1/load", burst.to_string()).await.status, 200);
    eventually("the end of the burst", async || (!running(&app.web()).await).then_some(())).await;
    app.settle().await;
    assert_eq!(app.ledger(Tier::Requester).responses, 60);
    app.stop().await;
}

#[actix_rt::test]
async fn a_steady_rate_does_not_wait_for_replies_and_goes_on_until_it_is_stopped() {
    let app = Running::all(&[("task.delay.kind", "fixed"), ("task.delay.mean", "60s")]).await;
    let steady = json!({ "rate": 200, "request": { "task": "echo", "timeoutMs": 1000 } });
    assert_eq!(app.web().post("/api/v1/load", steady.to_string()).await.status, 200);
    // No message of the first is answered in a second's time, and the workers have one each.
    app.until("messages that wait for others", || app.ledger(Tier::Requester).in_flight > 30).await;
    assert!(running(&app.web()).await);
    let stopped = app.web().delete("/api/v1/load").await.json();
    assert_eq!(stopped["running"], false);
    app.until("timeouts for all of it", || is_settled(&app.ledger(Tier::Requester))).await;
    assert_eq!(app.web().get("/api/v1/load").await.json(), stopped, "nothing is sent after it was stopped");
    app.end().await;
}

#[actix_rt::test]
async fn what_could_not_be_taken_on_is_counted() {
    let app =
        Running::all(&[("web.max_in_flight", "5"), ("task.delay.kind", "fixed"), ("task.delay.mean", "1s")]).await;
    app.web().post("/api/v1/load", json!({ "count": 8 }).to_string()).await;
    let view = eventually("the end of the burst", async || {
        let view = app.web().get("/api/v1/load").await.json();
        (view["running"] == false).then_some(view)
    })
    .await;
    assert_eq!((&view["sent"], &view["refused"]), (&json!(5), &json!(3)));
    app.stop().await;
}

#[actix_rt::test]
async fn load_out_of_bounds_is_told_so() {
    let app = Running::all(&[]).await;
    for (load, reason) in [
        (json!({ "rate": 0 }), "give 0.1 to 1000"),
        (json!({ "rate": 1001 }), "give 0.1 to 1000"),
        (json!({ "count": 0 }), "give 1 to 1000000"),
        (json!({ "rate": 1, "count": 1_000_001 }), "give 1 to 1000000"),
        (json!({ "rate": 1, "request": { "task": "sleep" } }), "there is no task 'sleep'"),
    ] {
        let message = app.web().post("/api/v1/load", load.to_string()).await.error(400, "bad-request");
        assert!(message.contains(reason), "{load}: {message}");
    }
    for (load, reason) in [
        (json!({}), "give `rate`, `count` or both"),
        (json!({ "count": 10_001 }), "give up to 10000 to send all at once"),
    ] {
        let message = app.web().post("/api/v1/load", load.to_string()).await.error(422, "unprocessable");
        assert!(message.contains(reason), "{load}: {message}");
    }
    app.stop().await;
}

#[actix_rt::test]
async fn load_needs_the_permission_that_controls_need_and_a_request_does_not() {
    let load = json!({ "rate": 1, "request": { "task": "echo" } }).to_string();
    for (settings, token) in [([("admin.token", "secret")], Some("secret")), ([("admin.bind", "0.0.0.0")], None)] {
        let app = Running::all(&settings).await;
        app.web().post("/api/v1/load", load.clone()).await.error(403, "forbidden");
        app.web().delete("/api/v1/load").await.error(403, "forbidden");
        assert!(!running(&app.web()).await);
        app.web().ask(json!({ "task": "echo" })).await;
        if let Some(token) = token {
            let web = Web { token: Some(token.to_owned()), ..app.web() };
            let begun: Value = web.post("/api/v1/load", load.clone()).await.json();
            assert_eq!(begun["running"], true, "{begun}");
            assert_eq!(web.delete("/api/v1/load").await.json()["running"], false);
        }
        app.stop().await;
    }
}
