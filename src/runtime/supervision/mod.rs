//! Supervised actors: `supervisor.rs` restarts workers, `supervised.rs` has the trait of the actors, `component.rs` an actor
//! around an async function, `arbiters.rs` the threads.

mod arbiters;
mod component;
mod restart_policy;
mod supervised;
mod supervisor;
mod temporary;

pub use arbiters::ArbiterPool;
use component::Exited;
pub use component::{Component, Crash, Exit, ExitGuard, Factory, Slot, Work, WorkError, guarded, panic_message};
pub use restart_policy::{Fatal, RestartPolicy};
pub use supervised::{Life, Spawn, Supervised, WorkerHandle, keep_going};
pub use supervisor::{CrashWorker, Drain, PoolSpec, Resize, Supervisor};
#[cfg(test)]
pub use temporary::CrashTemporary;
pub use temporary::StartTemporary;
use temporary::{TEMPORARY, Temporary};
