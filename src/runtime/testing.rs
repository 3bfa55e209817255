//! Helpers for tests.

use std::sync::Arc;

use super::InstanceStatus;
use crate::runtime::telemetry::EventSink;
use crate::wire::{Tier, snapshot};

/// A status whose events are dropped.
pub fn status() -> Arc<InstanceStatus> {
    Arc::new(InstanceStatus::new(snapshot("requester-1", Tier::Requester).instance, EventSink::new(0).0, false, false))
}
