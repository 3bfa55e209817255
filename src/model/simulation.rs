//! A discrete-event simulation of requests on their way through lanes, brokers and responder workers, by the rules of
//! the program itself, but without what processes, network and scheduler cost.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::FanOut;

/// Most messages in a simulation: some seconds' work, and a gigabyte.
pub const MOST_MESSAGES: usize = 10_000_000;

/// Most workers of a tier.
pub const MOST_WORKERS: usize = 100_000;

/// How requests arrive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Arrivals {
    /// From so many clients, each of which makes its next request when the last has ended.
    Closed { clients: usize },
    /// So many a second, evenly spaced.
    Constant { rate: f64 },
    /// So many a second, at random.
    Poisson { rate: f64 },
}

/// A deployment and its load. Every instance of a tier is alike, and each responder instance has a broker of its own;
/// where one separate broker serves several, give their workers as one instance's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    pub requester_instances: usize,
    /// Per instance.
    pub requester_workers: usize,
    /// Messages that each requester worker may have in flight: 1 with REQ.
    pub window: usize,
    pub responder_instances: usize,
    /// Per instance.
    pub responder_workers: usize,
    /// Least-busy dispatch: messages wait at the broker for the worker that is free first. Else each worker in turn
    /// gets its own.
    pub shared_queue: bool,
    pub fan_out: FanOut,
    pub arrivals: Arrivals,
    /// Requests that are made, at most.
    pub requests: usize,
    /// No request is made after so many milliseconds. None: until all are made.
    pub duration_ms: Option<f64>,
    /// The share of the requests, the first ones, that does not count: from 0 up to, not including, 1.
    pub warm_up: f64,
    /// Of the arrivals.
    pub seed: u64,
}

/// Why a scenario can't be simulated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScenarioError {
    #[error("nothing to simulate: {0} is 0")]
    None(&'static str),
    #[error("too much to simulate: {what} is {value}, of at most {most}")]
    TooMany { what: &'static str, value: usize, most: usize },
    #[error("{what} is {value}: give {allowed}")]
    Range { what: &'static str, value: f64, allowed: &'static str },
}

/// What became of the requests that count. Times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// Of the requests, from their arrival to their last reply; sorted.
    pub latencies: Vec<f64>,
    /// From the first of their arrivals to the last.
    pub window_ms: f64,
    /// That arrived within the window.
    pub arrived: usize,
    /// That ended within the window, whenever they arrived.
    pub requests_ended: usize,
    pub messages_ended: usize,
    /// The time that responder workers served within the window, added up.
    pub busy_ms: f64,
    /// A message's mean wait in the requester.
    pub lane_wait_ms: f64,
    /// A message's mean wait at the broker and in its worker's queue.
    pub broker_wait_ms: f64,
    /// A message's mean service.
    pub service_ms: f64,
}
