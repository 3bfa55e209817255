//! The ratio between two groups of trials, with its confidence interval, and verdicts on several ratios together.
//!
//! Intervals and tests are Student's t on logarithms. If two groups do not differ, their differences are as likely above 0 as
//! below, and then the t-test's share of false positives is at most the nominal one, also for distributions other than the
//! normal one (Efron, Student's t-test under symmetry conditions, 1969).

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::statistics::Statistics;
use utoipa::ToSchema;

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// Two groups are alike if the whole interval of their ratio is from 1 / 1.05 to 1.05: a difference of at most 5 %.
pub const ALIKE: f64 = 1.05;

/// The probability with which [`Ratio::needed`] repetitions find a difference of [`ALIKE`].
const POWER: f64 = 0.8;

/// Maximum of [`Ratio::needed`]; above it, no number is given.
const MAX_NEEDED: f64 = 10_000.0;

/// The verdict on a ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = RatioVerdict)]
pub enum Verdict {
    /// Above 1, by more than chance explains.
    Higher,
    /// Below 1, by more than chance explains.
    Lower,
    /// The interval is within a difference of 5 %.
    Alike,
    /// Chance explains the difference, but a difference of 5 % is possible; or it was not judged.
    #[default]
    Unclear,
}

/// The ratio of a second group of trials to a first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ratio {
    /// The ratio of the geometric means, second group / first group.
    #[serde(alias = "median")]
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
    /// The probability that such an interval contains the true ratio: 95 %, or 0 if there is no interval.
    pub coverage: f64,
    /// Number of pairs, or of trials in the smaller group.
    pub count: usize,
    /// The probability of a ratio at least as far from 1 if the groups do not differ, corrected for the number of judged ratios.
    #[serde(default = "certain")]
    #[schema(required)]
    pub p: f64,
    #[serde(default)]
    #[schema(required)]
    pub verdict: Verdict,
    /// Repetitions that would find a difference of 5 % in 80 % of the runs. `None` if more repetitions do not help.
    #[serde(default)]
    #[schema(required)]
    pub needed: Option<usize>,
}

fn certain() -> f64 {
    1.0
}

impl Ratio {
    /// The ratio `after / before` of pairs. `resolution`: the step between two figures, as a share of them, such as one request
    /// of all: a difference of one step counts as none. None if the groups differ in length, are empty, or a value is not
    /// finite and above 0.
    pub fn paired(before: &[f64], after: &[f64], resolution: f64) -> Option<Self> {
        let (first, second) = (logarithms(before)?, logarithms(after)?);
        let differences: Vec<f64> = second.iter().zip(&first).map(|(after, before)| after - before).collect();
        let pairs = differences.len() as f64;
        let (mean, variance) = moments(&differences)?;
        let variance = variance.max(of_rounding(resolution));
        (first.len() == second.len())
            .then(|| Self::student(mean, resolution, variance / pairs, pairs - 1.0, differences.len(), variance))
    }

    /// The ratio of groups that are not paired, by Welch's test. None if a group is empty, or a value is not finite and above 0.
    pub fn independent(before: &[f64], after: &[f64], resolution: f64) -> Option<Self> {
        let group = |values: &[f64]| {
            let (mean, variance) = moments(&logarithms(values)?)?;
            Some((mean, variance.max(of_rounding(resolution) / 2.0)))
        };
        let ((first, of_first), (second, of_second)) = (group(before)?, group(after)?);
        let (few, many) = (before.len() as f64, after.len() as f64);
        let (a, b) = (of_first / few, of_second / many);
        let freedom = (a + b).powi(2) / (a.powi(2) / (few - 1.0) + b.powi(2) / (many - 1.0));
        // NaN if neither group has a variance.
        let freedom = if freedom.is_finite() { freedom } else { few.min(many) - 1.0 };
        let count = before.len().min(after.len());
        Some(Self::student(second - first, resolution, a + b, freedom, count, of_first + of_second))
    }

    /// `error`: the variance of `mean`; `variance`: that of one repetition.
    fn student(mean: f64, resolution: f64, error: f64, freedom: f64, count: usize, variance: f64) -> Self {
        let has_interval = freedom >= 1.0;
        let reach = resolution + quantile(freedom, (1.0 + CONFIDENCE) / 2.0) * error.sqrt();
        let half = if has_interval { reach } else { 0.0 };
        Self {
            ratio: mean.exp(),
            low: (mean - half).exp(),
            high: (mean + half).exp(),
            coverage: if has_interval { CONFIDENCE } else { 0.0 },
            count,
            p: if has_interval { chance((mean.abs() - resolution).max(0.0), error, freedom) } else { 1.0 },
            verdict: Verdict::Unclear,
            needed: has_interval.then(|| needed(variance, resolution)).flatten(),
        }
    }

    /// Widens the interval to the variation between runs of the same program, if that is more than the variation between trials.
    #[must_use]
    pub fn beside(self, floor: &Floor) -> Self {
        let mean = self.ratio.ln();
        let of_runs = Self::student(mean, 0.0, 2.0 * floor.variance, floor.runs as f64 - 1.0, self.count, 0.0);
        // A single repetition has no p of its own.
        let p = if self.coverage > 0.0 { self.p.max(of_runs.p) } else { of_runs.p };
        match of_runs.high > self.high {
            true => Self { needed: None, p, ..of_runs },
            false => Self { p, ..self },
        }
    }

    /// There is an interval, and it is from `1 / ALIKE` to [`ALIKE`].
    fn is_alike(&self) -> bool {
        self.coverage > 0.0 && self.low >= 1.0 / ALIKE && self.high <= ALIKE
    }

    /// The difference is more than chance explains. Call it after [`judge`].
    pub fn is_clear(&self) -> bool {
        matches!(self.verdict, Verdict::Higher | Verdict::Lower)
    }
}

/// Gives each ratio its verdict. The probability that any of them is called clear by chance is at most 5 %, however many they
/// are and whether or not they depend on one another (Holm, 1979).
pub fn judge<'a>(ratios: impl IntoIterator<Item = &'a mut Ratio>) {
    let mut ratios: Vec<_> = ratios.into_iter().collect();
    ratios.sort_by(|one, other| one.p.total_cmp(&other.p));
    let all = ratios.len();
    let mut least = 0.0_f64;
    for (rank, ratio) in ratios.into_iter().enumerate() {
        least = least.max(ratio.p * (all - rank) as f64).min(1.0);
        ratio.p = least;
        ratio.verdict = match ratio.p <= 1.0 - CONFIDENCE {
            true if ratio.ratio > 1.0 => Verdict::Higher,
            true => Verdict::Lower,
            false if ratio.is_alike() => Verdict::Alike,
            false => Verdict::Unclear,
        };
    }
}

/// How much runs of the same program differ (A/A).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// Variance of the runs' mean logarithms.
    variance: f64,
    runs: usize,
}

impl Floor {
    /// `runs`: the figures of each run's trials. None if fewer than two runs have figures, all above 0.
    pub fn of(runs: &[Vec<f64>]) -> Option<Self> {
        let means: Vec<f64> = runs.iter().filter_map(|run| Some(moments(&logarithms(run)?)?.0)).collect();
        (means.len() >= 2).then(|| moments(&means))?.map(|(_, variance)| Self { variance, runs: means.len() })
    }
}

fn logarithms(values: &[f64]) -> Option<Vec<f64>> {
    values.iter().map(|value| (*value > 0.0 && value.is_finite()).then(|| value.ln())).collect()
}

/// Mean and variance; the variance of one value is 0. None without values.
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    match values {
        [] => None,
        [value] => Some((*value, 0.0)),
        values => Some((values.mean(), values.variance())),
    }
}

/// The variance of the difference of two figures that are rounded to steps of this size.
fn of_rounding(resolution: f64) -> f64 {
    resolution.powi(2) / 6.0
}

fn distribution(freedom: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, freedom).ok()
}

fn quantile(freedom: f64, share: f64) -> f64 {
    distribution(freedom).map_or(f64::INFINITY, |student| student.inverse_cdf(share))
}

/// The probability of a mean at least as far from 0, by Student's t.
fn chance(mean: f64, error: f64, freedom: f64) -> f64 {
    // No variance, apart from rounding errors.
    if error.sqrt() < 1e-12 {
        return if mean.abs() < 1e-9 { 1.0 } else { 0.0 };
    }
    let below = distribution(freedom).map_or(0.5, |student| student.cdf(-(mean / error.sqrt()).abs()));
    (2.0 * below).min(1.0)
}

/// Repetitions that find a difference of [`ALIKE`] in [`POWER`] of the runs, where one repetition has this variance: by the
/// normal distribution, and Guenther's correction for a deviation that is not known (1981).
fn needed(variance: f64, resolution: f64) -> Option<usize> {
    // If the steps of a figure are larger, no number of repetitions finds the difference.
    let found = Some(ALIKE.ln() - resolution).filter(|found| *found > 0.0)?;
    let [confident, powerful] = [(1.0 + CONFIDENCE) / 2.0, POWER].map(|share| Normal::standard().inverse_cdf(share));
    let needed = (confident + powerful).powi(2) * variance / found.powi(2) + confident.powi(2) / 2.0;
    (needed <= MAX_NEEDED).then_some(needed.ceil() as usize)
}

#[cfg(test)]
#[path = "ratio_tests.rs"]
mod tests;
