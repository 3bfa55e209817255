//! The sections of the tiers: web, requester, broker, responder, and the task a responder does.

use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BindUrl, BrokerUrl, Hosts, Int, LOCALHOST, Port, Shape, Span, Upstream};
use crate::wire::{DelayShape, Dispatch, TaskName};

const MIB: u64 = 1 << 20;

/// What a message or reply has besides the request's own fields or the task's output, in bytes: ids, times, names.
pub const AROUND_BYTES: u64 = 1_024;

/// The most bytes of JSON that a byte of text becomes: a control character is `\u0000`.
pub const MOST_ESCAPED: u64 = 6;

/// The `[web]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Address on which the HTTP server listens.
    pub bind: IpAddr,
    /// Port of the HTTP server; 0: any free one.
    pub port: Port,
    /// Further names by which this server, and the admin server, are called: a proxy's, or this machine's own. Pages there
    /// may call them, and they answer to these names where they listen on a loopback address without `admin.token`, which
    /// they else do to loopback names alone.
    pub hosts: Option<Hosts>,
    /// HTTP worker threads.
    pub threads: Int<1, 64>,
    /// Where the requester tier is found.
    pub requester: Upstream,
    /// When to connect to the requester tier: at start, or on GET /api/v1/dispatcher/connect.
    pub connect: Connect,
    /// Requests without an outcome at one time; more are answered 503 with Retry-After.
    pub max_in_flight: Int<1, 100_000>,
    /// Finished requests kept for GET /api/v1/requests/{id}.
    pub keep_requests: Int<1, 100_000>,
    /// Memory for requests and their replies, kept or under way, in bytes. Without room the oldest finished ones are
    /// forgotten, then bodies of replies left out, then requests answered 503. A request may have a fourth of it. Half as much
    /// again is for answers that clients are reading, and half for what the page shows of the whole deployment.
    pub keep_bytes: Int<MIB, { 16_384 * MIB }>,
    /// Longest body of a request, in bytes.
    pub max_body_bytes: Int<256, { 16 * MIB }>,
    /// HTTP connections at one time, dashboards among them; more wait to be taken.
    pub max_connections: Int<1, 65_536>,
    /// Dashboards (WebSockets) at one time; more are answered 503.
    pub max_dashboards: Int<0, 65_536>,
    /// Time for the body of a request to come; then it is answered 408.
    pub body_timeout: Span<100, 600_000>,
    /// A client that reads nothing of what it is sent for so long is dropped.
    pub send_timeout: Span<100, 600_000>,
    /// Time between two sendings of WebSocket events.
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
    /// Requester workers.
    pub workers: Int<0, 10_000>,
    /// Threads that the workers share.
    pub arbiters: Int<1, 64>,
    /// Where the brokers are found.
    pub responder: Upstream,
    /// Time a message has until its reply, unless it brings a timeout of its own.
    pub timeout: Span<1, 3_600_000>,
    /// ZeroMQ socket of a worker: `req` waits for each reply, `dealer` has `window` messages in flight.
    pub socket: Socket,
    /// Messages in flight per worker, with `socket = "dealer"` only.
    pub window: Int<1, 10_000>,
    /// Messages waiting per worker; more are answered `overloaded`.
    pub queue: Int<1, 1_000_000>,
    /// A message without a reply for so long is sent again, if its deadline allows.
    pub retry_after: Span<10, 3_600_000>,
    /// Sendings of one message, the first included.
    pub max_attempts: Int<1, 100>,
    /// TCP connections at one time. When there are as many, an idle one gives its place to who comes.
    pub max_connections: Int<1, 65_536>,
    /// Requests under way on one TCP connection; then no more are read from it. Not below the web tier's
    /// `max_in_flight`.
    pub max_in_flight: Int<1, 100_000>,
    /// Longest JSON object on the TCP hop, and message or reply on the ZeroMQ hop, in bytes; a longer one is answered
    /// `too-large`. The same for requesters, brokers and responders.
    pub max_message_bytes: Int<4_096, { 64 * MIB }>,
    /// Most bytes of requests and replies in memory: those under way, and those kept for a web tier that lost its
    /// connection. More are answered `overloaded`. At least 8 times `max_message_bytes`.
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
            retry_after: Span::literal::<5_000>(),
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
    /// Which worker gets the next message: each in turn, or the one with the fewest in flight.
    pub dispatch: Dispatch,
    /// Messages at the broker and its workers; more are answered `overloaded`.
    pub queue: Int<1, 1_000_000>,
    /// Bytes of the messages at the broker and its workers, each with some room for its frames; more are answered
    /// `overloaded`. As much again may wait for requesters that do not read their replies.
    pub queue_bytes: Int<65_536, { 64 << 30 }>,
    /// A message whose worker has not answered for so long is forgotten, and counts as a timeout.
    pub forget_after: Span<1_000, 3_600_000>,
    /// Where a separate broker (`swarmq broker`) listens for workers. None: tcp://127.0.0.1:5433.
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
    /// Responder workers. A ZeroMQ context holds 1,023 sockets: for more, run more instances.
    pub workers: Int<0, 1_000>,
    /// Threads that the workers share.
    pub arbiters: Int<1, 64>,
    /// Threads per arbiter for reading files and hashing.
    pub blocking_threads: Int<1, 64>,
    /// A broker elsewhere to work for. None: this process holds the broker.
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
    /// Task of a message that names none.
    pub name: TaskName,
    /// The only folder that the file task reads. Names that begin with a dot, and the program's own settings, secrets and
    /// experiments, are not read there either. One that is not there is looked for again at each read.
    pub root: PathBuf,
    /// File read for a message without `filename`, relative to `root`. Where `root` has no `target.txt`, the one that
    /// comes with the program is read.
    pub file: PathBuf,
    /// Longest file that is read, in bytes. As JSON a byte can take six: `requester.max_message_bytes` must allow that.
    pub max_file_bytes: Int<1, { 16 * MIB }>,
    /// Most rounds of hashing that a message may ask for: whoever reaches the web tier may ask. A million took 0.1 s of a core
    /// where it was measured, a desktop's; a small machine takes several times as long.
    pub max_cpu_rounds: Int<1, 1_000_000_000>,
    /// The wait before each task, which stands for work.
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
    /// The same seed draws the same sequence in each worker again; workers of other places and other slots have others.
    /// None: new sequences at each start.
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
