//! The settings of the web tier.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Hosts, Int, LOCALHOST, MIB, Port, Span, Upstream};

/// The `[web]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Address on which the HTTP server listens.
    pub bind: IpAddr,
    /// Port of the HTTP server; 0: any free one.
    pub port: Port,
    /// Further host names by which browsers reach this server and the admin server, such as a proxy's name or this
    /// machine's. Pages of these sites may call both servers. A server on a loopback address without `admin.token`
    /// accepts only loopback names and these.
    pub hosts: Option<Hosts>,
    /// HTTP worker threads.
    pub threads: Int<1, 64>,
    /// Threads that the links to requesters share: a link to each requester instance.
    pub arbiters: Int<1, 64>,
    /// Address of the requester tier.
    pub requester: Upstream,
    /// When to connect to the requester tier: at start, or on GET /api/v1/dispatcher/connect.
    pub connect: Connect,
    /// Largest number of requests under way; the web tier answers further ones with 503 and Retry-After.
    pub max_in_flight: Int<1, 100_000>,
    /// Number of ended requests that GET /api/v1/requests/{id} can still return.
    pub keep_requests: Int<1, 100_000>,
    /// Memory for requests and their replies, ended or under way, in bytes. When it is full, the web tier removes the
    /// oldest ended requests, then leaves out bodies of replies, then answers requests with 503. One request may use a
    /// fourth of it. Two further budgets have half this size each: responses that clients are reading, and the page's
    /// data about the whole deployment.
    pub keep_bytes: Int<MIB, { 16_384 * MIB }>,
    /// Most events of the log that GET /api/v1/events can still return, of the last hour, in 512 bytes of memory for each.
    pub keep_events: Int<1, 100_000>,
    /// Longest body of an HTTP request, in bytes.
    pub max_body_bytes: Int<256, { 16 * MIB }>,
    /// Largest number of open HTTP connections, dashboards included; further ones wait until one closes.
    pub max_connections: Int<1, 65_536>,
    /// Largest number of open dashboards (WebSockets); the web tier answers further ones with 503.
    pub max_dashboards: Int<0, 65_536>,
    /// Longest time that the body of an HTTP request may take to arrive; then the web tier answers 408.
    pub body_timeout: Span<100, 600_000>,
    /// The web tier closes the connection of a client that has read nothing for this time.
    pub send_timeout: Span<100, 600_000>,
    /// Shortest time between two batches of WebSocket events.
    pub batch: Span<10, 1_000>,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            bind: LOCALHOST,
            port: Int::literal::<3_000>(),
            hosts: None,
            threads: Int::literal::<1>(),
            arbiters: Int::literal::<1>(),
            requester: Upstream::local(5_678),
            connect: Connect::default(),
            max_in_flight: Int::literal::<1_024>(),
            keep_requests: Int::literal::<1_000>(),
            keep_bytes: Int::literal::<{ 24 * MIB }>(),
            keep_events: Int::literal::<4_000>(),
            max_body_bytes: Int::literal::<65_536>(),
            // More than `max_in_flight` waiting clients and `max_dashboards` together.
            max_connections: Int::literal::<1_200>(),
            max_dashboards: Int::literal::<100>(),
            body_timeout: Span::literal::<5_000>(),
            send_timeout: Span::literal::<30_000>(),
            batch: Span::literal::<50>(),
        }
    }
}

/// When the web tier connects to the requester tier: at start, or on request, as in the article.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connect {
    #[default]
    Auto,
    Manual,
}
