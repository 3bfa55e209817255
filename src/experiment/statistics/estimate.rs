//! Distribution-free estimates from repeated trials.

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
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            prop_assert_eq!((median(&[]), median(&[1.0, f64::NAN])), (None, None));
        }
    }
}
