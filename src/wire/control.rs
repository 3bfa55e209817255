//! The bodies of control calls, which change an instance while it runs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Dispatch, whole};

/// The new size of a worker pool.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSize {
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 10_000)]
    pub workers: usize,
}

/// The new dispatch of a broker: `round-robin` or `least-busy`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DispatchChoice {
    pub dispatch: Dispatch,
}

/// The duration of a worker's stall.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// Milliseconds, up to ten minutes.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 600_000)]
    pub ms: u64,
}
