//! Helpers for tests of simulations.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;

use super::{Arrivals, Scenario};
use crate::experiment::expected::{Expectation, expect_load};
use crate::wire::{Delay, DelayShape, FanOut};

/// A requester with an unlimited window, and a broker with ten workers.
pub fn scenario(shared_queue: bool, arrivals: Arrivals) -> Scenario {
    Scenario {
        requester_instances: 1,
        requester_workers: 4,
        window: 100_000,
        responder_instances: 1,
        responder_workers: 10,
        brokers_apart: 0,
        shared_queue,
        fan_out: FanOut::One,
        arrivals,
        requests: 400_000,
        duration_ms: None,
        warm_up_ms: 100_000.0,
        count: None,
        seed: 1,
    }
}

fn delay(kind: DelayShape) -> Delay {
    let [min, max, mean] = [1, 3, 2].map(Duration::from_secs);
    Delay { kind, min, max, mean, ..Delay::NONE }
}

pub fn expect_kind(scenario: &Scenario, kind: DelayShape) -> Expectation {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let draw = move || match kind {
        DelayShape::Exponential => 2_000.0 * random.sample::<f64, _>(Exp1),
        DelayShape::Uniform => random.random_range(1_000.0..3_000.0),
        DelayShape::Fixed => 2_000.0,
        _ => 0.0,
    };
    expect_load(scenario, &delay(kind), draw).unwrap()
}

/// Poisson arrivals that give `workers` workers of 2 s a load from 0 to 1.
pub fn poisson(load: f64, workers: usize) -> Arrivals {
    Arrivals::Poisson { rate: load * workers as f64 / 2.0 }
}
