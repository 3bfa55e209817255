//! Contrasts of paired levels within each repetition, and knees of rising rates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CONFIDENCE, CellSummary};
use crate::experiment::plan::{Cell, Factor, Load, Plan};
use crate::experiment::run::Results;
use crate::experiment::statistics::Metric;
use crate::experiment::statistics::{Estimate, Knee, LoadPoint, knee};

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
    pub ratios: BTreeMap<Metric, Estimate>,
}

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

/// Minimum coverage of a trusted interval: 90 %, less a rounding error.
const MIN_COVERAGE: f64 = 0.9 - 1e-9;

/// True if the interval has enough coverage and does not contain 1: the difference is unlikely to be chance.
pub fn differs(ratio: &Estimate) -> bool {
    ratio.coverage >= MIN_COVERAGE && (ratio.low > 1.0 || ratio.high < 1.0)
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
                ratios: ratios(results, first, second),
            });
        }
    }
    contrasts
}

fn without(cell: &Cell, factor: Factor) -> BTreeMap<Factor, String> {
    cell.levels.iter().filter(|(known, _)| **known != factor).map(|(known, level)| (*known, level.clone())).collect()
}

fn ratios(results: &Results, first: usize, second: usize) -> BTreeMap<Metric, Estimate> {
    let of = |metric: Metric, cell: usize, repetition: u32| {
        let trial = results.trials.iter().find(|trial| (trial.cell, trial.repetition) == (cell, repetition));
        trial.and_then(|trial| metric.of(trial))
    };
    let ratio = |metric: Metric| {
        let pairs = (0..results.plan.repetitions)
            .filter_map(|repetition| Some((of(metric, first, repetition)?, of(metric, second, repetition)?)));
        let (before, after): (Vec<f64>, Vec<f64>) = pairs.filter(|(before, _)| *before > 0.0).unzip();
        Estimate::of_ratios(&before, &after, CONFIDENCE)
    };
    Metric::ALL.into_iter().filter_map(|metric| Some((metric, ratio(metric)?))).collect()
}

/// The knees for each combination of the other factors, if the load is a factor with constant rates.
pub fn knees(plan: &Plan, cells: &[CellSummary]) -> Vec<KneeFinding> {
    if !plan.factors.iter().any(|(factor, _)| *factor == Factor::Load) {
        return vec![];
    }
    let mut knees: Vec<KneeFinding> = vec![];
    for summary in cells {
        let cell = &plan.cells[summary.cell];
        let (Load::Constant { per_s } | Load::Poisson { per_s }) = cell.setup.load else { continue };
        let others = without(cell, Factor::Load);
        let at = knees.iter().position(|known| known.others == others).unwrap_or_else(|| {
            let messages = f64::from(cell.setup.messages_per_request());
            let capacity = summary.expected.as_ref().and_then(|expected| expected.capacity_per_s);
            let capacity_per_s = capacity.map(|capacity| capacity / messages);
            knees.push(KneeFinding { others, points: vec![], knee: None, capacity_per_s });
            knees.len() - 1
        });
        if let (Some(achieved), Some(p99_ms)) = (summary.median(Metric::RequestsPerS), summary.median(Metric::P99)) {
            knees[at].points.push(LoadPoint { offered: per_s, achieved, p99_ms });
        }
    }
    for finding in &mut knees {
        finding.points.sort_by(|a, b| a.offered.total_cmp(&b.offered));
        finding.knee = knee(&finding.points);
    }
    knees.retain(|finding| finding.points.len() > 1);
    knees
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::analysis::Summary;
    use crate::experiment::expected::Expectations;
    use crate::experiment::statistics::Limit;
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
        assert!((ratio.low - 1.1).abs() < 1e-9 && (ratio.high - 1.1).abs() < 1e-9 && differs(&ratio), "{ratio:?}");
        assert!(!differs(&contrast.ratios[&Metric::P99]));
        // A repetition without both trials of a pair does not count.
        results.trials.retain(|trial| (trial.cell, trial.repetition) != (first, 1));
        assert_eq!(ratios(&results, first, second)[&Metric::RequestsPerS].count, 4);
        // Four repetitions have too little coverage.
        assert!(!differs(&ratios(&results, first, second)[&Metric::RequestsPerS]));
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
        }
        let summary = Summary::of(&results, &Expectations::of(&results.plan));
        assert_eq!(summary.knees.len(), 2);
        let one = summary.knees.iter().find(|it| it.others[&Factor::Responders] == "1").unwrap();
        assert_eq!(one.points.iter().map(|point| point.offered).collect::<Vec<_>>(), [10.0, 20.0, 30.0]);
        assert_eq!(one.knee, Some(Knee { sustained: 20.0, beyond: Some(30.0), limit: Some(Limit::Throughput) }));
        assert_eq!(one.capacity_per_s, Some(20.0));
        let two = summary.knees.iter().find(|it| it.others[&Factor::Responders] == "2").unwrap();
        assert_eq!(two.knee, Some(Knee { sustained: 30.0, beyond: None, limit: None }));
    }
}
