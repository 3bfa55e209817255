//! The settings of the responder tier's workers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BrokerUrl, Int};

/// The `[responder]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Responder {
    /// Number of responder workers.
    pub workers: Int<0, 10_000>,
    /// Threads that the workers share.
    pub arbiters: Int<1, 64>,
    /// Threads per arbiter for reading files and hashing.
    pub blocking_threads: Int<1, 64>,
    /// Address of a separate broker, to which the workers connect. None: this process runs the broker.
    pub backend: Option<BrokerUrl>,
}

impl Default for Responder {
    fn default() -> Self {
        Self {
            workers: Int::literal::<3>(),
            arbiters: Int::literal::<1>(),
            blocking_threads: Int::literal::<2>(),
            backend: None,
        }
    }
}
