//! Each sentence follows from the trials: its figures are worked out here once more.

use super::*;
use crate::experiment::expected::Expectations;
use crate::experiment::run::{Machine, Resumed, Steadiness, TrialResult};
use crate::experiment::{good_trial, results_of};

fn sentences(results: &Results) -> Vec<String> {
    let summary = Summary::of(results, &Expectations::of(&results.plan));
    summary.findings.into_iter().map(|finding| finding.text).collect()
}

/// The first sentence that has a text.
fn saying(results: &Results, part: &str) -> String {
    let all = sentences(results);
    all.iter().find(|text| text.contains(part)).unwrap_or_else(|| panic!("{part}: {all:#?}")).clone()
}

fn plan(factors: &str, fixed: &str) -> String {
    format!("duration = \"10s\"\nrepetitions = 6\n[factors]\n{factors}\n[fixed]\nfan_out = \"one\"\n{fixed}")
}

#[test]
fn one_cell_has_its_medians_and_intervals() {
    let results = results_of(&plan("", "load = \"closed 4\""), |cell, again| {
        good_trial(cell, again, 100.0 + 10.0 * f64::from(again), 100)
    });
    // Of 100, 110 ... 150/s; all trials have latencies of 1 to 100 ms.
    let said = "125/s (100/s to 150/s) requests are completed, half of them within 50.2 ms (50.2 ms to 50.2 ms), 99 % within 99.3 ms (99.3 ms to 99.3 ms).";
    assert_eq!(saying(&results, "are completed"), said);
}

#[test]
fn an_effect_has_its_ratio_and_interval_for_the_cells_that_differ_most() {
    let factors = "socket = [\"req\", \"dealer\"]\nrequesters = [1, 8]";
    let results = results_of(&plan(factors, "load = \"closed 8\""), |cell, again| {
        let own = [1.0, 1.02, 0.98, 1.01, 0.99, 1.0];
        // REQ with 1 requester is slow; the others are as fast as one another.
        let rate = if cell == 0 { 40.0 } else { 320.0 };
        good_trial(cell, again, rate * own[(again as usize + cell) % 6], 100)
    });
    let said = saying(&results, "From 1 requester to 8 requesters");
    let expected = "From 1 requester to 8 requesters, throughput is the same within 5 % (1.000 times, ";
    assert!(said.starts_with(expected) && said.contains(" with socket dealer at the least, and "), "{said}");
    assert!(said.contains("and 8 times as high (") && said.ends_with(" with socket req at the most."), "{said}");
    let best = saying(&results, "highest throughput");
    assert!(best.contains("not clearly different: ") && best.matches("requester").count() == 3, "{best}");
}

#[test]
fn open_loads_tell_of_capacity_and_saturation_comes_first() {
    let factors = "load = [\"poisson 20/s\", \"poisson 60/s\"]";
    let fixed = "requesters = 64\nresponders = 2\ndelay = \"fixed 50ms\"";
    let results = results_of(&plan(factors, fixed), |cell, again| {
        let (sent, per_s) = if cell == 0 { (200, 20.0) } else { (600, 39.0) };
        let mut trial = good_trial(cell, again, per_s, 100);
        trial.requests.sent = sent;
        let under_way = if cell == 0 { [1, 2] } else { [10, 220] };
        trial.steadiness = Some(Steadiness { under_way, due: sent, mean_ms: None });
        trial
    });
    let all = sentences(&results);
    let first = "More was asked than the workers can do (poisson 60/s: 60/s asked, 39/s done, capacity 40/s): the queue grew for the whole trial, and latencies say only how long that was.";
    assert_eq!(all[0], first);
    assert!(all.contains(&"The load is 50 % to 150 % of what delay and worker counts allow.".to_owned()), "{all:#?}");
    let knee = "20/s was sustained, of 40/s that delay and worker counts allow; at 60/s less than 95 % of the requests due were done.";
    assert!(all.contains(&knee.to_owned()), "{all:#?}");
    assert!(!all.iter().any(|text| text.contains("highest throughput")), "that is the load: {all:#?}");
}

#[test]
fn an_unclear_difference_says_what_it_would_have_taken() {
    let text =
        format!("pair = \"dispatch\"\n{}", plan("dispatch = [\"round-robin\", \"least-busy\"]", "load = \"closed 8\""));
    let results = results_of(&text, |cell, again| {
        let own = [1.0, 1.3, 0.8, 1.2, 0.7, 1.1][(again as usize + 2 * cell) % 6];
        good_trial(cell, again, 100.0 * own, 100)
    });
    let said = saying(&results, "Least-busy against round-robin");
    assert!(said.contains("throughput is not clearly different (1.000 times, "), "{said}");
    assert!(said.contains("p99 is the same within 5 % (1.000 times, 0.999 to 1.001)"), "{said}");
    let logs = |offset: usize| (0..6).map(move |at| [1.0, 1.3, 0.8, 1.2, 0.7, 1.1_f64][(at + offset) % 6].ln());
    let squares: f64 = logs(2).zip(logs(0)).map(|(after, before)| (after - before).powi(2)).sum();
    let step = (0..2).map(|cell| Metric::RequestsPerS.resolution(&results, cell)).fold(0.0, f64::max);
    let needed = (7.849 * squares / 5.0 / (1.05_f64.ln() - step).powi(2) + 1.92).ceil();
    let power = saying(&results, "would have needed");
    assert!(
        power.contains(&format!("needed up to {} repetitions in place of 6, for requests/s", short(needed))),
        "{power}"
    );
}

/// Three seconds without warm-up are too short for the steady state of one worker at 95 % of its capacity: 380 ms of wait.
#[test]
fn a_formula_that_its_simulation_does_not_reach_is_told() {
    let fixed = "requesters = 1\nsocket = \"dealer\"\nwindow = 10000\nresponders = 1\ndelay = \"exponential 20ms\"\nload = \"poisson 47.5/s\"";
    let text = format!("warm_up = \"0s\"\n{}", plan("", fixed).replace("10s", "3s"));
    let results = results_of(&text, |cell, again| good_trial(cell, again, 47.5, 100));
    let expected = Expectations::of(&results.plan).cell(0).unwrap().clone().unwrap();
    let formula = &expected.formulas[0];
    assert!(formula.simulated < 200.0 && formula.disagrees, "{formula:?}");
    let [simulated, error] = [formula.simulated, formula.standard_error].map(short);
    let said = format!(
        "Expected figures: M/M/1 gives a mean wait of 380 ms, simulated trials of this length {simulated} ms (standard error {error}): the trials are too short for its steady state."
    );
    assert_eq!(saying(&results, "M/M/1"), said);
    let long = text.replace("warm_up = \"0s\"", "warm_up = \"120s\"").replace("3s", "600s");
    let long = results_of(&long, |cell, again| good_trial(cell, again, 47.5, 100));
    assert!(!sentences(&long).iter().any(|text| text.contains("M/M/1")));
}

#[test]
fn what_makes_figures_doubtful_is_told() {
    let mut results = results_of(&plan("", "load = \"closed 4\""), |cell, again| {
        let mut trial = good_trial(cell, again, 100.0, 100);
        trial.messages.timeouts = 3;
        let mhz = Some(if again == 2 { 600.0 } else { 1_500.0 });
        trial.machine = Some(Machine { steal: 0.12, mhz, ..Machine::default() });
        let mean_ms = Some([120.0, 240.0 * [1.0, 1.1, 1.0, 0.9, 1.1, 1.0][again as usize]]);
        trial.steadiness = Some(Steadiness { under_way: [4, 400], due: 900, mean_ms });
        TrialResult { started_at: 1_000 + u64::from(again), ..trial }
    });
    results.environment.build = "debug".to_owned();
    // Six ratios of 1.8 to 2.2, and Student's t for six is 2.5706. Of a closed load no queue can grow.
    let logs = [1.0_f64, 1.1, 1.0, 0.9, 1.1, 1.0].map(|own| (2.0 * own).ln());
    let mean = logs.iter().sum::<f64>() / 6.0;
    let half = 2.5706 * (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / 5.0 / 6.0).sqrt();
    let [times, low, high] = [mean, mean - half, mean + half].map(|log| short(log.exp()));
    let halves = format!("{times} times as high ({low} to {high})");
    let differences = vec!["version: 1 against 2".to_owned()];
    results.resumed = vec![Resumed { at: 1_004, environment: results.environment.clone(), differences }];
    for said in [
        "Latencies are cut off at the timeout of 60 s (18 timeouts): those of requests that timed out are not among them, so that true percentiles are higher.",
        "The hypervisor took up to 12 % of the cores' time in 6 trials.",
        "The processor's frequency was 600 MHz in one trial and 1,500 MHz in another.",
        "A debug build was measured: a release build is several times as fast.",
        "The run was resumed elsewhere, and 2 trials were measured there (version: 1 against 2).",
        &format!(
            "There was no steady state: the mean latency of the second half of the measured time is not that of the first ({halves}). Latencies depend on warm-up and duration; longer ones help, unless more was asked than the workers can do."
        ),
    ] {
        assert_eq!(saying(&results, &said[..20]), said);
    }
    let summary = Summary::of(&results, &Expectations::of(&results.plan));
    assert!(summary.conditions.contains(&("frequency, MHz".to_owned(), "600 to 1,500".to_owned())), "{summary:?}");
}
