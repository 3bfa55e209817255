//! An actor around an async function; the types that all supervised actors share.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use actix::prelude::*;
use futures_util::FutureExt;
use slog::{Logger, error};
use tokio_util::sync::CancellationToken;

use super::{Drain, Life, Spawn, Supervised, Supervisor};
use crate::runtime::WorkerStatus;

/// A component's work, from its start until it is drained or fails.
pub type Work = Pin<Box<dyn Future<Output = Result<(), WorkError>>>>;

/// Makes the work of a slot. Called at each start, on the arbiter that will run the work.
pub type Factory = Arc<dyn Fn(Slot) -> Work + Send + Sync>;

/// Why a component failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error("a socket failed: {0}")]
    Socket(#[from] std::io::Error),
    #[error("ZeroMQ failed: {0}")]
    Zmq(#[from] zmq::Error),
    #[error("{0}")]
    Other(String),
}

/// The context of a worker: its place in the pool.
#[derive(Clone)]
pub struct Slot {
    /// From 0; the same after a restart.
    pub index: usize,
    /// Cancelled when the worker has to finish its current work, take nothing new, and return.
    pub drain: CancellationToken,
    /// The worker's published status.
    pub status: Arc<WorkerStatus>,
    pub log: Logger,
}

/// How a component's run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned: drained.
    Done,
    /// It returned an error.
    Failed(String),
    /// It panicked.
    Panicked(String),
    /// Its actor was dropped before its end: by a panic in a handler, or with its arbiter.
    Killed,
}

impl Exit {
    /// Why it died; `None` if it did not.
    pub fn death(self) -> Option<String> {
        match self {
            Self::Done => None,
            Self::Failed(reason) => Some(reason),
            Self::Panicked(reason) => Some(format!("panicked: {reason}")),
            Self::Killed => Some("killed".to_owned()),
        }
    }
}

/// Sent to the supervisor when a component's actor has ended, for any reason.
#[derive(Message)]
#[rtype("()")]
pub struct Exited {
    pub index: usize,
    pub generation: u32,
    pub exit: Exit,
}

/// Runs an async function as an actor. A restart starts another one.
pub struct Component {
    /// `None` after the start.
    start: Option<Box<dyn FnOnce(Slot) -> Work>>,
    life: Life,
}

/// Sends `Exited` to the supervisor when it is dropped, so also after a panic.
pub struct ExitGuard {
    pub supervisor: Addr<Supervisor>,
    pub index: usize,
    /// Number of the worker in its slot: the supervisor ignores an `Exited` of an earlier one.
    pub generation: u32,
    pub exit: Exit,
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        let exit = match std::mem::replace(&mut self.exit, Exit::Killed) {
            // Dropped by a panic in a handler, whose message only the hook that logs it has seen.
            Exit::Killed if std::thread::panicking() => Exit::Panicked("the log of its process says why".to_owned()),
            exit => exit,
        };
        self.supervisor.do_send(Exited { index: self.index, generation: self.generation, exit });
    }
}

impl Component {
    /// Starts components whose work comes from a factory.
    pub fn spawn_from(factory: Factory) -> Spawn {
        Self::spawn(move |life| {
            let factory = factory.clone();
            Self::new(life, move |slot| factory(slot))
        })
    }

    /// `start` makes the work.
    pub fn new(life: Life, start: impl FnOnce(Slot) -> Work + 'static) -> Self {
        Self { start: Some(Box::new(start)), life }
    }
}

impl Actor for Component {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(start) = self.start.take() else { return };
        let slot = self.life.slot.clone();
        let work = AssertUnwindSafe(async move { start(slot).await }).catch_unwind();
        ctx.spawn(work.into_actor(self).map(|end, actor, ctx| match end {
            Ok(result) => actor.end(result, ctx),
            Err(panic) => {
                actor.life.ends(Exit::Panicked(panic_message(panic.as_ref())));
                ctx.stop();
            }
        }));
    }
}

impl Supervised for Component {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }
}

impl Handler<Drain> for Component {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        self.life.slot.drain.cancel();
    }
}

/// Calls a function in a loop that must continue after a panic. A panic, which is a fault in the program, is logged, and the result
/// is `None`.
pub fn guarded<T>(what: &'static str, log: &Logger, call: impl FnOnce() -> T) -> Option<T> {
    let result = std::panic::catch_unwind(AssertUnwindSafe(call));
    result.map_err(|panic| error!(log, "panicked, continuing"; "in" => what, "reason" => panic_message(&*panic))).ok()
}

/// The text of a panic's payload.
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;

    #[test]
    fn a_loop_continues_after_a_panic_in_its_callback() {
        let log = Logger::root(Discard, o!());
        let answers =
            [1, 2, 3].map(|number| guarded("a test", &log, || if number == 2 { panic!("a fault") } else { number }));
        assert_eq!(answers, [Some(1), None, Some(3)]);
    }
}
