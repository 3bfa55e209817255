//! The responder workers: each does a task for each message. Begin with `tier.rs`, then `worker.rs`.

mod controls;
mod delay;
mod faults;
pub mod tasks;
mod tier;
mod worker;
mod worker_state;

pub use controls::{ChangeError, ResponderControls, delay_of};
use delay::DelayError;
pub use delay::{Delay, DelaySource};
pub use faults::FaultInjector;
pub use tier::{LocalBroker, ResponderTier};
pub use worker::{ResponderContext, run_responder};
use worker_state::ResponderState;
pub use worker_state::{Backend, ResponderStates};
