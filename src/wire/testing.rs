//! Helpers for tests.

use super::{Hops, Instance, InstanceState, Ledger, Snapshot, Tier};

/// A snapshot without workers, peers and counts.
pub fn snapshot(id: &str, tier: Tier) -> Snapshot {
    let instance = Instance {
        id: id.to_owned(),
        tier,
        node: "pi-1".into(),
        service: tier.name().to_owned(),
        slot: None,
        version: "0".into(),
        pid: 1,
        started_at: 0,
        admin: None,
    };
    Snapshot {
        instance,
        at: 0,
        uptime_ms: Some(0),
        state: InstanceState::Ready,
        reason: None,
        workers: vec![],
        restarts: 0,
        queue: 0,
        requests: None,
        listens: None,
        window: None,
        task_us: None,
        queue_bytes: None,
        peers: vec![],
        ledger: Ledger::default(),
        hops: Hops::default(),
        dropped_events: 0,
        delay: None,
        faults: None,
        stalled: vec![],
        dispatch: None,
        usage: None,
    }
}
