//! A plan: its factors, its cells, the length and order of its trials.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Factor, Setup};
use crate::runtime::Purpose;

/// Maximum trials of a plan; more would take days.
pub const MAX_TRIALS: usize = 2_000;

/// Where trials run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Every tier in this process, started again for each trial.
    #[default]
    InProcess,
    /// A process for each instance on this machine, started for each trial and stopped after it.
    Processes,
    /// A stack on a Docker swarm, scaled for each trial.
    Swarm,
    /// A deployment that is already running, changed by its controls.
    Running,
}

impl Target {
    pub fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Processes => "processes",
            Self::Swarm => "swarm",
            Self::Running => "running",
        }
    }

    /// Every target, in the order in which the page lists them.
    pub const ALL: [Self; 4] = [Self::Running, Self::InProcess, Self::Processes, Self::Swarm];

    /// Estimated time of a trial without its load: to start or change the deployment, and to end it.
    fn overhead(self) -> Duration {
        match self {
            Self::InProcess => Duration::from_secs(1),
            Self::Processes => Duration::from_secs(2),
            Self::Swarm => Duration::from_secs(20),
            Self::Running => Duration::from_secs(2),
        }
    }

    /// Estimated time of a run without its trials: for rolling updates before the first trial and at the end.
    fn around(self) -> Duration {
        match self {
            Self::Swarm => Duration::from_secs(120),
            Self::InProcess | Self::Processes | Self::Running => Duration::ZERO,
        }
    }

    /// Factors that the target can't vary.
    pub(super) fn fixes(self) -> &'static [Factor] {
        match self {
            Self::InProcess => &[Factor::RequesterInstances, Factor::ResponderInstances],
            Self::Processes | Self::Swarm => &[],
            Self::Running => &[Factor::RequesterInstances, Factor::ResponderInstances, Factor::Socket, Factor::Window],
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|target| target.name() == name);
        known.ok_or_else(|| format!("`{name}` is not a target: give one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The order of the trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Every cell once, in a random order from the seed, then every cell again in another order, so that neither a drift of the
    /// machine nor the position in a round favours a cell.
    #[default]
    Shuffled,
    /// Every cell once, in the plan's order, then every cell again.
    Interleaved,
    /// All repetitions of a cell, then the next cell.
    Sequential,
}

/// A combination of levels, one of each factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// The factors that vary, each with its level as the plan gives it.
    pub levels: BTreeMap<Factor, String>,
    pub setup: Setup,
}

/// A plan with all levels checked and all combinations made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub name: String,
    /// Its purpose, in a sentence or two.
    pub description: String,
    pub target: Target,
    /// Address of the web tier, for the targets `running` and `swarm`.
    #[schema(required)]
    pub url: Option<String>,
    /// Name of the stack, for the target `swarm`.
    pub stack: String,
    /// The factors that vary, each with its levels, in the plan's order.
    pub factors: Vec<(Factor, Vec<String>)>,
    pub cells: Vec<Cell>,
    pub repetitions: u32,
    pub order: Order,
    /// Seed of the arrivals, the delays, the order and the simulations.
    pub seed: u64,
    /// Milliseconds of load at the beginning of a trial that are not measured.
    pub warm_up_ms: u64,
    /// Milliseconds of load that are measured.
    pub duration_ms: u64,
    /// Maximum measured requests: the load ends after them, or after the duration.
    #[schema(required)]
    pub count: Option<u64>,
    /// The factor whose other levels are compared with its first one, within each repetition.
    #[schema(required)]
    pub pair: Option<Factor>,
    /// Timeout of a message, in milliseconds.
    pub timeout_ms: u64,
    /// Settings of the deployment, for targets that start or update one.
    pub settings: BTreeMap<String, String>,
}

/// One run of one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Position in the order, from 0.
    pub number: usize,
    pub cell: usize,
    /// From 0.
    pub repetition: u32,
}

impl Plan {
    pub fn trial_count(&self) -> usize {
        self.cells.len() * self.repetitions as usize
    }

    /// The trials in their order.
    pub fn trials(&self) -> Vec<Trial> {
        let mut pairs: Vec<(usize, u32)> = Vec::with_capacity(self.trial_count());
        match self.order {
            Order::Sequential => {
                (0..self.cells.len()).for_each(|cell| pairs.extend((0..self.repetitions).map(|again| (cell, again))));
            }
            Order::Interleaved | Order::Shuffled => {
                for again in 0..self.repetitions {
                    let mut round: Vec<_> = (0..self.cells.len()).collect();
                    if self.order == Order::Shuffled {
                        round.shuffle(&mut Purpose::Order(again).stream(self.seed));
                    }
                    pairs.extend(round.into_iter().map(|cell| (cell, again)));
                }
            }
        }
        let trial = |(number, (cell, repetition))| Trial { number, cell, repetition };
        pairs.into_iter().enumerate().map(trial).collect()
    }

    /// Estimated time of a trial; with a count it may end earlier.
    pub fn time_per_trial(&self) -> Duration {
        self.target.overhead() + Duration::from_millis(self.warm_up_ms + self.duration_ms)
    }

    /// Estimated time of the whole run; with a count it may end earlier.
    pub fn time(&self) -> Duration {
        self.target.around() + self.time_per_trial() * self.trial_count() as u32
    }

    /// The seed of a repetition's random numbers. All trials of the repetition share it, so that compared cells get the same
    /// arrivals. Other repetitions and other seeds of plans give independent numbers.
    pub fn seed_of(&self, repetition: u32) -> u64 {
        Purpose::Repetition(repetition).seed(self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan::{PlanFlags, read_plan};

    fn plan(order: &str) -> Plan {
        let text = format!(
            "duration = \"1s\"\nwarm_up = \"500ms\"\nrepetitions = 2\norder = \"{order}\"\n[factors]\nresponders = [1, 2, 4]"
        );
        read_plan("test", "test.toml", &text, &PlanFlags::default()).unwrap()
    }

    fn cells(plan: &Plan) -> Vec<usize> {
        plan.trials().iter().map(|trial| trial.cell).collect()
    }

    #[test]
    fn trials_are_in_the_order_of_the_plan() {
        assert_eq!(cells(&plan("interleaved")), [0, 1, 2, 0, 1, 2]);
        assert_eq!(cells(&plan("sequential")), [0, 0, 1, 1, 2, 2]);
        let shuffled = plan("shuffled");
        assert_eq!(cells(&shuffled), cells(&shuffled));
        let mut halves = cells(&shuffled);
        halves[..3].sort_unstable();
        halves[3..].sort_unstable();
        assert_eq!(halves, [0, 1, 2, 0, 1, 2]);
        let many = Plan { repetitions: 100, ..shuffled };
        let first = |cell| many.trials().iter().step_by(3).filter(|trial| trial.cell == cell).count();
        assert!((0..3).all(|cell| (20..=47).contains(&first(cell))), "each cell comes first as often");
    }

    #[test]
    fn the_time_is_that_of_all_trials() {
        let plan = plan("interleaved");
        assert_eq!((plan.trial_count(), plan.time()), (6, Duration::from_secs(15)));
        // A stack is updated before its trials and after them.
        let of_a_stack = Plan { target: Target::Swarm, ..plan };
        assert_eq!(of_a_stack.time(), Duration::from_secs(120 + 6 * 20 + 9));
    }
}
