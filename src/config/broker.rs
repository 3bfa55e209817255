//! The settings of the broker.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BindUrl, Int, LOCALHOST, MIB, Port, Span};
use crate::wire::Dispatch;

/// The `[broker]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// Address on which the broker's ROUTER socket listens for requesters.
    pub bind: IpAddr,
    /// Port of the ROUTER socket; 0: any free one.
    pub port: Port,
    /// Which worker gets the next message: each in turn, or one that is idle (while none is, messages wait at the
    /// broker). With a separate broker, set it there: the workers of `swarmq responder` take messages from either. The
    /// original's workers need `round-robin`.
    pub dispatch: Dispatch,
    /// Largest number of messages at the broker and its workers; the broker answers further ones with `overloaded`.
    pub queue: Int<1, 1_000_000>,
    /// Memory for the messages at the broker and its workers, overhead of their frames included, in bytes; the broker
    /// answers further ones with `overloaded`. Unread replies to requesters may take the same again.
    pub queue_bytes: Int<65_536, { 64 << 30 }>,
    /// The broker removes a message without a deadline whose worker has not answered for this time, and counts it as a
    /// timeout. (The article's requesters send no deadlines.)
    pub forget_after: Span<1_000, 3_600_000>,
    /// Address on which a separate broker (`swarmq broker`) listens for workers. None: tcp://127.0.0.1:5433.
    pub backend: Option<BindUrl>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            bind: LOCALHOST,
            port: Int::literal::<5_432>(),
            dispatch: Dispatch::default(),
            queue: Int::literal::<10_000>(),
            queue_bytes: Int::literal::<{ 32 * MIB }>(),
            forget_after: Span::literal::<60_000>(),
            backend: None,
        }
    }
}
