//! The bodies of control calls: what is changed about an instance while it runs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Dispatch, whole};

/// How many workers a pool shall have.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSize {
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 10_000)]
    pub workers: usize,
}

/// How the broker shall deal out: `round-robin` or `least-busy`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DispatchChoice {
    pub dispatch: Dispatch,
}

/// How long a worker shall stall.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// Milliseconds, up to ten minutes.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 600_000)]
    pub ms: u64,
}
