//! Whether trials were in a steady state: where they were not, their latencies depend on how long they were.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use statrs::statistics::Statistics;

use crate::experiment::statistics::Ratio;

/// Growth of the requests under way, as a share of those due, up to which trials are not overloaded.
const GROWTH: f64 = 0.02;

/// Standard deviations of that growth which chance explains: it exceeds them in 1 of 40 cases at most.
const BEYOND_CHANCE: f64 = 2.0;

/// A mean latency that changes between the halves by less than this factor is steady, however clear the change is.
const CHANGE: f64 = 1.1;

/// The measured time's beginning against its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Steadiness {
    /// Requests that were due and had not ended, when the measured time began and when it ended.
    pub under_way: [u64; 2],
    /// Requests that were due in the measured time.
    pub due: u64,
    /// Mean latency of the requests due in the first half of the measured time, and in the second. None: one half has none.
    pub mean_ms: Option<[f64; 2]>,
}

impl Steadiness {
    /// `spans`: when each request was due, and when it ended, from the load's start.
    pub fn of(spans: &[(Duration, Duration)], begin: Duration, end: Duration) -> Self {
        let under_way = |at: Duration| spans.iter().filter(|(due, ended)| *due < at && *ended >= at).count() as u64;
        let middle = begin + end.saturating_sub(begin) / 2;
        let latencies = |from: Duration, to: Duration| {
            let half = spans.iter().filter(move |(due, _)| (from..to).contains(due));
            half.map(|(due, ended)| ended.saturating_sub(*due).as_secs_f64() * 1_000.0)
        };
        let means = [latencies(begin, middle).mean(), latencies(middle, end).mean()];
        Self {
            under_way: [under_way(begin), under_way(end)],
            due: latencies(begin, end).count() as u64,
            mean_ms: Some(means).filter(|means| means.iter().all(|mean| mean.is_finite())),
        }
    }

    /// True if more was asked in these trials of one open load than could be done: the requests under way grew by more than
    /// [`GROWTH`], and by more than chance explains. Where as much is done as is asked, their number is a random walk, or nearer
    /// to where it began: of Poisson arrivals and exponential services each request due adds 2 to its variance, of more regular
    /// ones less, of less regular ones (log-normal with a shape above 0.83) more.
    pub fn is_growing<'a>(trials: impl IntoIterator<Item = &'a Self>) -> bool {
        let (mut growth, mut due) = (0.0, 0.0);
        for trial in trials {
            let [first, last] = trial.under_way.map(|count| count as f64);
            (growth, due) = (growth + last - first, due + trial.due as f64);
        }
        growth > (GROWTH * due).max(BEYOND_CHANCE * (2.0 * due).sqrt())
    }

    /// The mean latency of the second half of the measured time by that of the first, within each trial of one cell; not judged.
    /// In a steady state either half is as likely the slower one. None without a trial that has both.
    pub fn halves<'a>(trials: impl IntoIterator<Item = &'a Self>) -> Option<Ratio> {
        let (first, second): (Vec<f64>, Vec<f64>) =
            trials.into_iter().filter_map(|trial| trial.mean_ms).map(|[first, second]| (first, second)).unzip();
        Ratio::paired(&first, &second, 0.0)
    }
}

/// True if the halves of a cell's trials differ by more than chance explains, by a judged ratio, and by more than 10 %.
pub fn is_unsteady(halves: &Ratio) -> bool {
    halves.is_clear() && !(1.0 / CHANGE..=CHANGE).contains(&halves.ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::statistics::judge;

    /// Requests every 10 ms from 0 to 11 s, of which 10 s are measured, and how long each takes.
    fn steadiness(ms: impl Fn(u64) -> u64) -> Steadiness {
        let span = |at: u64| (Duration::from_millis(at * 10), Duration::from_millis(at * 10 + ms(at)));
        let spans: Vec<_> = (0..1_100).map(span).collect();
        Steadiness::of(&spans, Duration::from_secs(1), Duration::from_secs(11))
    }

    fn is_called_unsteady(trials: &[Steadiness]) -> bool {
        let mut halves = Steadiness::halves(trials).unwrap();
        judge([&mut halves]);
        is_unsteady(&halves)
    }

    #[test]
    fn what_stays_as_it_is_is_steady() {
        let trials = [7, 11, 17].map(|step| steadiness(|at| 25 + at * step % 13));
        let [first, last] = trials[0].under_way;
        assert!((2..=4).contains(&first) && (2..=4).contains(&last), "{trials:?}");
        assert_eq!(trials[0].due, 1_000);
        assert!(!Steadiness::is_growing(&trials) && !is_called_unsteady(&trials), "{trials:?}");
    }

    #[test]
    fn a_queue_that_grows_is_found_in_a_single_trial_and_a_short_warm_up_in_three() {
        // Four of five are done: each waits a quarter of its time longer.
        let growing = steadiness(|at| 20 + at * 10 / 4);
        assert!(Steadiness::is_growing([&growing]), "{growing:?}");
        let warming = [150, 180, 130].map(|longer| steadiness(|at| 20 + u64::saturating_sub(longer, at / 5)));
        assert!(!Steadiness::is_growing(&warming) && is_called_unsteady(&warming), "{warming:?}");
        assert!(!is_called_unsteady(&warming[..1]), "a single trial does not show how much chance moves its halves");
        // As clear, and of no importance.
        let little = [150, 180, 130].map(|more| steadiness(|at| 1_000 + u64::saturating_sub(more, at / 5)));
        assert!(Steadiness::halves(&little).unwrap().high < 1.0 && !is_called_unsteady(&little), "{little:?}");
    }

    #[test]
    fn of_few_requests_nothing_is_told() {
        let few =
            Steadiness::of(&[(Duration::from_secs(2), Duration::from_secs(3))], Duration::ZERO, Duration::from_secs(9));
        assert_eq!((few.due, few.mean_ms, Steadiness::halves([&few])), (1, None, None));
        assert!(!Steadiness::is_growing([&few]));
        let empty = Steadiness::of(&[], Duration::ZERO, Duration::ZERO);
        assert_eq!((empty.due, empty.mean_ms), (0, None));
    }
}
