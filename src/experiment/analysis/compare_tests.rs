use std::time::Duration;

use super::*;
use crate::experiment::report::compare_table;
use crate::experiment::run::RequestCounts;
use crate::experiment::statistics::Verdict;
use crate::experiment::{good_trial, results_of};
use crate::wire::Latency;

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

fn compare_two(a: &Results, b: &Results, rules: &[Rule]) -> Result<Comparison, Incomparable> {
    compare(a, b, &[], rules, Strictness::Estimate)
}

fn rules(texts: &[&str]) -> Vec<Rule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn cells_of_the_same_levels_are_compared() {
    let other = PLAN.replace("[1, 2]", "[2, 4]").replace("10s", "5s") + "\n[fixed]\nrequesters = 5";
    let [mut a, b] = runs(2.0, &other);
    a.environment.cores = 8;
    let comparison = compare_two(&a, &b, &[]).unwrap();
    assert_eq!(comparison.cells.len(), 1);
    // 200/s before; 50/s after, for 2 responders are the second run's first cell.
    let ratio = comparison.cells[0].ratios[&Metric::RequestsPerS];
    assert!((ratio.ratio - 0.25).abs() < 0.01 && ratio.coverage == 0.95, "{ratio:?}");
    assert_eq!(
        (comparison.only_before, comparison.only_after),
        (vec!["1 responder".into()], vec!["4 responders".into()])
    );
    assert_eq!(
        comparison.unlike,
        ["duration: 10000 ms against 5000 ms", "cores: 8 against 2", "requesters: 3 against 5"]
    );
}

#[test]
fn rules_break_where_they_are_so_and_say_where() {
    let [a, b] = runs(1.3, PLAN);
    let broken = |texts: &[&str]| compare_two(&a, &b, &rules(texts)).unwrap().broken;
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
    let broken = compare_two(&a, &b, &rules(&["errors > 1.5x"])).unwrap().broken;
    assert_eq!(broken[0], "errors > 1.5x: 1 responder: errors was not measured in both runs");
    assert_eq!((broken.len(), broken[1].contains("1 % after 0 %")), (2, true), "{broken:?}");
}

#[test]
fn the_table_has_both_runs_and_what_broke() {
    let [a, b] = runs(1.3, PLAN);
    let table = compare_table(&compare_two(&a, &b, &rules(&["p99 > 1.2x"])).unwrap());
    for part in ["1 responder", "before", "99.3 ms", "1.3x higher", "0.77x lower", "Broken rules:\n  p99 > 1.2x"] {
        assert!(table.contains(part), "{part}\n{table}");
    }
    assert!(!table.contains("Not alike") && !table.contains('*'), "{table}");
}

/// Of 99 requests the p99 is the slowest.
#[test]
fn a_percentile_of_few_requests_is_marked() {
    let [a, mut b] = runs(1.0, PLAN);
    for trial in &mut b.trials {
        trial.latency = Latency::precise();
        (1..=99).for_each(|ms| trial.latency.record(Duration::from_millis(ms)));
    }
    let comparison = compare_two(&a, &b, &[]).unwrap();
    let is_few =
        |of: &BTreeMap<Metric, Figure>| Metric::ALL.into_iter().filter(|one| of[one].is_few).collect::<Vec<_>>();
    let cell = &comparison.cells[0];
    assert_eq!((is_few(&cell.before), is_few(&cell.after)), (vec![Metric::P999], vec![Metric::P99, Metric::P999]));
    let table = compare_table(&comparison);
    assert_eq!(table.matches("99 ms*").count(), 2, "{table}");
    assert!(table.contains("* of fewer requests than the percentile needs"), "{table}");
}

/// Figures that vary from repetition to repetition by far more than between the runs.
fn seeded(times: f64) -> Results {
    results_of(&PLAN.replace("repetitions = 3", "repetitions = 6"), |cell, again| {
        let of_seed = [100.0, 180.0, 60.0, 140.0, 90.0, 210.0][again as usize];
        let turn = again as usize + cell + (times * 10.0) as usize;
        let own = [1.0, 1.02, 0.99, 1.01, 0.98, 1.0][turn % 6];
        good_trial(cell, again, of_seed * own * times, 100)
    })
}

#[test]
fn runs_of_the_same_seeds_are_paired_by_repetition() {
    let [a, b] = [1.0, 1.1].map(seeded);
    let found = compare_two(&a, &b, &[]).unwrap();
    let ratio = found.cells[0].ratios[&Metric::RequestsPerS];
    assert!(found.is_paired && (ratio.ratio - 1.1).abs() < 0.01 && ratio.verdict == Verdict::Higher, "{ratio:?}");
    let mut other = b.clone();
    other.plan.seed = 2;
    let found = compare_two(&a, &other, &[]).unwrap();
    let ratio = found.cells[0].ratios[&Metric::RequestsPerS];
    assert!(!found.is_paired && ratio.verdict == Verdict::Unclear && ratio.needed > Some(20), "{ratio:?}");
}

/// Ways between the tiers are compared by runs against several targets.
#[test]
fn runs_against_other_targets_are_paired_too() {
    let [a, mut b] = [1.0, 0.8].map(seeded);
    b.plan.target = Target::Running;
    let found = compare_two(&a, &b, &[]).unwrap();
    let ratio = found.cells[0].ratios[&Metric::RequestsPerS];
    assert!(found.is_paired && ratio.verdict == Verdict::Lower, "{ratio:?}");
    assert_eq!(found.unlike, ["target: in-process against running"]);
}

#[test]
fn what_runs_of_one_program_differ_by_is_no_difference() {
    let [a, b] = [1.0, 1.1].map(seeded);
    let aa = [0.9, 1.0, 1.1].map(seeded);
    let with = |aa: &[Results]| compare(&a, &b, aa, &[], Strictness::Estimate).unwrap();
    let (without, with) = (with(&[]), with(&aa));
    let of = |comparison: &Comparison, metric: Metric| comparison.cells[0].ratios[&metric].verdict;
    assert_eq!(
        (of(&without, Metric::RequestsPerS), of(&with, Metric::RequestsPerS)),
        (Verdict::Higher, Verdict::Unclear)
    );
    assert_eq!((without.aa_runs, with.aa_runs, with.cells[0].ratios[&Metric::RequestsPerS].needed), (0, 3, None));
    // CPU is judged beside A/A runs only.
    assert_eq!((of(&without, Metric::Cpu), of(&with, Metric::Cpu)), (Verdict::Unclear, Verdict::Alike));
    assert_eq!(compare(&a, &b, &aa[..1], &[], Strictness::Estimate), Err(Incomparable::SingleAaRun));
    let mut other = aa.clone();
    other[1].environment.version = "0.2.0".to_owned();
    let error = compare(&a, &b, &other, &[], Strictness::Estimate).unwrap_err().to_string();
    assert!(error.contains("A/A run 2") && error.contains("version: 0.1.0 against 0.2.0"), "{error}");
}

#[test]
fn a_rule_by_the_interval_breaks_where_the_whole_interval_does() {
    let [a, b] = [1.0, 0.9].map(seeded);
    let broken = |text: &str, strictness| compare(&a, &b, &[], &rules(&[text]), strictness).unwrap().broken.len();
    assert_eq!(broken("requests/s < -9.5%", Strictness::Estimate), 2);
    assert_eq!(
        (broken("requests/s < -5%", Strictness::Interval), broken("requests/s < -9.99%", Strictness::Interval)),
        (2, 0)
    );
    let [mut a, mut b] = [a, b];
    for run in [&mut a, &mut b] {
        run.trials.retain(|trial| trial.repetition == 0);
    }
    let single = compare(&a, &b, &[], &rules(&["p99 > 9x"]), Strictness::Interval).unwrap().broken;
    assert!(single[0].contains("a single trial has no interval"), "{single:?}");
}
