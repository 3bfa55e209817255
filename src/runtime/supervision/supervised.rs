//! Actors of their own kind under a supervisor: what they have from it, and how they are kept going.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use actix::prelude::*;
use actix_rt::ArbiterHandle;

use super::{Crash, Drain, Exit, ExitGuard, Slot, WorkError, panic_message};

/// Starts the worker of a slot on an arbiter.
pub type Spawn = Arc<dyn Fn(Life, &ArbiterHandle) -> WorkerHandle + Send + Sync>;

/// What an actor has from its supervisor, for one life.
pub struct Life {
    pub slot: Slot,
    guard: Option<ExitGuard>,
}

impl Life {
    pub fn new(slot: Slot, guard: ExitGuard) -> Self {
        Self { slot, guard: Some(guard) }
    }

    /// For an actor without a supervisor, as in tests.
    pub fn unsupervised(slot: Slot) -> Self {
        Self { slot, guard: None }
    }

    /// Sets the exit that the supervisor gets when the actor is dropped.
    pub fn ends(&mut self, exit: Exit) {
        if let Some(guard) = &mut self.guard {
            guard.exit = exit;
        }
    }
}

/// What a supervisor sends to a worker, whatever kind of actor it is.
pub struct WorkerHandle {
    pub drain: Recipient<Drain>,
    pub crash: Recipient<Crash>,
}

impl<A: Supervised> From<Addr<A>> for WorkerHandle {
    fn from(worker: Addr<A>) -> Self {
        Self { drain: worker.clone().recipient(), crash: worker.recipient() }
    }
}

/// An actor that a supervisor keeps, with messages of its own beside these.
pub trait Supervised: Actor<Context = Context<Self>> + Handler<Drain> + Handler<Crash> + Unpin {
    fn life(&mut self) -> &mut Life;

    /// Does all that can be done now, where messages and streams are not enough: see [`keep_going`]. Called after each message
    /// that the actor has handled, and when anything it polled has become ready. Ready when the worker has left, or can't go
    /// on.
    fn advance(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        Poll::Pending
    }

    /// Ends the actor: it has left, or can't go on.
    fn end(&mut self, result: Result<(), WorkError>, ctx: &mut Context<Self>) {
        self.life().ends(result.map_or_else(|error| Exit::Failed(error.to_string()), |()| Exit::Done));
        ctx.stop();
    }

    /// Starts such actors, each made on its arbiter.
    fn spawn(new: impl Fn(Life) -> Self + Clone + Send + Sync + 'static) -> Spawn {
        Arc::new(move |life, arbiter| {
            let new = new.clone();
            Self::start_in_arbiter(arbiter, move |_| new(life)).into()
        })
    }
}

/// Keeps an actor going until it has left; called once, when it has started.
pub fn keep_going<A: Supervised>(ctx: &mut Context<A>) {
    ctx.spawn(KeepGoing);
}

struct KeepGoing;

impl<A: Supervised> ActorFuture<A> for KeepGoing {
    type Output = ();

    fn poll(self: Pin<&mut Self>, actor: &mut A, ctx: &mut Context<A>, cx: &mut task::Context<'_>) -> Poll<()> {
        match catch_unwind(AssertUnwindSafe(|| actor.advance(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => actor.end(result, ctx),
            Err(panic) => {
                actor.life().ends(Exit::Panicked(panic_message(panic.as_ref())));
                ctx.stop();
            }
        }
        Poll::Ready(())
    }
}
