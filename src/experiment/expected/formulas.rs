//! Selects the formulas of queueing theory that fit a scenario, to check the simulation.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;
use utoipa::ToSchema;

use super::queueing;
use crate::experiment::simulation::{Arrivals, Scenario, Simulated};
use crate::wire::{Delay, DelayShape};

/// A mean wait below this share of the mean service time counts as 0.
const NEGLIGIBLE: f64 = 0.001;

/// Maximum squared coefficient of variation of the service time for an approximation.
const MAX_VARIABLE: f64 = 2.0;

/// Probability that chance alone makes a formula and a right simulation disagree.
const SIGNIFICANCE: f64 = 0.001;

/// Maximum difference between a formula and its simulation without a warning, as a share of the formula.
const TOLERANCE: f64 = 0.01;

/// The figure that a formula gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// A message's mean wait, in milliseconds.
    MeanWait,
    /// A request's mean latency, in milliseconds.
    MeanLatency,
    /// Messages per second.
    Throughput,
}

/// A figure by formula, with the simulated one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Formula {
    /// Such as `M/M/c`.
    pub name: String,
    pub measure: Measure,
    pub value: f64,
    /// The mean of the simulated trials.
    pub simulated: f64,
    /// Standard error of that mean; 0 for one trial.
    #[serde(default)]
    pub standard_error: f64,
    /// False for an approximation.
    pub exact: bool,
    /// Formula and simulation differ by more than chance, and by more than 1 %.
    #[serde(default)]
    pub disagrees: bool,
}

impl Formula {
    /// The formula with the figures of several simulated trials. `resolution` is the smallest step of a trial's figure.
    pub(super) fn pooled(&self, simulated: &[f64], resolution: f64) -> Self {
        let count = simulated.len() as f64;
        let mean = simulated.mean();
        let standard_error = if count > 1.0 { simulated.std_dev() / count.sqrt() } else { 0.0 };
        let student = StudentsT::new(0.0, 1.0, count - 1.0).ok().filter(|_| count > 2.0);
        let chance = student.map(|student| student.inverse_cdf(1.0 - SIGNIFICANCE / 2.0) * standard_error);
        let tolerated = resolution.max(TOLERANCE * self.value);
        let differs = |chance: f64| (mean - self.value).abs() > chance + tolerated;
        let disagrees = self.exact && chance.is_some_and(differs);
        Self { simulated: mean, standard_error, disagrees, ..self.clone() }
    }
}

/// The formulas that fit a scenario, each with the simulated figure.
pub(super) fn formulas(scenario: &Scenario, delay: &Delay, simulated: &Simulated) -> Vec<Formula> {
    let case = Case { scenario, delay, simulated };
    let fitting = [case.fan_out(), case.wait(), case.closed_loop()].into_iter().flatten();
    fitting
        .filter_map(|(name, measure, value, exact)| {
            let simulated = match measure {
                Measure::MeanWait => simulated.mean_wait_ms(),
                Measure::MeanLatency => simulated.mean_latency_ms(),
                Measure::Throughput => simulated.messages_per_s()?,
            };
            Some(Formula { name, measure, value, simulated, standard_error: 0.0, exact, disagrees: false })
        })
        .collect()
}

/// Name, measure, value, and whether the formula is exact.
type Candidate = Option<(String, Measure, f64, bool)>;

/// Selects formulas. Uses the simulated waits to decide whether messages wait at all.
struct Case<'a> {
    scenario: &'a Scenario,
    delay: &'a Delay,
    simulated: &'a Simulated,
}

impl Case<'_> {
    fn is_negligible(&self, wait: f64) -> bool {
        wait <= NEGLIGIBLE * self.delay.average_ms()
    }

    /// True if no message waited for its requester worker's window.
    fn has_room(&self) -> bool {
        self.is_negligible(self.simulated.requester_wait_ms)
    }

    /// True if the brokers together act like one that sends to all workers round-robin.
    fn is_in_turn(&self) -> bool {
        let one = self.scenario.brokers() == 1;
        match self.scenario.shared_queue {
            true => {
                self.has_own_brokers()
                    && self.scenario.all_requester_workers() == 1
                    && self.scenario.responder_workers == 1
            }
            false => one || self.has_own_brokers() && self.scenario.all_requester_workers() == 1,
        }
    }

    fn is_shared(&self) -> bool {
        self.scenario.shared_queue && self.scenario.brokers() == 1
    }

    fn has_own_brokers(&self) -> bool {
        self.scenario.brokers_apart == 0
    }

    /// The maximum service time of a request's messages, if no message waits.
    fn fan_out(&self) -> Candidate {
        if !self.is_negligible(self.simulated.mean_wait_ms()) {
            return None;
        }
        let (count, delay) = (self.scenario.messages_per_request(), self.delay);
        let (name, value) = match delay.kind {
            _ if count > 1 && delay.is_cut() => return None,
            DelayShape::Uniform => ("uniform", {
                let [min, max] = [delay.min, delay.max].map(|time| time.as_secs_f64() * 1_000.0);
                queueing::largest_uniform(count, min, max)
            }),
            DelayShape::Exponential => ("exponential", queueing::largest_exponential(count, delay.average_ms())),
            DelayShape::None | DelayShape::Fixed => ("fixed", delay.average_ms()),
            DelayShape::LogNormal if count == 1 => ("log-normal", delay.average_ms()),
            DelayShape::LogNormal => return None,
        };
        Some((format!("slowest of {count}, {name}"), Measure::MeanLatency, value, true))
    }

    /// The mean wait with Poisson arrivals.
    fn wait(&self) -> Candidate {
        let Arrivals::Poisson { rate } = self.scenario.arrivals else { return None };
        let (rate, mean, scv) = (rate / 1000.0, self.delay.average_ms(), self.delay.variability());
        let (requester_workers, window) = (self.scenario.all_requester_workers(), self.scenario.window);
        let workers = self.scenario.all_responder_workers();
        let single = self.scenario.messages_per_request() == 1;
        // A requester worker with a window of 1, whose messages never wait at the broker, is a single server.
        let is_single_server = window == 1
            && (requester_workers == 1 || self.scenario.messages_per_request() == requester_workers)
            && self.is_negligible(self.simulated.broker_wait_ms);
        let (servers, in_turn) = if is_single_server || single && workers == 1 {
            (1, false)
        } else if single && self.is_shared() && (self.has_room() || requester_workers == 1 && window >= workers) {
            (workers, false)
        } else if single && self.is_in_turn() && self.has_room() {
            (workers, true)
        } else {
            return None;
        };
        let fixed = queueing::mdc_wait(servers, rate, mean)?;
        let exponential = match in_turn {
            true => queueing::mm_in_turn_wait(servers, rate, mean)?,
            false => queueing::mmc_wait(servers, rate, mean)?,
        };
        let (service, exact) = match self.delay.kind {
            DelayShape::None | DelayShape::Fixed => ("D", true),
            DelayShape::Exponential if !self.delay.is_cut() => ("M", true),
            // With round-robin, arrivals at a worker are so regular that the interpolation is off by a factor of 2 at low load.
            _ if in_turn || servers > 1 && scv > MAX_VARIABLE => return None,
            _ => ("G", servers == 1),
        };
        let name = match in_turn {
            true => format!("E{servers}/{service}/1"),
            false => format!("M/{service}/{servers}"),
        };
        Some((name, Measure::MeanWait, queueing::interpolated_wait(scv, fixed, exponential), exact))
    }

    /// Throughput of a closed loop. Without think time min(clients, workers) workers are busy: exact for one queue, and for
    /// round-robin with a fixed service time, where messages leave in order of arrival. With think times it is the machine
    /// repairman, exact for one queue with exponential services, and for any services if no message has to wait.
    fn closed_loop(&self) -> Candidate {
        let Arrivals::Closed { clients, think_ms } = self.scenario.arrivals else { return None };
        let workers = self.scenario.all_responder_workers();
        let fixed = matches!(self.delay.kind, DelayShape::Fixed);
        let fits = clients == 1 || self.is_shared() || fixed && self.is_in_turn();
        if self.scenario.messages_per_request() != 1 || !fits || !self.has_room() {
            return None;
        }
        if think_ms > 0.0 {
            let service = match self.delay.kind {
                DelayShape::Exponential if !self.delay.is_cut() => "M",
                _ if clients <= workers && self.is_shared() => "G",
                _ => return None,
            };
            let per_ms = queueing::repairman_throughput(clients, workers, think_ms, self.delay.average_ms())?;
            return Some((format!("M/{service}/{workers}//{clients}"), Measure::Throughput, per_ms * 1_000.0, true));
        }
        let busy = clients.min(workers);
        let value = queueing::capacity_per_s(busy, self.delay.average_ms())?;
        Some(("min(clients, workers) / E[S]".to_owned(), Measure::Throughput, value, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::expected::Expectation;
    use crate::experiment::simulation::{expect_kind, poisson, scenario};
    use crate::wire::FanOut;

    /// Checks the name of the only formula, and the simulated figure within a tolerance.
    #[track_caller]
    fn assert_formula(expectation: &Expectation, name: &str, within: f64) {
        let [formula] = &expectation.formulas[..] else { panic!("not one formula: {expectation:?}") };
        assert_eq!(formula.name, name);
        let off = formula.simulated / formula.value - 1.0;
        assert!(off.abs() < within, "{off:+.4}: {formula:?}");
    }

    #[test]
    fn turns_are_an_erlang_queue_for_each_worker() {
        for (kind, letter) in [(DelayShape::Exponential, "M"), (DelayShape::Fixed, "D")] {
            assert_formula(&expect_kind(&scenario(false, poisson(0.8, 10)), kind), &format!("E10/{letter}/1"), 0.03);
        }
        // One requester worker sends to ten instances as one broker to ten workers.
        let spread = Scenario {
            responder_instances: 10,
            responder_workers: 1,
            requester_workers: 1,
            ..scenario(true, poisson(0.8, 10))
        };
        assert_formula(&expect_kind(&spread, DelayShape::Exponential), "E10/M/1", 0.03);
        let uniform = Scenario { requests: 1_000, ..scenario(false, poisson(0.8, 10)) };
        assert_eq!(expect_kind(&uniform, DelayShape::Uniform).formulas, []);
    }

    #[test]
    fn a_worker_that_sends_one_at_a_time_is_the_server_itself() {
        let requester_workers =
            Scenario { window: 1, fan_out: FanOut::All, requests: 150_000, ..scenario(true, poisson(0.7, 1)) };
        let expectation = expect_kind(&requester_workers, DelayShape::Uniform);
        assert_formula(&expectation, "M/G/1", 0.03);
        // The requester limits it to four messages at a time.
        assert_eq!(expectation.capacity_per_s, Some(2.0));
        assert!((expectation.messages_per_s.unwrap() / (4.0 * 0.35) - 1.0).abs() < 0.01, "{expectation:?}");
    }

    #[test]
    fn a_fan_out_ends_with_its_slowest() {
        for (kind, name) in [(DelayShape::Uniform, "uniform"), (DelayShape::Exponential, "exponential")] {
            for count in [1, 3, 10] {
                let alone = Scenario {
                    requester_workers: count,
                    fan_out: FanOut::All,
                    requests: 20_000,
                    ..scenario(false, Arrivals::closed(1))
                };
                let expectation = expect_kind(&alone, kind);
                let formula = &expectation.formulas[0];
                assert_eq!(formula.name, format!("slowest of {count}, {name}"));
                assert!((formula.simulated / formula.value - 1.0).abs() < 0.02, "{formula:?}");
            }
        }
    }
}
