//! The ratio between two groups of independent trials.

use statrs::distribution::{ContinuousCDF, Normal};

use super::Estimate;

/// Most pairs of which the distribution is worked out exactly: 50 trials against 50.
const MAX_EXACT: usize = 2_500;

impl Estimate {
    /// The ratio `after / before` of two groups of unpaired trials: the median of the ratios of all pairs (the estimator of
    /// Hodges and Lehmann, 1963, of the logarithms), with the interval of ratios that the Mann-Whitney test does not reject
    /// (Moses; Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 2014, section 4.3). Assumes that the groups'
    /// distributions have the same shape and differ by a factor. With too few trials the interval is from the least to the
    /// greatest ratio: a coverage of 90 % for 3 trials against 3.
    ///
    /// `None` if a group is empty, or a value is not finite or not above 0.
    pub fn of_independent_ratios(before: &[f64], after: &[f64], confidence: f64) -> Option<Self> {
        if before.iter().chain(after).any(|value| *value <= 0.0 || !value.is_finite()) {
            return None;
        }
        let mut ratios: Vec<f64> =
            after.iter().flat_map(|after| before.iter().map(move |before| after / before)).collect();
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios.get((ratios.len().wrapping_sub(1)) / 2)?, ratios[ratios.len() / 2]);
        let at_most = at_most(before.len(), after.len());
        let coverage = |skipped: usize| 1.0 - 2.0 * at_most(skipped);
        // It falls with every pair of ratios that is left out.
        let (mut skipped, mut beyond) = (0, ratios.len().div_ceil(2));
        while beyond - skipped > 1 {
            let middle = skipped.midpoint(beyond);
            if coverage(middle) >= confidence { skipped = middle } else { beyond = middle }
        }
        Some(Self {
            median: (low * high).sqrt(),
            low: ratios[skipped],
            high: ratios[ratios.len() - 1 - skipped],
            coverage: coverage(skipped).max(0.0),
            count: before.len().min(after.len()),
        })
    }
}

/// The probability that at most so many of the pairs of two groups are in one order, when both groups are alike: exact up to
/// [`MAX_EXACT`] pairs, whose distribution takes long to work out; of more, normal with a correction for continuity, which
/// is as good there.
fn at_most(first: usize, second: usize) -> Box<dyn Fn(usize) -> f64> {
    let pairs = first * second;
    if pairs > MAX_EXACT {
        let deviation = (pairs as f64 * (first + second + 1) as f64 / 12.0).sqrt();
        return Box::new(move |most| Normal::standard().cdf((most as f64 + 0.5 - pairs as f64 / 2.0) / deviation));
    }
    let mut sum = 0.0;
    let sums = rank_sums(first, second).into_iter().map(|chance| {
        sum += chance;
        sum
    });
    let sums: Vec<f64> = sums.collect();
    Box::new(move |most| sums[most])
}

/// The distribution of the Mann-Whitney statistic U under the null hypothesis: the probability of each number of pairs in
/// order. By their recursion (1947) on the group of the largest value.
fn rank_sums(first: usize, second: usize) -> Vec<f64> {
    // Indexed by the size of the first group; each pass adds one value to the second.
    let mut rows: Vec<Vec<f64>> = vec![vec![1.0]; first + 1];
    for size in 1..=second {
        for of_first in 1..=first {
            let share = of_first as f64 / (of_first + size) as f64;
            let mut row = vec![0.0; of_first * size + 1];
            // The largest value is in the first group, so it is above every value of the second.
            rows[of_first - 1].iter().enumerate().for_each(|(pairs, chance)| row[pairs + size] += share * chance);
            rows[of_first].iter().enumerate().for_each(|(pairs, chance)| row[pairs] += (1.0 - share) * chance);
            rows[of_first] = row;
        }
    }
    rows.swap_remove(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::Exp1;

    /// Tables of U have, for 5 against 5, 2 as the critical value at 5 % (two-sided), and 23 for 10 against 10.
    #[test]
    fn the_critical_values_are_those_of_the_tables() {
        for (count, critical) in [(4, 0), (5, 2), (8, 13), (10, 23)] {
            let chances = rank_sums(count, count);
            assert!((chances.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let within = |most: usize| 2.0 * chances[..=most].iter().sum::<f64>() <= 0.05;
            assert!(within(critical) && !within(critical + 1), "{count}");
        }
    }

    #[test]
    fn the_interval_holds_the_true_ratio_as_often_as_it_says() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for (first, second) in [(3, 3), (5, 5), (10, 4)] {
            let (mut held, mut coverage) = (0, 0.0);
            for _ in 0..20_000 {
                let before: Vec<f64> = (0..first).map(|_| random.sample(Exp1)).collect();
                let after: Vec<f64> = (0..second).map(|_| 3.0 * random.sample::<f64, _>(Exp1)).collect();
                let ratio = Estimate::of_independent_ratios(&before, &after, 0.95).unwrap();
                held += usize::from((ratio.low..=ratio.high).contains(&3.0));
                coverage = ratio.coverage;
            }
            let share = f64::from(held as u32) / 20_000.0;
            assert!((share - coverage).abs() < 0.01, "{first} and {second}: {share}, not {coverage}");
        }
    }

    #[test]
    fn large_groups_have_an_interval_soon_and_nearly_the_exact_one() {
        let (exact, many): (Vec<f64>, _) = (rank_sums(60, 60), at_most(60, 60));
        for most in [1_000, 1_426, 1_700] {
            let difference = exact[..=most].iter().sum::<f64>() - many(most);
            assert!(difference.abs() < 1e-3, "{most}: {difference}");
        }
        let before: Vec<f64> = (1..=1_000).map(f64::from).collect();
        let after: Vec<f64> = before.iter().map(|value| 2.0 * value).collect();
        let ratio = Estimate::of_independent_ratios(&before, &after, 0.95).unwrap();
        assert!((ratio.median - 2.0).abs() < 1e-9 && (ratio.coverage - 0.95).abs() < 1e-3, "{ratio:?}");
        assert!(1.8 < ratio.low && ratio.low < 2.0 && ratio.high < 2.2, "{ratio:?}");
    }

    #[test]
    fn few_trials_tell_how_little_they_say() {
        let ratio = Estimate::of_independent_ratios(&[1.0, 2.0, 4.0], &[2.0, 4.0, 8.0], 0.95).unwrap();
        assert_eq!((ratio.median, ratio.low, ratio.high, ratio.count), (2.0, 0.5, 8.0, 3));
        assert!((ratio.coverage - 0.9).abs() < 1e-12, "{ratio:?}");
        assert_eq!(
            Estimate::of_independent_ratios(&[2.0], &[3.0], 0.95).map(|it| (it.median, it.coverage)),
            Some((1.5, 0.0))
        );
        for (before, after) in [(&[][..], &[1.0][..]), (&[1.0], &[]), (&[0.0], &[1.0]), (&[1.0], &[f64::NAN])] {
            assert_eq!(Estimate::of_independent_ratios(before, after, 0.95), None);
        }
    }
}
