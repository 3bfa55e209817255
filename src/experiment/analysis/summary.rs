//! Summary of a run's trials: medians over the repetitions of each cell, compared with the expected figures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Contrast, KneeFinding, conditions, contrasts, findings, knees};
use crate::experiment::expected::{Expectations, Expected};
use crate::experiment::plan::Plan;
use crate::experiment::run::{Percentile, RequestCounts, Results, TierUsage, TrialResult};
use crate::experiment::statistics::{Estimate, Metric, has_beyond, median};
use crate::wire::{Hop, Latency, OutcomeCounts, Tier};

/// The confidence of intervals. With few repetitions their coverage is less, and they state it.
pub const CONFIDENCE: f64 = 0.95;

/// Points of a percentile curve for each halving of the distance to 100 %, as in HdrHistogram's tools.
const POINTS_PER_HALVING: i32 = 5;

/// Cells without a trial whose expected figures a summary shows.
const MAX_AHEAD: usize = 50;

/// Summary of the trials completed so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Sentences: warnings, then findings.
    #[serde(rename = "abstract")]
    pub findings: Vec<Finding>,
    pub trials_done: usize,
    pub trials_planned: usize,
    /// All cells of the plan, in its order; cells without a completed trial have no figures.
    pub cells: Vec<CellSummary>,
    /// If the plan has a paired factor: its levels compared with the first one, within each repetition.
    pub contrasts: Vec<Contrast>,
    /// If the load is a factor: the knee for each combination of the other factors.
    pub knees: Vec<KneeFinding>,
    /// What the machine that made the load did during the trials, each with the least and the most of any trial.
    #[serde(default)]
    pub conditions: Vec<(String, String)>,
}

/// A sentence of the abstract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub is_warning: bool,
    pub text: String,
}

/// A figure over repetitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figure {
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The figure of each trial, in the order in which they ran.
    pub values: Vec<f64>,
}

/// Summary of a cell's trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CellSummary {
    /// Index of the plan's cell.
    pub cell: usize,
    /// Number of trials that have figures. The fields below are about these.
    pub trials: usize,
    /// Minimum number of requests of a trial: with fewer than 1,000, the p99.9 is the slowest one.
    pub fewest_requests: u64,
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
    /// Trials whose ledger does not balance.
    pub unbalanced: usize,
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
    /// Trials that had no steady state, each with the reason.
    #[serde(default)]
    pub unsteady: Vec<String>,
    /// More was asked than could be done in most of the trials, so that their latencies grew as long as they lasted.
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

impl Figure {
    /// `None` without values.
    pub(super) fn of(values: Vec<f64>) -> Option<Self> {
        Some(Self { estimate: Estimate::of(&values, CONFIDENCE)?, values })
    }
}

impl CellSummary {
    /// The median of a metric over the cell's trials.
    pub fn median(&self, metric: Metric) -> Option<f64> {
        self.figures.get(&metric).map(|figure| figure.estimate.median)
    }

    /// Percentiles of a metric that have fewer requests than they need are just the slowest request.
    pub fn is_few(&self, metric: Metric) -> bool {
        self.trials > 0 && self.fewest_requests < metric.needs_requests()
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

impl Summary {
    /// Summarises the trials completed so far.
    pub fn of(results: &Results, expectations: &Expectations) -> Self {
        let cells = (0..results.plan.cells.len()).map(|cell| of_cell(results, cell, expectations)).collect();
        let mut summary = Self {
            findings: vec![],
            trials_done: results.trials.len(),
            trials_planned: results.plan.trial_count(),
            cells,
            contrasts: contrasts(results),
            knees: vec![],
            conditions: conditions(results),
        };
        summary.knees = knees(results, &summary.cells);
        summary.findings = findings(results, &summary);
        summary
    }
}

fn of_cell(results: &Results, cell: usize, expectations: &Expectations) -> CellSummary {
    let all: Vec<&TrialResult> = results.trials.iter().filter(|trial| trial.cell == cell).collect();
    let trials: Vec<&TrialResult> = all.iter().copied().filter(|trial| trial.problem.is_none()).collect();
    let figures = Metric::ALL.into_iter().filter_map(|metric| Some((metric, figure(metric, &trials)?))).collect();
    // Of a large plan before its trials: to simulate all of it would hold up the first one.
    let is_early = all.is_empty() && results.plan.cells.len() > MAX_AHEAD;
    let (expected, expected_none) = match (!is_early).then(|| expectations.cell(cell)).flatten() {
        Some(Ok(expected)) => (Some(expected.clone()), None),
        Some(Err(why)) => (None, Some(why.clone())),
        None => (None, None),
    };
    let mut summary = CellSummary {
        cell,
        trials: trials.len(),
        fewest_requests: trials.iter().map(|trial| trial.latency.count()).min().unwrap_or_default(),
        figures,
        requests: RequestCounts::default(),
        messages: OutcomeCounts::default(),
        errors: BTreeMap::new(),
        percentiles: percentiles(&merged(trials.iter().map(|trial| &trial.latency))),
        hops: hops(&trials),
        responders: ranks(&trials),
        nodes: nodes(&trials),
        usage: usage(&trials),
        problems: all.iter().filter_map(|trial| problem(trial)).collect(),
        unbalanced: trials.iter().filter(|trial| !trial.ledger.balanced).count(),
        behind: trials.iter().filter(|trial| trial.generator.behind).count(),
        expected,
        expected_none,
        by_expected: BTreeMap::new(),
        unsteady: trials.iter().filter_map(|trial| unsteady(trial)).collect(),
        is_overloaded: false,
    };
    let is_growing = |trial: &&TrialResult| match &trial.steadiness {
        Some(steadiness) => steadiness.is_growing(),
        // Of a run of an earlier version.
        None => summary.expected.as_ref().is_some_and(|expected| expected.saturated),
    };
    summary.is_overloaded = trials.iter().copied().filter(is_growing).count() * 2 > trials.len();
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

fn unsteady(trial: &TrialResult) -> Option<String> {
    Some(format!("trial {}: {}", trial.number + 1, trial.steadiness.as_ref()?.problem()?))
}

fn figure(metric: Metric, trials: &[&TrialResult]) -> Option<Figure> {
    Figure::of(trials.iter().filter_map(|trial| metric.of(trial)).collect())
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
pub(super) fn percentiles(latency: &Latency) -> Vec<Percentile> {
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
    use crate::experiment::{good_trial, results_of};

    const PLAN: &str = "duration = \"10s\"\nrepetitions = 3\n[factors]\nresponders = [1, 2]\n[fixed]\nrequesters = 4\ndelay = \"fixed 20ms\"\nfan_out = \"one\"\nload = \"closed 8\"";

    fn summary(results: &Results) -> Summary {
        Summary::of(results, &Expectations::of(&results.plan))
    }

    #[test]
    fn figures_are_medians_over_repetitions_beside_what_was_expected() {
        let results =
            results_of(PLAN, |cell, again| good_trial(cell, again, 45.0 * (cell + 1) as f64 + f64::from(again), 100));
        let summary = summary(&results);
        let rate = &summary.cells[1].figures[&Metric::RequestsPerS];
        assert_eq!((rate.estimate.median, rate.estimate.low, rate.estimate.high), (91.0, 90.0, 92.0));
        assert_eq!(rate.values, [90.0, 91.0, 92.0]);
        // Two workers of 20 ms can do 100 a second.
        let expected = summary.cells[1].expected.as_ref().unwrap();
        assert!((expected.figures[&Metric::RequestsPerS].median / 100.0 - 1.0).abs() < 0.02, "{expected:?}");
        assert!((summary.cells[1].by_expected[&Metric::RequestsPerS].median - 0.91).abs() < 0.02);
        assert_eq!(expected.figures.get(&Metric::Cpu), None);
        let cell = &summary.cells[0];
        assert_eq!((cell.trials, cell.requests.sent, cell.messages.responses), (3, 1_380, 1_380));
        assert_eq!((&cell.responders[..], cell.nodes["here"]), (&[0.75, 0.25][..], 1.0));
        assert_eq!((cell.usage[0].cpu_us_per_message, cell.usage.len()), (50.0, 1));
        assert!((cell.hops[&Hop::Service] - 50.5).abs() < 1.0, "{:?}", cell.hops);
    }

    #[test]
    fn a_trial_with_a_problem_has_no_figures_but_is_reported() {
        let results = results_of(PLAN, |cell, again| {
            let mut one = good_trial(cell, again, 50.0, 100);
            match (cell, again) {
                (0, 1) => one.problem = Some("the broker died".to_owned()),
                (1, 0) => (one.ledger.balanced, one.ledger.reason) = (false, Some("one is missing".to_owned())),
                (1, 2) => one.generator.behind = true,
                _ => {}
            }
            one
        });
        let summary = summary(&results);
        assert_eq!((summary.cells[0].trials, summary.cells[0].figures[&Metric::P50].values.len()), (2, 2));
        assert_eq!(summary.cells[0].problems, ["trial 3: the broker died"]);
        assert_eq!(summary.cells[1].problems, ["trial 2: the ledger does not balance: one is missing"]);
        assert_eq!((summary.cells[1].unbalanced, summary.cells[1].behind), (1, 1));
        let warnings: Vec<_> = summary.findings.iter().filter(|finding| finding.is_warning).collect();
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(summary.findings[..3].iter().all(|finding| finding.is_warning));
    }

    #[test]
    fn a_large_plan_is_expected_of_trial_by_trial() {
        let levels: Vec<_> = (1..=60).collect();
        let plan = format!(
            "duration = \"1s\"\nrepetitions = 1\n[factors]\nresponders = {levels:?}\n[fixed]\nload = \"closed 8\""
        );
        let mut results = results_of(&plan, |cell, again| good_trial(cell, again, 50.0, 100));
        results.trials.truncate(1);
        let first = results.trials[0].cell;
        let has = |summary: &Summary| {
            summary.cells.iter().map(|cell| cell.expected.is_some() || cell.expected_none.is_some()).collect::<Vec<_>>()
        };
        let expected = has(&summary(&results));
        assert!(expected.iter().enumerate().all(|(cell, has)| *has == (cell == first)), "{expected:?}");
    }

    #[test]
    fn a_run_that_has_just_begun_has_a_summary_too() {
        let mut results = results_of(PLAN, |cell, again| good_trial(cell, again, 50.0, 100));
        results.trials.clear();
        let empty = summary(&results);
        assert!(empty.cells.iter().all(|cell| cell.figures.is_empty() && cell.expected.is_some()));
        assert_eq!((empty.trials_done, empty.trials_planned), (0, 6));
        let json = serde_json::to_value(&empty).unwrap();
        assert_eq!(json["abstract"][0]["text"], "0 of 6 trials are complete.");
        assert_eq!(serde_json::from_value::<Summary>(json).unwrap(), empty);
    }

    #[test]
    fn percentiles_go_as_far_as_there_are_requests() {
        let points = percentiles(&good_trial(0, 0, 1.0, 100).latency);
        assert_eq!((points[0].share, points.last().unwrap().share), (0.0, 1.0));
        assert!(points[points.len() - 2].share <= 0.99 && points.is_sorted_by_key(|point| point.us));
        assert_eq!(percentiles(&Latency::default()), []);
    }
}
