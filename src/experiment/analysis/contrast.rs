//! Contrasts of paired levels within each repetition, and knees of rising rates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CONFIDENCE, CellSummary};
use crate::experiment::plan::{Cell, Factor, Load, Target};
use crate::experiment::run::{Results, TrialResult};
use crate::experiment::statistics::{Estimate, Knee, LoadPoint, Metric, Ratio, judge, knee};

/// A level of the paired factor, compared with its first level; the other factors are equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contrast {
    pub factor: Factor,
    /// The first level, the base of the ratios.
    pub base: String,
    pub level: String,
    /// The levels of the other factors.
    pub others: BTreeMap<Factor, String>,
    /// Ratios within each repetition: above 1 if the level has more than the base.
    pub ratios: BTreeMap<Metric, Ratio>,
}

/// The levels of some factors.
type Levels = BTreeMap<Factor, String>;

/// The knee of a rising load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KneeFinding {
    /// The levels of the factors other than the load.
    pub others: BTreeMap<Factor, String>,
    /// Sorted by rate, in requests per second.
    pub points: Vec<LoadPoint>,
    /// None: not even the lowest rate was sustained.
    #[schema(required)]
    pub knee: Option<Knee>,
    /// Requests per second that the workers could serve.
    #[schema(required)]
    pub capacity_per_s: Option<f64>,
}

/// The contrasts of the plan's paired factor, from trials of the same repetition.
pub fn contrasts(results: &Results) -> Vec<Contrast> {
    let plan = &results.plan;
    let Some(factor) = plan.pair else { return vec![] };
    let Some((_, levels)) = plan.factors.iter().find(|(known, _)| *known == factor) else { return vec![] };
    let Some((base, later)) = levels.split_first() else { return vec![] };
    let mut contrasts = vec![];
    for (first, cell) in plan.cells.iter().enumerate().filter(|(_, cell)| cell.levels.get(&factor) == Some(base)) {
        let others = without(cell, factor);
        for level in later {
            let is_partner =
                |other: &Cell| other.levels.get(&factor) == Some(level) && without(other, factor) == others;
            let Some(second) = plan.cells.iter().position(is_partner) else { continue };
            contrasts.push(Contrast {
                factor,
                base: base.clone(),
                level: level.clone(),
                others: others.clone(),
                ratios: Metric::ALL
                    .into_iter()
                    .filter_map(|metric| Some((metric, ratio(results, metric, first, second)?)))
                    .collect(),
            });
        }
    }
    let judged = contrasts.iter_mut().flat_map(|contrast| &mut contrast.ratios);
    judge(judged.filter(|(metric, _)| Metric::JUDGED.contains(metric)).map(|(_, ratio)| ratio));
    contrasts
}

fn without(cell: &Cell, factor: Factor) -> BTreeMap<Factor, String> {
    cell.levels.iter().filter(|(known, _)| **known != factor).map(|(known, level)| (*known, level.clone())).collect()
}

/// The ratio of two cells' trials of the same repetitions, not judged.
pub(super) fn ratio(results: &Results, metric: Metric, first: usize, second: usize) -> Option<Ratio> {
    // A process that holds all trials grows from one to the next.
    if metric == Metric::Memory && results.plan.target == Target::InProcess {
        return None;
    }
    let resolution = metric.resolution(results, first).max(metric.resolution(results, second));
    paired(&metric.by_repetition(results, first), &metric.by_repetition(results, second), resolution)
}

/// The ratio of figures of the same repetitions.
pub(super) fn paired(before: &BTreeMap<u32, f64>, after: &BTreeMap<u32, f64>, resolution: f64) -> Option<Ratio> {
    let both = before.iter().filter_map(|(repetition, before)| Some((*before, *after.get(repetition)?)));
    let (before, after): (Vec<f64>, Vec<f64>) = both.unzip();
    Ratio::paired(&before, &after, resolution)
}

/// The knees for each combination of the other factors, if the load is a factor with constant rates.
pub fn knees(results: &Results, cells: &[CellSummary]) -> Vec<KneeFinding> {
    let plan = &results.plan;
    if !plan.factors.iter().any(|(factor, _)| *factor == Factor::Load) {
        return vec![];
    }
    let rate = |cell: usize| match plan.cells[cell].setup.load {
        Load::Constant { per_s } | Load::Poisson { per_s } => Some(per_s),
        Load::Closed { .. } | Load::Ramp { .. } => None,
    };
    let mut groups: Vec<(Levels, Vec<(f64, &CellSummary)>)> = vec![];
    for summary in cells.iter().filter(|summary| summary.trials > 0) {
        let Some(per_s) = rate(summary.cell) else { continue };
        let others = without(&plan.cells[summary.cell], Factor::Load);
        match groups.iter_mut().find(|(known, _)| *known == others) {
            Some((_, rates)) => rates.push((per_s, summary)),
            None => groups.push((others, vec![(per_s, summary)])),
        }
    }
    let finding = |(others, mut rates): (BTreeMap<Factor, String>, Vec<(f64, &CellSummary)>)| {
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let lowest = Metric::P99.by_repetition(results, rates.first()?.1.cell);
        let points: Vec<_> = rates.iter().filter_map(|(per_s, cell)| point(results, cell, *per_s, &lowest)).collect();
        let knee = knee(&points);
        let capacity_per_s = rates.first()?.1.capacity_per_s(plan);
        (points.len() > 1).then_some(KneeFinding { others, points, knee, capacity_per_s })
    };
    groups.into_iter().filter_map(finding).collect()
}

/// `lowest`: the p99 at the lowest rate, by repetition.
fn point(results: &Results, cell: &CellSummary, offered: f64, lowest: &BTreeMap<u32, f64>) -> Option<LoadPoint> {
    let trials = results.trials.iter().filter(|trial| trial.cell == cell.cell && trial.problem.is_none());
    let shares: Vec<f64> = trials.filter_map(share_achieved).collect();
    let p99 = Metric::P99.by_repetition(results, cell.cell);
    let times: Vec<f64> = p99.iter().filter_map(|(repetition, p99)| Some(p99 / lowest.get(repetition)?)).collect();
    Some(LoadPoint {
        offered,
        achieved: cell.median(Metric::RequestsPerS)?,
        p99_ms: cell.median(Metric::P99)?,
        share: Estimate::of(&shares, CONFIDENCE)?,
        p99_times: Estimate::of(&times, CONFIDENCE)?,
    })
}

/// See [`LoadPoint::share`].
fn share_achieved(trial: &TrialResult) -> Option<f64> {
    let seconds = trial.measured_ms / 1_000.0;
    let due = (trial.requests.sent + trial.generator.unsent) as f64;
    // Little's law: so many are under way at a moment, with a variance of about as many. Three deviations of the difference
    // of two moments.
    let under_way = due / seconds * trial.latency.mean_us() / 1e6;
    let by_chance = 3.0 * (2.0 * under_way).sqrt();
    (due > 0.0 && seconds > 0.0).then(|| ((trial.requests_per_s * seconds + by_chance) / due).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::analysis::Summary;
    use crate::experiment::expected::Expectations;
    use crate::experiment::statistics::{Limit, Verdict};
    use crate::experiment::{good_trial, results_of};

    #[test]
    fn pairs_are_compared_within_their_repetition() {
        let plan = "duration = \"1s\"\nrepetitions = 5\npair = \"dispatch\"\n[factors]\ndispatch = [\"round-robin\", \"least-busy\"]\nresponders = [2, 4]";
        // The machine gets slower over time, for both levels.
        let mut results = results_of(plan, |cell, again| {
            good_trial(cell, again, [100.0, 200.0, 110.0, 200.0][cell] / f64::from(again + 1), 100)
        });
        let at = |dispatch: &str, responders: &str| {
            let is = |cell: &Cell| {
                cell.levels[&Factor::Dispatch] == dispatch && cell.levels[&Factor::Responders] == responders
            };
            results.plan.cells.iter().position(is).unwrap()
        };
        let (first, second) = (at("round-robin", "2"), at("least-busy", "2"));
        let rates = |cell: usize| if cell == second { 110.0 } else { 100.0 };
        for trial in &mut results.trials {
            trial.requests_per_s = rates(trial.cell) / f64::from(trial.repetition + 1);
        }
        let found = contrasts(&results);
        assert_eq!(found.len(), 2);
        let contrast = found.iter().find(|it| it.others[&Factor::Responders] == "2").unwrap();
        assert_eq!((contrast.base.as_str(), contrast.level.as_str()), ("round-robin", "least-busy"));
        let ratio = contrast.ratios[&Metric::RequestsPerS];
        assert!((ratio.ratio - 1.1).abs() < 1e-9 && ratio.low > 1.09 && ratio.high < 1.11, "{ratio:?}");
        assert_eq!((ratio.verdict, contrast.ratios[&Metric::P99].verdict), (Verdict::Higher, Verdict::Alike));
        // This process holds all trials, and what they left in it.
        assert!(!contrast.ratios.contains_key(&Metric::Memory));
        // A repetition without both trials of a pair does not count.
        results.trials.retain(|trial| (trial.cell, trial.repetition) != (first, 1));
        assert_eq!(super::ratio(&results, Metric::RequestsPerS, first, second).unwrap().count, 4);
    }

    /// Of rates so low that chance moves them by more than 5 %, none is beyond the knee.
    #[test]
    fn arrivals_that_chance_makes_fewer_are_no_lack_of_capacity() {
        let plan = "duration = \"10s\"\nrepetitions = 3\n[factors]\nload = [\"poisson 5/s\", \"poisson 10/s\", \"poisson 20/s\"]";
        let due = [[61, 40, 48], [96, 82, 120], [180, 171, 190]];
        let mut results = results_of(plan, |cell, again| good_trial(cell, again, 1.0, 100));
        for trial in &mut results.trials {
            let due = due[trial.cell][trial.repetition as usize];
            (trial.requests.sent, trial.requests.complete) = (due, due);
            // One was still under way when the time was over.
            trial.requests_per_s = (due - 1) as f64 / 10.0;
        }
        let summary = Summary::of(&results, &Expectations::of(&results.plan));
        let knee = summary.knees[0].knee.unwrap();
        assert_eq!((knee.sustained, knee.at_least, knee.beyond), (20.0, Some(20.0), None), "{:?}", summary.knees);
        // What was due and not done is another thing.
        for trial in results.trials.iter_mut().filter(|trial| trial.cell == 2) {
            trial.requests_per_s = 0.8 * trial.requests.sent as f64 / 10.0;
        }
        let summary = Summary::of(&results, &Expectations::of(&results.plan));
        assert_eq!(summary.knees[0].knee.unwrap().beyond, Some(20.0));
    }

    #[test]
    fn rising_rates_have_a_knee_for_each_combination_of_the_rest() {
        let plan = "duration = \"1s\"\nrepetitions = 1\n[factors]\nload = [\"poisson 30/s\", \"poisson 10/s\", \"poisson 20/s\"]\nresponders = [1, 2]\n[fixed]\nfan_out = \"one\"\ndelay = \"fixed 50ms\"";
        let mut results = results_of(plan, |cell, again| good_trial(cell, again, 1.0, 100));
        let cells = results.plan.cells.clone();
        for trial in &mut results.trials {
            let offered = cells[trial.cell].setup.load.offered_per_s().unwrap();
            let capacity = if cells[trial.cell].setup.responders == 1 { 20.0 } else { 40.0 };
            trial.requests_per_s = offered.min(capacity);
            trial.requests.sent = (offered * 10.0) as u64;
        }
        let summary = Summary::of(&results, &Expectations::of(&results.plan));
        assert_eq!(summary.knees.len(), 2);
        let one = summary.knees.iter().find(|it| it.others[&Factor::Responders] == "1").unwrap();
        assert_eq!(one.points.iter().map(|point| point.offered).collect::<Vec<_>>(), [10.0, 20.0, 30.0]);
        assert_eq!(
            one.knee,
            Some(Knee {
                sustained: 20.0,
                at_least: Some(20.0),
                at_most: 20.0,
                beyond: Some(30.0),
                limit: Some(Limit::Throughput)
            })
        );
        assert_eq!(one.capacity_per_s, Some(20.0));
        let two = summary.knees.iter().find(|it| it.others[&Factor::Responders] == "2").unwrap();
        assert_eq!(
            two.knee,
            Some(Knee { sustained: 30.0, at_least: Some(30.0), at_most: 30.0, beyond: None, limit: None })
        );
    }
}
