//! What this floor's tests share.

use std::sync::Arc;

use super::InstanceStatus;
use crate::runtime::telemetry::EventSink;
use crate::wire::{Tier, snapshot};

/// A status that nobody listens to.
pub fn status() -> Arc<InstanceStatus> {
    Arc::new(InstanceStatus::new(snapshot("requester-1", Tier::Requester).instance, EventSink::new(0).0, false, false))
}
