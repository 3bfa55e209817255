//! What this floor's tests share.

use std::sync::Arc;

use super::{Board, Teller};
use crate::model::{Instance, Tier};

/// A board that nobody listens to.
pub fn board() -> Arc<Board> {
    let instance = Instance {
        id: "requester-1".into(),
        tier: Tier::Requester,
        node: "pi-1".into(),
        service: "requester".into(),
        slot: None,
        version: "0".into(),
        pid: 1,
        started_at: 0,
        admin: None,
    };
    Arc::new(Board::new(instance, Teller::new(0).0, false, false))
}
