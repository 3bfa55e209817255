//! Temporary children of a supervisor, in OTP's sense: such as a connection, that is not made again by this side.

use std::collections::HashMap;

use actix::prelude::*;
use slog::warn;
use tokio_util::sync::CancellationToken;

use super::{Component, Exit, ExitGuard, Life, Slot, Start, Supervisor};

/// The temporary children of one supervisor that have not ended, by their generation.
#[derive(Default)]
pub struct Temporary {
    next: u32,
    drains: HashMap<u32, CancellationToken>,
}

impl Temporary {
    pub fn is_empty(&self) -> bool {
        self.drains.is_empty()
    }

    /// Cancels the drain tokens of all.
    pub fn drain(&self) {
        self.drains.values().for_each(CancellationToken::cancel);
    }

    /// A child has ended.
    pub fn ended(&mut self, generation: u32) {
        self.drains.remove(&generation);
    }
}

/// Starts a temporary child on the next arbiter of the pool. The supervisor logs its death, and does not start it again. While
/// the pool drains, the child drains from its start.
#[derive(Message)]
#[rtype("()")]
pub struct StartTemporary(pub Start);

impl Handler<StartTemporary> for Supervisor {
    type Result = ();

    fn handle(&mut self, StartTemporary(start): StartTemporary, ctx: &mut Self::Context) {
        self.temporary.next += 1;
        let (generation, drain) = (self.temporary.next, CancellationToken::new());
        if self.draining {
            drain.cancel();
        }
        self.temporary.drains.insert(generation, drain.clone());
        let status = self.spec.status.unlisted_worker(TEMPORARY);
        let slot = Slot { index: TEMPORARY, drain, status, log: self.spec.log.clone() };
        let supervisor = ctx.address();
        let guard = ExitGuard { supervisor, index: TEMPORARY, generation, exit: Exit::Killed };
        let life = Life::new(slot, guard);
        Component::start_in_arbiter(&self.spec.arbiters.next(), move |_| Component::new(start, life));
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
