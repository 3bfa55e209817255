//! Runs of one program and plan against one another (A/A): whatever a comparison of them marks is wrong.
//!
//! The long one needs a machine with nothing else to do, and prints its table for docs/experiments.md:
//!
//!   cargo test --release --test science false_positives -- --ignored --nocapture
//!
//! `AA_RUNS=12` and `AA_PLAN='dispatch --repetitions 6'` change it.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use swarmq::experiment::analysis::{Strictness, compare};
use swarmq::experiment::run::{Results, read_results};
use swarmq::experiment::statistics::{Metric, Ratio};

/// Runs a plan so many times, one after the other.
fn measured(runs: usize, plan: &[&str]) -> Vec<Results> {
    let folder = tempfile::tempdir().unwrap();
    let run = |number: usize| {
        let out = folder.path().join(number.to_string());
        let mut experiment = Command::new(env!("CARGO_BIN_EXE_swarmq"));
        experiment.arg("experiment").args(plan).arg("--out").arg(&out).stdout(Stdio::null());
        assert!(experiment.status().unwrap().success(), "{plan:?}");
        read_results(&out).unwrap()
    };
    (0..runs).map(run).collect()
}

/// Compares every run with every later one, alone and with all others as A/A runs. A Markdown table of the share of comparisons
/// with a mark in any cell, by metric.
fn table(all: &[Results]) -> String {
    let mut marks: [BTreeMap<Metric, usize>; 2] = Default::default();
    let (mut any, mut pairs) = ([0; 2], 0);
    for (first, before) in all.iter().enumerate() {
        for (second, after) in all.iter().enumerate().skip(first + 1) {
            pairs += 1;
            let others = all.iter().enumerate().filter(|(at, _)| *at != first && *at != second);
            let others: Vec<Results> = others.map(|(_, run)| run.clone()).collect();
            for (which, aa) in [&[][..], &others[..]].into_iter().enumerate() {
                let found = compare(before, after, aa, &[], Strictness::Estimate).unwrap();
                let ratios = found.cells.iter().flat_map(|cell| &cell.ratios);
                let marked: BTreeSet<Metric> =
                    ratios.filter(|(_, ratio)| Ratio::is_clear(ratio)).map(|(metric, _)| *metric).collect();
                any[which] += usize::from(!marked.is_empty());
                marked.into_iter().for_each(|metric| *marks[which].entry(metric).or_default() += 1);
            }
        }
    }
    let mut table = format!(
        "| marked in {pairs} comparisons of {} runs | alone | with {} A/A runs |\n| --- | --- | --- |\n",
        all.len(),
        all.len() - 2
    );
    let mut row = |name: &str, counts: [usize; 2]| {
        let [alone, beside] = counts.map(|count| 100 * count / pairs);
        writeln!(table, "| {name} | {alone} % | {beside} % |").unwrap();
    };
    for metric in Metric::JUDGED {
        row(metric.name(), [0, 1].map(|which| marks[which].get(&metric).copied().unwrap_or_default()));
    }
    row("any", any);
    table
}

/// Runs, compares and counts; how often a difference is found here says nothing, because other tests use the machine.
#[test]
fn runs_of_one_program_are_compared_with_one_another() {
    let short = ["--repetitions=2", "--duration=30s", "--count=40", "--warm-up=0s"];
    let all = measured(4, &[&["quick", "--factor=responders=4", "--factor=delay=fixed 5ms"][..], &short].concat());
    let told = table(&all);
    let rows: Vec<Vec<&str>> = told.lines().map(|line| line.trim_matches(['|', ' ']).split(" | ").collect()).collect();
    assert_eq!(rows[0], ["marked in 6 comparisons of 4 runs", "alone", "with 2 A/A runs"]);
    let names: Vec<&str> = rows[2..].iter().map(|row| row[0]).collect();
    assert_eq!(names, ["requests/s", "p50", "p99", "cpu", "memory", "any"]);
    // Alone neither CPU nor memory is judged.
    assert!(rows[5..7].iter().all(|row| row[1] == "0 %"), "{told}");
    // A run twice as fast is marked beside each of the three others.
    let mut fast = all[0].clone();
    fast.trials.iter_mut().for_each(|trial| trial.requests_per_s *= 2.0);
    let told = table(&[all[0].clone(), fast, all[0].clone(), all[0].clone()]);
    assert!(told.contains("| requests/s | 50 % |"), "{told}");
}

#[test]
#[ignore = "takes minutes, and its figures are those of a machine with nothing else to do"]
fn false_positives_of_this_machine() {
    let runs = env::var("AA_RUNS").map_or(8, |runs| runs.parse().expect("AA_RUNS is a number"));
    assert!(runs >= 4, "give 4 runs or more: 2 to compare, and 2 as A/A runs");
    let plan = env::var("AA_PLAN").unwrap_or_else(|_| "quick --repetitions 6".to_owned());
    let all = measured(runs, &plan.split_whitespace().collect::<Vec<_>>());
    let here = &all[0].environment;
    let began = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(all[0].started_at));
    println!("{plan}: {began}, {}, {} cores, {}, {} build\n", here.processor, here.cores, here.system, here.build);
    println!("{}", table(&all));
}
