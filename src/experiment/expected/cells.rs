//! The expected figures of each cell of a plan, from simulated trials of the same length.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::{Expectation, Formula, expect_load};
use crate::config::Socket;
use crate::experiment::plan::{Cell, Load, Plan, Setup};
use crate::experiment::simulation::{Arrivals, Scenario};
use crate::experiment::statistics::Metric;
use crate::experiment::statistics::{Estimate, median};
use crate::responder::DelaySource;
use crate::wire::Dispatch;

/// Simulated trials of each cell, if they have at most `MESSAGES` messages together.
const TRIALS: u64 = 25;

/// Maximum messages of a cell's simulated trials together, which bounds the time of the simulation.
const MESSAGES: usize = 200_000;

/// Minimum simulated trials of each cell: fewer show little of the random variation.
const MIN_TRIALS: u64 = 3;

/// Share of the simulated trials within an expected range.
const RANGE: f64 = 0.9;

/// The expected figures of a cell, without the overhead of processes, network and scheduler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    /// The median of simulated trials and the range of nine in ten of them. Excludes metrics that are unbounded because nothing
    /// takes time.
    pub figures: BTreeMap<Metric, Range>,
    /// Utilisation of the responder workers, from 0 to 1.
    pub utilisation: f64,
    /// Messages per second. None: unbounded.
    pub capacity_per_s: Option<f64>,
    /// The offered load is above capacity.
    pub saturated: bool,
    /// A message's mean wait in the requester, in milliseconds.
    pub lane_wait_ms: f64,
    /// A message's mean wait at the broker, in milliseconds.
    pub broker_wait_ms: f64,
    /// A message's mean service time, in milliseconds.
    pub service_ms: f64,
    pub formulas: Vec<Formula>,
}

/// A median, and the range of most values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    /// The figure of each simulated trial, by repetition: the real trials of that have the same arrivals.
    #[serde(default)]
    pub values: Vec<f64>,
}

/// The expected figures of the cells of a plan, or the reason why there are none. A cell is simulated when its figures are first
/// asked for, which takes a moment.
#[derive(Clone, Debug)]
pub struct Expectations {
    plan: Plan,
    cells: Vec<OnceLock<Result<Expected, String>>>,
}

impl Expectations {
    /// Deterministic: the same plan, with the same seed, gives the same result.
    pub fn of(plan: &Plan) -> Self {
        Self { plan: plan.clone(), cells: plan.cells.iter().map(|_| OnceLock::new()).collect() }
    }

    pub fn cell(&self, index: usize) -> Option<&Result<Expected, String>> {
        let known = self.cells.get(index)?;
        Some(known.get_or_init(|| expect(&self.plan, &self.plan.cells[index])))
    }
}

/// Simulates trials of one cell.
fn expect(plan: &Plan, cell: &Cell) -> Result<Expected, String> {
    let mut scenario = scenario(plan, &cell.setup)?;
    let per_request = scenario.messages_per_request();
    let mut simulated: Vec<Expectation> = vec![];
    let mut messages = 0;
    for trial in 0..TRIALS {
        scenario.seed = plan.seed.wrapping_add(trial);
        let mut source = DelaySource::new(&cell.setup.delay, Some(scenario.seed), 0);
        let mut drawn = 0;
        let draw = || {
            drawn += 1;
            source.draw().as_secs_f64() * 1000.0
        };
        let expectation = expect_load(&scenario, &cell.setup.delay, draw);
        simulated.push(expectation.map_err(|error| error.to_string())?);
        messages += drawn.max(per_request);
        if messages > MESSAGES && trial + 1 >= MIN_TRIALS {
            break;
        }
    }
    Ok(pooled(&simulated, cell.setup.delay.average_ms()))
}

/// The scenario of a trial.
fn scenario(plan: &Plan, setup: &Setup) -> Result<Scenario, String> {
    let arrivals = match setup.load {
        Load::Closed { clients } => Arrivals::Closed { clients: clients as usize },
        Load::Constant { per_s } => Arrivals::Constant { rate: per_s },
        Load::Poisson { per_s } => Arrivals::Poisson { rate: per_s },
        Load::Ramp { .. } => return Err("a ramp's load changes during the trial".to_owned()),
    };
    let duration_ms = (plan.warm_up_ms + plan.duration_ms) as f64;
    let mut scenario = Scenario {
        requester_instances: setup.requester_instances as usize,
        requester_workers: setup.requesters as usize,
        window: if setup.socket == Socket::Dealer { setup.window as usize } else { 1 },
        responder_instances: setup.responder_instances as usize,
        responder_workers: setup.responders as usize,
        shared_queue: setup.dispatch == Dispatch::LeastBusy,
        fan_out: setup.fan_out,
        arrivals,
        requests: 0,
        duration_ms: Some(duration_ms),
        warm_up: plan.warm_up_ms as f64 / duration_ms,
        seed: plan.seed,
    };
    // Limited, because a closed loop without a delay would make requests without end.
    scenario.requests = (MESSAGES / MIN_TRIALS as usize / scenario.messages_per_request()).max(100);
    if let (Some(count), Some(rate)) = (plan.count, scenario.rate()) {
        let warm_up = rate * plan.warm_up_ms as f64 / 1000.0;
        let all = warm_up + count as f64;
        if all < rate * duration_ms / 1000.0 {
            scenario.warm_up = warm_up / all;
            scenario.requests = scenario.requests.min(all.ceil() as usize);
        }
    }
    Ok(scenario)
}

/// Medians over simulated trials.
fn pooled(simulated: &[Expectation], service_ms: f64) -> Expected {
    let values = |of: &dyn Fn(&Expectation) -> Option<f64>| simulated.iter().filter_map(of).collect::<Vec<_>>();
    let middle = |of: &dyn Fn(&Expectation) -> f64| median(&values(&|one| Some(of(one)))).unwrap_or_default();
    let figure = |metric| range(values(&|one| expected(metric, one)));
    let mut formulas = simulated.first().map(|first| first.formulas.clone()).unwrap_or_default();
    for formula in &mut formulas {
        let same = |one: &Expectation| {
            let found =
                one.formulas.iter().find(|other| (&other.name, other.measure) == (&formula.name, formula.measure));
            found.map(|found| found.simulated)
        };
        formula.simulated = median(&values(&same)).unwrap_or(formula.simulated);
    }
    Expected {
        figures: Metric::ALL.into_iter().filter_map(|metric| Some((metric, figure(metric)?))).collect(),
        utilisation: middle(&|one| one.utilisation),
        capacity_per_s: simulated.first().and_then(|first| first.capacity_per_s),
        saturated: simulated.iter().filter(|one| one.saturated).count() * 2 > simulated.len(),
        lane_wait_ms: middle(&|one| one.lane_wait_ms),
        broker_wait_ms: middle(&|one| one.broker_wait_ms),
        service_ms,
        formulas,
    }
}

fn expected(metric: Metric, of: &Expectation) -> Option<f64> {
    match metric {
        Metric::RequestsPerS => of.requests_per_s,
        Metric::MessagesPerS => of.messages_per_s,
        Metric::Mean => Some(of.latency.mean_ms),
        Metric::P50 => Some(of.latency.p50_ms),
        Metric::P90 => Some(of.latency.p90_ms),
        Metric::P95 => Some(of.latency.p95_ms),
        Metric::P99 => Some(of.latency.p99_ms),
        Metric::P999 => Some(of.latency.p999_ms),
        Metric::Max => Some(of.latency.max_ms),
        Metric::Cpu | Metric::Memory | Metric::Errors => None,
    }
}

/// `None` without values.
fn range(values: Vec<f64>) -> Option<Range> {
    let median = Estimate::of(&values, RANGE)?.median;
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let skipped = ((1.0 - RANGE) / 2.0 * sorted.len() as f64) as usize;
    Some(Range { median, low: sorted[skipped], high: sorted[sorted.len() - 1 - skipped], values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan_of;

    fn expect(load: &str, more: &str) -> Result<Expected, String> {
        let text = format!(
            "duration = \"10s\"\nwarm_up = \"2s\"\n{more}\n[fixed]\nrequesters = 64\nresponders = 8\ndelay = \"uniform 10ms 30ms\"\nfan_out = \"one\"\ndispatch = \"least-busy\"\nload = \"{load}\""
        );
        let plan = plan_of(&text);
        let of = || Expectations::of(&plan).cell(0).unwrap().clone();
        assert_eq!(of(), of(), "the same for the same seed");
        of()
    }

    #[test]
    fn a_closed_loop_is_as_fast_as_its_workers() {
        let expected = expect("closed 16", "").unwrap();
        let rate = &expected.figures[&Metric::RequestsPerS];
        assert!((rate.median / 400.0 - 1.0).abs() < 0.02 && rate.low <= rate.median && rate.median <= rate.high);
        assert!((expected.figures[&Metric::Mean].median / 40.0 - 1.0).abs() < 0.02, "{expected:?}");
        assert!(expected.utilisation > 0.98 && !expected.saturated);
        assert_eq!(expected.capacity_per_s, Some(400.0));
    }

    #[test]
    fn an_open_loop_past_capacity_gets_worse_for_as_long_as_it_lasts() {
        let below = expect("poisson 200/s", "").unwrap();
        assert!((below.figures[&Metric::RequestsPerS].median / 200.0 - 1.0).abs() < 0.03 && !below.saturated);
        let past = expect("constant 500/s", "").unwrap();
        assert!((past.figures[&Metric::RequestsPerS].median / 400.0 - 1.0).abs() < 0.03 && past.saturated);
        // The last of 12 s of 500/s waits until 6,000 have been done at 400/s: 3 s.
        assert!((past.figures[&Metric::Max].median / 3_000.0 - 1.0).abs() < 0.05, "{past:?}");
        // With 500 requests after 2 s of warm-up it lasts 3 s; 750 ms, and the unequal lengths of 64 queues add the rest.
        let counted = expect("constant 500/s", "count = 500").unwrap().figures[&Metric::Max].clone();
        assert!((750.0..900.0).contains(&counted.median), "{counted:?}");
    }

    #[test]
    fn a_ramp_has_no_expectation_and_says_why() {
        assert_eq!(expect("ramp 10/s 100/s", ""), Err("a ramp's load changes during the trial".to_owned()));
    }
}
