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

/// Distribution of the delay before each task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DelayShape {
    None,
    Fixed,
    #[default]
    Uniform,
    Exponential,
    LogNormal,
}

impl DelayShape {
    /// The name in settings, plans and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fixed => "fixed",
            Self::Uniform => "uniform",
            Self::Exponential => "exponential",
            Self::LogNormal => "log-normal",
        }
    }
}

/// The delay before each task. Times in milliseconds, up to ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DelayView {
    pub kind: DelayShape,
    /// Minimum of `uniform`.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 600_000)]
    pub min_ms: u64,
    /// Maximum of `uniform`.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 600_000)]
    pub max_ms: u64,
    /// The delay of `fixed`; the mean of `exponential` and `log-normal`.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 600_000)]
    pub mean_ms: u64,
    /// Shape of `log-normal`, above 0 and up to 3.
    pub sigma: f64,
}

impl DelayView {
    /// The mean of the distribution, in milliseconds, without the cap of the exponential and log-normal distributions.
    pub fn average_ms(&self) -> f64 {
        match self.kind {
            DelayShape::None => 0.0,
            DelayShape::Uniform => (self.min_ms as f64).midpoint(self.max_ms as f64),
            DelayShape::Fixed | DelayShape::Exponential | DelayShape::LogNormal => self.mean_ms as f64,
        }
    }

    /// The squared coefficient of variation, variance / mean^2, of the uncapped distribution: 0 for a fixed delay, 1
    /// for the exponential distribution.
    pub fn variability(&self) -> f64 {
        match self.kind {
            DelayShape::None | DelayShape::Fixed => 0.0,
            DelayShape::Uniform if self.max_ms == 0 => 0.0,
            DelayShape::Uniform => (self.max_ms as f64 - self.min_ms as f64).powi(2) / 12.0 / self.average_ms().powi(2),
            DelayShape::Exponential => 1.0,
            DelayShape::LogNormal => (self.sigma * self.sigma).exp_m1(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_distributions() {
        for (kind, mean, variability) in [
            (DelayShape::None, 0.0, 0.0),
            (DelayShape::Fixed, 1_000.0, 0.0),
            (DelayShape::Uniform, 2_000.0, 1.0 / 12.0),
            (DelayShape::Exponential, 1_000.0, 1.0),
            (DelayShape::LogNormal, 1_000.0, 0.25_f64.exp() - 1.0),
        ] {
            let delay = DelayView { kind, min_ms: 1_000, max_ms: 3_000, mean_ms: 1_000, sigma: 0.5 };
            assert_eq!(delay.average_ms(), mean);
            assert!((delay.variability() - variability).abs() < 1e-12, "{kind:?}");
        }
        let zero = DelayView { kind: DelayShape::Uniform, min_ms: 0, max_ms: 0, mean_ms: 0, sigma: 0.5 };
        assert_eq!((zero.average_ms(), zero.variability()), (0.0, 0.0));
    }
}
