//! Compares two runs: cells of the same levels, and the ratios of the second run to the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::Serialize;
use utoipa::ToSchema;

use super::contrast::paired;
use super::{Figure, Rule, Strictness, figures, label};
use crate::experiment::plan::{Cell, Factor, Plan, Setup, Target};
use crate::experiment::run::{Environment, Results};
use crate::experiment::statistics::{Floor, Metric, Ratio, judge, ratio_text};

/// A comparison of two runs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    pub before: Side,
    pub after: Side,
    /// Trials of the same repetition are compared with one another: they have the same seeds, and so the same arrivals.
    pub is_paired: bool,
    /// Number of further runs of the first one's program and plan, of which the spread is part of the intervals (A/A). With
    /// none, the intervals hold for these two runs.
    pub aa_runs: usize,
    /// Cells that both runs have, in the first one's order.
    pub cells: Vec<ComparedCell>,
    /// Labels of the cells that only one of the runs has.
    pub only_before: Vec<String>,
    pub only_after: Vec<String>,
    /// Other differences between the runs: settings, machine, duration. They may explain differing figures.
    pub unlike: Vec<String>,
    /// Descriptions of the broken rules.
    pub broken: Vec<String>,
}

/// One of the two runs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    pub plan: String,
    pub target: Target,
    /// Milliseconds since the epoch.
    pub started_at: u64,
    pub environment: Environment,
}

/// A cell of both runs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComparedCell {
    pub levels: BTreeMap<Factor, String>,
    pub before: BTreeMap<Metric, Figure>,
    pub after: BTreeMap<Metric, Figure>,
    /// Ratios of the second run to the first: above 1 if the second has more. Those of [`Metric::JUDGED`] have a verdict,
    /// CPU and memory only beside A/A runs: within one run they hardly vary.
    pub ratios: BTreeMap<Metric, Ratio>,
}

/// Why runs can't be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    #[error("the runs have no cell in common: the first has {}, the second {}", few(.before), few(.after))]
    NothingInCommon { before: Vec<String>, after: Vec<String> },
    #[error("give --aa twice or more: one run does not show how much runs differ")]
    SingleAaRun,
    #[error("A/A run {number} is not one of the first run's program and plan on its machine: {}", .differences.join("; "))]
    NotAa { number: usize, differences: Vec<String> },
}

fn few(cells: &[String]) -> String {
    match cells {
        [first, second, _, _, ..] => format!("{first}; {second}; and {} more", cells.len() - 2),
        few => few.join("; "),
    }
}

/// Metrics that vary more between runs than between the trials of a run.
const OF_RUNS: [Metric; 2] = [Metric::Cpu, Metric::Memory];

/// Compares run `b` with run `a`, and checks the rules. `aa`: further runs of the program and plan of `a`.
///
/// # Errors
/// When no cell is in both, or a run of `aa` is not like `a`.
pub fn compare(
    a: &Results,
    b: &Results,
    aa: &[Results],
    rules: &[Rule],
    strictness: Strictness,
) -> Result<Comparison, Incomparable> {
    check_aa(a, aa)?;
    let (mut cells, mut only_before, mut unlike) = (vec![], vec![], unlike(a, b));
    unlike.extend(differing("seed", a.plan.seed, b.plan.seed));
    let is_paired = has_same_arrivals(&a.plan, &b.plan);
    for (at, cell) in a.plan.cells.iter().enumerate() {
        let Some(other) = place(&b.plan, cell) else {
            only_before.push(name(&cell.levels));
            continue;
        };
        for difference in setup_differences(&cell.setup, &b.plan.cells[other].setup) {
            if !unlike.contains(&difference) {
                unlike.push(difference);
            }
        }
        let has_same_load = cell.setup.load == b.plan.cells[other].setup.load;
        let ratio = |metric: Metric| {
            let (before, after) = (metric.by_repetition(a, at), metric.by_repetition(b, other));
            let resolution = metric.resolution(a, at).max(metric.resolution(b, other));
            let values = |of: &BTreeMap<u32, f64>| of.values().copied().collect::<Vec<_>>();
            let ratio = match is_paired && has_same_load {
                true => paired(&before, &after, resolution)?,
                false => Ratio::independent(&values(&before), &values(&after), resolution)?,
            };
            let runs = aa.iter().filter_map(|run| Some(values(&metric.by_repetition(run, place(&run.plan, cell)?))));
            Some(Floor::of(&runs.collect::<Vec<_>>()).map_or(ratio, |floor| ratio.beside(&floor)))
        };
        cells.push(ComparedCell {
            levels: cell.levels.clone(),
            before: figures(a.trials.iter().filter(|trial| trial.cell == at)),
            after: figures(b.trials.iter().filter(|trial| trial.cell == other)),
            ratios: Metric::ALL.into_iter().filter_map(|metric| Some((metric, ratio(metric)?))).collect(),
        });
    }
    let only_after: Vec<_> =
        b.plan.cells.iter().filter(|cell| place(&a.plan, cell).is_none()).map(|cell| name(&cell.levels)).collect();
    if cells.is_empty() {
        return Err(Incomparable::NothingInCommon { before: only_before, after: only_after });
    }
    let is_judged = |metric: &Metric| Metric::JUDGED.contains(metric) && (!aa.is_empty() || !OF_RUNS.contains(metric));
    let ratios = cells.iter_mut().flat_map(|cell| &mut cell.ratios);
    judge(ratios.filter(|(metric, _)| is_judged(metric)).map(|(_, ratio)| ratio));
    let broken = rules.iter().flat_map(|rule| cells.iter().filter_map(|cell| cell.broken(rule, strictness))).collect();
    Ok(Comparison {
        before: Side::of(a),
        after: Side::of(b),
        is_paired,
        aa_runs: aa.len(),
        cells,
        only_before,
        only_after,
        unlike,
        broken,
    })
}

/// The place of a cell of the same levels.
fn place(plan: &Plan, cell: &Cell) -> Option<usize> {
    plan.cells.iter().position(|other| other.levels == cell.levels)
}

/// Trials of the same repetition have the same arrivals, if they also have the same load.
fn has_same_arrivals(a: &Plan, b: &Plan) -> bool {
    let of = |plan: &Plan| (plan.seed, plan.warm_up_ms, plan.duration_ms, plan.count);
    of(a) == of(b)
}

fn check_aa(a: &Results, aa: &[Results]) -> Result<(), Incomparable> {
    if aa.len() == 1 {
        return Err(Incomparable::SingleAaRun);
    }
    for (at, run) in aa.iter().enumerate() {
        let mut differences = unlike(a, run);
        for cell in &a.plan.cells {
            match place(&run.plan, cell) {
                Some(other) => differences.extend(setup_differences(&cell.setup, &run.plan.cells[other].setup)),
                None => differences.push(format!("{} is missing", name(&cell.levels))),
            }
        }
        if !differences.is_empty() {
            return Err(Incomparable::NotAa { number: at + 1, differences });
        }
    }
    Ok(())
}

fn name(levels: &BTreeMap<Factor, String>) -> String {
    if levels.is_empty() { "the only cell".to_owned() } else { label(levels) }
}

impl Side {
    fn of(results: &Results) -> Self {
        Self {
            plan: results.plan.name.clone(),
            target: results.plan.target,
            started_at: results.started_at,
            environment: results.environment.clone(),
        }
    }
}

impl ComparedCell {
    /// A description if the cell breaks the rule. What can't be checked breaks it: a missing figure, and a missing interval
    /// if that is asked for.
    fn broken(&self, rule: &Rule, strictness: Strictness) -> Option<String> {
        let metric = rule.metric;
        let cell = name(&self.levels);
        let (Some(before), Some(after)) = (self.before.get(&metric), self.after.get(&metric)) else {
            return Some(format!("{rule}: {cell}: {metric} was not measured in both runs"));
        };
        let ratio = self.ratios.get(&metric);
        let (first, second) = (before.estimate.median, after.estimate.median);
        let equal = if first == second { 1.0 } else { second / first };
        let times = ratio.map_or([equal; 3], |ratio| [ratio.ratio, ratio.low, ratio.high]);
        let values = [second, after.estimate.low, after.estimate.high];
        if strictness == Strictness::Interval && after.estimate.count < 2 {
            return Some(format!("{rule}: {cell}: a single trial has no interval: measure 2 or more repetitions"));
        }
        let interval = ratio
            .map_or_else(String::new, |ratio| format!(", {} to {}", ratio_text(ratio.low), ratio_text(ratio.high)));
        rule.is_broken(times, values, strictness).then(|| {
            let times = ratio_text(times[0]);
            format!("{rule}: {cell}: {} after {} ({times}x{interval})", metric.say(second), metric.say(first))
        })
    }
}

/// The differences between two runs, apart from the cells and the seed.
fn unlike(a: &Results, b: &Results) -> Vec<String> {
    let (first, second) = (&a.plan, &b.plan);
    let ms = |time: u64| format!("{time} ms");
    [
        differing("plan", &first.name, &second.name),
        differing("target", first.target, second.target),
        differing("nodes", a.environment.nodes.len(), b.environment.nodes.len()),
        differing("warm-up", ms(first.warm_up_ms), ms(second.warm_up_ms)),
        differing("duration", ms(first.duration_ms), ms(second.duration_ms)),
        differing("repetitions", first.repetitions, second.repetitions),
    ]
    .into_iter()
    .flatten()
    .chain(a.environment.differences(&b.environment))
    .chain(settings(&first.settings, &second.settings))
    .collect()
}

fn differing<T: PartialEq + Display>(what: &str, first: T, second: T) -> Option<String> {
    (first != second).then(|| format!("{what}: {first} against {second}"))
}

/// The plans' settings that differ.
fn settings(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let of = |all: &BTreeMap<String, String>, key: &String| all.get(key).map_or("the default".to_owned(), Clone::clone);
    let different = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
    different.map(|key| format!("{key}: {} against {}", of(a, key), of(b, key))).collect()
}

/// The settings that differ between two cells of the same levels.
fn setup_differences(a: &Setup, b: &Setup) -> Vec<String> {
    let fields = |setup: &Setup| match serde_json::to_value(setup) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (first, second) = (fields(a), fields(b));
    let differing = first.iter().filter_map(|(field, value)| Some((field, value, second.get(field)?)));
    differing.filter(|(_, a, b)| a != b).map(|(field, a, b)| format!("{field}: {a} against {b}")).collect()
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
