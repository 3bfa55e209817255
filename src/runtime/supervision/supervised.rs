//! The trait of supervised actors, what a supervisor gives them, and how they are polled.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use actix::fut::wrap_future;
use actix::prelude::*;
use actix_rt::ArbiterHandle;
use tokio::sync::oneshot;

use super::{Drain, Exit, ExitGuard, Slot, WorkError, panic_message};

/// Starts the worker of a slot on an arbiter.
pub type Spawn = Arc<dyn Fn(Life, &ArbiterHandle) -> WorkerHandle + Send + Sync>;

/// What an actor gets from its supervisor at its start.
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

/// What a supervisor needs of a worker, whatever its actor type.
pub struct WorkerHandle {
    pub drain: Recipient<Drain>,
    /// `None` once it was used.
    crash: Option<oneshot::Sender<()>>,
}

impl WorkerHandle {
    /// Starts a worker on an arbiter, where `new` makes it.
    pub fn start<A: Supervised>(arbiter: &ArbiterHandle, new: impl FnOnce() -> A + Send + 'static) -> Self {
        let (crash, requested) = oneshot::channel();
        let worker = A::start_in_arbiter(arbiter, move |ctx| {
            ctx.spawn(wrap_future(async move {
                // An error means that the supervisor has ended.
                assert!(requested.await.is_err(), "crashed on request");
            }));
            new()
        });
        Self { drain: worker.recipient(), crash: Some(crash) }
    }

    /// Makes the worker panic, as a fault in a handler would. For tests and drills.
    pub fn crash(&mut self) {
        if let Some(crash) = self.crash.take() {
            // An error means that the worker has ended.
            let _ = crash.send(());
        }
    }
}

/// An actor under a supervisor. It can handle further messages.
pub trait Supervised: Actor<Context = Context<Self>> + Handler<Drain> + Unpin {
    fn life(&mut self) -> &mut Life;

    /// Polls sockets and timers, and does all that can be done now; for actors that have called [`keep_going`]. Called after each
    /// message of the actor, and when something that it has polled may be ready. Ready when the actor has drained, or failed.
    fn advance(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        Poll::Pending
    }

    /// Stops the actor, which has drained or failed.
    fn end(&mut self, result: Result<(), WorkError>, ctx: &mut Context<Self>) {
        self.life().ends(result.map_or_else(|error| Exit::Failed(error.to_string()), |()| Exit::Done));
        ctx.stop();
    }

    /// Starts actors that `new` makes, each on its arbiter.
    fn spawn(new: impl Fn(Life) -> Self + Clone + Send + Sync + 'static) -> Spawn {
        Arc::new(move |life, arbiter| {
            let new = new.clone();
            WorkerHandle::start(arbiter, move || new(life))
        })
    }
}

/// Polls [`Supervised::advance`] until it is ready, then stops the actor. Call once, in `started`.
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
