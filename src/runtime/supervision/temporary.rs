//! Temporary children of a supervisor, as in OTP: it does not restart them. Connections, jobs, and links, which `Links` starts
//! again.

use std::collections::HashMap;
use std::future::Future;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use slog::warn;
use tokio_util::sync::CancellationToken;

use super::{Component, Drain, Exit, ExitGuard, Life, Slot, Supervised, Supervisor, WorkerHandle};

/// The temporary children of one supervisor that have not ended, by their generation.
#[derive(Default)]
pub struct Temporary {
    next: u32,
    children: HashMap<u32, WorkerHandle>,
}

impl Temporary {
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Has all of them drain.
    pub fn drain(&self) {
        self.children.values().for_each(|child| child.drain.do_send(Drain));
    }

    /// A child has ended.
    pub fn ended(&mut self, generation: u32) {
        self.children.remove(&generation);
    }
}

/// Starts a temporary child on the next arbiter of the pool. The supervisor logs its death, and does not start it again. While
/// the pool drains, the child drains from its start.
#[derive(Message)]
#[rtype("()")]
pub struct StartTemporary(Start);

type Start = Box<dyn FnOnce(Life, &ArbiterHandle) -> WorkerHandle + Send>;

impl StartTemporary {
    /// `new` makes the child, on its arbiter.
    pub fn new<A: Supervised>(new: impl FnOnce(Life) -> A + Send + 'static) -> Self {
        Self(Box::new(|life, arbiter| A::start_in_arbiter(arbiter, |_| new(life)).into()))
    }

    /// A job: an async function that is called once, and dropped when the pool drains. What waits for its end needs a value that
    /// says so when it is dropped, since that happens after a panic too.
    pub fn job<F: Future<Output = ()> + 'static>(job: impl FnOnce() -> F + Send + 'static) -> Self {
        Self::new(|life| {
            Component::new(life, |slot| {
                Box::pin(async move {
                    // None: it was dropped in the middle.
                    let _ = slot.drain.run_until_cancelled(job()).await;
                    Ok(())
                })
            })
        })
    }
}

impl Handler<StartTemporary> for Supervisor {
    type Result = ();

    fn handle(&mut self, StartTemporary(start): StartTemporary, ctx: &mut Self::Context) {
        self.temporary.next += 1;
        let generation = self.temporary.next;
        let status = self.spec.status.unlisted_worker(TEMPORARY);
        let slot = Slot { index: TEMPORARY, drain: CancellationToken::new(), status, log: self.spec.log.clone() };
        let supervisor = ctx.address();
        let guard = ExitGuard { supervisor, index: TEMPORARY, generation, exit: Exit::Killed };
        let child = start(Life::new(slot, guard), &self.spec.arbiters.next());
        if self.draining {
            child.drain.do_send(Drain);
        }
        self.temporary.children.insert(generation, child);
    }
}

/// Makes all temporary children panic.
#[cfg(test)]
#[derive(Message)]
#[rtype("()")]
pub struct CrashTemporary;

#[cfg(test)]
impl Handler<CrashTemporary> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: CrashTemporary, _: &mut Self::Context) {
        self.temporary.children.values().for_each(|child| child.crash.do_send(super::Crash));
    }
}

/// In place of a slot's index.
pub const TEMPORARY: usize = usize::MAX;

impl Supervisor {
    /// A temporary child has ended, one way or another.
    pub fn temporary_ended(&mut self, generation: u32, exit: Exit) {
        self.temporary.ended(generation);
        let reason = match exit {
            Exit::Done => None,
            Exit::Failed(reason) => Some(reason),
            Exit::Panicked(reason) => Some(format!("panicked: {reason}")),
            Exit::Killed => Some("killed".to_owned()),
        };
        if let Some(reason) = reason {
            warn!(self.spec.log, "died"; "reason" => reason);
        }
        self.trim();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::oneshot;

    use super::super::Factory;
    use super::*;
    use crate::runtime::testing::supervise;

    #[actix_rt::test]
    async fn whoever_waits_for_a_job_is_told_of_its_panic_and_the_supervisor_goes_on() {
        let none: Factory = Arc::new(|_| Box::pin(async { Ok(()) }));
        let supervisor = supervise(Component::spawn_from(none), 0);
        let (told, waiting) = oneshot::channel::<()>();
        supervisor.do_send(StartTemporary::job(move || async move {
            let _told = told;
            panic!("a fault");
        }));
        assert!(waiting.await.is_err());
        let (told, waiting) = oneshot::channel();
        supervisor.do_send(StartTemporary::job(move || async move { told.send(1).unwrap() }));
        assert_eq!(waiting.await, Ok(1));
        // It waits for none that has ended.
        supervisor.send(Drain).await.unwrap();
    }

    #[actix_rt::test]
    async fn a_job_without_an_end_does_not_hold_a_drain_up() {
        let none: Factory = Arc::new(|_| Box::pin(async { Ok(()) }));
        let supervisor = supervise(Component::spawn_from(none), 0);
        let (dropped, waiting) = oneshot::channel::<()>();
        supervisor.do_send(StartTemporary::job(move || async move {
            let _dropped = dropped;
            std::future::pending::<()>().await;
        }));
        supervisor.send(Drain).await.unwrap();
        assert!(waiting.await.is_err());
    }
}
