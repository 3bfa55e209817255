//! The targets of trials: this process, processes, a swarm, a deployment that is already running. Begin with `target.rs`.

mod deployment;
mod processes;
mod running;
mod swarm;
mod target;

pub use deployment::{
    Deployment, RUN_KEY_HEADER, RUN_KEY_VARIABLE, Refused, TIERS, altered, body, in_flight_before, ledger_since,
};
use deployment::{brokers_apart, with_cap};
pub use processes::Processes;
pub use running::Running;
pub use swarm::Swarm;
use target::START_TIMEOUT;
pub use target::{TargetDriver, check, load_settings, settings_of};
