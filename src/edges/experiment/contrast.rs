//! What differs: paired levels within each repetition, and rates that rise until something gives way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CONFIDENCE, Cell, CellSummary, Factor, Load, Metric, Plan, Results};
use crate::model::{Estimate, Knee, LoadPoint, knee};

/// A level of the paired factor against its first one, everything else alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contrast {
    pub factor: Factor,
    /// The first level, which the other one is divided by.
    pub base: String,
    pub level: String,
    /// The levels of the other factors.
    pub others: BTreeMap<Factor, String>,
    /// Ratios within each repetition: above 1 where the level has more than the first one.
    pub ratios: BTreeMap<Metric, Estimate>,
}

/// What can be sustained where the load rises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KneeFinding {
    /// The levels of the factors beside the load.
    pub others: BTreeMap<Factor, String>,
    /// In the order of the rates: requests a second.
    pub points: Vec<LoadPoint>,
    /// None where not even the lowest rate was sustained.
    pub knee: Option<Knee>,
    /// Requests a second that the workers could serve.
    pub capacity_per_s: Option<f64>,
}

/// An interval of ratios that does not hold 1: chance is not a likely explanation.
pub fn differs(ratio: &Estimate) -> bool {
    ratio.count > 1 && (ratio.low > 1.0 || ratio.high < 1.0)
}

/// The plan's pairs, each of trials of the same repetition.
pub(super) fn contrasts(results: &Results) -> Vec<Contrast> {
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

/// For each combination of the other factors, where the load is one of steady rates.
pub(super) fn knees(plan: &Plan, cells: &[CellSummary]) -> Vec<KneeFinding> {
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
