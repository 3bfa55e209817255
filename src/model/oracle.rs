//! What the configured delay and worker counts should give: the measured figures are held against it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Fan-outs that are simulated: enough for a standard error of the mean below 1 %.
const TRIALS: usize = 1_000;

/// Most draws in a simulation, which bounds the time it takes.
const DRAWS: usize = 200_000;

/// The figures of an otherwise idle deployment. Times in milliseconds, without the overhead of processes and network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    /// Of one message's delay.
    pub service_mean_ms: f64,
    /// Half of the messages take longer than this, from their sending to their reply ...
    pub message_p50_ms: f64,
    /// ... and one in a hundred longer than this.
    pub message_p99_ms: f64,
    /// Of a whole request, until its last reply.
    pub fan_out_mean_ms: f64,
    /// Nine of ten requests take longer than this ...
    pub fan_out_low_ms: f64,
    /// ... and nine of ten are faster than this.
    pub fan_out_high_ms: f64,
    /// Messages a second that all responder workers can serve.
    pub capacity_per_s: f64,
}

/// Simulates requests that fan out to `messages` messages over `workers` responder workers: each message goes to the
/// next worker in turn, or, with `shared_queue`, to the first that is free. `draw` gives delays in milliseconds.
/// None where nothing could be served.
pub fn expect(messages: usize, workers: usize, shared_queue: bool, mut draw: impl FnMut() -> f64) -> Option<Expected> {
    if messages == 0 || workers == 0 {
        return None;
    }
    let trials = TRIALS.min(DRAWS / messages).max(20);
    let (mut totals, mut each, mut service) = (Vec::with_capacity(trials), Vec::with_capacity(trials * messages), 0.0);
    for _ in 0..trials {
        let mut free_at = vec![0.0_f64; workers];
        for message in 0..messages {
            let time = draw();
            service += time;
            let worker = match shared_queue {
                true => (0..workers).min_by(|a, b| free_at[*a].total_cmp(&free_at[*b])).unwrap_or_default(),
                false => message % workers,
            };
            free_at[worker] += time;
            each.push(free_at[worker]);
        }
        totals.push(free_at.into_iter().fold(0.0, f64::max));
    }
    totals.sort_by(f64::total_cmp);
    each.sort_by(f64::total_cmp);
    let service_mean_ms = service / (trials * messages) as f64;
    Some(Expected {
        service_mean_ms,
        message_p50_ms: each[each.len() / 2],
        message_p99_ms: each[each.len() * 99 / 100],
        fan_out_mean_ms: totals.iter().sum::<f64>() / trials as f64,
        fan_out_low_ms: totals[trials / 10],
        fan_out_high_ms: totals[trials - 1 - trials / 10],
        capacity_per_s: if service_mean_ms > 0.0 { workers as f64 * 1000.0 / service_mean_ms } else { 0.0 },
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

    /// Nobody queueing, the slowest of N uniform draws takes min + (max - min) N / (N + 1) on average (order statistics).
    #[test]
    fn a_fan_out_takes_as_long_as_the_slowest_of_its_draws() {
        for (count, mean) in [(1, 2000.0), (3, 2500.0), (10, 2818.2), (30, 2935.5)] {
            let expected = expect(count, count, false, uniform()).unwrap();
            assert!((expected.fan_out_mean_ms / mean - 1.0).abs() < 0.02, "{count}: {expected:?}");
            assert!(expected.fan_out_low_ms < expected.fan_out_mean_ms);
            assert!(expected.fan_out_high_ms > expected.fan_out_mean_ms);
        }
    }

    /// Nobody queueing, a message takes its own delay: uniform between 1 and 3 s here.
    #[test]
    fn a_message_takes_its_delay_or_waits_its_turn_besides() {
        let expected = expect(10, 10, false, uniform()).unwrap();
        assert!((expected.message_p50_ms / 2000.0 - 1.0).abs() < 0.02, "{expected:?}");
        assert!((expected.message_p99_ms / 2980.0 - 1.0).abs() < 0.01, "{expected:?}");
        let rounds = expect(9, 3, false, || 100.0).unwrap();
        assert_eq!((rounds.message_p50_ms, rounds.message_p99_ms), (200.0, 300.0));
    }

    #[test]
    fn a_fixed_delay_over_too_few_workers_takes_whole_rounds() {
        let expected = expect(7, 3, false, || 100.0).unwrap();
        assert_eq!((expected.fan_out_mean_ms, expected.capacity_per_s), (300.0, 30.0));
        assert!(expect(1, 0, false, || 1.0).is_none());
    }

    #[test]
    fn one_queue_for_all_is_not_slower_than_turns() {
        let turns = expect(9, 3, false, uniform()).unwrap().fan_out_mean_ms;
        let shared = expect(9, 3, true, uniform()).unwrap().fan_out_mean_ms;
        assert!(shared < turns, "{shared} {turns}");
    }
}
