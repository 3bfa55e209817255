//! Children of a supervisor beside the workers of its pool, as in OTP. Temporary ones it does not restart: connections, jobs.
//! Transient ones it restarts unless they end by themselves: links.

use std::collections::HashMap;
use std::future::Future;
use std::time::Instant;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use slog::warn;
use tokio_util::sync::CancellationToken;

use super::{Component, Drain, Exit, ExitGuard, Life, RestartWaits, Slot, Spawn, Supervised, Supervisor, WorkerHandle};

/// The children of one supervisor that have not ended, by their number.
#[derive(Default)]
pub struct Children {
    last: u32,
    all: HashMap<u32, Child>,
}

enum Child {
    Temporary(WorkerHandle),
    Transient(WorkerHandle, Transient),
    /// A transient child that died, until it is started again.
    Restarting,
}

/// How a transient child is started again.
struct Transient {
    spawn: Spawn,
    waits: RestartWaits,
}

impl Children {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Has all of them drain; one that is restarting drains from its start.
    pub fn drain(&self) {
        self.all.values().filter_map(Child::worker).for_each(|worker| worker.drain.do_send(Drain));
    }

    fn number(&mut self) -> u32 {
        self.last += 1;
        self.last
    }
}

impl Child {
    fn worker(&self) -> Option<&WorkerHandle> {
        match self {
            Self::Temporary(worker) | Self::Transient(worker, _) => Some(worker),
            Self::Restarting => None,
        }
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
        Self(Box::new(|life, arbiter| WorkerHandle::start(arbiter, || new(life))))
    }

    /// A job: an async function that is called once, and dropped when the pool drains. To wait for its end, give it a value that
    /// notifies on drop, which also happens after a panic.
    pub fn job<F: Future<Output = ()> + 'static>(job: impl FnOnce() -> F + Send + 'static) -> Self {
        Self::new(|life| {
            Component::new(life, |slot| {
                Box::pin(async move {
                    // `None`: it was dropped before its end.
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
        let number = self.children.number();
        let worker = start(self.child_life(number, ctx), &self.spec.arbiters.next());
        self.add_child(number, Child::Temporary(worker));
    }
}

/// Starts a transient child on the next arbiter of the pool, and again after each death, with the waits and the budget of the
/// pool's workers. While the pool drains, the child drains from its start.
#[derive(Message)]
#[rtype("()")]
pub struct StartTransient(pub Spawn);

impl Handler<StartTransient> for Supervisor {
    type Result = ();

    fn handle(&mut self, StartTransient(spawn): StartTransient, ctx: &mut Self::Context) {
        let (number, waits) = (self.children.number(), self.restarts.waits(Instant::now()));
        self.start_transient(number, Transient { spawn, waits }, ctx);
    }
}

/// Makes all children panic.
#[cfg(test)]
#[derive(Message)]
#[rtype("()")]
pub struct CrashChildren;

#[cfg(test)]
impl Handler<CrashChildren> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: CrashChildren, _: &mut Self::Context) {
        for child in self.children.all.values_mut() {
            if let Child::Temporary(worker) | Child::Transient(worker, _) = child {
                worker.crash();
            }
        }
    }
}

/// In place of a slot's index; the generation is the child's number.
pub const CHILD: usize = usize::MAX;

impl Supervisor {
    fn child_life(&self, number: u32, ctx: &Context<Self>) -> Life {
        let status = self.spec.status.unlisted_worker(CHILD);
        let slot = Slot { index: CHILD, drain: CancellationToken::new(), status, log: self.spec.log.clone() };
        let supervisor = ctx.address();
        Life::new(slot, ExitGuard { supervisor, index: CHILD, generation: number, exit: Exit::Killed })
    }

    fn start_transient(&mut self, number: u32, mut child: Transient, ctx: &Context<Self>) {
        child.waits.restarted(Instant::now());
        let worker = (child.spawn)(self.child_life(number, ctx), &self.spec.arbiters.next());
        self.add_child(number, Child::Transient(worker, child));
    }

    fn add_child(&mut self, number: u32, child: Child) {
        if self.draining
            && let Some(worker) = child.worker()
        {
            worker.drain.do_send(Drain);
        }
        self.children.all.insert(number, child);
    }

    /// A child has ended, one way or another.
    pub fn child_ended(&mut self, number: u32, exit: Exit, ctx: &mut Context<Self>) {
        let child = self.children.all.remove(&number);
        match (exit.death(), child) {
            (None, _) => self.trim(),
            (Some(reason), Some(Child::Transient(_, child))) => self.restart_child(number, child, reason, ctx),
            (Some(reason), _) => {
                warn!(self.spec.log, "died"; "reason" => reason);
                self.trim();
            }
        }
    }

    fn restart_child(&mut self, number: u32, mut child: Transient, reason: String, ctx: &mut Context<Self>) {
        let Some(wait) = self.restarts.died(&mut child.waits, Instant::now()) else {
            return self.give_up(None, reason);
        };
        warn!(self.spec.log, "died, starting again"; "reason" => reason, "wait" => ?wait);
        self.spec.status.restarted();
        self.children.all.insert(number, Child::Restarting);
        ctx.run_later(wait, move |supervisor, ctx| supervisor.start_transient(number, child, ctx));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{mpsc, oneshot};

    use super::super::{Factory, PoolSpec, RestartPolicy};
    use super::*;
    use crate::runtime::testing::{no_workers, policy};

    #[actix_rt::test]
    async fn a_job_that_panics_drops_its_values_and_the_supervisor_continues() {
        let supervisor = Supervisor::launch(no_workers());
        let (told, waiting) = oneshot::channel::<()>();
        supervisor.do_send(StartTemporary::job(move || async move {
            let _told = told;
            panic!("a fault");
        }));
        assert!(waiting.await.is_err());
        let (told, waiting) = oneshot::channel();
        supervisor.do_send(StartTemporary::job(move || async move { told.send(1).unwrap() }));
        assert_eq!(waiting.await, Ok(1));
        // No child is left.
        supervisor.send(Drain).await.unwrap();
    }

    #[actix_rt::test]
    async fn an_endless_job_does_not_delay_a_drain() {
        let supervisor = Supervisor::launch(no_workers());
        let (dropped, waiting) = oneshot::channel::<()>();
        supervisor.do_send(StartTemporary::job(move || async move {
            let _dropped = dropped;
            std::future::pending::<()>().await;
        }));
        supervisor.send(Drain).await.unwrap();
        assert!(waiting.await.is_err());
    }

    /// A transient child that panics `deaths` times and then ends, and the number of its lives. `waits`: each life lasts until
    /// the pool drains.
    fn dies(deaths: usize, waits: bool) -> (StartTransient, Arc<AtomicUsize>) {
        let lives = Arc::<AtomicUsize>::default();
        let counted = lives.clone();
        let factory: Factory = Arc::new(move |slot| {
            let life = counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                if waits {
                    slot.drain.cancelled().await;
                }
                assert!(life >= deaths, "a fault");
                Ok(())
            })
        });
        (StartTransient(Component::spawn_from(factory)), lives)
    }

    #[actix_rt::test]
    async fn a_transient_child_is_restarted_after_each_death_and_not_after_its_end() {
        let spec = no_workers();
        let status = spec.status.clone();
        let supervisor = Supervisor::launch(spec);
        let ((first, first_lives), (second, second_lives)) = (dies(2, false), dies(1, true));
        supervisor.do_send(first);
        supervisor.do_send(second);
        while first_lives.load(Ordering::Relaxed) < 3 {
            tokio::task::yield_now().await;
        }
        // The second dies while the pool drains: the next worker completes its messages.
        supervisor.send(Drain).await.unwrap();
        assert_eq!((first_lives.load(Ordering::Relaxed), second_lives.load(Ordering::Relaxed)), (3, 2));
        assert_eq!(status.snapshot().restarts, 3);
    }

    #[actix_rt::test]
    async fn a_transient_child_that_dies_too_often_ends_the_process() {
        let (fatal, mut told) = mpsc::unbounded_channel();
        let spec = PoolSpec { policy: RestartPolicy { restarts: 2, ..policy() }, fatal, ..no_workers() };
        let supervisor = Supervisor::launch(spec);
        let (start, lives) = dies(usize::MAX, false);
        supervisor.do_send(start);
        let fatal = told.recv().await.unwrap();
        assert!(fatal.reason.contains("a fault") && fatal.restarts == 2, "{fatal}");
        assert_eq!(lives.load(Ordering::Relaxed), 3);
        supervisor.send(Drain).await.unwrap();
    }
}
