//! When simulated requests are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand_distr::Exp1;

use super::{Arrivals, Scenario};
use crate::runtime::Purpose;

/// The due times of requests, in milliseconds: of an open loop that of its next request, of a closed one those at which the
/// think times of its clients end.
pub struct Due {
    arrivals: Arrivals,
    random: ChaCha8Rng,
    /// The bits of the times: non-negative floats sort like their bits.
    times: BinaryHeap<Reverse<u64>>,
    taken: usize,
}

impl Due {
    /// At the beginning every client of a closed loop thinks. One without think time has no due times.
    pub fn new(scenario: &Scenario) -> Self {
        let random = Purpose::Arrivals.stream(scenario.seed);
        let mut due = Self { arrivals: scenario.arrivals, random, times: BinaryHeap::new(), taken: 0 };
        match scenario.arrivals {
            Arrivals::Closed { think_ms: 0.0, .. } => {}
            Arrivals::Closed { clients, .. } => (0..clients).for_each(|_| due.schedule(0.0)),
            Arrivals::Constant { .. } | Arrivals::Poisson { .. } => due.schedule(0.0),
        }
        due
    }

    /// The next due time.
    pub fn next(&self) -> Option<f64> {
        self.times.peek().map(|Reverse(bits)| f64::from_bits(*bits))
    }

    /// Takes the next due time away; an open loop gets another one.
    pub fn take(&mut self) {
        let Some(Reverse(bits)) = self.times.pop() else { return };
        self.taken += 1;
        if !matches!(self.arrivals, Arrivals::Closed { .. }) {
            self.schedule(f64::from_bits(bits));
        }
    }

    /// Adds a due time: of an open loop the next one after the last, of a client the end of the think time that begins now.
    pub fn schedule(&mut self, last: f64) {
        let mut exponential = |mean: f64| mean * self.random.sample::<f64, _>(Exp1);
        let due = match self.arrivals {
            Arrivals::Closed { think_ms, .. } => last + exponential(think_ms),
            Arrivals::Constant { rate } => self.taken as f64 * 1_000.0 / rate,
            Arrivals::Poisson { rate } => last + exponential(1_000.0 / rate),
        };
        self.times.push(Reverse(due.to_bits()));
    }
}
