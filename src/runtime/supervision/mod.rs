//! Supervised actors: `component.rs` is the actor, `supervisor.rs` restarts it, `arbiters.rs` are the threads.

mod arbiters;
mod component;
mod supervisor;
mod temporary;

pub use arbiters::ArbiterPool;
use component::{Component, Crash, Exit, Exited};
pub use component::{Factory, Slot, Start, Work, WorkError, next_change, panic_message};
pub use supervisor::{CrashWorker, Drain, Fatal, PoolSpec, Resize, RestartPolicy, Supervisor};
pub use temporary::StartTemporary;
use temporary::{TEMPORARY, Temporary};
