//! How often steady trials are called unsteady or overloaded, and overloaded ones found: trials of M/M/1 with a service of
//! 20 ms, 2 s of warm-up and 10 s that are measured.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;
use swarmq::experiment::run::{Steadiness, is_unsteady};
use swarmq::experiment::statistics::judge;

use crate::at_most;

const SERVICE_MS: f64 = 20.0;

/// Simulated cells of each kind.
const CELLS: u32 = 600;

/// A trial at a utilisation. Below 1 it begins in the steady state, with the work that an arrival finds there; above, empty.
fn trial(utilisation: f64, random: &mut ChaCha8Rng) -> Steadiness {
    let mut exponential = |mean: f64| mean * random.sample::<f64, _>(Exp1);
    let (begin, end) = (2_000.0, 12_000.0);
    // The wait is 0 with a probability of 1 - utilisation, or else exponential with the mean of the whole time in the system.
    let above = exponential(1.0) + utilisation.min(1.0).ln();
    let mut free_at = if above > 0.0 && utilisation < 1.0 { above * SERVICE_MS / (1.0 - utilisation) } else { 0.0 };
    let (mut due, mut spans) = (0.0, vec![]);
    let time = |ms: f64| Duration::from_secs_f64(ms / 1_000.0);
    loop {
        due += exponential(SERVICE_MS / utilisation);
        if due >= end {
            return Steadiness::of(&spans, time(begin), time(end));
        }
        free_at = f64::max(free_at, due) + exponential(SERVICE_MS);
        spans.push((time(due), time(free_at)));
    }
}

/// The shares of cells that are called overloaded, and unsteady.
fn called(utilisation: f64, repetitions: u32) -> [f64; 2] {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut called = [0_u32; 2];
    for _ in 0..CELLS {
        let trials: Vec<_> = (0..repetitions).map(|_| trial(utilisation, &mut random)).collect();
        let mut halves = Steadiness::halves(&trials).unwrap();
        judge([&mut halves]);
        called[0] += u32::from(Steadiness::is_growing(&trials));
        called[1] += u32::from(is_unsteady(&halves));
    }
    called.map(|count| f64::from(count) / f64::from(CELLS))
}

#[test]
fn steady_cells_are_called_unsteady_or_overloaded_as_seldom_as_is_told() {
    for utilisation in [0.5, 0.9, 0.95] {
        for repetitions in [1, 3, 6] {
            let [overloaded, unsteady] = called(utilisation, repetitions);
            println!("{utilisation}, {repetitions} repetitions: {overloaded} overloaded, {unsteady} unsteady");
            assert!(overloaded <= at_most(0.025, CELLS), "{utilisation}, {repetitions}: {overloaded}");
            assert!(unsteady <= at_most(0.05, CELLS), "{utilisation}, {repetitions}: {unsteady}");
        }
    }
}

#[test]
fn overload_is_always_found() {
    for (utilisation, repetitions) in [(1.3, 3), (1.2, 6), (1.5, 1)] {
        assert_eq!(called(utilisation, repetitions)[0], 1.0, "{utilisation}, {repetitions} repetitions");
    }
}
