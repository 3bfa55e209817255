//! What a trial should give: simulated, and by formula where there is one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::queueing;
use super::{Arrivals, DelayShape, DelayView, Scenario, ScenarioError, Simulated, simulate};

/// A mean wait below this share of the mean service is none.
const NEGLIGIBLE: f64 = 0.001;

/// The highest squared coefficient of variation of service that an approximation is used for.
const MOST_VARIABLE: f64 = 2.0;

/// The distribution of requests' latencies in milliseconds, by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencySummary {
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// What a formula is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// A message's mean wait, in milliseconds.
    MeanWait,
    /// A request's mean latency, in milliseconds.
    MeanLatency,
    /// Messages a second.
    Throughput,
}

/// A figure by formula, beside the simulated one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Formula {
    /// Such as `M/M/c`.
    pub name: String,
    pub measure: Measure,
    pub value: f64,
    pub simulated: f64,
    /// False for an approximation.
    pub exact: bool,
}

/// What a deployment should do under a load, without the overhead of processes, network and scheduler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// None: without bound, because nothing takes time.
    pub requests_per_s: Option<f64>,
    /// None: without bound, because nothing takes time.
    pub messages_per_s: Option<f64>,
    /// Of requests, until the last reply.
    pub latency: LatencySummary,
    /// A message's mean wait in the requester, for its worker.
    pub lane_wait_ms: f64,
    /// A message's mean wait at the broker, for a responder worker.
    pub broker_wait_ms: f64,
    /// Both waits.
    pub mean_wait_ms: f64,
    /// The share of the responder workers' time that is spent serving, from 0 to 1.
    pub utilisation: f64,
    /// Messages a second that the workers can serve: the responders', or the requesters' with their windows, whichever
    /// are fewer. Dealt out in turn with small windows, less is reached. None: without bound, because nothing takes time.
    pub capacity_per_s: Option<f64>,
    /// More is asked for than can be served: figures grow with the time that it lasts.
    pub saturated: bool,
    pub formulas: Vec<Formula>,
}

impl LatencySummary {
    /// None without latencies; they have to be sorted.
    fn of(sorted: &[f64]) -> Option<Self> {
        let count = sorted.len();
        let rank = |share: f64| sorted[((share * count as f64).ceil() as usize).clamp(1, count) - 1];
        Some(Self {
            max_ms: *sorted.last()?,
            mean_ms: sorted.iter().sum::<f64>() / count as f64,
            p50_ms: rank(0.5),
            p90_ms: rank(0.9),
            p95_ms: rank(0.95),
            p99_ms: rank(0.99),
            p999_ms: rank(0.999),
        })
    }
}

/// Simulates a scenario; `draw` gives services in milliseconds, of the distribution that `delay` tells.
///
/// # Errors
/// As [`simulate`].
pub fn expect_load(
    scenario: &Scenario,
    delay: &DelayView,
    draw: impl FnMut() -> f64,
) -> Result<Expectation, ScenarioError> {
    let simulated = simulate(scenario, draw)?;
    let latency = LatencySummary::of(&simulated.latencies).ok_or(ScenarioError::None("requests"))?;
    let per_s = |count: usize| (simulated.span_ms > 0.0).then(|| count as f64 * 1000.0 / simulated.span_ms);
    let in_flight = scenario.all_requester_workers().saturating_mul(scenario.window);
    let responders = scenario.all_responder_workers();
    let capacity_per_s = queueing::capacity_per_s(responders.min(in_flight), delay.average_ms());
    let offered = scenario.rate().map(|rate| rate * scenario.messages_per_request() as f64);
    let mut expectation = Expectation {
        requests_per_s: per_s(simulated.requests_ended),
        messages_per_s: per_s(simulated.messages_ended),
        latency,
        lane_wait_ms: simulated.lane_wait_ms,
        broker_wait_ms: simulated.broker_wait_ms,
        mean_wait_ms: simulated.lane_wait_ms + simulated.broker_wait_ms,
        utilisation: (simulated.busy_ms / (responders as f64 * simulated.span_ms).max(f64::MIN_POSITIVE)).min(1.0),
        capacity_per_s,
        saturated: offered.zip(capacity_per_s).is_some_and(|(offered, capacity)| offered >= capacity)
            || offered.is_some() && is_falling_behind(&simulated),
        formulas: vec![],
    };
    let case = Case { scenario, delay, simulated: &simulated };
    let formulas = [case.fan_out(), case.wait(), case.closed_loop()].into_iter().flatten();
    expectation.formulas = formulas
        .filter_map(|(name, measure, value, exact)| {
            let simulated = match measure {
                Measure::MeanWait => expectation.mean_wait_ms,
                Measure::MeanLatency => expectation.latency.mean_ms,
                Measure::Throughput => expectation.messages_per_s?,
            };
            Some(Formula { name, measure, value, simulated, exact })
        })
        .collect();
    Ok(expectation)
}

/// More than 5 % of the second half's requests, and more than chance brings, did not end in it: windows and turns can
/// keep workers from their work, so that the capacity is not reached.
fn is_falling_behind(simulated: &Simulated) -> bool {
    let arrived = simulated.latencies.len() as f64 / 2.0;
    simulated.backlog as f64 > (0.05 * arrived).max(3.0 * arrived.sqrt())
}

/// A name, what is meant, the value, whether it is exact.
type Answer = Option<(String, Measure, f64, bool)>;

/// Which formula fits. That nobody had to wait is taken from the simulation.
struct Case<'a> {
    scenario: &'a Scenario,
    delay: &'a DelayView,
    simulated: &'a Simulated,
}

impl Case<'_> {
    fn is_negligible(&self, wait: f64) -> bool {
        wait <= NEGLIGIBLE * self.delay.average_ms()
    }

    /// The lanes' windows never kept a message back.
    fn has_room(&self) -> bool {
        self.is_negligible(self.simulated.lane_wait_ms)
    }

    /// The brokers together are as one that deals to all workers in turn.
    fn is_in_turn(&self) -> bool {
        let one = self.scenario.responder_instances == 1;
        match self.scenario.shared_queue {
            true => self.scenario.all_requester_workers() == 1 && self.scenario.responder_workers == 1,
            false => one || self.scenario.all_requester_workers() == 1,
        }
    }

    fn is_shared(&self) -> bool {
        self.scenario.shared_queue && self.scenario.responder_instances == 1
    }

    /// The slowest of a request's messages, nobody waiting.
    fn fan_out(&self) -> Answer {
        if !self.is_negligible(self.simulated.lane_wait_ms + self.simulated.broker_wait_ms) {
            return None;
        }
        let (count, delay) = (self.scenario.messages_per_request(), self.delay);
        let (name, value) = match delay.kind {
            DelayShape::Uniform => {
                ("uniform", queueing::largest_uniform(count, delay.min_ms as f64, delay.max_ms as f64))
            }
            DelayShape::Exponential => ("exponential", queueing::largest_exponential(count, delay.average_ms())),
            DelayShape::None | DelayShape::Fixed => ("fixed", delay.average_ms()),
            DelayShape::LogNormal if count == 1 => ("log-normal", delay.average_ms()),
            DelayShape::LogNormal => return None,
        };
        Some((format!("slowest of {count}, {name}"), Measure::MeanLatency, value, true))
    }

    /// The mean wait of messages that arrive at random.
    fn wait(&self) -> Answer {
        let Arrivals::Poisson { rate } = self.scenario.arrivals else { return None };
        let (rate, mean, scv) = (rate / 1000.0, self.delay.average_ms(), self.delay.variability());
        let (lanes, window) = (self.scenario.all_requester_workers(), self.scenario.window);
        let workers = self.scenario.all_responder_workers();
        let single = self.scenario.messages_per_request() == 1;
        // A worker that sends one message at a time to responders that are never busy is the server itself.
        let is_lane_alone = window == 1
            && (lanes == 1 || self.scenario.messages_per_request() == lanes)
            && self.is_negligible(self.simulated.broker_wait_ms);
        let (servers, in_turn) = if is_lane_alone || single && workers == 1 {
            (1, false)
        } else if single && self.is_shared() && (self.has_room() || lanes == 1 && window >= workers) {
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
            DelayShape::Exponential => ("M", true),
            _ if servers > 1 && scv > MOST_VARIABLE => return None,
            _ => ("G", servers == 1),
        };
        let name = match in_turn {
            true => format!("E{servers}/{service}/1"),
            false => format!("M/{service}/{servers}"),
        };
        Some((name, Measure::MeanWait, queueing::interpolated_wait(scv, fixed, exponential), exact))
    }

    /// Clients that wait for their replies keep as many workers busy as they are, or all: exact for one queue, and for
    /// turns with a fixed service, whose messages leave in the order in which they came.
    fn closed_loop(&self) -> Answer {
        let Arrivals::Closed { clients } = self.scenario.arrivals else { return None };
        let fixed = matches!(self.delay.kind, DelayShape::Fixed);
        let fits = clients == 1 || self.is_shared() || fixed && self.is_in_turn();
        if self.scenario.messages_per_request() != 1 || !fits || !self.has_room() {
            return None;
        }
        let busy = clients.min(self.scenario.all_responder_workers());
        let value = queueing::capacity_per_s(busy, self.delay.average_ms())?;
        Some(("min(clients, workers) / E[S]".to_owned(), Measure::Throughput, value, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FanOut;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::Exp1;

    /// A requester with room for all, and a broker with ten workers.
    fn scenario(shared_queue: bool, arrivals: Arrivals) -> Scenario {
        Scenario {
            requester_instances: 1,
            requester_workers: 4,
            window: 100_000,
            responder_instances: 1,
            responder_workers: 10,
            shared_queue,
            fan_out: FanOut::One,
            arrivals,
            requests: 400_000,
            duration_ms: None,
            warm_up: 0.02,
            seed: 1,
        }
    }

    fn delay(kind: DelayShape) -> DelayView {
        DelayView { kind, min_ms: 1_000, max_ms: 3_000, mean_ms: 2_000, sigma: 0.5 }
    }

    fn expect(scenario: &Scenario, kind: DelayShape) -> Expectation {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let draw = move || match kind {
            DelayShape::Exponential => 2_000.0 * random.sample::<f64, _>(Exp1),
            DelayShape::Uniform => random.random_range(1_000.0..3_000.0),
            DelayShape::Fixed => 2_000.0,
            _ => 0.0,
        };
        expect_load(scenario, &delay(kind), draw).unwrap()
    }

    /// Of a load between 0 and 1 on so many workers of 2 s.
    fn poisson(load: f64, workers: usize) -> Arrivals {
        Arrivals::Poisson { rate: load * workers as f64 / 2.0 }
    }

    /// A single formula's name, and that what was simulated is within so much of it.
    #[track_caller]
    fn assert_formula(expectation: &Expectation, name: &str, within: f64) {
        let [formula] = &expectation.formulas[..] else { panic!("not one formula: {expectation:?}") };
        assert_eq!(formula.name, name);
        let off = formula.simulated / formula.value - 1.0;
        assert!(off.abs() < within, "{off:+.4}: {formula:?}");
    }

    #[test]
    fn waits_are_those_of_mmc_and_mdc() {
        for (kind, letter) in [(DelayShape::Exponential, "M"), (DelayShape::Fixed, "D"), (DelayShape::Uniform, "G")] {
            for (workers, load) in [(1, 0.5), (1, 0.8), (2, 0.8), (10, 0.5), (10, 0.9)] {
                let one_queue = Scenario { responder_workers: workers, ..scenario(true, poisson(load, workers)) };
                let expectation = expect(&one_queue, kind);
                assert_formula(&expectation, &format!("M/{letter}/{workers}"), 0.03);
                assert!((expectation.utilisation - load).abs() < 0.01 && !expectation.saturated, "{expectation:?}");
            }
        }
    }

    #[test]
    fn turns_are_an_erlang_queue_for_each_worker() {
        for (kind, letter) in [(DelayShape::Exponential, "M"), (DelayShape::Fixed, "D"), (DelayShape::Uniform, "G")] {
            for load in [0.5, 0.8] {
                assert_formula(&expect(&scenario(false, poisson(load, 10)), kind), &format!("E10/{letter}/1"), 0.03);
            }
            // One requester worker deals to ten instances as one broker to ten workers.
            let spread = Scenario {
                responder_instances: 10,
                responder_workers: 1,
                requester_workers: 1,
                ..scenario(true, poisson(0.8, 10))
            };
            assert_formula(&expect(&spread, kind), &format!("E10/{letter}/1"), 0.03);
        }
    }

    #[test]
    fn a_worker_that_sends_one_at_a_time_is_the_server_itself() {
        let lanes = Scenario { window: 1, fan_out: FanOut::All, requests: 150_000, ..scenario(true, poisson(0.7, 1)) };
        let expectation = expect(&lanes, DelayShape::Uniform);
        assert_formula(&expectation, "M/G/1", 0.03);
        // Four messages at a time at most, whatever the responders could do.
        assert_eq!(expectation.capacity_per_s, Some(2.0));
        assert!((expectation.messages_per_s.unwrap() / (4.0 * 0.35) - 1.0).abs() < 0.01, "{expectation:?}");
    }

    #[test]
    fn round_robin_has_the_longer_tail() {
        let p99 = |shared_queue| expect(&scenario(shared_queue, poisson(0.8, 10)), DelayShape::Uniform).latency.p99_ms;
        let (turns, shared) = (p99(false), p99(true));
        assert!((turns / 5_660.0 - 1.0).abs() < 0.02 && (shared / 4_350.0 - 1.0).abs() < 0.02, "{turns} and {shared}");
    }

    #[test]
    fn a_fan_out_ends_with_its_slowest() {
        for (kind, name) in [(DelayShape::Uniform, "uniform"), (DelayShape::Exponential, "exponential")] {
            for count in [1, 3, 10] {
                let alone = Scenario {
                    requester_workers: count,
                    fan_out: FanOut::All,
                    requests: 20_000,
                    ..scenario(false, Arrivals::Closed { clients: 1 })
                };
                let expectation = expect(&alone, kind);
                let formula = &expectation.formulas[0];
                assert_eq!(formula.name, format!("slowest of {count}, {name}"));
                assert!((formula.simulated / formula.value - 1.0).abs() < 0.02, "{formula:?}");
            }
        }
    }

    #[test]
    fn clients_keep_as_many_workers_busy_as_they_are() {
        for (clients, throughput, latency) in [(1, 0.5, 2_000.0), (7, 3.5, 2_000.0), (30, 5.0, 6_000.0)] {
            for shared_queue in [true, false] {
                let closed = Scenario { requests: 6_000, ..scenario(shared_queue, Arrivals::Closed { clients }) };
                let fixed = expect(&closed, DelayShape::Fixed);
                assert!((fixed.messages_per_s.unwrap() / throughput - 1.0).abs() < 0.01, "{clients}: {fixed:?}");
                assert!((fixed.latency.p50_ms - latency).abs() < 1.0, "{clients}: {fixed:?}");
                let formula = fixed.formulas.last().unwrap();
                assert_eq!((formula.measure, formula.value), (Measure::Throughput, throughput));
            }
            let closed = Scenario { requests: 50_000, ..scenario(true, Arrivals::Closed { clients }) };
            let throughput_found = expect(&closed, DelayShape::Exponential).messages_per_s.unwrap();
            assert!((throughput_found / throughput - 1.0).abs() < 0.02, "{clients}: {throughput_found}");
        }
    }

    #[test]
    fn what_cannot_be_served_is_saturated() {
        let of = |load, window| {
            let open =
                Scenario { requests: 20_000, window, requester_workers: 10, ..scenario(false, poisson(load, 10)) };
            expect(&open, DelayShape::Exponential)
        };
        assert!(of(1.0, 100_000).saturated && of(1.5, 1).saturated);
        assert!(!of(0.7, 100_000).saturated);
        // Ten messages in flight, in turn, do not keep ten workers busy: some wait for one, while others have none.
        let starved = of(0.9, 1);
        assert!(starved.saturated && starved.utilisation < 0.85, "{starved:?}");
        let past = of(1.5, 100_000);
        assert!((past.messages_per_s.unwrap() / 5.0 - 1.0).abs() < 0.02 && past.formulas.is_empty(), "{past:?}");
    }

    #[test]
    fn without_a_delay_nothing_has_a_bound() {
        let closed = expect(&scenario(true, Arrivals::Closed { clients: 3 }), DelayShape::None);
        assert_eq!((closed.requests_per_s, closed.capacity_per_s, closed.latency.max_ms), (None, None, 0.0));
        let open = expect(&scenario(true, Arrivals::Constant { rate: 50.0 }), DelayShape::None);
        assert!((open.requests_per_s.unwrap() / 50.0 - 1.0).abs() < 0.001 && !open.saturated, "{open:?}");
        let json = serde_json::to_value(&closed).unwrap();
        assert!(json["capacityPerS"].is_null() && json["latency"]["p999Ms"] == 0.0, "{json}");
    }

    #[test]
    fn ranks_are_the_nearest() {
        let latencies: Vec<f64> = (1..=1_000).map(f64::from).collect();
        let summary = LatencySummary::of(&latencies).unwrap();
        assert_eq!((summary.p50_ms, summary.p99_ms, summary.p999_ms, summary.max_ms), (500.0, 990.0, 999.0, 1_000.0));
        assert_eq!(LatencySummary::of(&[7.0]).unwrap().p50_ms, 7.0);
        assert!(LatencySummary::of(&[]).is_none());
    }
}
