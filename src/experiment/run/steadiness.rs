//! Whether a trial was in a steady state: if not, its latencies depend on how long it was.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Stretches of the measured time whose means are compared: half of them before its middle. A mean of each stretch, because
/// requests that follow one another wait in the same queue.
const STRETCHES: usize = 10;

/// Growth of the requests under way, as a share of those due, above which a trial is overloaded.
const GROWTH: f64 = 0.02;

/// A trial whose mean latency changes by more between the halves, as a share, is not steady.
const CHANGE: f64 = 0.1;

/// Standard errors of a difference that is reported. Chance exceeds them in 1 of 60 trials if stretches are independent, and near
/// capacity, where a queue lasts longer than a stretch, in up to 1 of 5 (simulated M/M/1 at 0.9 and 0.95 of it, 10 s).
const BEYOND_CHANCE: f64 = 4.0;

/// The measured time's beginning against its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Steadiness {
    /// Requests that were due and had not ended, when the measured time began and when it ended.
    pub under_way: [u64; 2],
    /// Requests that were due in the measured time.
    pub due: u64,
    /// Mean latency in the first half of the measured time, and in the second. None: too few requests.
    pub mean_ms: Option<[f64; 2]>,
    /// Standard error of the difference of the two means, by what the second half's stretches differ: what is left of the
    /// beginning makes those of the first half differ too.
    pub error_ms: f64,
}

impl Steadiness {
    /// `spans`: when each request was due, and when it ended, from the load's start.
    pub fn of(spans: &[(Duration, Duration)], begin: Duration, end: Duration) -> Self {
        let under_way = |at: Duration| spans.iter().filter(|(due, ended)| *due < at && *ended >= at).count() as u64;
        let mut stretches = [(0.0, 0_u32); STRETCHES];
        let length = end.saturating_sub(begin).as_secs_f64();
        let measured = spans.iter().filter(|(due, _)| (begin..end).contains(due));
        for (due, ended) in measured.clone() {
            let at = (due.saturating_sub(begin).as_secs_f64() / length * STRETCHES as f64) as usize;
            let stretch = &mut stretches[at.min(STRETCHES - 1)];
            *stretch = (stretch.0 + ended.saturating_sub(*due).as_secs_f64() * 1_000.0, stretch.1 + 1);
        }
        let has_all = stretches.iter().all(|(_, count)| *count > 0);
        let means = stretches.map(|(sum, count)| sum / f64::from(count.max(1)));
        let halves = [&means[..STRETCHES / 2], &means[STRETCHES / 2..]].map(|half| {
            let mean = half.iter().sum::<f64>() / half.len() as f64;
            let squares: f64 = half.iter().map(|one| (one - mean).powi(2)).sum();
            (mean, squares / (half.len() * (half.len() - 1)) as f64)
        });
        Self {
            under_way: [under_way(begin), under_way(end)],
            due: measured.count() as u64,
            mean_ms: has_all.then(|| halves.map(|(mean, _)| mean)),
            error_ms: (2.0 * halves[1].1).sqrt(),
        }
    }

    /// True if more was asked than could be done: the requests under way grew by more than [`GROWTH`], and by three standard
    /// deviations of independent counts (Poisson). Near capacity a short trial may do so by chance.
    pub fn is_growing(&self) -> bool {
        let [first, last] = self.under_way.map(|count| count as f64);
        last - first > (GROWTH * self.due as f64).max(3.0 * (first + last).sqrt())
    }

    /// Why the trial was not in a steady state. None if no sign of that was found.
    pub fn problem(&self) -> Option<String> {
        let [first, last] = self.under_way;
        if self.is_growing() {
            return Some(format!("the requests under way grew from {first} to {last} while it measured"));
        }
        let [before, after] = self.mean_ms?;
        let change = (after - before).abs();
        (change > CHANGE * before && change > BEYOND_CHANCE * self.error_ms).then(|| {
            format!("the mean latency was {before:.1} ms in the first half of the measured time, {after:.1} ms in the second")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests every 10 ms from 0 to 11 s, of which 10 s are measured, and how long each takes.
    fn steadiness(ms: impl Fn(u64) -> u64) -> Steadiness {
        let span = |at: u64| (Duration::from_millis(at * 10), Duration::from_millis(at * 10 + ms(at)));
        let spans: Vec<_> = (0..1_100).map(span).collect();
        Steadiness::of(&spans, Duration::from_secs(1), Duration::from_secs(11))
    }

    #[test]
    fn what_stays_as_it_is_is_steady() {
        let steady = steadiness(|at| 25 + at * 7 % 13);
        assert_eq!((steady.due, steady.problem()), (1_000, None), "{steady:?}");
        let [first, last] = steady.under_way;
        assert!((2..=4).contains(&first) && (2..=4).contains(&last), "{steady:?}");
    }

    #[test]
    fn a_queue_that_grows_and_a_warm_up_that_is_too_short_are_told() {
        // Four of five are done: each waits a quarter of its time longer.
        let growing = steadiness(|at| 20 + at * 10 / 4);
        assert!(growing.is_growing() && growing.problem().unwrap().contains("grew from"), "{growing:?}");
        let warming = steadiness(|at| 20 + 100_u64.saturating_sub(at / 5));
        let problem = warming.problem().unwrap();
        assert!(!warming.is_growing() && problem.starts_with("the mean latency was"), "{problem}");
    }

    #[test]
    fn of_few_requests_nothing_is_told() {
        let few =
            Steadiness::of(&[(Duration::from_secs(2), Duration::from_secs(3))], Duration::ZERO, Duration::from_secs(9));
        assert_eq!((few.due, few.mean_ms, few.problem()), (1, None, None));
    }
}
