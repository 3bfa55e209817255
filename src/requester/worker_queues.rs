//! The requester pool's lanes: who gets the messages of a request.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::{Lane, Refusal, Ticket};
use crate::runtime::Rotation;
use crate::wire::{ErrorCode, FanOut, NO_RESPONDER};

/// One lane per requester worker.
pub struct Lanes {
    lanes: RwLock<Vec<Arc<Lane>>>,
    /// How many workers there shall be.
    size: watch::Receiver<usize>,
    /// Messages that may wait in each lane.
    limit: usize,
    rotation: Rotation,
}

impl Lanes {
    pub fn new(size: watch::Receiver<usize>, limit: usize) -> Self {
        Self { lanes: RwLock::default(), size, limit, rotation: Rotation::default() }
    }

    /// The lane of a worker; made when it is asked for first, and the same after a restart.
    pub fn lane(&self, index: usize) -> Arc<Lane> {
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        for next in lanes.len()..=index {
            lanes.push(Arc::new(Lane::new(next, self.limit)));
        }
        lanes[index].clone()
    }

    /// The lanes that a request's messages go to: every worker's, or the least loaded one's (equals in turn).
    pub fn choose(&self, fan_out: FanOut) -> Vec<Arc<Lane>> {
        let size = *self.size.borrow();
        if let Some(last) = size.checked_sub(1) {
            drop(self.lane(last));
        }
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        let open = &lanes[..size];
        match fan_out {
            FanOut::All => open.to_vec(),
            FanOut::One => {
                let least = self.rotation.least(size, |index| open[index].load());
                least.map(|index| open[index].clone()).into_iter().collect()
            }
        }
    }

    /// Puts a message in a lane, or ends it with an error that says why that can't be.
    pub fn push(&self, lane: &Lane, ticket: Arc<Ticket>) {
        if lane.index < *self.size.borrow() {
            // Its worker has left, or is about to, but another one is on its way: the pool has grown again.
            lane.open();
        }
        let Err(refusal) = lane.push(ticket.clone()) else { return };
        let reply = match refusal {
            Refusal::Full => ticket.message.error(
                NO_RESPONDER,
                ErrorCode::Overloaded,
                format!("overloaded: {} messages already wait for this requester (requester.queue)", self.limit),
            ),
            Refusal::Closed => {
                ticket.message.error(NO_RESPONDER, ErrorCode::Draining, "the requester worker has been taken away")
            }
        };
        ticket.settle(reply);
    }

    /// Messages waiting for a worker.
    pub fn waiting(&self) -> usize {
        self.lanes.read().unwrap_or_else(PoisonError::into_inner).iter().map(|lane| lane.waiting()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;
    use crate::requester::{Memory, ReplyTo, Settled};
    use crate::runtime::board;
    use crate::wire::{Ledger, Message, Outcome, Reply};

    const MEMORY: usize = 1 << 20;

    fn ticket(lanes: &Lanes, board: &Arc<crate::runtime::Board>) -> (Arc<Ticket>, mpsc::UnboundedReceiver<Settled>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let reply_to = ReplyTo { sender, memory: Arc::new(Memory::new(MEMORY)), plain: false };
        let message = Message { message_id: format!("m{}", lanes.waiting()), ..Message::default() };
        let now = Instant::now();
        (Ticket::new(message, now, now + Duration::from_secs(1), reply_to, board.clone()), receiver)
    }

    fn next(replies: &mut mpsc::UnboundedReceiver<Settled>) -> Reply {
        Reply::parse(replies.try_recv().unwrap().json.as_bytes()).unwrap()
    }

    fn lanes(size: usize, limit: usize) -> (Lanes, watch::Sender<usize>) {
        let (sender, receiver) = watch::channel(size);
        (Lanes::new(receiver, limit), sender)
    }

    #[test]
    fn all_is_every_worker_and_one_is_the_least_loaded() {
        let (lanes, size) = lanes(3, 10);
        let board = board();
        assert_eq!(lanes.choose(FanOut::All).len(), 3);
        let _held: Vec<_> = (0..2)
            .map(|index| {
                let (ticket, replies) = ticket(&lanes, &board);
                lanes.push(&lanes.lane(index), ticket);
                replies
            })
            .collect();
        assert_eq!(lanes.choose(FanOut::One)[0].index, 2);
        size.send_replace(1);
        assert_eq!(lanes.choose(FanOut::All).len(), 1);
        size.send_replace(0);
        assert!(lanes.choose(FanOut::One).is_empty());
    }

    #[test]
    fn a_full_lane_answers_overloaded_and_the_ledger_balances() {
        let (lanes, _size) = lanes(1, 1);
        let board = board();
        let lane = lanes.lane(0);
        let (first, _kept) = ticket(&lanes, &board);
        lanes.push(&lane, first);
        let (second, mut replies) = ticket(&lanes, &board);
        lanes.push(&lane, second);
        assert_eq!(next(&mut replies).code, Some(ErrorCode::Overloaded));
        let expected = Ledger { sent: 2, errors: 1, in_flight: 1, ..Ledger::default() };
        assert_eq!(board.ledger.read(), expected);
    }

    #[test]
    fn a_ticket_that_is_dropped_or_settled_twice_has_one_outcome() {
        let (lanes, _size) = lanes(1, 1);
        let board = board();
        let (dropped, mut replies) = ticket(&lanes, &board);
        drop(dropped);
        assert_eq!(next(&mut replies).code, Some(ErrorCode::Lost));
        let (twice, mut replies) = ticket(&lanes, &board);
        assert!(twice.settle(twice.message.reply(7, "a".into())));
        assert!(!twice.settle(twice.message.timed_out("late")));
        assert_eq!(twice.outcome(), Some(Outcome::Response));
        drop(twice);
        assert_eq!(next(&mut replies).body, "a");
        assert!(replies.try_recv().is_err());
        assert!(board.ledger.read().is_balanced());
        assert_eq!(board.ledger.read().in_flight, 0);
    }

    #[test]
    fn a_reply_that_there_is_no_memory_for_ends_its_message_as_an_error_that_names_the_setting() {
        let (lanes, _size) = lanes(1, 1);
        let board = board();
        let (ticket, mut replies) = ticket(&lanes, &board);
        assert!(ticket.settle(ticket.message.reply(7, "a".repeat(MEMORY))));
        assert_eq!(ticket.outcome(), Some(Outcome::Error));
        let reply = next(&mut replies);
        assert_eq!(reply.code, Some(ErrorCode::Overloaded));
        assert!(reply.body.contains("requester.max_memory_bytes"), "{}", reply.body);
        assert_eq!((board.ledger.read().errors, board.ledger.read().responses), (1, 0));
    }

    #[test]
    fn what_a_worker_gives_back_comes_next_and_a_closed_lane_takes_nothing() {
        let (lanes, size) = lanes(1, 5);
        let board = board();
        let lane = lanes.lane(0);
        let (first, _a) = ticket(&lanes, &board);
        lanes.push(&lane, first.clone());
        let (second, _b) = ticket(&lanes, &board);
        lanes.push(&lane, second);
        let taken = lane.pop().unwrap();
        assert!(!lane.close_if_empty());
        lane.give_back(taken);
        assert!(Arc::ptr_eq(&lane.pop().unwrap(), &first));
        lane.done();
        assert!(lane.pop().is_some());
        lane.done();
        assert!(lane.close_if_empty());
        let (third, mut replies) = ticket(&lanes, &board);
        lanes.push(&lane, third);
        assert!(replies.try_recv().is_err(), "a pool that has grown again fills it again");
        assert!(lane.pop().is_some());
        lane.done();
        assert!(lane.close_if_empty());
        size.send_replace(0);
        let (fourth, mut replies) = ticket(&lanes, &board);
        lanes.push(&lane, fourth);
        assert_eq!(next(&mut replies).code, Some(ErrorCode::Draining));
    }
}
