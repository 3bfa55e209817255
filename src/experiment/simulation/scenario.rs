//! The input of a simulation: a deployment and its load.

use std::ops::Range;

use crate::wire::FanOut;

/// Maximum messages of a simulation, which bounds its time and memory.
pub const MAX_MESSAGES: usize = 10_000_000;

/// Maximum workers of a tier.
pub const MAX_WORKERS: usize = 100_000;

/// How requests arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// A closed loop: each client makes its next request when its last one has ended, after an exponentially distributed
    /// think time with the mean `think_ms`, in milliseconds.
    Closed { clients: usize, think_ms: f64 },
    /// Evenly spaced; `rate` in requests per second.
    Constant { rate: f64 },
    /// A Poisson process; `rate` in requests per second.
    Poisson { rate: f64 },
}

impl Arrivals {
    /// A closed loop without think time.
    pub fn closed(clients: usize) -> Self {
        Self::Closed { clients, think_ms: 0.0 }
    }
}

/// A deployment and its load. All instances of a tier are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    pub requester_instances: usize,
    /// Workers per instance.
    pub requester_workers: usize,
    /// Maximum messages in flight of each requester worker: 1 with REQ.
    pub window: usize,
    pub responder_instances: usize,
    /// Workers per instance.
    pub responder_workers: usize,
    /// Brokers that are no responder instance's own: each deals to all workers. 0: each responder instance has its own broker.
    pub brokers_apart: usize,
    /// True for least-busy dispatch: messages wait at the broker for the first free worker. False for round-robin.
    pub shared_queue: bool,
    pub fan_out: FanOut,
    pub arrivals: Arrivals,
    /// Maximum number of requests, which bounds time and memory.
    pub requests: usize,
    /// Time after which no request is made, in milliseconds. None: no limit.
    pub duration_ms: Option<f64>,
    /// Time at the beginning that is not measured, in milliseconds.
    pub warm_up_ms: f64,
    /// Maximum number of requests after the warm-up. None: no limit.
    pub count: Option<usize>,
    /// Seed of the arrivals.
    pub seed: u64,
}

/// Why a scenario can't be simulated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScenarioError {
    #[error("nothing to simulate: {0} is 0")]
    None(&'static str),
    #[error("too much to simulate: {what} is {value}, and at most {most} are allowed")]
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

    pub fn brokers(&self) -> usize {
        if self.brokers_apart > 0 { self.brokers_apart } else { self.responder_instances }
    }

    /// The workers that a broker deals to.
    pub fn workers_of(&self, broker: usize) -> Range<usize> {
        let own = self.responder_workers;
        if self.brokers_apart > 0 { 0..self.all_responder_workers() } else { broker * own..(broker + 1) * own }
    }

    /// Messages of a request.
    pub fn messages_per_request(&self) -> usize {
        match self.fan_out {
            FanOut::All => self.all_requester_workers(),
            FanOut::One => 1,
        }
    }

    /// Offered requests per second; `None` in a closed loop.
    pub fn rate(&self) -> Option<f64> {
        match self.arrivals {
            Arrivals::Closed { .. } => None,
            Arrivals::Constant { rate } | Arrivals::Poisson { rate } => Some(rate),
        }
    }

    /// # Errors
    /// A scenario without workers or requests, beyond the bounds, or with a number out of range.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let (clients, think_ms) = match self.arrivals {
            Arrivals::Closed { clients, think_ms } => (clients, think_ms),
            Arrivals::Constant { .. } | Arrivals::Poisson { .. } => (1, 0.0),
        };
        let messages = self.requests.saturating_mul(self.messages_per_request());
        for (what, value, most) in [
            ("requester workers", self.all_requester_workers(), MAX_WORKERS),
            ("responder workers", self.all_responder_workers(), MAX_WORKERS),
            ("brokers", self.brokers(), MAX_WORKERS),
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
        range("thinkMs", think_ms, "a number of 0 or more", think_ms >= 0.0 && think_ms.is_finite())?;
        if let Some(duration) = self.duration_ms {
            range("durationMs", duration, "a number above 0", duration > 0.0)?;
        }
        range(
            "warmUpMs",
            self.warm_up_ms,
            "a number of 0 or more",
            self.warm_up_ms >= 0.0 && self.warm_up_ms.is_finite(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::simulation::scenario;

    #[test]
    fn invalid_scenarios_are_errors_with_the_reason() {
        let of = |scenario: Scenario| scenario.check().unwrap_err().to_string();
        for (scenario, error) in [
            (Scenario { responder_workers: 0, ..scenario(true, Arrivals::closed(1)) }, "responder workers is 0"),
            (Scenario { requests: 0, ..scenario(true, Arrivals::closed(1)) }, "messages is 0"),
            (Scenario { window: 0, ..scenario(true, Arrivals::closed(1)) }, "window is 0"),
            (Scenario { requester_workers: usize::MAX, ..scenario(true, Arrivals::closed(1)) }, "at most 100000"),
            (Scenario { requests: 10_000_001, ..scenario(true, Arrivals::closed(1)) }, "at most 10000000"),
            (Scenario { arrivals: Arrivals::closed(0), ..scenario(true, Arrivals::closed(1)) }, "clients is 0"),
            (
                Scenario { arrivals: Arrivals::Poisson { rate: f64::NAN }, ..scenario(true, Arrivals::closed(1)) },
                "rate is NaN",
            ),
            (
                Scenario { arrivals: Arrivals::Constant { rate: 0.0 }, ..scenario(true, Arrivals::closed(1)) },
                "rate is 0",
            ),
            (scenario(true, Arrivals::Closed { clients: 1, think_ms: -1.0 }), "thinkMs is -1"),
            (Scenario { duration_ms: Some(0.0), ..scenario(true, Arrivals::closed(1)) }, "durationMs is 0"),
            (Scenario { warm_up_ms: -1.0, ..scenario(true, Arrivals::closed(1)) }, "warmUpMs is -1"),
        ] {
            assert!(of(scenario).contains(error), "{error}");
        }
    }
}
