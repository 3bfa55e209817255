//! The work that a responder does for a message.
//!
//! Tasks are plain async functions, independent of ZeroMQ and actors. Blocking work (file reads, hashing) runs on the
//! runtime's blocking threads, so that a worker's arbiter stays free. Begin with `task.rs`.

mod cpu;
mod echo;
mod error;
mod file;
mod folder;
mod registry;
mod task;
mod withheld;

use cpu::CpuTask;
use echo::EchoTask;
pub use error::TaskError;
pub use file::BUILT_IN_FILE;
use file::FileTask;
use folder::Folder;
pub use registry::{Tasks, TasksConfig};
use task::{Task, TaskFuture, off_thread};
pub use task::{TaskInput, TaskOutput};
pub use withheld::Withheld;
use withheld::{is_key, lineage};
