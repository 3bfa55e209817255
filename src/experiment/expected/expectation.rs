//! The expected figures of a scenario: simulated, and by formula if one fits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Formula, formulas, queueing};
use crate::experiment::simulation::{Scenario, ScenarioError, Simulated, simulate};
use crate::wire::Delay;

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

/// The expected figures of a deployment under a load, without the overhead of processes, network and scheduler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// None: unbounded, because nothing takes time.
    #[schema(required)]
    pub requests_per_s: Option<f64>,
    /// None: unbounded, because nothing takes time.
    #[schema(required)]
    pub messages_per_s: Option<f64>,
    /// Latency of requests, until the last reply.
    pub latency: LatencySummary,
    /// A message's mean wait in the requester, for its worker.
    pub requester_wait_ms: f64,
    /// A message's mean wait at the broker, for a responder worker.
    pub broker_wait_ms: f64,
    /// Sum of both waits.
    pub mean_wait_ms: f64,
    /// Utilisation of the responder workers, from 0 to 1.
    pub utilisation: f64,
    /// Messages per second that the workers can serve: the minimum of the responder workers' capacity and that of the requester
    /// workers' windows. Round-robin with small windows achieves less. None: unbounded, because nothing takes time.
    #[schema(required)]
    pub capacity_per_s: Option<f64>,
    /// The offered load is above capacity, so latencies grow with the duration.
    pub saturated: bool,
    /// The measured time, in milliseconds.
    pub span_ms: f64,
    /// Milliseconds after which the simulation ended before its duration, because it had made its maximum of requests.
    #[schema(required)]
    pub cut_after_ms: Option<f64>,
    pub formulas: Vec<Formula>,
}

impl LatencySummary {
    /// `sorted` must be in ascending order. `None` without latencies.
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

/// Simulates a scenario. `draw` returns service times in milliseconds, from the distribution of `delay`.
///
/// # Errors
/// As [`simulate`].
pub fn expect_load(
    scenario: &Scenario,
    delay: &Delay,
    draw: impl FnMut() -> f64,
) -> Result<Expectation, ScenarioError> {
    let simulated = simulate(scenario, draw)?;
    let latency = LatencySummary::of(&simulated.latencies).ok_or(ScenarioError::None("requests after the warm-up"))?;
    let is_cut = simulated.requests >= scenario.requests && simulated.last_ms > 0.0;
    let in_flight = scenario.all_requester_workers().saturating_mul(scenario.window);
    let responders = scenario.all_responder_workers();
    let capacity_per_s = queueing::capacity_per_s(responders.min(in_flight), delay.average_ms());
    let offered = scenario.rate().map(|rate| rate * scenario.messages_per_request() as f64);
    let busy = simulated.busy_ms / (responders as f64 * simulated.span_ms);
    Ok(Expectation {
        requests_per_s: simulated.requests_per_s(),
        messages_per_s: simulated.messages_per_s(),
        latency,
        requester_wait_ms: simulated.requester_wait_ms,
        broker_wait_ms: simulated.broker_wait_ms,
        mean_wait_ms: simulated.mean_wait_ms(),
        utilisation: if busy.is_finite() { busy.clamp(0.0, 1.0) } else { 0.0 },
        capacity_per_s,
        saturated: offered.zip(capacity_per_s).is_some_and(|(offered, capacity)| offered >= capacity)
            || offered.is_some() && is_falling_behind(&simulated),
        span_ms: simulated.span_ms,
        cut_after_ms: (is_cut && scenario.duration_ms.is_some()).then_some(simulated.last_ms),
        formulas: formulas(scenario, delay, &simulated),
    })
}

/// True if the backlog grew by more than 5 % of the second half's requests, and by more than chance explains. Small windows and
/// round-robin can leave workers idle, so that a load below capacity is not sustained.
fn is_falling_behind(simulated: &Simulated) -> bool {
    let arrived = simulated.latencies.len() as f64 / 2.0;
    simulated.backlog as f64 > (0.05 * arrived).max(3.0 * arrived.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::expected::Measure;
    use crate::experiment::simulation::{Arrivals, expect_kind, poisson, scenario};
    use crate::wire::DelayShape;

    #[test]
    fn round_robin_has_the_longer_tail() {
        let p99 =
            |shared_queue| expect_kind(&scenario(shared_queue, poisson(0.8, 10)), DelayShape::Uniform).latency.p99_ms;
        let (turns, shared) = (p99(false), p99(true));
        assert!((turns / 5_660.0 - 1.0).abs() < 0.02 && (shared / 4_350.0 - 1.0).abs() < 0.02, "{turns} and {shared}");
    }

    #[test]
    fn clients_keep_as_many_workers_busy_as_they_are() {
        for (clients, throughput, latency) in [(1, 0.5, 2_000.0), (7, 3.5, 2_000.0), (30, 5.0, 6_000.0)] {
            for shared_queue in [true, false] {
                let closed = Scenario { requests: 6_000, ..scenario(shared_queue, Arrivals::closed(clients)) };
                let fixed = expect_kind(&closed, DelayShape::Fixed);
                assert!((fixed.messages_per_s.unwrap() / throughput - 1.0).abs() < 0.01, "{clients}: {fixed:?}");
                assert!((fixed.latency.p50_ms - latency).abs() < 1.0, "{clients}: {fixed:?}");
                let formula = fixed.formulas.last().unwrap();
                assert_eq!((formula.measure, formula.value), (Measure::Throughput, throughput));
            }
            let closed = Scenario { requests: 50_000, ..scenario(true, Arrivals::closed(clients)) };
            let throughput_found = expect_kind(&closed, DelayShape::Exponential).messages_per_s.unwrap();
            assert!((throughput_found / throughput - 1.0).abs() < 0.02, "{clients}: {throughput_found}");
        }
    }

    #[test]
    fn what_cannot_be_served_is_saturated() {
        let of = |load, window| {
            let open =
                Scenario { requests: 20_000, window, requester_workers: 10, ..scenario(false, poisson(load, 10)) };
            expect_kind(&open, DelayShape::Exponential)
        };
        assert!(of(1.0, 100_000).saturated && of(1.5, 1).saturated);
        assert!(!of(0.7, 100_000).saturated);
        // Round-robin with ten messages in flight does not keep ten workers busy: some have two messages, others none.
        let starved = of(0.9, 1);
        assert!(starved.saturated && starved.utilisation < 0.85, "{starved:?}");
        let past = of(1.5, 100_000);
        assert!((past.messages_per_s.unwrap() / 5.0 - 1.0).abs() < 0.02 && past.formulas.is_empty(), "{past:?}");
    }

    #[test]
    fn without_a_delay_nothing_has_a_bound() {
        let closed = expect_kind(&scenario(true, Arrivals::closed(3)), DelayShape::None);
        assert_eq!((closed.requests_per_s, closed.capacity_per_s, closed.latency.max_ms), (None, None, 0.0));
        let open = expect_kind(&scenario(true, Arrivals::Constant { rate: 50.0 }), DelayShape::None);
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
