//! The root of all settings, and the sections that all tiers share. Each tier's own sections are in a file of its name.
//!
//! The field comments are the reference's text (`docs/configuration.md`); ranges and defaults are added there from the
//! types and from `Default`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Broker, CurveKey, Int, Port, Requester, Responder, Secret, Span, TaskSettings, Upstream, Web};

/// The settings of one process.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Identity of this process. A stack file fills these from Docker's templates.
    pub instance: Instance,
    /// The web tier: the page, the API, the WebSocket.
    pub web: Web,
    /// The requester tier: the socket master and its workers.
    pub requester: Requester,
    /// The broker inside a responder, or in its own process.
    pub broker: Broker,
    /// The responder tier's workers.
    pub responder: Responder,
    /// What a responder does with a message.
    pub task: TaskSettings,
    /// How the supervisor restarts workers that died.
    pub supervision: Supervision,
    /// How an instance finds the other tiers, and notices their loss.
    pub discovery: Discovery,
    /// Encryption and authentication of ZeroMQ connections. Set the same key on every instance.
    pub curve: Curve,
    /// What instances report to the dashboard.
    pub telemetry: Telemetry,
    /// The small HTTP server of each instance: health, metrics, control.
    pub admin: Admin,
    /// Experiments started on the dashboard.
    pub experiments: Experiments,
    /// The process's log.
    pub log: Log,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// Folder of the configuration files; not a setting itself.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// The loopback address: only this machine reaches it.
pub const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The `[instance]` section.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Instance {
    /// Name of this instance, unique in the swarm. None: the tier's name and eight random hex digits, made at start.
    pub id: Option<String>,
    /// Node it runs on. None: the host's name.
    pub node: Option<String>,
    /// Service it belongs to. None: the tier's name.
    pub service: Option<String>,
    /// Its slot in the service; in a global service, the node's id.
    pub slot: Option<String>,
    /// Version that the page shows for it, such as the image's. None: the program's version.
    pub version: Option<String>,
}

/// The `[supervision]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Supervision {
    /// Number of restarts allowed within `period`, for each pool of workers and for the links of a web tier; one more ends the
    /// process.
    pub restarts: Int<0, 10_000>,
    /// Time over which restarts are counted.
    pub period: Span<100, 3_600_000>,
    /// Wait before the first restart, and before the first reconnect of a lost connection; it doubles from there.
    pub backoff_min: Span<1, 300_000>,
    /// Longest wait before a restart or a reconnect; not below `backoff_min`.
    pub backoff_max: Span<1, 300_000>,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            restarts: Int::literal::<10>(),
            period: Span::literal::<30_000>(),
            backoff_min: Span::literal::<50>(),
            backoff_max: Span::literal::<5_000>(),
        }
    }
}

/// The `[discovery]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Discovery {
    /// Time between two look-ups of an upstream's name.
    pub interval: Span<50, 60_000>,
    /// Longest wait for a connection to open.
    pub connect_timeout: Span<10, 60_000>,
    /// Time between two ZMTP heartbeats.
    pub heartbeat: Span<10, 60_000>,
    /// A connection on which nothing arrives for this time counts as lost; above `heartbeat`.
    pub heartbeat_timeout: Span<10, 300_000>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            interval: Span::literal::<1_000>(),
            connect_timeout: Span::literal::<2_000>(),
            heartbeat: Span::literal::<1_000>(),
            heartbeat_timeout: Span::literal::<2_000>(),
        }
    }
}

/// The `[curve]` section.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Curve {
    /// The deployment's key: ZeroMQ connections are encrypted, and only programs with this key can connect. None: every
    /// program that reaches the ZeroMQ ports can connect, as in the article.
    pub key: Option<CurveKey>,
    /// File to read `key` from, such as a Docker secret; not together with `key`.
    pub key_file: Option<PathBuf>,
}

/// The `[telemetry]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Address on which the web tier's SUB socket listens.
    pub bind: IpAddr,
    /// Port of the web tier's SUB socket; 0: any free one.
    pub port: Port,
    /// Address of the web tier's SUB sockets, to which each instance connects.
    pub web: Upstream,
    /// Time between two snapshots of an instance.
    pub interval: Span<50, 60_000>,
    /// Largest number of per-message events that an instance sends in a second; it leaves out further ones and counts
    /// them.
    pub events_per_second: Int<0, 100_000>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            bind: LOCALHOST,
            port: Int::literal::<5_680>(),
            web: Upstream::local(5_680),
            interval: Span::literal::<500>(),
            events_per_second: Int::literal::<500>(),
        }
    }
}

/// The `[admin]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address on which the admin server listens.
    pub bind: IpAddr,
    /// Port of the admin server; 0: any free one. None: 9090 for the web tier or all tiers in one process, 9091 for a
    /// requester, 9092 for a responder, 9093 for a broker.
    pub port: Option<Port>,
    /// Bearer token that each control call must carry, and key of the proof that telemetry must carry; set the same on
    /// every instance. None: control calls are open if both servers listen on loopback addresses, and refused
    /// otherwise.
    pub token: Option<Secret>,
    /// File to read `token` from, such as a Docker secret; not together with `token`.
    pub token_file: Option<PathBuf>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { bind: LOCALHOST, port: None, token: None, token_file: None }
    }
}

/// The `[experiments]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Experiments {
    /// Folder in which the web tier keeps a folder for each run. In a container, mount a volume there.
    pub dir: PathBuf,
}

impl Default for Experiments {
    fn default() -> Self {
        Self { dir: PathBuf::from("experiments") }
    }
}

/// The `[log]` section.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Least severe level that is written.
    pub level: LogLevel,
    /// Lines for people on stderr (`terminal`), or JSON on stdout (`json`); `auto`: `terminal` if stdout is a terminal,
    /// else `json`.
    pub format: LogFormat,
}

/// Severity of a log line, slog's six levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    #[serde(alias = "warn")]
    Warning,
    Error,
    Critical,
}

/// How log lines look, and where they go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    #[default]
    Auto,
    Terminal,
    Json,
}

/// The `[shutdown]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// Time that messages in flight have to end after SIGTERM; then the process ends without them. Keep it below
    /// Docker's grace period.
    pub deadline: Span<0, 3_600_000>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { deadline: Span::literal::<10_000>() }
    }
}
