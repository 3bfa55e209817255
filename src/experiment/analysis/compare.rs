//! Compares two runs: cells of the same levels, and the ratios of the second run to the first.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{CONFIDENCE, Figure, Rule, label};
use crate::experiment::plan::{Factor, Setup, Target};
use crate::experiment::run::{Environment, Results};
use crate::experiment::statistics::Estimate;
use crate::experiment::statistics::Metric;

/// A comparison of two runs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    pub before: Side,
    pub after: Side,
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
    /// Ratios of the second run to the first: above 1 if the second has more.
    pub ratios: BTreeMap<Metric, Estimate>,
}

/// The runs have no cell in common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the runs have no cell in common: the first has {}, the second {}", few(.before), few(.after))]
pub struct NothingInCommon {
    before: Vec<String>,
    after: Vec<String>,
}

fn few(cells: &[String]) -> String {
    match cells {
        [first, second, _, _, ..] => format!("{first}; {second}; and {} more", cells.len() - 2),
        few => few.join("; "),
    }
}

/// Compares run `b` with run `a`, and checks the rules.
///
/// # Errors
/// When no cell is in both.
pub fn compare(a: &Results, b: &Results, rules: &[Rule]) -> Result<Comparison, NothingInCommon> {
    let partner = |levels: &BTreeMap<Factor, String>| b.plan.cells.iter().position(|other| other.levels == *levels);
    let (mut cells, mut only_before, mut unlike) = (vec![], vec![], unlike(a, b));
    for (at, cell) in a.plan.cells.iter().enumerate() {
        let Some(other) = partner(&cell.levels) else {
            only_before.push(name(&cell.levels));
            continue;
        };
        for difference in setup_differences(&cell.setup, &b.plan.cells[other].setup) {
            if !unlike.contains(&difference) {
                unlike.push(difference);
            }
        }
        cells.push(ComparedCell::of(&cell.levels, figures(a, at), figures(b, other)));
    }
    let is_new = |levels: &BTreeMap<Factor, String>| !a.plan.cells.iter().any(|cell| cell.levels == *levels);
    let only_after: Vec<_> =
        b.plan.cells.iter().filter(|cell| is_new(&cell.levels)).map(|cell| name(&cell.levels)).collect();
    if cells.is_empty() {
        return Err(NothingInCommon { before: only_before, after: only_after });
    }
    let broken = rules.iter().flat_map(|rule| cells.iter().filter_map(|cell| cell.broken(rule))).collect();
    Ok(Comparison { before: Side::of(a), after: Side::of(b), cells, only_before, only_after, unlike, broken })
}

fn name(levels: &BTreeMap<Factor, String>) -> String {
    if levels.is_empty() { "the only cell".to_owned() } else { label(levels) }
}

fn figures(results: &Results, cell: usize) -> BTreeMap<Metric, Figure> {
    let figure = |metric| {
        let trials = results.trials.iter().filter(|trial| trial.cell == cell);
        Figure::of(trials.filter_map(|trial| Metric::of(metric, trial)).collect())
    };
    Metric::ALL.into_iter().filter_map(|metric| Some((metric, figure(metric)?))).collect()
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
    fn of(
        levels: &BTreeMap<Factor, String>,
        before: BTreeMap<Metric, Figure>,
        after: BTreeMap<Metric, Figure>,
    ) -> Self {
        let ratio = |metric: &Metric| {
            let (before, after) = (before.get(metric)?, after.get(metric)?);
            Estimate::of_independent_ratios(&before.values, &after.values, CONFIDENCE)
        };
        let ratios = Metric::ALL.into_iter().filter_map(|metric| Some((metric, ratio(&metric)?))).collect();
        Self { levels: levels.clone(), before, after, ratios }
    }

    /// A description if the cell breaks the rule. A missing figure breaks it, because it can't be checked.
    fn broken(&self, rule: &Rule) -> Option<String> {
        let metric = rule.metric;
        let cell = name(&self.levels);
        let (Some(before), Some(after)) = (self.before.get(&metric), self.after.get(&metric)) else {
            return Some(format!("{rule}: {cell}: {metric} was not measured in both runs"));
        };
        let (before, after) = (before.estimate.median, after.estimate.median);
        let ratio = self.ratios.get(&metric);
        let times = ratio.map_or_else(|| if before == after { 1.0 } else { after / before }, |ratio| ratio.median);
        let interval = ratio.map_or_else(String::new, |ratio| format!(", {:.2} to {:.2}", ratio.low, ratio.high));
        rule.is_broken(times, after).then(|| {
            format!("{rule}: {cell}: {} after {} ({times:.2}x{interval})", metric.say(after), metric.say(before))
        })
    }
}

/// The differences between two runs, apart from the cells.
fn unlike(a: &Results, b: &Results) -> Vec<String> {
    let (first, second) = (&a.environment, &b.environment);
    let text = |value: &dyn std::fmt::Display| value.to_string();
    let nodes = |environment: &Environment| environment.nodes.len().to_string();
    [
        ("plan", a.plan.name.clone(), b.plan.name.clone()),
        ("target", text(&a.plan.target), text(&b.plan.target)),
        ("version", first.version.clone(), second.version.clone()),
        ("host", first.host.clone(), second.host.clone()),
        ("processor", first.processor.clone(), second.processor.clone()),
        ("cores", text(&first.cores), text(&second.cores)),
        ("nodes", nodes(first), nodes(second)),
        ("warm-up", format!("{} ms", a.plan.warm_up_ms), format!("{} ms", b.plan.warm_up_ms)),
        ("duration", format!("{} ms", a.plan.duration_ms), format!("{} ms", b.plan.duration_ms)),
        ("repetitions", text(&a.plan.repetitions), text(&b.plan.repetitions)),
        ("seed", text(&a.plan.seed), text(&b.plan.seed)),
    ]
    .into_iter()
    .filter(|(_, first, second)| first != second)
    .map(|(what, first, second)| format!("{what}: {first} against {second}"))
    .collect()
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
mod tests {
    use super::*;
    use crate::experiment::report::compare_table;
    use crate::experiment::run::RequestCounts;
    use crate::experiment::{good_trial, results_of};

    const PLAN: &str = "duration = \"10s\"\nrepetitions = 3\n[factors]\nresponders = [1, 2]";

    /// Two runs of 100/s and 200/s with a p99 of about 100 ms; the second one's figures are multiplied.
    fn runs(times: f64, plan: &str) -> [Results; 2] {
        let make = |text: &str, times: f64| {
            results_of(text, |cell, again| {
                let rate = 100.0 * (cell + 1) as f64 + f64::from(again);
                good_trial(cell, again, rate / times, (100.0 * times) as u64)
            })
        };
        [make(PLAN, 1.0), make(plan, times)]
    }

    fn rules(texts: &[&str]) -> Vec<Rule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn cells_of_the_same_levels_are_compared() {
        let other = PLAN.replace("[1, 2]", "[2, 4]").replace("10s", "5s") + "\n[fixed]\nrequesters = 5";
        let [mut a, b] = runs(2.0, &other);
        a.environment.cores = 8;
        let comparison = compare(&a, &b, &[]).unwrap();
        assert_eq!(comparison.cells.len(), 1);
        // 200/s before; 50/s after, for 2 responders are the second run's first cell.
        let ratio = comparison.cells[0].ratios[&Metric::RequestsPerS];
        assert!((ratio.median - 0.25).abs() < 0.01 && (ratio.coverage - 0.9).abs() < 1e-9, "{ratio:?}");
        assert_eq!(
            (comparison.only_before, comparison.only_after),
            (vec!["1 responder".into()], vec!["4 responders".into()])
        );
        assert_eq!(
            comparison.unlike,
            ["cores: 8 against 2", "duration: 10000 ms against 5000 ms", "requesters: 3 against 5"]
        );
    }

    #[test]
    fn rules_break_where_they_are_so_and_say_where() {
        let [a, b] = runs(1.3, PLAN);
        let broken = |texts: &[&str]| compare(&a, &b, &rules(texts)).unwrap().broken;
        let slower = broken(&["p99 > 1.2x"]);
        assert_eq!(slower.len(), 2);
        assert!(slower[0].starts_with("p99 > 1.2x: 1 responder: 129 ms after 99"), "{slower:?}");
        assert_eq!(broken(&["p99 > 1.4x", "requests/s < -50%", "errors > 0%", "errors > 1x"]), Vec::<String>::new());
        assert_eq!(broken(&["requests/s < 100/s", "p50 > 500ms"]).len(), 1);
    }

    #[test]
    fn what_is_not_known_breaks_a_rule_and_new_errors_do() {
        let [a, mut b] = runs(1.0, PLAN);
        for trial in b.trials.iter_mut().filter(|trial| trial.cell == 0) {
            trial.problem = Some("it died".to_owned());
        }
        for trial in b.trials.iter_mut().filter(|trial| trial.cell == 1) {
            trial.requests = RequestCounts { sent: 100, complete: 99, failed: 1, refused: 0 };
        }
        let broken = compare(&a, &b, &rules(&["errors > 1.5x"])).unwrap().broken;
        assert_eq!(broken[0], "errors > 1.5x: 1 responder: errors was not measured in both runs");
        assert_eq!((broken.len(), broken[1].contains("1 % after 0 %")), (2, true), "{broken:?}");
    }

    #[test]
    fn the_table_has_both_runs_and_what_broke() {
        let [a, b] = runs(1.3, PLAN);
        let table = compare_table(&compare(&a, &b, &rules(&["p99 > 1.2x"])).unwrap());
        for part in ["1 responder", "before", "99.3 ms", "1.30x worse", "0.77x worse", "Broken rules:\n  p99 > 1.2x"] {
            assert!(table.contains(part), "{part}\n{table}");
        }
        assert!(!table.contains("Not alike"), "{table}");
    }
}
