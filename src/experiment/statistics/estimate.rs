//! Distribution-free estimates from repeated trials, and the knee of a load curve.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};
use utoipa::ToSchema;

/// A median with a confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    /// The probability that such an interval contains the true median. Below the requested confidence if there are too few
    /// values; 0 for one value.
    pub coverage: f64,
    /// Number of values.
    pub count: usize,
}

/// The median. `None` without values, or if one is not finite.
pub fn median(values: &[f64]) -> Option<f64> {
    sorted(values).map(|sorted| middle(&sorted))
}

fn sorted(values: &[f64]) -> Option<Vec<f64>> {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(sorted)
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { sorted[half - 1].midpoint(sorted[half]) }
}

impl Estimate {
    /// The median, with the narrowest interval between symmetric order statistics that contains the true median with at least
    /// the probability `confidence`. The number of values below a median is binomial with p = 1/2 for any distribution (David
    /// and Nagaraja, Order Statistics, 2003, section 7.1; Le Boudec, Performance Evaluation, 2010, theorem 2.1). The values
    /// have to be independent. With too few values the interval is from the least to the greatest, with coverage
    /// `1 - 2^(1 - n)`: 75 % for 3 values, 93.75 % for 5.
    ///
    /// `None` without values, or if one is not finite.
    pub fn of(values: &[f64], confidence: f64) -> Option<Self> {
        let sorted = sorted(values)?;
        let count = sorted.len();
        let below = Binomial::new(0.5, count as u64).ok()?;
        // Coverage of the interval without `skipped` values at each end.
        let coverage = |skipped: usize| 1.0 - 2.0 * below.cdf(skipped as u64);
        let skipped = (1..count.div_ceil(2)).take_while(|skipped| coverage(*skipped) >= confidence).last().unwrap_or(0);
        Some(Self {
            median: middle(&sorted),
            low: sorted[skipped],
            high: sorted[count - 1 - skipped],
            coverage: coverage(skipped).max(0.0),
            count,
        })
    }

    /// The differences `after - before` of paired trials. `None` if the slices differ in length.
    pub fn of_differences(before: &[f64], after: &[f64], confidence: f64) -> Option<Self> {
        paired(before, after, confidence, |before, after| after - before)
    }

    /// The ratios `after / before` of paired trials. `None` if the slices differ in length, or a value of `before` is 0.
    pub fn of_ratios(before: &[f64], after: &[f64], confidence: f64) -> Option<Self> {
        paired(before, after, confidence, |before, after| after / before)
    }
}

fn paired(before: &[f64], after: &[f64], confidence: f64, how: impl Fn(f64, f64) -> f64) -> Option<Estimate> {
    let pairs = before.iter().zip(after).map(|(before, after)| how(*before, *after));
    (before.len() == after.len()).then(|| pairs.collect::<Vec<_>>()).and_then(|pairs| Estimate::of(&pairs, confidence))
}

/// A point of a load curve: one trial, or the medians of several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadPoint {
    /// Offered rate, in requests per second.
    pub offered: f64,
    /// Completed requests per second.
    pub achieved: f64,
    pub p99_ms: f64,
}

/// Why a rate can't be sustained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Less than [`SUSTAINED`] of the offered rate was achieved.
    Throughput,
    /// The p99 is more than [`TOLERATED`] times the p99 at the lowest rate.
    Latency,
}

/// The knee of a load curve, between two of its rates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Knee {
    /// The highest sustained rate, in requests per second.
    pub sustained: f64,
    /// The next higher rate that was measured. `None`: the highest measured rate was sustained.
    #[schema(required)]
    pub beyond: Option<f64>,
    /// Why `beyond` was not sustained.
    #[schema(required)]
    pub limit: Option<Limit>,
}

/// Share of the offered rate that must be achieved.
pub const SUSTAINED: f64 = 0.95;

/// Maximum p99, as a multiple of the p99 at the lowest rate.
pub const TOLERATED: f64 = 3.0;

impl LoadPoint {
    fn limit(&self, unloaded_p99_ms: f64) -> Option<Limit> {
        if self.achieved < SUSTAINED * self.offered {
            return Some(Limit::Throughput);
        }
        (self.p99_ms > TOLERATED * unloaded_p99_ms).then_some(Limit::Latency)
    }
}

/// The knee: the highest rate of which at least [`SUSTAINED`] was achieved, with a p99 of at most [`TOLERATED`] times the p99
/// at the lowest rate. Thresholds are used because curvature (Kneedle: Satopaa and others, 2011) follows the noise of 5 to 10
/// points and finds a knee in any curve. The highest such rate counts: a single slow trial below the knee is noise, whereas a
/// rate above capacity can't be sustained by chance.
///
/// `None` if no rate was sustained, or a figure is not finite.
pub fn knee(points: &[LoadPoint]) -> Option<Knee> {
    let is_finite = |point: &LoadPoint| [point.offered, point.achieved, point.p99_ms].iter().all(|it| it.is_finite());
    if !points.iter().all(is_finite) {
        return None;
    }
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.offered.total_cmp(&b.offered));
    let unloaded = points.first()?.p99_ms;
    let last = points.iter().rposition(|point| point.limit(unloaded).is_none())?;
    let next = points.get(last + 1);
    Some(Knee {
        sustained: points[last].offered,
        beyond: next.map(|next| next.offered),
        limit: next.and_then(|next| next.limit(unloaded)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::Exp1;

    #[test]
    fn few_values_have_a_low_coverage() {
        for (count, coverage) in [(1, 0.0), (2, 0.5), (3, 0.75), (5, 0.9375), (6, 0.96875)] {
            let values: Vec<f64> = (1..=count).map(f64::from).collect();
            let estimate = Estimate::of(&values, 0.95).unwrap();
            assert_eq!((estimate.low, estimate.high), (1.0, f64::from(count)));
            assert!((estimate.coverage - coverage).abs() < 1e-12, "{estimate:?}");
        }
        // The table of Le Boudec's appendix A has the 2nd and the 9th of 10 values, with 97.9 %.
        let ten: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        let estimate = Estimate::of(&ten, 0.95).unwrap();
        assert_eq!((estimate.median, estimate.low, estimate.high), (5.5, 2.0, 9.0));
        assert!((estimate.coverage - 0.979).abs() < 0.001, "{estimate:?}");
    }

    #[test]
    fn the_interval_contains_the_true_median_as_often_as_its_coverage_says() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for (count, confidence) in [(3, 0.95), (5, 0.9), (11, 0.95), (30, 0.8)] {
            let (mut held, mut coverage) = (0, 0.0);
            for _ in 0..20_000 {
                let values: Vec<f64> = (0..count).map(|_| random.sample(Exp1)).collect();
                let estimate = Estimate::of(&values, confidence).unwrap();
                held += usize::from((estimate.low..=estimate.high).contains(&std::f64::consts::LN_2));
                coverage = estimate.coverage;
            }
            // Three standard errors of 20,000 trials.
            let share = held as f64 / 20_000.0;
            assert!((share - coverage).abs() < 0.01, "{count}: {share}, not {coverage}");
        }
    }

    #[test]
    fn paired_trials_are_compared_pair_by_pair() {
        let (before, after) = ([1.0, 10.0, 100.0], [2.0, 20.0, 300.0]);
        let ratios = Estimate::of_ratios(&before, &after, 0.95).unwrap();
        assert_eq!((ratios.median, ratios.low, ratios.high, ratios.count), (2.0, 2.0, 3.0, 3));
        assert_eq!(Estimate::of_differences(&before, &after, 0.95).unwrap().median, 10.0);
        assert_eq!(Estimate::of_differences(&before, &after[1..], 0.95), None);
        assert_eq!(Estimate::of_ratios(&[0.0], &[1.0], 0.95), None);
        assert_eq!((median(&[]), median(&[1.0, f64::NAN])), (None, None));
    }

    fn points(points: &[(f64, f64, f64)]) -> Vec<LoadPoint> {
        points
            .iter()
            .map(|(offered, achieved, p99_ms)| LoadPoint { offered: *offered, achieved: *achieved, p99_ms: *p99_ms })
            .collect()
    }

    #[test]
    fn the_knee_is_the_highest_rate_within_both_limits() {
        let curve = [(5.0, 5.0, 120.0), (1.0, 1.0, 100.0), (3.0, 2.98, 900.0), (6.0, 5.9, 310.0), (9.0, 7.0, 4_000.0)];
        let by_latency = Knee { sustained: 5.0, beyond: Some(6.0), limit: Some(Limit::Latency) };
        assert_eq!(knee(&points(&curve)), Some(by_latency), "one slow trial below does not count");
        let by_rate = Knee { sustained: 1.0, beyond: Some(2.0), limit: Some(Limit::Throughput) };
        assert_eq!(knee(&points(&[(1.0, 1.0, 10.0), (2.0, 1.8, 11.0)])), Some(by_rate));
        let none = Knee { sustained: 2.0, beyond: None, limit: None };
        assert_eq!(knee(&points(&[(1.0, 1.0, 10.0), (2.0, 2.0, 11.0)])), Some(none));
        assert_eq!(knee(&points(&[(2.0, 1.0, 10.0), (3.0, 1.0, 10.0)])), None);
        assert_eq!((knee(&[]), knee(&points(&[(1.0, f64::NAN, 1.0)]))), (None, None));
    }

    proptest! {
        #[test]
        fn the_median_is_within_its_interval(
            values in prop::collection::vec(-1e9..1e9_f64, 1..60),
            confidence in 0.0..1.0_f64,
        ) {
            let estimate = Estimate::of(&values, confidence).unwrap();
            prop_assert!(estimate.low <= estimate.median && estimate.median <= estimate.high);
            let widest = 1.0 - 0.5_f64.powi(values.len() as i32 - 1);
            prop_assert!(estimate.coverage >= confidence.min(widest) - 1e-9);
            prop_assert_eq!(Some(estimate.median), median(&values));
        }
    }
}
