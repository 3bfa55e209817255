//! What this floor's tests share.

use std::sync::Arc;

use super::Board;
use crate::runtime::telemetry::Teller;
use crate::wire::{Tier, snapshot};

/// A board that nobody listens to.
pub fn board() -> Arc<Board> {
    Arc::new(Board::new(snapshot("requester-1", Tier::Requester).instance, Teller::new(0).0, false, false))
}
