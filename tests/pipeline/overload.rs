//! More is asked for than can be done: what nobody waits for is dropped, and leaves no backlog behind.
//!
//! `EACH=60 cargo test --test pipeline overload -- --nocapture` overloads each deployment for a minute, and prints the table
//! of `docs/reliability.md`.

use serde_json::{Value, json};
use swarmq::wire::{Ledger, Tier};

use crate::support::{Running, eventually, is_settled};

/// The settings of a trial: 4 responder workers of 50 ms do 80 messages a second.
const WORK: [(&str, &str); 6] = [
    ("task.delay.kind", "fixed"),
    ("task.delay.mean", "50ms"),
    ("responder.workers", "4"),
    // As deployed.
    ("requester.retry_after", "8s"),
    ("broker.forget_after", "60s"),
    ("telemetry.interval", "500ms"),
];

/// Messages a second that the responder workers can do.
const CAPACITY: u64 = 80;

/// Milliseconds that a message of the overload may take.
const PATIENCE_MS: u64 = 300;

/// A message's service time and a second, in milliseconds.
const FRESH_MS: u64 = 1_050;

/// Resident memory of this process, in MB.
fn resident_mb() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096 / 1_000_000
}

/// Asks for `times` as much as can be done.
async fn overload(app: &Running, times: u64, seconds: u64) {
    let rate = CAPACITY * times;
    let request = json!({ "task": "echo", "fanOut": "one", "timeoutMs": PATIENCE_MS });
    let load = json!({ "rate": rate, "count": seconds * rate, "request": request });
    assert_eq!(app.web().post("/api/v1/load", load.to_string()).await.status, 200);
    // Longer than any test waits for one event.
    for _ in 0..=seconds / 30 {
        let view = app.web().get("/api/v1/load").await.json();
        let sent = view["sent"].as_u64().unwrap();
        eventually("a part of the load", async || {
            let view = app.web().get("/api/v1/load").await.json();
            let over = view["running"] == Value::Bool(false);
            (over || view["sent"].as_u64().unwrap() >= sent + 30 * rate).then_some(())
        })
        .await;
    }
    app.until("an outcome for all of it", || is_settled(&app.ledger(Tier::Requester))).await;
}

async fn trial(socket: &str, requesters: &str, dispatch: &str, times: u64, seconds: u64) {
    let case = format!("{socket}, {requesters}, {dispatch}, {times} x");
    let own = [("requester.socket", socket), ("requester.workers", requesters), ("broker.dispatch", dispatch)];
    let app = Running::all(&[&WORK[..], &own].concat()).await;
    let before = resident_mb();
    overload(&app, times, seconds).await;
    let view = app.web().ask(json!({ "task": "echo", "fanOut": "one", "timeoutMs": FRESH_MS })).await;
    assert_eq!(view.counts.responses, 1, "{case}: {view:#?}");
    let fresh = view.total_us.unwrap() / 1_000;
    let requester = app.ledger(Tier::Requester);
    assert!(requester.timeouts > 0, "{case}: it was no overload: {requester:?}");
    assert_eq!(requester.retries, 0, "{case}: nothing is sent again because it waits");
    app.settle().await;
    let expired: Vec<_> = [Tier::Requester, Tier::Broker, Tier::Responder]
        .map(|tier| app.ledger(tier))
        .iter()
        .map(|Ledger { expired, .. }| expired.to_string())
        .collect();
    assert!(expired.iter().any(|count| count != "0"), "{case}: {expired:?}");
    println!(
        "| {socket} | {requesters} | {dispatch} | {times} | {} | {} | {} | {} | {fresh} ms | {before} MB | {} MB |",
        requester.sent,
        requester.responses,
        requester.timeouts,
        expired.join(", "),
        resident_mb(),
    );
    app.stop().await;
}

#[actix_rt::test]
async fn after_overload_a_fresh_message_is_answered_at_once() {
    let each = std::env::var("EACH").ok().map(|seconds| seconds.parse().unwrap());
    println!(
        "| socket | requester workers | dispatch | times capacity | messages | responses | timeouts | of them expired at requester, broker, responder | a fresh message then | memory before | after |"
    );
    for (socket, requesters) in [("req", "2"), ("req", "128"), ("dealer", "2"), ("dealer", "64")] {
        for dispatch in ["round-robin", "least-busy"] {
            match each {
                Some(seconds) => {
                    trial(socket, requesters, dispatch, 2, seconds).await;
                    trial(socket, requesters, dispatch, 4, seconds).await;
                }
                None => trial(socket, requesters, dispatch, 4, 1).await,
            }
        }
    }
}
