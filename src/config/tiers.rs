//! The sections of the tiers: web, requester, broker, responder, and the task a responder does.

use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BindUrl, BrokerUrl, Hosts, Int, LOCALHOST, Port, Shape, Span, Upstream};
use crate::wire::{Delay, DelayShape, Dispatch, TaskName};

const MIB: u64 = 1 << 20;

/// What a message or reply has besides the request's own fields or the task's output, in bytes: ids, times, names.
pub const AROUND_BYTES: u64 = 1_024;

/// The most bytes of JSON that a byte of text becomes: a control character is `\u0000`.
pub const MAX_ESCAPED: u64 = 6;

/// The `[web]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Address on which the HTTP server listens.
    pub bind: IpAddr,
    /// Port of the HTTP server; 0: any free one.
    pub port: Port,
    /// Further names by which browsers call this server and the admin server: a proxy's, or this machine's own. Pages
    /// of these sites may call both servers. A server on a loopback address without `admin.token` answers only to
    /// loopback names and to these.
    pub hosts: Option<Hosts>,
    /// HTTP worker threads.
    pub threads: Int<1, 64>,
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
    /// fourth. Two further areas have half this size each: answers that clients are reading, and the page's data on the
    /// whole deployment.
    pub keep_bytes: Int<MIB, { 16_384 * MIB }>,
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
            requester: Upstream::local(5_678),
            connect: Connect::default(),
            max_in_flight: Int::literal::<1_024>(),
            keep_requests: Int::literal::<1_000>(),
            keep_bytes: Int::literal::<{ 24 * MIB }>(),
            max_body_bytes: Int::literal::<65_536>(),
            // More than `max_in_flight` clients that wait and `max_dashboards` together.
            max_connections: Int::literal::<1_200>(),
            max_dashboards: Int::literal::<100>(),
            body_timeout: Span::literal::<5_000>(),
            send_timeout: Span::literal::<30_000>(),
            batch: Span::literal::<50>(),
        }
    }
}

/// When the web tier connects to the requester tier: at start, or when told to, as in the article.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connect {
    #[default]
    Auto,
    Manual,
}

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
    /// Last resort: the worker sends a message again when it has no reply after this time and its deadline is later. It
    /// notices a lost connection, and a broker a lost worker, without it; only a separate `round-robin` broker can lose
    /// a worker, and its messages, unnoticed.
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
            retry_after: Span::literal::<30_000>(),
            max_attempts: Int::literal::<3>(),
            max_connections: Int::literal::<256>(),
            max_in_flight: Int::literal::<1_024>(),
            max_message_bytes: Int::literal::<MIB>(),
            max_memory_bytes: Int::literal::<{ 48 * MIB }>(),
        }
    }
}

/// The ZeroMQ socket of a requester worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Socket {
    #[default]
    Req,
    Dealer,
}

/// The `[broker]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// Address on which the broker's ROUTER socket listens for requesters.
    pub bind: IpAddr,
    /// Port of the ROUTER socket; 0: any free one.
    pub port: Port,
    /// Threads of the broker.
    pub arbiters: Int<1, 64>,
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
            arbiters: Int::literal::<1>(),
            dispatch: Dispatch::default(),
            queue: Int::literal::<10_000>(),
            queue_bytes: Int::literal::<{ 32 * MIB }>(),
            forget_after: Span::literal::<60_000>(),
            backend: None,
        }
    }
}

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

/// The `[task]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskSettings {
    /// Task of a message without `task`.
    pub name: TaskName,
    /// The only folder that the file task reads. It never reads names that begin with a dot, nor the program's own
    /// settings, secrets and experiments. If the folder is missing at start, the responder looks for it again at each
    /// read.
    pub root: PathBuf,
    /// File that the task reads for a message without `filename`, relative to `root`. If `root` has no `target.txt`, it
    /// reads the one built into the program.
    pub file: PathBuf,
    /// Longest file that the task reads, in bytes. One byte can take six in JSON: `requester.max_message_bytes` must
    /// allow that.
    pub max_file_bytes: Int<1, { 16 * MIB }>,
    /// Largest number of hashing rounds that a message may ask for; everybody who reaches the web tier may ask. A
    /// million rounds took 0.1 s on a desktop's core; a small machine takes several times as long.
    pub max_cpu_rounds: Int<1, 1_000_000_000>,
    /// The wait before each task, in place of real work.
    pub delay: DelaySettings,
}

impl Default for TaskSettings {
    fn default() -> Self {
        Self {
            name: TaskName::default(),
            root: PathBuf::from("files"),
            file: PathBuf::from("target.txt"),
            max_file_bytes: Int::literal::<163_840>(),
            max_cpu_rounds: Int::literal::<1_000_000>(),
            delay: DelaySettings::default(),
        }
    }
}

/// The `[task.delay]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DelaySettings {
    /// Distribution of the delay.
    pub kind: DelayShape,
    /// Shortest delay of `uniform`.
    pub min: Span<0, 600_000>,
    /// Longest delay of `uniform`; not below `min`.
    pub max: Span<0, 600_000>,
    /// The delay of `fixed`; the mean of `exponential` and `log-normal`.
    pub mean: Span<0, 600_000>,
    /// Shape of `log-normal`: the larger, the longer the tail.
    pub sigma: Shape,
    /// Longest delay drawn from `exponential` and `log-normal`.
    pub cap: Span<0, 600_000>,
    /// With a seed, each worker draws the same delays at every start; workers with another index or `instance.slot`
    /// draw different ones. None: different delays at every start.
    pub seed: Option<Int<0, { u64::MAX }>>,
}

impl Default for DelaySettings {
    fn default() -> Self {
        Self {
            kind: DelayShape::default(),
            min: Span::literal::<1_000>(),
            max: Span::literal::<3_000>(),
            mean: Span::literal::<2_000>(),
            sigma: Shape::MODERATE,
            cap: Span::literal::<60_000>(),
            seed: None,
        }
    }
}

impl From<&DelaySettings> for Delay {
    fn from(settings: &DelaySettings) -> Self {
        let [min, max, mean, cap] = [settings.min, settings.max, settings.mean, settings.cap].map(Span::get);
        Self { kind: settings.kind, min, max, mean, sigma: settings.sigma.get(), cap: Some(cap) }
    }
}
