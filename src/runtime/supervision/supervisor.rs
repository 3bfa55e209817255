//! A supervised pool of workers: starts a worker for each slot, restarts it after a death, with backoff and a restart budget,
//! and drains it. actix's own `Supervisor` does not survive a panic, because it runs in the worker's task.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use slog::{Logger, debug, error, info, o, warn};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    ArbiterPool, CHILD, Children, Exit, ExitGuard, Exited, Fatal, Life, RestartPolicy, RestartWaits, Restarts, Slot,
    Spawn, WorkerHandle,
};
use crate::runtime::{InstanceStatus, WorkerStatus};
use crate::wire::WorkerState;

/// Configuration of a pool.
pub struct PoolSpec {
    /// The component's name in logs and errors, such as "requester worker".
    pub name: &'static str,
    pub arbiters: Arc<ArbiterPool>,
    pub policy: RestartPolicy,
    pub spawn: Spawn,
    pub status: Arc<InstanceStatus>,
    /// Target number of slots; also read by the code that assigns work.
    pub size: watch::Sender<usize>,
    pub fatal: mpsc::UnboundedSender<Fatal>,
    pub log: Logger,
}

struct SlotRecord {
    status: Arc<WorkerStatus>,
    generation: u32,
    worker: Option<WorkerHandle>,
    /// `Drain` was sent to it.
    drains: bool,
    /// Its worker died, and another one will be started, at least to complete the dead worker's messages.
    restarting: bool,
    waits: RestartWaits,
}

/// The actor that keeps a pool at its size.
pub struct Supervisor {
    pub(super) spec: PoolSpec,
    slots: Vec<SlotRecord>,
    pub(super) children: Children,
    /// Of the pool's workers and the transient children.
    pub(super) restarts: Restarts,
    /// Callers of `Drain`, notified when the pool is empty.
    drained: Vec<oneshot::Sender<()>>,
    /// True after `Drain`.
    pub(super) draining: bool,
}

impl Supervisor {
    /// Starts the supervisor on the current arbiter, with `spec.size` workers.
    pub fn launch(spec: PoolSpec) -> Addr<Self> {
        Self {
            restarts: Restarts::new(spec.policy),
            spec,
            slots: Vec::new(),
            children: Children::default(),
            drained: Vec::new(),
            draining: false,
        }
        .start()
    }

    fn target(&self) -> usize {
        *self.spec.size.borrow()
    }

    fn add_slot(&mut self, ctx: &mut Context<Self>) {
        let index = self.slots.len();
        let status = self.spec.status.add_worker(index);
        self.slots.push(SlotRecord {
            status,
            generation: 0,
            worker: None,
            drains: false,
            restarting: false,
            waits: self.restarts.waits(Instant::now()),
        });
        self.spawn_worker(index, ctx);
    }

    /// Starts a new worker in a slot.
    fn spawn_worker(&mut self, index: usize, ctx: &mut Context<Self>) {
        let Some(record) = self.slots.get_mut(index) else { return };
        record.generation += 1;
        record.waits.restarted(Instant::now());
        (record.drains, record.restarting) = (false, false);
        record.status.set(WorkerState::Starting, None);
        let log = self.spec.log.new(o!("worker" => index));
        let slot = Slot { index, drain: CancellationToken::new(), status: record.status.clone(), log };
        let generation = record.generation;
        let guard = ExitGuard { supervisor: ctx.address(), index, generation, exit: Exit::Killed };
        record.worker = Some((self.spec.spawn)(Life::new(slot, guard), &self.spec.arbiters.next()));
    }

    fn resize(&mut self, size: usize, ctx: &mut Context<Self>) {
        self.spec.size.send_replace(size);
        (self.slots.len()..size).for_each(|_| self.add_slot(ctx));
        self.drain_surplus();
        self.trim();
    }

    /// Drains the slots at and above the target; `trim` removes them when their workers have ended.
    fn drain_surplus(&mut self) {
        let target = self.target();
        for record in self.slots.iter_mut().skip(target) {
            record.status.set(WorkerState::Draining, None);
            record.drains = true;
            if let Some(worker) = &record.worker {
                worker.drain.do_send(Drain);
            }
        }
    }

    /// Removes the empty surplus slots at the end of the list.
    pub(super) fn trim(&mut self) {
        let is_empty = |record: &SlotRecord| record.worker.is_none() && !record.restarting;
        while self.slots.len() > self.target() && self.slots.last().is_some_and(is_empty) {
            self.slots.pop();
            self.spec.status.drop_worker();
        }
        if self.slots.is_empty() && self.children.is_empty() {
            for waiting in self.drained.drain(..) {
                // An error means that the caller has stopped waiting.
                let _ = waiting.send(());
            }
        }
    }

    /// Ends the process: the restarts are used up.
    pub(super) fn give_up(&mut self, worker: Option<usize>, reason: String) {
        error!(self.spec.log, "too many deaths, giving up"; "worker" => worker, "reason" => &reason);
        // An error means that the process is ending already.
        let _ = self.spec.fatal.send(self.restarts.fatal(self.spec.name, reason));
        self.trim();
    }

    fn restart(&mut self, index: usize, reason: String, ctx: &mut Context<Self>) {
        let record = &mut self.slots[index];
        let Some(wait) = self.restarts.died(&mut record.waits, Instant::now()) else {
            return self.give_up(Some(index), reason);
        };
        warn!(self.spec.log, "died, starting again"; "worker" => index, "reason" => &reason, "wait" => ?wait);
        record.restarting = true;
        record.status.restarting(reason);
        let generation = record.generation;
        ctx.run_later(wait, move |supervisor, ctx| {
            if supervisor.slots.get(index).is_some_and(|slot| slot.generation == generation) {
                supervisor.spawn_worker(index, ctx);
                // If the pool has shrunk, the new worker only completes the dead worker's messages.
                supervisor.drain_surplus();
            }
        });
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        (0..self.target()).for_each(|_| self.add_slot(ctx));
    }
}

impl Handler<Exited> for Supervisor {
    type Result = ();

    fn handle(&mut self, exited: Exited, ctx: &mut Self::Context) {
        let Exited { index, generation, exit } = exited;
        if index == CHILD {
            return self.child_ended(generation, exit, ctx);
        }
        let target = self.target();
        let Some(record) = self.slots.get_mut(index).filter(|record| record.generation == generation) else { return };
        record.worker = None;
        let drained = record.drains;
        match exit.death() {
            None if index >= target => {
                record.status.set(WorkerState::Gone, None);
                debug!(self.spec.log, "left"; "worker" => index);
                self.trim();
            }
            // The pool shrank and grew again before the worker had ended.
            None if drained => self.spawn_worker(index, ctx),
            None => self.restart(index, "it ended by itself".to_owned(), ctx),
            Some(reason) => self.restart(index, reason, ctx),
        }
    }
}

/// Grows or shrinks the pool; surplus workers finish their current work first. Returns false, and changes nothing, after
/// `Drain`.
#[derive(Message)]
#[rtype("bool")]
pub struct Resize(pub usize);

impl Handler<Resize> for Supervisor {
    type Result = bool;

    fn handle(&mut self, Resize(size): Resize, ctx: &mut Self::Context) -> bool {
        if !self.draining {
            info!(self.spec.log, "pool size"; "from" => self.target(), "to" => size);
            self.resize(size, ctx);
        }
        !self.draining
    }
}

/// Drains every worker; resolves when the last one has ended.
#[derive(Message)]
#[rtype("()")]
pub struct Drain;

impl Handler<Drain> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (done, waiting) = oneshot::channel();
        self.drained.push(done);
        self.draining = true;
        self.children.drain();
        self.resize(0, ctx);
        // An error means that the supervisor and its workers have ended.
        Box::pin(async move { drop(waiting.await) })
    }
}

/// Makes one worker panic. Returns false if no worker runs in that slot.
#[derive(Message)]
#[rtype("bool")]
pub struct CrashWorker(pub usize);

impl Handler<CrashWorker> for Supervisor {
    type Result = bool;

    fn handle(&mut self, CrashWorker(index): CrashWorker, _: &mut Self::Context) -> bool {
        let worker = self.slots.get_mut(index).and_then(|slot| slot.worker.as_mut());
        worker.map(WorkerHandle::crash).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::{Component, Factory};
    use super::*;
    use crate::runtime::testing;

    fn pool(size: usize, factory: Factory) -> (Addr<Supervisor>, watch::Receiver<usize>) {
        let spec = testing::pool(Component::spawn_from(factory), size);
        let seen = spec.size.subscribe();
        (Supervisor::launch(spec), seen)
    }

    #[actix_rt::test]
    async fn a_draining_pool_cannot_be_resized_and_ends() {
        // The workers do not end before the test cancels this.
        let work = CancellationToken::new();
        let ends = work.clone();
        let (supervisor, size) = pool(
            2,
            Arc::new(move |slot| {
                let ends = ends.clone();
                Box::pin(async move {
                    slot.drain.cancelled().await;
                    ends.cancelled().await;
                    Ok(())
                })
            }),
        );
        assert!(supervisor.send(Resize(3)).await.unwrap());
        let drained = actix_rt::spawn(supervisor.send(Drain));
        let mut drain_came = size.clone();
        drain_came.wait_for(|size| *size == 0).await.unwrap();
        assert!(!supervisor.send(Resize(3)).await.unwrap(), "it drains");
        work.cancel();
        drained.await.unwrap().unwrap();
        assert_eq!((supervisor.send(Resize(3)).await.unwrap(), *size.borrow()), (false, 0), "it has drained");
    }

    #[actix_rt::test]
    async fn a_worker_that_dies_while_it_drains_is_restarted_to_complete_its_work() {
        let lives = Arc::new(AtomicUsize::new(0));
        let counted = lives.clone();
        let (supervisor, _size) = pool(
            1,
            Arc::new(move |slot| {
                let life = counted.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move {
                    slot.drain.cancelled().await;
                    assert!(life > 0, "the first worker dies");
                    Ok(())
                })
            }),
        );
        supervisor.send(Drain).await.unwrap();
        assert_eq!(lives.load(Ordering::Relaxed), 2);
    }
}
