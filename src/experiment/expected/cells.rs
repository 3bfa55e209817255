//! The expected figures of each cell of a plan, from simulated trials of the same length.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Expectation, Formula, Measure, expect_load};
use crate::config::Socket;
use crate::experiment::plan::{Cell, Load, Plan, Setup};
use crate::experiment::simulation::{Arrivals, Scenario};
use crate::experiment::statistics::{Metric, median, short};
use crate::responder::DelaySource;
use crate::runtime::Purpose;
use crate::wire::Dispatch;

/// Simulated trials of each cell, if they have at most `MESSAGES` messages together.
const TRIALS: u32 = 25;

/// Messages of a cell's simulated trials together after which no further trial is begun.
const MESSAGES: usize = 200_000;

/// Minimum simulated trials of each cell: fewer show little of the random variation.
const MIN_TRIALS: u32 = 3;

/// Maximum messages of a simulated trial, which bounds its memory: 20 minutes of 400 a second.
const TRIAL_MESSAGES: usize = 500_000;

/// Requests of a simulated closed loop without a delay, which would make requests without end.
const TIMELESS_REQUESTS: usize = 1_000;

/// Drawings of simulated trials for the range of an expected figure.
const DRAWINGS: usize = 1_000;

/// Share of the medians within an expected range.
const RANGE: f64 = 0.9;

/// The expected figures of a cell, without the overhead of processes, network and scheduler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    /// The median of the simulated trials, and the range of nine in ten medians of as many trials as the plan has repetitions.
    /// Excludes metrics that are unbounded because nothing takes time.
    pub figures: BTreeMap<Metric, Range>,
    /// Number of simulated trials.
    #[serde(default)]
    pub trials: usize,
    /// Milliseconds of load after which the simulated trials ended, if they are shorter than the real ones.
    #[serde(default)]
    #[schema(required)]
    pub cut_after_ms: Option<f64>,
    /// Utilisation of the responder workers, from 0 to 1.
    pub utilisation: f64,
    /// Messages per second. None: unbounded.
    #[schema(required)]
    pub capacity_per_s: Option<f64>,
    /// The offered load is above capacity.
    pub saturated: bool,
    /// A message's mean wait in the requester, in milliseconds.
    pub requester_wait_ms: f64,
    /// A message's mean wait at the broker, in milliseconds.
    pub broker_wait_ms: f64,
    /// A message's mean service time, in milliseconds.
    pub service_ms: f64,
    pub formulas: Vec<Formula>,
}

/// A median, and the range of most values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
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

impl Expected {
    /// Why the expected figures may not be those of the real trials, each in a sentence without its end.
    pub fn doubts(&self) -> Vec<String> {
        let cut = self
            .cut_after_ms
            .map(|cut| format!("the first {:.0} s of load are simulated, and the trials are longer", cut / 1_000.0));
        let disagreeing = self.formulas.iter().filter(|formula| formula.disagrees).map(|formula| {
            let (what, unit, why) = match formula.measure {
                Measure::MeanWait => ("mean wait", " ms", "the trials are too short for its steady state"),
                Measure::MeanLatency => ("mean latency", " ms", "one of them is wrong"),
                Measure::Throughput => ("throughput", "/s", "one of them is wrong"),
            };
            format!(
                "{} gives a {what} of {}{unit}, simulated trials of this length {}{unit} (standard error {}): {why}",
                formula.name,
                short(formula.value),
                short(formula.simulated),
                short(formula.standard_error)
            )
        });
        cut.into_iter().chain(disagreeing).collect()
    }
}

/// Simulates trials of one cell. Each has the arrivals of the real trials of its repetition.
fn expect(plan: &Plan, cell: &Cell) -> Result<Expected, String> {
    let mut scenario = scenario(plan, &cell.setup)?;
    let per_request = scenario.messages_per_request();
    let mut simulated: Vec<Expectation> = vec![];
    let mut messages = 0;
    for trial in 0..TRIALS {
        scenario.seed = plan.seed_of(trial);
        let mut source = DelaySource::of(&cell.setup.delay, scenario.seed, Purpose::SimulatedDelays);
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
    Ok(pooled(&simulated, cell.setup.delay.average_ms(), plan))
}

/// The scenario of a trial.
fn scenario(plan: &Plan, setup: &Setup) -> Result<Scenario, String> {
    let arrivals = match setup.load {
        Load::Closed { clients, think } => {
            Arrivals::Closed { clients: clients as usize, think_ms: think.as_secs_f64() * 1_000.0 }
        }
        Load::Constant { per_s } => Arrivals::Constant { rate: per_s },
        Load::Poisson { per_s } => Arrivals::Poisson { rate: per_s },
        Load::Ramp { .. } => return Err("a ramp's load changes during the trial".to_owned()),
    };
    let mut scenario = Scenario {
        requester_instances: setup.requester_instances as usize,
        requester_workers: setup.requesters as usize,
        window: if setup.socket == Socket::Dealer { setup.window as usize } else { 1 },
        responder_instances: setup.responder_instances as usize,
        responder_workers: setup.responders as usize,
        brokers_apart: setup.brokers_apart as usize,
        shared_queue: setup.dispatch == Dispatch::LeastBusy,
        fan_out: setup.fan_out,
        arrivals,
        requests: 0,
        duration_ms: Some((plan.warm_up_ms + plan.duration_ms) as f64),
        warm_up_ms: plan.warm_up_ms as f64,
        count: plan.count.map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
        seed: plan.seed,
    };
    let is_timeless = matches!(arrivals, Arrivals::Closed { think_ms: 0.0, .. }) && setup.delay.average_ms() == 0.0;
    scenario.requests = match is_timeless {
        true => TIMELESS_REQUESTS,
        false => (TRIAL_MESSAGES / scenario.messages_per_request()).max(100),
    };
    Ok(scenario)
}

/// Medians over simulated trials.
fn pooled(simulated: &[Expectation], service_ms: f64, plan: &Plan) -> Expected {
    let values = |of: &dyn Fn(&Expectation) -> Option<f64>| simulated.iter().filter_map(of).collect::<Vec<_>>();
    let middle = |of: &dyn Fn(&Expectation) -> f64| median(&values(&|one| Some(of(one)))).unwrap_or_default();
    let figure = |metric| range(&values(&|one| expected(metric, one)), plan);
    let formula = |formula: &Formula| {
        let same = |one: &Expectation| {
            let found =
                one.formulas.iter().find(|other| (&other.name, other.measure) == (&formula.name, formula.measure));
            found.map(|found| found.simulated)
        };
        // Workers that serve in step end their messages at once, as many as there may be in flight.
        let resolution = match (formula.measure, simulated.first()) {
            (Measure::Throughput, Some(one)) => formula.value * service_ms / one.span_ms,
            _ => 0.0,
        };
        formula.pooled(&values(&same), resolution)
    };
    let first = simulated.first();
    Expected {
        figures: Metric::ALL.into_iter().filter_map(|metric| Some((metric, figure(metric)?))).collect(),
        trials: simulated.len(),
        cut_after_ms: simulated.iter().filter_map(|one| one.cut_after_ms).reduce(f64::min),
        utilisation: middle(&|one| one.utilisation),
        capacity_per_s: first.and_then(|first| first.capacity_per_s),
        saturated: simulated.iter().filter(|one| one.saturated).count() * 2 > simulated.len(),
        requester_wait_ms: middle(&|one| one.requester_wait_ms),
        broker_wait_ms: middle(&|one| one.broker_wait_ms),
        service_ms,
        formulas: first.map(|first| first.formulas.iter().map(formula).collect()).unwrap_or_default(),
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

/// The median of values, and the range of nine in ten medians of as many of them as the plan has repetitions, drawn at random.
/// `None` without values.
fn range(values: &[f64], plan: &Plan) -> Option<Range> {
    let middle = median(values)?;
    let mut random = Purpose::Ranges.stream(plan.seed);
    let mut drawing = || {
        let drawn: Vec<f64> = (0..plan.repetitions).map(|_| values[random.random_range(0..values.len())]).collect();
        median(&drawn).unwrap_or(middle)
    };
    let mut medians: Vec<f64> = (0..DRAWINGS).map(|_| drawing()).collect();
    medians.sort_by(f64::total_cmp);
    let skipped = ((1.0 - RANGE) / 2.0 * DRAWINGS as f64) as usize;
    Some(Range {
        median: middle,
        low: medians[skipped],
        high: medians[DRAWINGS - 1 - skipped],
        values: values.to_vec(),
    })
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
        // With 500 requests after 2 s of warm-up it lasts 3 s: 750 ms, and the unequal lengths of 64 queues add the rest.
        let counted = expect("constant 500/s", "count = 500").unwrap().figures[&Metric::Max].clone();
        assert!((750.0..900.0).contains(&counted.median), "{counted:?}");
    }

    #[test]
    fn a_ramp_has_no_expectation_and_says_why() {
        assert_eq!(expect("ramp 10/s 100/s", ""), Err("a ramp's load changes during the trial".to_owned()));
    }
}
