//! The expected figures as reports show them, from a plan's text on, against exact values of queueing theory that
//! were computed by another program.

use statrs::statistics::Statistics;
use swarmq::experiment::expected::{Expectations, Expected, Formula};
use swarmq::experiment::plan::Plan;
use swarmq::experiment::statistics::Metric;

use crate::plan_of;

type Load = (f64, f64, f64, std::ops::Range<u64>, [f64; 2]);

/// Utilisations; seconds of warm-up for one worker, several times the relaxation time of M/M/1, `20 ms / (1 - sqrt(rho))^2`;
/// messages of a trial, many times that; and plans' seeds, of which each simulates up to 25 trials, or 200,000 messages.
///
/// The last figures are the largest standard errors that tell anything, as shares of the exact value: of one worker and of
/// eight. At 0.3 of eight few messages wait.
const LOADS: [Load; 3] = [
    (0.3, 5.0, 7_500.0, 1..2, [0.05, 0.15]),
    (0.7, 10.0, 7_500.0, 1..2, [0.05, 0.05]),
    (0.95, 120.0, 48_000.0, 1..5, [0.15, 0.15]),
];

fn expected(plan: &str) -> Expected {
    Expectations::of(&plan_of(plan)).cell(0).unwrap().clone().unwrap()
}

/// The expected figures of an open loop whose requester worker holds nothing back.
fn open(responders: u32, dispatch: &str, delay: &str, load: (f64, f64, f64), seed: u64) -> Expected {
    let (rho, warm_up, messages) = load;
    let rate = rho * f64::from(responders) * 50.0;
    let warm_up = warm_up / f64::from(responders);
    let duration = messages / rate - warm_up;
    expected(&format!(
        "seed = {seed}\nwarm_up = \"{:.0}ms\"\nduration = \"{:.0}ms\"\n[fixed]\nrequesters = 1\nsocket = \"dealer\"\n\
         window = 10000\nresponders = {responders}\nfan_out = \"one\"\ndispatch = \"{dispatch}\"\ndelay = \"{delay}\"\n\
         load = \"poisson {rate}/s\"",
        warm_up * 1_000.0,
        duration * 1_000.0
    ))
}

fn formula<'a>(expected: &'a Expected, name: &str) -> &'a Formula {
    let found = expected.formulas.iter().find(|formula| formula.name == name);
    found.unwrap_or_else(|| panic!("no {name}: {expected:?}"))
}

/// Checks formula and simulation against the exact value; the simulation, over all seeds, within three standard errors, which
/// must be small enough to tell.
#[track_caller]
fn assert_exact(formulas: &[Formula], exact: f64, small: f64) {
    let count = formulas.len() as f64;
    let simulated = formulas.iter().map(|formula| formula.simulated).sum::<f64>() / count;
    let variance = formulas.iter().map(|formula| formula.standard_error.powi(2)).sum::<f64>() / count.powi(2);
    assert!(
        formulas.iter().all(|one| (one.value / exact - 1.0).abs() < 0.002 && !one.disagrees),
        "{exact}: {formulas:?}"
    );
    assert!(
        (simulated - exact).abs() <= 3.0 * variance.sqrt() + 1e-9 * exact,
        "{simulated}, not {exact}: {formulas:?}"
    );
    assert!(variance.sqrt() < small * exact, "{formulas:?}");
}

/// Mean waits in ms at the three utilisations; every service takes 20 ms on average.
#[track_caller]
fn assert_waits(responders: u32, dispatch: &str, delay: &str, name: &str, exact: [f64; 3]) {
    for ((rho, warm_up, messages, seeds, small), exact) in LOADS.into_iter().zip(exact) {
        let found: Vec<_> =
            seeds.map(|seed| open(responders, dispatch, delay, (rho, warm_up, messages), seed)).collect();
        let formulas: Vec<_> = found.iter().map(|expected| formula(expected, name).clone()).collect();
        assert_exact(&formulas, exact, small[usize::from(responders > 1)]);
        for expected in found {
            assert!((expected.utilisation - rho).abs() < 0.03 && !expected.saturated, "{expected:?}");
            assert_eq!(expected.doubts(), [""; 0]);
        }
    }
}

#[test]
fn exponential_services_wait_as_in_mmc() {
    assert_waits(1, "least-busy", "exponential 20ms", "M/M/1", [8.5714, 46.6667, 380.0]);
    assert_waits(8, "least-busy", "exponential 20ms", "M/M/8", [0.012633, 2.25502, 42.2084]);
}

#[test]
fn exponential_services_in_turn_wait_as_in_an_erlang_queue() {
    assert_waits(8, "round-robin", "exponential 20ms", "E8/M/1", [1.58424, 21.1170, 208.012]);
}

#[test]
fn fixed_services_wait_as_in_mdc() {
    assert_waits(1, "least-busy", "fixed 20ms", "M/D/1", [4.28571, 23.3333, 190.0]);
    assert_waits(8, "least-busy", "fixed 20ms", "M/D/8", [0.00937487, 1.25360, 21.3586]);
}

#[test]
fn other_services_wait_by_pollaczek_and_khinchine() {
    assert_waits(1, "least-busy", "uniform 10ms 30ms", "M/G/1", [4.64286, 25.2778, 205.833]);
    assert_waits(1, "least-busy", "log-normal 20ms 0.5", "M/G/1", [5.50297, 29.9606, 243.965]);
}

/// A broker apart deals to the workers of all responder instances, as one broker to its own.
#[test]
fn instances_behind_a_broker_apart_are_one_pool() {
    let text = "duration = \"20s\"\ntarget = \"processes\"\n[fixed]\nrequesters = 64\nresponder_instances = 2\nresponders = 4\n\
        fan_out = \"one\"\ndispatch = \"least-busy\"\ndelay = \"exponential 20ms\"\nload = \"poisson 280/s\"";
    let mut plan = plan_of(text);
    let of = |plan: &Plan| Expectations::of(plan).cell(0).unwrap().clone();
    assert_eq!(of(&plan).unwrap().formulas, [], "two brokers are no M/M/8");
    plan.cells[0].setup.brokers_apart = 1;
    assert_exact(&[formula(&of(&plan).unwrap(), "M/M/8").clone()], 2.25502, 0.1);
    // Two that deal to the same workers: no worker is idle while one of them has a message for it, and messages wait longer.
    plan.cells[0].setup.brokers_apart = 2;
    let two = of(&plan).unwrap();
    assert!(two.formulas.is_empty() && two.broker_wait_ms > 2.25502 && (two.utilisation - 0.7).abs() < 0.03, "{two:?}");
}

#[test]
fn a_fan_out_ends_with_the_largest_of_its_draws() {
    for (delay, name, exact) in [
        ("exponential 20ms", "slowest of 8, exponential", 54.3571),
        ("uniform 10ms 30ms", "slowest of 8, uniform", 27.7778),
    ] {
        let expected = expected(&format!(
            "duration = \"40s\"\n[fixed]\nrequesters = 8\nresponders = 8\ndispatch = \"least-busy\"\ndelay = \"{delay}\""
        ));
        assert_exact(&[formula(&expected, name).clone()], exact, 0.01);
    }
}

/// A closed loop has no think time: its clients keep min(clients, workers) workers busy, and by Little's law a request takes
/// clients / throughput.
#[test]
fn a_closed_loop_keeps_its_workers_busy() {
    for (clients, per_s) in [(1, 50.0), (5, 250.0), (8, 400.0), (24, 400.0)] {
        let expected = expected(&format!(
            "duration = \"25s\"\n[fixed]\nrequesters = 32\nresponders = 8\nfan_out = \"one\"\ndispatch = \"least-busy\"\n\
             delay = \"exponential 20ms\"\nload = \"closed {clients}\""
        ));
        assert_exact(&[formula(&expected, "min(clients, workers) / E[S]").clone()], per_s, 0.01);
        let mean = expected.figures[&Metric::Mean].median;
        assert!((mean / (f64::from(clients) * 1_000.0 / per_s) - 1.0).abs() < 0.01, "{clients}: {expected:?}");
    }
}

/// Clients that think are the machines of a repairman, by the textbook's sum over the states in exact fractions. By Little's law
/// a request takes clients / throughput - think time.
#[test]
fn clients_that_think_are_the_machines_of_a_repairman() {
    // Utilisations of 0.3, 0.7 and 0.95.
    for (clients, responders, think_ms, per_s) in [
        (8, 1, 510, 14.90700),
        (8, 1, 185, 34.90566),
        (8, 1, 90, 47.58638),
        (24, 8, 180, 119.99762),
        (24, 8, 65, 279.46444),
        (24, 8, 36, 379.79813),
    ] {
        let expected = expected(&format!(
            "warm_up = \"5s\"\nduration = \"60s\"\n[fixed]\nrequesters = 32\nresponders = {responders}\nfan_out = \"one\"\n\
             dispatch = \"least-busy\"\ndelay = \"exponential 20ms\"\nload = \"closed {clients} think {think_ms}ms\""
        ));
        assert_exact(&[formula(&expected, &format!("M/M/{responders}//{clients}")).clone()], per_s, 0.01);
        let latency = f64::from(clients) * 1_000.0 / per_s - f64::from(think_ms);
        let means = &expected.figures[&Metric::Mean].values;
        let error = means.std_dev() / (means.len() as f64).sqrt();
        assert!((means.mean() - latency).abs() <= 3.0 * error && error < 0.03 * latency, "{latency}: {expected:?}");
    }
    // Nobody waits for a worker of his own, whatever the services are.
    let alone = expected(
        "warm_up = \"5s\"\nduration = \"60s\"\n[fixed]\nrequesters = 8\nresponders = 8\nfan_out = \"one\"\n\
         dispatch = \"least-busy\"\ndelay = \"uniform 10ms 30ms\"\nload = \"closed 8 think 60ms\"",
    );
    assert_exact(&[formula(&alone, "M/G/8//8").clone()], 100.0, 0.01);
}

/// A count ends when the next request would be sent: what is under way then does not make the measured time longer.
#[test]
fn a_count_does_not_count_its_drain() {
    for (load, per_s) in [("closed 4", 8.0), ("constant 10/s", 6.0)] {
        let expected = expected(&format!(
            "warm_up = \"0s\"\nduration = \"60s\"\ncount = 10\n[fixed]\nrequesters = 8\nresponders = 8\nfan_out = \"one\"\n\
             dispatch = \"least-busy\"\ndelay = \"fixed 500ms\"\nload = \"{load}\""
        ));
        // Of the ten of the open loop, six end in the second that they take to be sent.
        assert_eq!(expected.figures[&Metric::RequestsPerS].median, per_s, "{load}");
    }
}

/// A trial of more than the maximum number of messages is simulated in part, and the report says so; shorter ones are
/// simulated whole.
#[test]
fn a_trial_is_simulated_to_its_end_or_the_report_says_where_it_ends() {
    let of = |seconds: u32| {
        expected(&format!(
            "warm_up = \"0s\"\nduration = \"{seconds}s\"\n[fixed]\nrequesters = 1\nsocket = \"dealer\"\nwindow = 10000\n\
             responders = 8\nfan_out = \"one\"\ndispatch = \"least-busy\"\ndelay = \"fixed 20ms\"\nload = \"constant 480/s\""
        ))
    };
    // 144,000 requests at 400/s: the last one waits for 300 s * 480 / 400 - 300 s.
    let whole = of(300);
    assert!((whole.figures[&Metric::Max].median / 60_000.0 - 1.0).abs() < 0.001, "{whole:?}");
    assert!(whole.saturated && whole.cut_after_ms.is_none() && whole.doubts().is_empty());
    let cut = of(1_200);
    assert!((cut.cut_after_ms.unwrap() / 1_041_667.0 - 1.0).abs() < 0.001);
    assert!(cut.doubts()[0].contains("the first 1042 s of load are simulated"), "{:?}", cut.doubts());
}

/// Clients that are fewer requester workers than messages wait in these; the loop of both is exact for fixed services.
#[test]
fn the_requester_workers_bound_a_closed_loop() {
    let expected = expected(
        "duration = \"20s\"\n[fixed]\nrequesters = 3\nresponders = 8\nfan_out = \"one\"\ndispatch = \"least-busy\"\n\
         delay = \"fixed 20ms\"\nload = \"closed 12\"",
    );
    assert!((expected.figures[&Metric::RequestsPerS].median / 150.0 - 1.0).abs() < 0.001, "{expected:?}");
    assert!((expected.figures[&Metric::Mean].median / 80.0 - 1.0).abs() < 0.001, "{expected:?}");
}
