//! Summary of a run: its cells (`cell.rs`), their comparisons and what follows from them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CellSummary, Contrast, KneeFinding, conditions, contrasts, findings, knees};
use crate::experiment::expected::Expectations;
use crate::experiment::run::{Results, is_unsteady};
use crate::experiment::statistics::judge;

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

impl Summary {
    /// Summarises the trials completed so far.
    pub fn of(results: &Results, expectations: &Expectations) -> Self {
        let cells = 0..results.plan.cells.len();
        let mut cells: Vec<_> = cells.map(|cell| CellSummary::of(results, cell, expectations)).collect();
        judge(cells.iter_mut().filter_map(|cell| cell.halves.as_mut()));
        for cell in &mut cells {
            cell.is_unsteady = cell.halves.as_ref().is_some_and(is_unsteady);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::statistics::Metric;
    use crate::experiment::{good_trial, results_of};
    use crate::wire::Hop;

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
        assert_eq!(summary.cells[1].behind, 1);
        let warnings = summary.findings.iter().filter(|finding| finding.is_warning).map(|finding| &finding.text[..]);
        let warnings: Vec<_> = warnings.collect();
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert_eq!(warnings[1], "The ledger does not balance in 1 trial; trial 2: one is missing.");
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
}
