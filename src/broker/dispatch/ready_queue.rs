//! Least-busy dispatch without its socket: the workers that have announced themselves, and the message that each has.
//!
//! A worker's credit is one message: READY gives it, a message that is dealt takes it, and the reply gives it back. As long
//! as there is no reply, the queue keeps the message, and returns it when the worker is lost.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::has_envelope_of;
use crate::runtime::zeromq::Frames;

/// The routing id of a worker's connection.
type WorkerId = Vec<u8>;

/// The workers of a broker's ROUTER.
#[derive(Default)]
pub struct ReadyQueue {
    workers: HashMap<WorkerId, Worker>,
    /// Those that have credit: the one that has been ready for the longest time gets the next message.
    ready: VecDeque<WorkerId>,
}

struct Worker {
    state: State,
    /// When it last sent anything, or was sent its message.
    heard: Instant,
    /// It is removed when it has replied.
    leaving: bool,
}

enum State {
    Ready,
    /// With the message that was dealt to it.
    Busy(Frames),
    /// It was not heard of while it was busy, and its message was returned. It has credit again when it replies all the same.
    Silent,
}

impl ReadyQueue {
    /// Workers that have announced themselves.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// True when a message can be dealt.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A worker has announced itself. One that is known is alive; it has its credit already, or owes a reply.
    pub fn announce(&mut self, id: &[u8]) {
        let now = Instant::now();
        match self.workers.get_mut(id) {
            Some(worker) => worker.heard = now,
            None => {
                self.workers.insert(id.to_vec(), Worker { state: State::Ready, heard: now, leaving: false });
                self.ready.push_back(id.to_vec());
            }
        }
    }

    /// A worker leaves: it gets nothing more, and still replies to what it has.
    pub fn leave(&mut self, id: &[u8]) {
        match self.workers.get_mut(id) {
            Some(Worker { state: State::Ready, .. }) => drop(self.remove(id)),
            Some(worker) => worker.leaving = true,
            None => {}
        }
    }

    /// A reply came from a worker. It gives the credit back where it answers what was dealt to the worker by this connection.
    /// False: nobody has announced himself by it.
    pub fn reply(&mut self, id: &[u8], reply: &Frames) -> bool {
        let Some(worker) = self.workers.get_mut(id) else { return false };
        worker.heard = Instant::now();
        let ends = match &worker.state {
            State::Ready => false,
            State::Busy(message) => has_envelope_of(reply, message),
            State::Silent => true,
        };
        if ends && worker.leaving {
            self.workers.remove(id);
        } else if ends {
            worker.state = State::Ready;
            self.ready.push_back(id.to_vec());
        }
        true
    }

    /// Deals messages out while there are workers with credit; true when one was. `send` says whether the worker is still
    /// connected; one that is not is removed, and the next gets its message.
    pub fn deal(
        &mut self,
        waiting: &mut VecDeque<Frames>,
        mut send: impl FnMut(&[u8], &Frames) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let mut moved = false;
        while let (Some(id), Some(message)) = (self.ready.front(), waiting.front()) {
            let is_sent = send(id, message)?;
            let (Some(id), Some(message)) = (self.ready.pop_front(), waiting.pop_front()) else { break };
            if is_sent {
                let (state, heard) = (State::Busy(message), Instant::now());
                self.workers.insert(id, Worker { state, heard, leaving: false });
                moved = true;
            } else {
                self.workers.remove(&id);
                waiting.push_front(message);
            }
        }
        Ok(moved)
    }

    /// The messages of workers that are lost: not connected any more, or busy and not heard of for `timeout`.
    pub fn take_lost(
        &mut self,
        timeout: Duration,
        mut is_connected: impl FnMut(&[u8]) -> io::Result<bool>,
    ) -> io::Result<Vec<Frames>> {
        let (mut gone, mut lost) = (vec![], vec![]);
        for (id, worker) in &mut self.workers {
            if !is_connected(id)? {
                gone.push(id.clone());
            } else if matches!(worker.state, State::Busy(_))
                && worker.heard.elapsed() > timeout
                && let State::Busy(message) = std::mem::replace(&mut worker.state, State::Silent)
            {
                lost.push(message);
            }
        }
        lost.extend(gone.iter().filter_map(|id| self.remove(id)));
        Ok(lost)
    }

    /// Forgets a worker; the message that it had.
    fn remove(&mut self, id: &[u8]) -> Option<Frames> {
        self.ready.retain(|ready| ready != id);
        match self.workers.remove(id)?.state {
            State::Busy(message) => Some(message),
            State::Ready | State::Silent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::zeromq::frames_of;

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn message(id: u8) -> Frames {
        frames_of([b"requester", &[id], b"", b"{}"])
    }

    fn reply(id: u8) -> Frames {
        frames_of([b"requester", &[id], b"", b"a reply"])
    }

    /// Deals everything that can be, to workers that are all connected; which worker got which message.
    fn deal(queue: &mut ReadyQueue, waiting: &mut VecDeque<Frames>) -> Vec<(u8, u8)> {
        let mut dealt = vec![];
        queue
            .deal(waiting, |worker, frames| {
                dealt.push((worker[0], frames[1][0]));
                Ok(true)
            })
            .unwrap();
        dealt
    }

    fn queue(workers: &[u8]) -> ReadyQueue {
        let mut queue = ReadyQueue::default();
        workers.iter().for_each(|worker| queue.announce(&[*worker]));
        queue
    }

    #[test]
    fn a_worker_has_one_message_at_a_time_and_the_longest_idle_one_gets_the_next() {
        let mut queue = queue(&[1, 2]);
        let mut waiting: VecDeque<_> = (0..4).map(message).collect();
        assert_eq!(deal(&mut queue, &mut waiting), [(1, 0), (2, 1)]);
        assert_eq!(deal(&mut queue, &mut waiting), []);
        queue.reply(&[2], &reply(1));
        queue.reply(&[1], &reply(0));
        assert_eq!(deal(&mut queue, &mut waiting), [(2, 2), (1, 3)]);
    }

    #[test]
    fn a_second_announcement_gives_no_second_credit() {
        let mut queue = queue(&[1, 1]);
        let mut waiting: VecDeque<_> = (0..3).map(message).collect();
        assert_eq!(deal(&mut queue, &mut waiting), [(1, 0)]);
        queue.announce(&[1]);
        assert_eq!(deal(&mut queue, &mut waiting), []);
    }

    #[test]
    fn a_reply_to_another_message_gives_no_credit() {
        let mut queue = queue(&[1]);
        let mut waiting: VecDeque<_> = (0..2).map(message).collect();
        // What a worker had from an earlier connection it answers by the new one.
        queue.reply(&[1], &reply(7));
        assert_eq!(deal(&mut queue, &mut waiting), [(1, 0)]);
        queue.reply(&[1], &reply(7));
        assert!(!queue.reply(&[9], &reply(0)));
        assert_eq!(deal(&mut queue, &mut waiting), []);
        queue.reply(&[1], &reply(0));
        queue.reply(&[1], &reply(0));
        assert_eq!(deal(&mut queue, &mut waiting), [(1, 1)]);
    }

    #[test]
    fn a_worker_that_leaves_ends_what_it_has_and_gets_nothing_more() {
        let mut queue = queue(&[1, 2]);
        let mut waiting: VecDeque<_> = [message(0)].into();
        assert_eq!(deal(&mut queue, &mut waiting), [(1, 0)]);
        queue.leave(&[1]);
        queue.leave(&[2]);
        queue.leave(&[3]);
        assert!(!queue.has_ready());
        queue.reply(&[1], &reply(0));
        assert!(!queue.has_ready() && queue.workers.is_empty());
    }

    #[test]
    fn a_message_that_no_longer_reaches_its_worker_goes_to_the_next() {
        let mut queue = queue(&[1, 2, 3]);
        let mut waiting: VecDeque<_> = (0..2).map(message).collect();
        assert!(queue.deal(&mut waiting, |worker, _| Ok(worker == [3])).unwrap());
        assert_eq!((waiting.len(), queue.workers.len()), (1, 1));
        assert_eq!(waiting[0], message(1));
    }

    #[test]
    fn a_socket_that_fails_loses_nothing() {
        let mut queue = queue(&[1]);
        let mut waiting: VecDeque<_> = [message(0)].into();
        assert!(queue.deal(&mut waiting, |_, _| Err(io::Error::other("failed"))).is_err());
        assert_eq!(deal(&mut queue, &mut waiting), [(1, 0)]);
        assert!(queue.take_lost(TIMEOUT, |_| Err(io::Error::other("failed"))).is_err());
        assert_eq!(queue.take_lost(TIMEOUT, |_| Ok(false)).unwrap(), [message(0)]);
    }

    #[test]
    fn a_lost_worker_gives_its_message_back_also_while_it_leaves() {
        for leaving in [false, true] {
            let mut queue = queue(&[1, 2]);
            let mut waiting: VecDeque<_> = [message(0)].into();
            deal(&mut queue, &mut waiting);
            if leaving {
                queue.leave(&[1]);
            }
            assert_eq!(queue.take_lost(TIMEOUT, |_| Ok(true)).unwrap().len(), 0);
            let is_connected = |worker: &[u8]| Ok(worker != [1]);
            assert_eq!(queue.take_lost(TIMEOUT, is_connected).unwrap(), [message(0)]);
            assert_eq!(queue.take_lost(TIMEOUT, is_connected).unwrap().len(), 0);
            assert!(!queue.reply(&[1], &reply(0)));
            assert_eq!(queue.ready, [[2]]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_worker_that_is_silent_gives_its_message_back_and_has_credit_again_when_it_replies() {
        let mut queue = queue(&[1, 2]);
        let mut waiting: VecDeque<_> = (0..2).map(message).collect();
        deal(&mut queue, &mut waiting);
        for _ in 0..4 {
            tokio::time::advance(TIMEOUT / 2).await;
            queue.announce(&[2]);
            waiting.extend(queue.take_lost(TIMEOUT, |_| Ok(true)).unwrap());
        }
        assert_eq!(waiting, [message(0)], "the other one was heard of");
        assert_eq!(deal(&mut queue, &mut waiting), [], "a heartbeat gives no credit");
        queue.announce(&[1]);
        assert_eq!(deal(&mut queue, &mut waiting), []);
        queue.reply(&[2], &reply(1));
        assert_eq!(deal(&mut queue, &mut waiting), [(2, 0)]);
        queue.reply(&[1], &reply(0));
        assert_eq!(queue.ready, [[1]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_was_idle_for_long_is_not_silent_when_it_gets_a_message() {
        let mut queue = queue(&[1]);
        tokio::time::advance(TIMEOUT * 2).await;
        let mut waiting: VecDeque<_> = [message(0)].into();
        assert_eq!(deal(&mut queue, &mut waiting), [(1, 0)]);
        assert_eq!(queue.take_lost(TIMEOUT, |_| Ok(true)).unwrap().len(), 0);
    }
}
