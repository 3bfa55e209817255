//! The due times of an open loop's requests, from the load's start.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand_distr::Exp1;

use crate::experiment::plan::Load;
use crate::runtime::Purpose;

/// The due times of a load. Empty for a closed loop, whose clients each send when their last request has ended.
pub struct Arrivals {
    load: Load,
    length_s: f64,
    random: ChaCha8Rng,
    /// Number of requests so far, and the due time of the last one, in seconds.
    count: f64,
    last_s: f64,
}

impl Arrivals {
    pub fn new(load: Load, length: Duration, seed: u64) -> Self {
        Self { load, length_s: length.as_secs_f64(), random: Purpose::Arrivals.stream(seed), count: 0.0, last_s: 0.0 }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let due = match self.load {
            Load::Closed { .. } => return None,
            Load::Constant { per_s } => self.count / per_s,
            Load::Poisson { per_s } => self.last_s + self.random.sample::<f64, _>(Exp1) / per_s,
            // The rate's integral, from t / 2 (2 a + (b - a) t / T) = n solved for t.
            Load::Ramp { from_per_s, to_per_s } => {
                let slope = (to_per_s - from_per_s) / self.length_s;
                let root = (from_per_s * from_per_s + 2.0 * slope * self.count).max(0.0).sqrt();
                2.0 * self.count / (from_per_s + root)
            }
        };
        self.count += 1.0;
        self.last_s = due;
        (due < self.length_s).then(|| Duration::from_secs_f64(due))
    }
}

#[cfg(test)]
mod tests {
    use statrs::statistics::Statistics;

    use super::*;

    fn due(load: &str, seconds: u64) -> Vec<f64> {
        Arrivals::new(load.parse().unwrap(), Duration::from_secs(seconds), 1).map(|due| due.as_secs_f64()).collect()
    }

    #[test]
    fn a_constant_rate_is_even() {
        assert_eq!(due("constant 4/s", 1), [0.0, 0.25, 0.5, 0.75]);
        assert!(due("closed 3", 1).is_empty());
    }

    #[test]
    fn a_poisson_process_has_its_rate_and_its_variance() {
        let due = due("poisson 100/s", 1_000);
        let count = due.len() as f64;
        // Four standard deviations of a Poisson count, which are its square root.
        assert!((count - 100_000.0).abs() < 4.0 * 100_000_f64.sqrt(), "{count}");
        let gaps: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let times = gaps.iter().std_dev() / gaps.iter().mean();
        assert!((times - 1.0).abs() < 0.02, "an exponential distribution's deviation is its mean");
    }

    #[test]
    fn a_ramp_has_the_mean_of_its_rates_and_changes_steadily() {
        for (load, late) in [("ramp 10/s 90/s", 0.7), ("ramp 90/s 10/s", 0.3)] {
            let due = due(load, 10);
            assert!((due.len() as f64 - 500.0).abs() <= 1.0, "{load}: {}", due.len());
            let second_half = due.iter().filter(|due| **due > 5.0).count() as f64 / due.len() as f64;
            assert!((second_half - late).abs() < 0.01, "{load}: {second_half}");
        }
    }
}
