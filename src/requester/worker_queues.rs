//! The worker queues of the requester pool, and the choice of those that get a request's messages.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use super::{PendingMessage, Refusal, WorkerQueue};
use crate::runtime::TieBreaker;
use crate::wire::{ErrorCode, FanOut, NO_RESPONDER};

/// One worker queue per requester worker.
pub struct WorkerQueues {
    worker_queues: RwLock<Vec<Arc<WorkerQueue>>>,
    /// The pool's target size.
    size: watch::Receiver<usize>,
    /// Maximum waiting messages in each queue.
    limit: usize,
    tie_breaker: TieBreaker,
}

impl WorkerQueues {
    pub fn new(size: watch::Receiver<usize>, limit: usize) -> Self {
        Self { worker_queues: RwLock::default(), size, limit, tie_breaker: TieBreaker::default() }
    }

    /// The queue of a worker, created on first use; the worker's successors get the same one.
    pub fn worker_queue(&self, index: usize) -> Arc<WorkerQueue> {
        let mut worker_queues = self.worker_queues.write();
        for next in worker_queues.len()..=index {
            worker_queues.push(Arc::new(WorkerQueue::new(next, self.limit)));
        }
        worker_queues[index].clone()
    }

    /// The queues that a request's messages go to: all of them, or the least loaded one, in turn among equals.
    pub fn choose(&self, fan_out: FanOut) -> Vec<Arc<WorkerQueue>> {
        let size = *self.size.borrow();
        if let Some(last) = size.checked_sub(1) {
            drop(self.worker_queue(last));
        }
        let worker_queues = self.worker_queues.read();
        let open = &worker_queues[..size];
        match fan_out {
            FanOut::All => open.to_vec(),
            FanOut::One => {
                let least = self.tie_breaker.least(size, |index| open[index].load());
                least.map(|index| open[index].clone()).into_iter().collect()
            }
        }
    }

    /// Appends a message to a queue, or ends it with an error if the queue refuses it.
    pub fn push(&self, worker_queue: &WorkerQueue, pending: Arc<PendingMessage>) {
        if worker_queue.index < *self.size.borrow() {
            // The pool has grown again: a new worker follows the one that closed the queue or is about to.
            worker_queue.open();
        }
        let Err(refusal) = worker_queue.push(pending.clone()) else { return };
        let reply = match refusal {
            Refusal::Full => pending.message.error(
                NO_RESPONDER,
                ErrorCode::Overloaded,
                format!("overloaded: {} messages already wait for this requester worker (requester.queue)", self.limit),
            ),
            Refusal::Closed => {
                pending.message.error(NO_RESPONDER, ErrorCode::Draining, "the requester worker has been removed")
            }
        };
        pending.complete(reply);
    }

    /// Messages waiting in all queues.
    pub fn waiting(&self) -> usize {
        self.worker_queues.read().iter().map(|worker_queue| worker_queue.waiting()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;
    use crate::requester::{Completed, Memory, ReplyTo};
    use crate::runtime::status;
    use crate::wire::{Ledger, Message, Outcome, Reply};

    const MEMORY: usize = 1 << 20;

    fn pending(
        worker_queues: &WorkerQueues,
        status: &Arc<crate::runtime::InstanceStatus>,
    ) -> (Arc<PendingMessage>, mpsc::UnboundedReceiver<Completed>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let reply_to = ReplyTo { sender, memory: Arc::new(Memory::new(MEMORY)), article_format: false };
        let message = Message { message_id: format!("m{}", worker_queues.waiting()), ..Message::default() };
        let now = Instant::now();
        (PendingMessage::new(message, now, now + Duration::from_secs(1), reply_to, status.clone()), receiver)
    }

    fn next(replies: &mut mpsc::UnboundedReceiver<Completed>) -> Reply {
        Reply::parse(replies.try_recv().unwrap().json.as_bytes()).unwrap()
    }

    fn worker_queues(size: usize, limit: usize) -> (WorkerQueues, watch::Sender<usize>) {
        let (sender, receiver) = watch::channel(size);
        (WorkerQueues::new(receiver, limit), sender)
    }

    #[test]
    fn fan_out_all_chooses_every_worker_and_one_the_least_loaded() {
        let (worker_queues, size) = worker_queues(3, 10);
        let status = status();
        assert_eq!(worker_queues.choose(FanOut::All).len(), 3);
        let _held: Vec<_> = (0..2)
            .map(|index| {
                let (pending, replies) = pending(&worker_queues, &status);
                worker_queues.push(&worker_queues.worker_queue(index), pending);
                replies
            })
            .collect();
        assert_eq!(worker_queues.choose(FanOut::One)[0].index, 2);
        size.send_replace(1);
        assert_eq!(worker_queues.choose(FanOut::All).len(), 1);
        size.send_replace(0);
        assert!(worker_queues.choose(FanOut::One).is_empty());
    }

    #[test]
    fn a_full_worker_queue_answers_overloaded_and_the_ledger_balances() {
        let (worker_queues, _size) = worker_queues(1, 1);
        let status = status();
        let worker_queue = worker_queues.worker_queue(0);
        let (first, _kept) = pending(&worker_queues, &status);
        worker_queues.push(&worker_queue, first);
        let (second, mut replies) = pending(&worker_queues, &status);
        worker_queues.push(&worker_queue, second);
        assert_eq!(next(&mut replies).code, Some(ErrorCode::Overloaded));
        let expected = Ledger { sent: 2, errors: 1, in_flight: 1, ..Ledger::default() };
        assert_eq!(status.ledger.read(), expected);
    }

    #[test]
    fn a_message_that_is_dropped_or_completed_twice_has_one_outcome() {
        let (worker_queues, _size) = worker_queues(1, 1);
        let status = status();
        let (dropped, mut replies) = pending(&worker_queues, &status);
        drop(dropped);
        assert_eq!(next(&mut replies).code, Some(ErrorCode::Lost));
        let (twice, mut replies) = pending(&worker_queues, &status);
        assert!(twice.complete(twice.message.reply(7, "a".into())));
        assert!(!twice.complete(twice.message.timed_out("late")));
        assert_eq!(twice.outcome(), Some(Outcome::Response));
        drop(twice);
        assert_eq!(next(&mut replies).body, "a");
        assert!(replies.try_recv().is_err());
        assert!(status.ledger.read().is_balanced());
        assert_eq!(status.ledger.read().in_flight, 0);
    }

    #[test]
    fn a_reply_without_memory_ends_its_message_as_an_error_that_names_the_setting() {
        let (worker_queues, _size) = worker_queues(1, 1);
        let status = status();
        let (pending, mut replies) = pending(&worker_queues, &status);
        assert!(pending.complete(pending.message.reply(7, "a".repeat(MEMORY))));
        assert_eq!(pending.outcome(), Some(Outcome::Error));
        let reply = next(&mut replies);
        assert_eq!(reply.code, Some(ErrorCode::Overloaded));
        assert!(reply.body.contains("requester.max_memory_bytes"), "{}", reply.body);
        assert_eq!((status.ledger.read().errors, status.ledger.read().responses), (1, 0));
    }

    #[test]
    fn a_requeued_message_is_next_and_a_closed_queue_refuses_messages() {
        let (worker_queues, size) = worker_queues(1, 5);
        let status = status();
        let worker_queue = worker_queues.worker_queue(0);
        let (first, _a) = pending(&worker_queues, &status);
        worker_queues.push(&worker_queue, first.clone());
        let (second, _b) = pending(&worker_queues, &status);
        worker_queues.push(&worker_queue, second);
        let taken = worker_queue.pop().unwrap();
        assert!(!worker_queue.close_if_empty());
        worker_queue.requeue(taken);
        assert!(Arc::ptr_eq(&worker_queue.pop().unwrap(), &first));
        worker_queue.done();
        assert!(worker_queue.pop().is_some());
        worker_queue.done();
        assert!(worker_queue.close_if_empty());
        let (third, mut replies) = pending(&worker_queues, &status);
        worker_queues.push(&worker_queue, third);
        assert!(replies.try_recv().is_err(), "a pool that has grown again opens the queue");
        assert!(worker_queue.pop().is_some());
        worker_queue.done();
        assert!(worker_queue.close_if_empty());
        size.send_replace(0);
        let (fourth, mut replies) = pending(&worker_queues, &status);
        worker_queues.push(&worker_queue, fourth);
        assert_eq!(next(&mut replies).code, Some(ErrorCode::Draining));
    }
}
