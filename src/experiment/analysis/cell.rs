//! Summary of one cell's trials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::experiment::expected::{Expectations, Expected};
use crate::experiment::plan::Plan;
use crate::experiment::run::{Percentile, RequestCounts, Results, Steadiness, TierUsage, TrialResult};
use crate::experiment::statistics::{Estimate, Metric, Ratio, has_beyond, median};
use crate::wire::{Hop, Latency, OutcomeCounts, Tier};

/// The confidence of intervals. With few repetitions their coverage is less, and they state it.
pub const CONFIDENCE: f64 = 0.95;

/// Points of a percentile curve for each halving of the distance to 100 %, as in HdrHistogram's tools.
const POINTS_PER_HALVING: i32 = 5;

/// Cells without a trial whose expected figures a summary shows.
const MAX_AHEAD: usize = 50;

/// A figure over repetitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The figure of each trial, in the order in which they ran.
    pub values: Vec<f64>,
    /// A percentile that some of the trials had too few requests for: there it is just the slowest one.
    #[serde(default)]
    pub is_few: bool,
}

/// Summary of a cell's trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CellSummary {
    /// Index of the plan's cell.
    pub cell: usize,
    /// Number of trials that have figures. The fields below are about these.
    pub trials: usize,
    pub figures: BTreeMap<Metric, Figure>,
    pub requests: RequestCounts,
    pub messages: OutcomeCounts,
    /// Number of errors by code or message.
    pub errors: BTreeMap<String, u64>,
    /// The latencies of all trials together, from the fastest request to the slowest.
    pub percentiles: Vec<Percentile>,
    /// A message's mean time in each hop, in milliseconds.
    pub hops: BTreeMap<Hop, f64>,
    /// Mean share of the messages by rank of responder worker, the busiest first. By rank, because trials may have different
    /// workers.
    pub responders: Vec<f64>,
    /// The mean share of each host.
    pub nodes: BTreeMap<String, f64>,
    pub usage: Vec<UsageSummary>,
    /// Why trials have no figures, or a ledger that does not balance.
    pub problems: Vec<String>,
    /// Trials whose load generator fell behind.
    pub behind: usize,
    /// None: there is no expectation; `expected_none` has the reason.
    #[schema(required)]
    pub expected: Option<Expected>,
    #[schema(required)]
    pub expected_none: Option<String>,
    /// Measured by expected within each repetition, whose simulated trial has the same arrivals.
    #[serde(default)]
    pub by_expected: BTreeMap<Metric, Estimate>,
    /// Mean latency of the second half of the measured time by that of the first, within each trial. None: too few requests.
    #[serde(default)]
    #[schema(required)]
    pub halves: Option<Ratio>,
    /// The halves differ by more than chance explains and by more than 10 %: latencies depend on warm-up and duration.
    #[serde(default)]
    pub is_unsteady: bool,
    /// More was asked than could be done, so that latencies grew as long as the trials lasted.
    #[serde(default)]
    pub is_overloaded: bool,
}

/// Median resource usage of the processes of one tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageSummary {
    pub tiers: Vec<Tier>,
    pub processes: usize,
    pub cpu_us_per_message: f64,
    pub resident_bytes: f64,
}

/// The figures of trials, of those that have any.
pub(super) fn figures<'a>(trials: impl Iterator<Item = &'a TrialResult> + Clone) -> BTreeMap<Metric, Figure> {
    let figure = |metric: Metric| {
        let known = trials.clone().filter_map(|trial| Some((metric.of(trial)?, metric.is_few(trial.latency.count()))));
        let (values, few): (Vec<f64>, Vec<bool>) = known.unzip();
        let estimate = Estimate::of(&values, CONFIDENCE)?;
        Some((metric, Figure { estimate, values, is_few: few.contains(&true) }))
    };
    Metric::ALL.into_iter().filter_map(figure).collect()
}

impl CellSummary {
    /// Summarises the trials of a cell.
    pub(super) fn of(results: &Results, cell: usize, expectations: &Expectations) -> Self {
        let all: Vec<&TrialResult> = results.trials.iter().filter(|trial| trial.cell == cell).collect();
        let trials: Vec<&TrialResult> = all.iter().copied().filter(|trial| trial.problem.is_none()).collect();
        // Of a large plan before its trials: to simulate all of it would hold up the first one.
        let is_early = all.is_empty() && results.plan.cells.len() > MAX_AHEAD;
        let (expected, expected_none) = match (!is_early).then(|| expectations.cell(cell)).flatten() {
            Some(Ok(expected)) => (Some(expected.clone()), None),
            Some(Err(why)) => (None, Some(why.clone())),
            None => (None, None),
        };
        let load = results.plan.cells[cell].setup.load;
        let judged = || trials.iter().filter(|_| load.is_steady());
        let steadiness = || judged().filter_map(|trial| trial.steadiness.as_ref());
        let mut summary = Self {
            cell,
            trials: trials.len(),
            figures: figures(trials.iter().copied()),
            requests: RequestCounts::default(),
            messages: OutcomeCounts::default(),
            errors: BTreeMap::new(),
            percentiles: percentiles(&merged(trials.iter().map(|trial| &trial.latency))),
            hops: hops(&trials),
            responders: ranks(&trials),
            nodes: nodes(&trials),
            usage: usage(&trials),
            problems: all.iter().filter_map(|trial| problem(trial)).collect(),
            behind: trials.iter().filter(|trial| trial.generator.behind).count(),
            expected,
            expected_none,
            by_expected: BTreeMap::new(),
            halves: Steadiness::halves(steadiness()),
            is_unsteady: false,
            is_overloaded: load.is_open() && Steadiness::is_growing(steadiness()),
        };
        for trial in &trials {
            let (requests, messages) = (&mut summary.requests, &mut summary.messages);
            requests.sent += trial.requests.sent;
            requests.complete += trial.requests.complete;
            requests.failed += trial.requests.failed;
            requests.refused += trial.requests.refused;
            messages.responses += trial.messages.responses;
            messages.errors += trial.messages.errors;
            messages.timeouts += trial.messages.timeouts;
            trial.errors.iter().for_each(|(error, count)| *summary.errors.entry(error.clone()).or_default() += count);
        }
        let by_expected = |metric: Metric| {
            let expected = summary.expected.as_ref()?.figures.get(&metric).filter(|range| range.median > 0.0)?;
            // The simulation may have fewer trials than the plan repetitions.
            let of = |repetition: u32| expected.values.get(repetition as usize).copied().unwrap_or(expected.median);
            let figures = metric.by_repetition(results, cell);
            let shares: Vec<f64> = figures.iter().map(|(repetition, figure)| figure / of(*repetition)).collect();
            Estimate::of(&shares, CONFIDENCE)
        };
        let by_expected: BTreeMap<_, _> =
            Metric::ALL.into_iter().filter_map(|metric| Some((metric, by_expected(metric)?))).collect();
        summary.by_expected = by_expected;
        summary
    }

    /// The median of a metric over the cell's trials.
    pub fn median(&self, metric: Metric) -> Option<f64> {
        self.figures.get(&metric).map(|figure| figure.estimate.median)
    }

    /// Requests per second that the workers could serve. None: unbounded, or not known.
    pub(super) fn capacity_per_s(&self, plan: &Plan) -> Option<f64> {
        let messages = f64::from(plan.cells[self.cell].setup.messages_per_request());
        Some(self.expected.as_ref()?.capacity_per_s? / messages)
    }

    pub fn expected(&self, metric: Metric) -> Option<f64> {
        Some(self.expected.as_ref()?.figures.get(&metric)?.median)
    }
}

fn problem(trial: &TrialResult) -> Option<String> {
    let said = trial.problem.clone().or_else(|| {
        let why = trial.ledger.reason.as_deref().unwrap_or("the reason is unknown");
        (!trial.ledger.balanced).then(|| format!("the ledger does not balance: {why}"))
    })?;
    Some(format!("trial {}: {said}", trial.number + 1))
}

fn merged<'a>(latencies: impl Iterator<Item = &'a Latency>) -> Latency {
    latencies.fold(Latency::precise(), |mut all, one| {
        all.merge(one);
        all
    })
}

/// Points of the percentile curve, evenly spaced on its logarithmic axis, up to the slowest request.
fn percentiles(latency: &Latency) -> Vec<Percentile> {
    if latency.count() == 0 {
        return vec![];
    }
    let shares = (0..).map(|step| 1.0 - 0.5_f64.powf(f64::from(step) / f64::from(POINTS_PER_HALVING)));
    let shown = shares.take_while(|share| has_beyond(latency.count(), *share));
    shown.chain([1.0]).map(|share| Percentile { share, us: latency.quantile_us(share) }).collect()
}

fn hops(trials: &[&TrialResult]) -> BTreeMap<Hop, f64> {
    let mut hops: BTreeMap<Hop, Latency> = BTreeMap::new();
    for (hop, latency) in trials.iter().flat_map(|trial| &trial.hops) {
        hops.entry(*hop).or_insert_with(Latency::precise).merge(latency);
    }
    hops.retain(|_, latency| latency.count() > 0);
    hops.into_iter().map(|(hop, latency)| (hop, latency.mean_us() / 1000.0)).collect()
}

fn ranks(trials: &[&TrialResult]) -> Vec<f64> {
    let mut ranks: Vec<f64> = vec![];
    for trial in trials {
        let mut counts: Vec<u64> = trial.shares.responders.values().copied().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        ranks.resize(ranks.len().max(counts.len()), 0.0);
        let all = counts.iter().sum::<u64>().max(1) as f64 * trials.len() as f64;
        ranks.iter_mut().zip(counts).for_each(|(rank, count)| *rank += count as f64 / all);
    }
    ranks
}

fn nodes(trials: &[&TrialResult]) -> BTreeMap<String, f64> {
    let mut nodes = BTreeMap::new();
    for trial in trials {
        let all = trial.shares.nodes.values().sum::<u64>().max(1) as f64 * trials.len() as f64;
        trial
            .shares
            .nodes
            .iter()
            .for_each(|(node, count)| *nodes.entry(node.clone()).or_default() += *count as f64 / all);
    }
    nodes
}

fn usage(trials: &[&TrialResult]) -> Vec<UsageSummary> {
    let mut groups: Vec<(&[Tier], Vec<&TierUsage>)> = vec![];
    for tier in trials.iter().flat_map(|trial| &trial.usage) {
        match groups.iter_mut().find(|(tiers, _)| *tiers == tier.tiers) {
            Some((_, usage)) => usage.push(tier),
            None => groups.push((&tier.tiers, vec![tier])),
        }
    }
    let middle = |values: Vec<f64>| median(&values).unwrap_or_default();
    groups
        .into_iter()
        .map(|(tiers, usage)| UsageSummary {
            tiers: tiers.to_vec(),
            processes: usage.iter().map(|tier| tier.processes).max().unwrap_or_default(),
            cpu_us_per_message: middle(usage.iter().map(|tier| tier.cpu_us_per_message).collect()),
            resident_bytes: middle(usage.iter().map(|tier| tier.resident_bytes as f64).collect()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::good_trial;

    #[test]
    fn percentiles_go_as_far_as_there_are_requests() {
        let points = percentiles(&good_trial(0, 0, 1.0, 100).latency);
        assert_eq!((points[0].share, points.last().unwrap().share), (0.0, 1.0));
        assert!(points[points.len() - 2].share <= 0.99 && points.is_sorted_by_key(|point| point.us));
        assert_eq!(percentiles(&Latency::default()), []);
    }
}
