//! What an experiment found: written after every trial, read by reports, comparisons and the page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Machine, Steadiness};
use crate::experiment::plan::Plan;
use crate::wire::{Hop, Latency, Ledger, OutcomeCounts, Tier};

/// The form of `results.json`. Fields may be added under one name; anything else changes the number.
pub const SCHEMA: &str = "swarmq-results/1";

/// A run of a plan, so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    pub schema: String,
    pub plan: Plan,
    pub environment: Environment,
    /// Milliseconds since the epoch.
    pub started_at: u64,
    /// When the last trial ended; none while some are left.
    pub finished_at: Option<u64>,
    /// In the order they ran.
    pub trials: Vec<TrialResult>,
    /// Where the run was resumed in another environment: trials that began later were measured in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<Resumed>,
}

/// A run that was resumed in an environment other than the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resumed {
    /// Milliseconds since the epoch.
    pub at: u64,
    pub environment: Environment,
    /// From the environment before, such as `version: 1.0.0 against 1.1.0`.
    pub differences: Vec<String>,
}

impl Results {
    /// Adds a trial; one of the same number is replaced.
    pub fn add(&mut self, trial: TrialResult) {
        self.trials.retain(|known| known.number != trial.number);
        self.trials.push(trial);
    }
}

/// What the figures were measured on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Of swarmq.
    pub version: String,
    /// The commit that swarmq was built from, if `SWARMQ_COMMIT` told it to the build; otherwise empty.
    #[serde(default)]
    pub commit: String,
    /// `release` or `debug`.
    #[serde(default)]
    pub build: String,
    /// The host that made the load.
    pub host: String,
    /// Operating system and kernel.
    pub system: String,
    pub architecture: String,
    /// The processor says that it is a hypervisor's.
    #[serde(default)]
    pub is_virtual: bool,
    pub processor: String,
    pub cores: usize,
    /// What sets the processor's frequency; empty where the kernel does not tell it.
    #[serde(default)]
    pub governor: String,
    /// True if the processor may exceed its nominal frequency (turbo). None if the kernel does not report it.
    #[serde(default)]
    #[schema(required)]
    pub turbo: Option<bool>,
    /// The command line of this process, its secrets hidden. Trials' deployments read no settings from the environment.
    #[serde(default)]
    pub command: Vec<String>,
    pub memory_bytes: u64,
    /// Cores that the control group of this process may use.
    #[serde(default)]
    #[schema(required)]
    pub cpu_limit: Option<f64>,
    #[serde(default)]
    #[schema(required)]
    pub memory_limit_bytes: Option<u64>,
    /// Load average of the last minute, when the experiment began: above 0 on a machine that has other work.
    pub load_average: f64,
    /// Nodes of the deployment, as of the last trial.
    pub nodes: Vec<String>,
}

/// One trial's figures. Only requests whose time to be sent was after the warm-up count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialResult {
    /// Place in the plan's order.
    pub number: usize,
    /// Index of the plan's cell.
    pub cell: usize,
    pub repetition: u32,
    /// Milliseconds since the epoch.
    pub started_at: u64,
    /// Why the trial failed or is not valid.
    pub problem: Option<String>,
    /// Milliseconds of load that counted.
    pub measured_ms: f64,
    pub requests: RequestCounts,
    /// Of all messages of the requests that count.
    pub messages: OutcomeCounts,
    /// Requests that ended with all of their replies while the load counted, each second.
    pub requests_per_s: f64,
    /// Messages that had a response in requests that ended while the load counted, each second.
    pub messages_per_s: f64,
    /// Of whole requests with all of their replies, from the intended start to the last reply.
    pub latency: Latency,
    /// The same at more points, for charts.
    pub percentiles: Vec<Percentile>,
    /// Of single messages, where their time went, by what each reply tells.
    pub hops: BTreeMap<Hop, Latency>,
    pub shares: Shares,
    /// Errors by their code or message, with how many there were.
    pub errors: BTreeMap<String, u64>,
    pub usage: Vec<TierUsage>,
    pub ledger: LedgerVerdict,
    pub generator: Generator,
    #[serde(default)]
    pub steadiness: Option<Steadiness>,
    /// The machine that made the load, while it measured.
    #[serde(default)]
    pub machine: Option<Machine>,
}

/// What became of the requests that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestCounts {
    pub sent: u64,
    /// Ended with all replies, none of them an error.
    pub complete: u64,
    /// Ended with an error or a timeout among the replies, or without any.
    pub failed: u64,
    /// Not taken on by the web tier: overloaded.
    pub refused: u64,
}

/// A point of the latency's distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Percentile {
    /// 0 to 1.
    pub share: f64,
    pub us: u64,
}

/// Who answered how many messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shares {
    /// By responder worker.
    pub responders: BTreeMap<String, u64>,
    /// By host.
    pub nodes: BTreeMap<String, u64>,
}

/// What the processes of one tier used while the load counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TierUsage {
    /// The tiers of the processes: one, or all.
    pub tiers: Vec<Tier>,
    pub processes: usize,
    /// Milliseconds of processor time of all of them, for the messages that count; without that of the load generator
    /// where that shares a process.
    pub cpu_ms: f64,
    /// Processor time for each message, in microseconds.
    pub cpu_us_per_message: f64,
    /// Resident memory of all of them at the end, in bytes.
    pub resident_bytes: u64,
}

/// Whether every message has one outcome, by the deployment's own count and by the load generator's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerVerdict {
    /// Counted during the trial, the warm-up included, by tier.
    pub tiers: BTreeMap<Tier, Ledger>,
    /// Messages of the load generator, the warm-up included.
    pub client_messages: u64,
    pub balanced: bool,
    /// What does not balance.
    pub reason: Option<String>,
}

/// How the load generator kept up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generator {
    /// Requests that the load wanted; for a closed loop, those sent.
    pub intended: u64,
    /// Requests that were never sent: too many were under way.
    pub unsent: u64,
    /// From a request's intended start until it was sent.
    pub lag: Latency,
    /// The load was not what was asked for, so that the trial says more of the generator than of the deployment.
    pub behind: bool,
    /// Milliseconds of processor time.
    pub cpu_ms: f64,
}
