//! The expected figures of an otherwise idle deployment, from its delay and worker counts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::experiment::simulation::{Arrivals, Scenario, simulate};
use crate::wire::FanOut;

/// Simulated fan-outs: enough for a standard error of the mean below 1 %.
const TRIALS: usize = 1_000;

/// Maximum draws of a simulation, which bounds its time.
const DRAWS: usize = 200_000;

/// The figures of an otherwise idle deployment. Times in milliseconds, without the overhead of processes and network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdleExpectation {
    /// Mean delay of a message.
    pub service_mean_ms: f64,
    /// Median time of a message, from sending to reply.
    pub message_p50_ms: f64,
    /// 99th percentile of the time of a message.
    pub message_p99_ms: f64,
    /// Mean time of a request, until its last reply.
    pub fan_out_mean_ms: f64,
    /// 10th percentile of the time of a request.
    pub fan_out_low_ms: f64,
    /// 90th percentile of the time of a request.
    pub fan_out_high_ms: f64,
}

/// Simulates requests that fan out to `messages` messages over `workers` responder workers, round-robin or, with
/// `shared_queue`, to the first free worker. `draw` returns delays in milliseconds. `None` if nothing can be served.
pub fn expect_idle(
    messages: usize,
    workers: usize,
    shared_queue: bool,
    draw: impl FnMut() -> f64,
) -> Option<IdleExpectation> {
    if messages == 0 || workers == 0 {
        return None;
    }
    let trials = TRIALS.min(DRAWS / messages).max(20);
    let scenario = Scenario {
        requester_instances: 1,
        requester_workers: messages,
        window: 1,
        responder_instances: 1,
        responder_workers: workers,
        brokers_apart: 0,
        shared_queue,
        fan_out: FanOut::All,
        arrivals: Arrivals::closed(1),
        requests: trials,
        duration_ms: None,
        warm_up_ms: 0.0,
        count: None,
        seed: 0,
    };
    let simulated = simulate(&scenario, draw).ok()?;
    let times = &simulated.latencies;
    Some(IdleExpectation {
        service_mean_ms: simulated.service_ms,
        message_p50_ms: simulated.messages.quantile_us(0.5) as f64 / 1_000.0,
        message_p99_ms: simulated.messages.quantile_us(0.99) as f64 / 1_000.0,
        fan_out_mean_ms: simulated.mean_latency_ms(),
        fan_out_low_ms: times[trials / 10],
        fan_out_high_ms: times[trials - 1 - trials / 10],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    fn uniform() -> impl FnMut() -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        move || random.random_range(1000.0..3000.0)
    }

    /// Without queueing, the slowest of N uniform draws takes min + (max - min) N / (N + 1) on average (order statistics).
    #[test]
    fn a_fan_out_takes_as_long_as_the_slowest_of_its_draws() {
        for (count, mean) in [(1, 2000.0), (3, 2500.0), (10, 2818.2), (30, 2935.5)] {
            let expected = expect_idle(count, count, false, uniform()).unwrap();
            assert!((expected.fan_out_mean_ms / mean - 1.0).abs() < 0.02, "{count}: {expected:?}");
            assert!(expected.fan_out_low_ms < expected.fan_out_mean_ms);
            assert!(expected.fan_out_high_ms > expected.fan_out_mean_ms);
        }
    }

    /// Without queueing, a message takes its own delay: uniform between 1 and 3 s here.
    #[test]
    fn a_message_takes_its_delay_or_waits_its_turn_besides() {
        let expected = expect_idle(10, 10, false, uniform()).unwrap();
        assert!((expected.message_p50_ms / 2000.0 - 1.0).abs() < 0.02, "{expected:?}");
        assert!((expected.message_p99_ms / 2980.0 - 1.0).abs() < 0.01, "{expected:?}");
        let rounds = expect_idle(9, 3, false, || 100.0).unwrap();
        // The histogram's precision is 0.1 %.
        for (found, exact) in [(rounds.message_p50_ms, 200.0), (rounds.message_p99_ms, 300.0)] {
            assert!((found / exact - 1.0_f64).abs() < 0.001, "{found}, not {exact}");
        }
    }

    #[test]
    fn a_fixed_delay_over_too_few_workers_takes_whole_rounds() {
        let expected = expect_idle(7, 3, false, || 100.0).unwrap();
        assert_eq!(expected.fan_out_mean_ms, 300.0);
        assert!(expect_idle(1, 0, false, || 1.0).is_none());
    }

    #[test]
    fn one_queue_for_all_is_not_slower_than_turns() {
        let turns = expect_idle(9, 3, false, uniform()).unwrap().fan_out_mean_ms;
        let shared = expect_idle(9, 3, true, uniform()).unwrap().fan_out_mean_ms;
        assert!(shared < turns, "{shared} {turns}");
    }
}
