//! Supervised actors: `supervisor.rs` restarts workers, `supervised.rs` has the trait of the actors, `component.rs` an actor
//! around an async function, `arbiters.rs` the threads.

mod arbiters;
mod children;
mod component;
mod restart_policy;
mod supervised;
mod supervisor;

pub use arbiters::ArbiterPool;
#[cfg(test)]
pub use children::CrashChildren;
use children::{CHILD, Children};
pub use children::{StartTemporary, StartTransient};
use component::Exited;
pub use component::{Component, Exit, ExitGuard, Factory, Slot, Work, WorkError, guarded, panic_message};
pub use restart_policy::{Fatal, RestartPolicy};
use restart_policy::{RestartWaits, Restarts};
pub use supervised::{Life, Spawn, Supervised, WorkerHandle, keep_going};
pub use supervisor::{CrashWorker, Drain, PoolSpec, Resize, Supervisor};
