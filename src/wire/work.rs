//! Settings of responders and brokers that the page shows and changes at runtime: task, dispatch, delay and faults.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::whole;

/// What a responder does with a message: reads a file, sends the message back, or hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskName {
    #[default]
    File,
    Echo,
    Cpu,
}

impl TaskName {
    /// Every name.
    pub const ALL: [Self; 3] = [Self::File, Self::Echo, Self::Cpu];

    /// The name in settings, messages and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Echo => "echo",
            Self::Cpu => "cpu",
        }
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How the broker chooses a worker: each in turn, or one that is idle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dispatch {
    #[default]
    RoundRobin,
    LeastBusy,
}

impl Dispatch {
    /// The name in settings, on the page and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastBusy => "least-busy",
        }
    }
}

/// The faults that a responder injects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Faults {
    /// Share of the messages that get an error reply, from 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pub error_rate: f64,
    /// Additional time of each message, in milliseconds, up to ten minutes.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 600_000)]
    pub extra_latency_ms: u64,
    /// Every message gets an error reply, while the responder still reports that it is healthy.
    pub failing: bool,
}

impl Faults {
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}
