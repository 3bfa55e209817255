//! What the tests share.

mod app;
mod children;
mod http;
mod peers;

use std::future::Future;
use std::time::Duration;

use swarmq::wire::{InstanceState, Ledger, RequestView};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

pub use app::{Running, start};
pub use children::{Child, own_port, run, run_into};
pub use http::{Answer, Web};
pub use peers::{ArticleTier, Peer, article_reply, frames, zmq_socket};

/// What a busy machine must not change: how often a message is sent, whether it has its reply in time, and whether a
/// peer counts as there.
const PATIENT: [(&str, &str); 4] = [
    ("requester.timeout", "120s"),
    ("requester.retry_after", "100s"),
    ("discovery.connect_timeout", "30s"),
    ("discovery.heartbeat_timeout", "30s"),
];

/// Longest wait for anything: far beyond what it takes on a busy machine, so that only a fault waits so long.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Looks again and again until there is something to see.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let until = Instant::now() + PATIENCE;
        let mut ticks = interval(Duration::from_millis(5));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
            assert!(Instant::now() < until, "{caller}: never seen: {what}");
        }
    }
}

/// Waits for a future that is ready soon, unless there is a fault.
#[track_caller]
pub fn in_time<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move { timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{caller}: waited in vain: {what}")) }
}

/// Fails unless every message of the request has exactly one outcome.
#[track_caller]
pub fn assert_one_outcome_each(view: &RequestView) {
    for message in &view.messages {
        let replies = view.replies.iter().filter(|reply| reply.message_id == message.message_id).count();
        assert_eq!(replies + usize::from(message.lost.is_some()), 1, "{message:?} in {view:#?}");
    }
    assert_eq!(view.counts.total(), view.messages.len() as u64, "{view:#?}");
}

/// True when every message that was ever sent has ended.
pub fn is_settled(ledger: &Ledger) -> bool {
    ledger.is_balanced() && ledger.in_flight == 0
}

/// True for the states in which an instance counts.
pub fn is_ready(state: InstanceState) -> bool {
    state == InstanceState::Ready
}
