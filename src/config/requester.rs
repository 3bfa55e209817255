//! The settings of the requester tier.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Int, LOCALHOST, MIB, Port, Span, Upstream};

/// What a message or reply has besides the request's own fields or the task's output, in bytes: ids, times, names.
pub const AROUND_BYTES: u64 = 1_024;

/// The `[requester]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requester {
    /// Address on which the socket master listens.
    pub bind: IpAddr,
    /// Port of the socket master; 0: any free one.
    pub port: Port,
    /// Number of requester workers.
    pub workers: Int<0, 10_000>,
    /// Threads that the workers share.
    pub arbiters: Int<1, 64>,
    /// Address of the brokers.
    pub responder: Upstream,
    /// Time from a request's arrival until its messages time out, unless the request has its own `timeoutMs`.
    pub timeout: Span<1, 3_600_000>,
    /// ZeroMQ socket of a worker: `req` waits for each reply, `dealer` keeps up to `window` messages in flight.
    pub socket: Socket,
    /// Largest number of messages in flight per worker, with `socket = "dealer"` only.
    pub window: Int<1, 10_000>,
    /// Length of each worker's queue, in messages; the requester answers further ones with `overloaded`.
    pub queue: Int<1, 1_000_000>,
    /// Last resort: the worker sends a message again if it has no reply after this time and the deadline has not passed.
    /// Workers notice a lost connection, and brokers a lost worker, without it; only a separate `round-robin` broker
    /// does not notice a lost worker, whose messages are lost.
    pub retry_after: Span<10, 3_600_000>,
    /// Largest number of times that one message is sent, the first included.
    pub max_attempts: Int<1, 100>,
    /// Largest number of open TCP connections. When all are open, a new connection replaces an idle one.
    pub max_connections: Int<1, 65_536>,
    /// Largest number of requests under way on one TCP connection; then the requester stops reading from it. Not below
    /// the web tier's `max_in_flight`.
    pub max_in_flight: Int<1, 100_000>,
    /// Longest JSON object on the TCP hop, and longest message or reply on the ZeroMQ hop, in bytes; a longer one ends
    /// as an error, `too-large`. Set it to the same on requesters, brokers and responders.
    pub max_message_bytes: Int<4_096, { 64 * MIB }>,
    /// Memory for requests and replies, in bytes: those under way, and those kept for a web tier that lost its
    /// connection. When it is full, the requester answers with `overloaded`. At least 8 times `max_message_bytes`.
    pub max_memory_bytes: Int<{ MIB }, { MIB * MIB }>,
}

impl Default for Requester {
    fn default() -> Self {
        Self {
            bind: LOCALHOST,
            port: Int::literal::<5_678>(),
            workers: Int::literal::<3>(),
            arbiters: Int::literal::<1>(),
            responder: Upstream::local(5_432),
            timeout: Span::literal::<10_000>(),
            socket: Socket::default(),
            window: Int::literal::<16>(),
            queue: Int::literal::<1_000>(),
            retry_after: Span::literal::<8_000>(),
            max_attempts: Int::literal::<3>(),
            max_connections: Int::literal::<256>(),
            max_in_flight: Int::literal::<1_024>(),
            max_message_bytes: Int::literal::<MIB>(),
            max_memory_bytes: Int::literal::<{ 48 * MIB }>(),
        }
    }
}

/// The ZeroMQ socket of a requester worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Socket {
    #[default]
    Req,
    Dealer,
}
