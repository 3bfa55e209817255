//! A deployment and its load, to be simulated.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::FanOut;

/// Most messages in a simulation, which bounds its time and memory.
pub const MAX_MESSAGES: usize = 10_000_000;

/// Most workers of a tier.
pub const MAX_WORKERS: usize = 100_000;

/// How requests arrive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Arrivals {
    /// From so many clients, each of which makes its next request when the last has ended.
    Closed { clients: usize },
    /// So many a second, evenly spaced.
    Constant { rate: f64 },
    /// So many a second, at random.
    Poisson { rate: f64 },
}

/// A deployment and its load. Every instance of a tier is alike, and each responder instance has a broker of its own;
/// where one separate broker serves several, give their workers as one instance's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    pub requester_instances: usize,
    /// Per instance.
    pub requester_workers: usize,
    /// Messages that each requester worker may have in flight: 1 with REQ.
    pub window: usize,
    pub responder_instances: usize,
    /// Per instance.
    pub responder_workers: usize,
    /// Least-busy dispatch: messages wait at the broker for the worker that is free first. Else each worker in turn
    /// gets its own.
    pub shared_queue: bool,
    pub fan_out: FanOut,
    pub arrivals: Arrivals,
    /// Requests that are made, at most.
    pub requests: usize,
    /// No request is made after so many milliseconds. None: until all are made.
    pub duration_ms: Option<f64>,
    /// The share of the requests, the first ones, that does not count: from 0 up to, not including, 1.
    pub warm_up: f64,
    /// Of the arrivals.
    pub seed: u64,
}

/// Why a scenario can't be simulated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScenarioError {
    #[error("nothing to simulate: {0} is 0")]
    None(&'static str),
    #[error("too much to simulate: {what} is {value}, of at most {most}")]
    TooMany { what: &'static str, value: usize, most: usize },
    #[error("{what} is {value}: give {allowed}")]
    Range { what: &'static str, value: f64, allowed: &'static str },
}

impl Scenario {
    pub fn all_requester_workers(&self) -> usize {
        self.requester_instances.saturating_mul(self.requester_workers)
    }

    pub fn all_responder_workers(&self) -> usize {
        self.responder_instances.saturating_mul(self.responder_workers)
    }

    /// How many messages a request is.
    pub fn messages_per_request(&self) -> usize {
        match self.fan_out {
            FanOut::All => self.all_requester_workers(),
            FanOut::One => 1,
        }
    }

    /// Requests a second, whatever becomes of them; None in a closed loop.
    pub fn rate(&self) -> Option<f64> {
        match self.arrivals {
            Arrivals::Closed { .. } => None,
            Arrivals::Constant { rate } | Arrivals::Poisson { rate } => Some(rate),
        }
    }

    /// # Errors
    /// A scenario without workers or requests, beyond the bounds, or with a number out of range.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let clients = match self.arrivals {
            Arrivals::Closed { clients } => clients,
            _ => 1,
        };
        let messages = self.requests.saturating_mul(self.messages_per_request());
        for (what, value, most) in [
            ("requester workers", self.all_requester_workers(), MAX_WORKERS),
            ("responder workers", self.all_responder_workers(), MAX_WORKERS),
            ("window", self.window, usize::MAX),
            ("clients", clients, MAX_MESSAGES),
            ("messages", messages, MAX_MESSAGES),
        ] {
            match value {
                0 => return Err(ScenarioError::None(what)),
                _ if value > most => return Err(ScenarioError::TooMany { what, value, most }),
                _ => {}
            }
        }
        let range = |what, value, allowed, is_right: bool| match is_right {
            true => Ok(()),
            false => Err(ScenarioError::Range { what, value, allowed }),
        };
        if let Some(rate) = self.rate() {
            range("rate", rate, "a number above 0", rate > 0.0 && rate.is_finite())?;
        }
        if let Some(duration) = self.duration_ms {
            range("durationMs", duration, "a number above 0", duration > 0.0)?;
        }
        range("warmUp", self.warm_up, "a share from 0 to below 1", (0.0..1.0).contains(&self.warm_up))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::simulation::scenario;

    #[test]
    fn what_cannot_be_is_an_error_that_says_what() {
        let of = |scenario: Scenario| scenario.check().unwrap_err().to_string();
        for (scenario, error) in [
            (
                Scenario { responder_workers: 0, ..scenario(true, Arrivals::Closed { clients: 1 }) },
                "responder workers is 0",
            ),
            (Scenario { requests: 0, ..scenario(true, Arrivals::Closed { clients: 1 }) }, "messages is 0"),
            (Scenario { window: 0, ..scenario(true, Arrivals::Closed { clients: 1 }) }, "window is 0"),
            (
                Scenario { requester_workers: usize::MAX, ..scenario(true, Arrivals::Closed { clients: 1 }) },
                "of at most 100000",
            ),
            (
                Scenario { requests: 10_000_001, ..scenario(true, Arrivals::Closed { clients: 1 }) },
                "of at most 10000000",
            ),
            (
                Scenario {
                    arrivals: Arrivals::Closed { clients: 0 },
                    ..scenario(true, Arrivals::Closed { clients: 1 })
                },
                "clients is 0",
            ),
            (
                Scenario {
                    arrivals: Arrivals::Poisson { rate: f64::NAN },
                    ..scenario(true, Arrivals::Closed { clients: 1 })
                },
                "rate is NaN",
            ),
            (
                Scenario {
                    arrivals: Arrivals::Constant { rate: 0.0 },
                    ..scenario(true, Arrivals::Closed { clients: 1 })
                },
                "rate is 0",
            ),
            (Scenario { duration_ms: Some(0.0), ..scenario(true, Arrivals::Closed { clients: 1 }) }, "durationMs is 0"),
            (Scenario { warm_up: 1.0, ..scenario(true, Arrivals::Closed { clients: 1 }) }, "warmUp is 1"),
        ] {
            assert!(of(scenario).contains(error), "{error}");
        }
    }
}
