//! More is asked for than can be done: what nobody waits for is dropped, and leaves no backlog behind.

use serde_json::{Value, json};
use swarmq::wire::Tier;

use crate::support::{Running, eventually, is_settled};

/// The settings of a trial: 4 responder workers of 50 ms do 80 messages a second.
const WORK: [(&str, &str); 6] = [
    ("task.delay.kind", "fixed"),
    ("task.delay.mean", "50ms"),
    ("responder.workers", "4"),
    ("requester.retry_after", "30s"),
    ("broker.forget_after", "60s"),
    ("telemetry.interval", "500ms"),
];

/// Milliseconds that a message of the overload may take.
const PATIENCE_MS: u64 = 300;

/// A message's service time and a second, in milliseconds.
const FRESH_MS: u64 = 1_050;

/// Asks for `times` as much as can be done, for two seconds.
async fn overload(app: &Running, times: u64) {
    let rate = 80 * times;
    let request = json!({ "task": "echo", "fanOut": "one", "timeoutMs": PATIENCE_MS });
    let load = json!({ "rate": rate, "count": 2 * rate, "request": request });
    assert_eq!(app.web().post("/api/v1/load", load.to_string()).await.status, 200);
    eventually("the end of the load", async || {
        (app.web().get("/api/v1/load").await.json()["running"] == Value::Bool(false)).then_some(())
    })
    .await;
    app.until("an outcome for all of it", || is_settled(&app.ledger(Tier::Requester))).await;
}

#[actix_rt::test]
async fn after_overload_a_fresh_message_is_answered_at_once() {
    for (socket, requesters, dispatch, times) in [
        ("req", "2", "round-robin", 4),
        ("req", "128", "round-robin", 2),
        ("dealer", "2", "round-robin", 4),
        ("dealer", "64", "round-robin", 4),
        ("dealer", "64", "least-busy", 4),
    ] {
        let case = format!("{socket}, {requesters} requester workers, {dispatch}, {times} times");
        let own = [("requester.socket", socket), ("requester.workers", requesters), ("broker.dispatch", dispatch)];
        let app = Running::all(&[&WORK[..], &own].concat()).await;
        overload(&app, times).await;
        let view = app.web().ask(json!({ "task": "echo", "fanOut": "one", "timeoutMs": FRESH_MS })).await;
        assert_eq!(view.counts.responses, 1, "{case}: {view:#?}");
        let requester = app.ledger(Tier::Requester);
        assert!(requester.timeouts > 0, "{case}: it was no overload: {requester:?}");
        assert_eq!(requester.retries, 0, "{case}: nothing is sent again because it waits");
        app.settle().await;
        let (broker, responder) = (app.ledger(Tier::Broker), app.ledger(Tier::Responder));
        let expired = requester.expired + broker.expired + responder.expired;
        assert!(expired > 0, "{case}: {requester:?} {broker:?} {responder:?}");
        app.stop().await;
    }
}
