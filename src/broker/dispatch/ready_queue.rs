//! The state of least-busy dispatch, without its socket: the workers that have announced themselves, and the message of each.
//!
//! A worker has a credit of one message: READY grants it, a message uses it, and the reply returns it. Until the reply, the
//! queue keeps the message, to be requeued if the worker is lost.

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
    /// Workers with credit, the one that has been ready for the longest time first.
    ready: VecDeque<WorkerId>,
}

struct Worker {
    state: State,
    /// When it last sent anything, or got its message.
    last_seen: Instant,
    /// It has sent LEAVE: it is removed when it has replied.
    leaving: bool,
}

enum State {
    Ready,
    /// Has this message.
    Busy(Frames),
    /// Sent nothing for too long while busy, so its message was requeued. It gets credit again if it replies after all.
    Silent,
}

impl ReadyQueue {
    /// Workers that have announced themselves.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// True if a worker has credit.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Handles READY. A new worker gets its credit; for a known one it is a heartbeat.
    pub fn announce(&mut self, id: &[u8]) {
        let now = Instant::now();
        match self.workers.get_mut(id) {
            Some(worker) => worker.last_seen = now,
            None => {
                self.workers.insert(id.to_vec(), Worker { state: State::Ready, last_seen: now, leaving: false });
                self.ready.push_back(id.to_vec());
            }
        }
    }

    /// Handles LEAVE. The worker gets no more messages; if it has one, it still replies to it.
    pub fn leave(&mut self, id: &[u8]) {
        match self.workers.get_mut(id) {
            Some(Worker { state: State::Ready, .. }) => drop(self.remove(id)),
            Some(worker) => worker.leaving = true,
            None => {}
        }
    }

    /// Handles a reply. It returns the credit if it answers the message that the worker got on this connection, or if the
    /// worker was silent. False if the peer has not announced itself.
    pub fn reply(&mut self, id: &[u8], reply: &Frames) -> bool {
        let Some(worker) = self.workers.get_mut(id) else { return false };
        worker.last_seen = Instant::now();
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

    /// Sends waiting messages while workers have credit; true if one was sent. `send` returns false if the worker is not
    /// connected; it is then removed, and the next worker gets its message.
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
                let (state, last_seen) = (State::Busy(message), Instant::now());
                self.workers.insert(id, Worker { state, last_seen, leaving: false });
                moved = true;
            } else {
                self.workers.remove(&id);
                waiting.push_front(message);
            }
        }
        Ok(moved)
    }

    /// Removes workers that are not connected, and marks busy ones that have sent nothing for `timeout` as silent. Returns their
    /// messages.
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
                && worker.last_seen.elapsed() > timeout
                && let State::Busy(message) = std::mem::replace(&mut worker.state, State::Silent)
            {
                lost.push(message);
            }
        }
        lost.extend(gone.iter().filter_map(|id| self.remove(id)));
        Ok(lost)
    }

    /// Removes a worker; returns its message.
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

    /// Sends all messages that can be sent, to connected workers; returns pairs of worker and message.
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
        // The worker replies on a new connection to a message of an earlier one.
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
    fn a_worker_that_leaves_completes_its_message_and_gets_no_more() {
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
    fn a_message_to_a_disconnected_worker_goes_to_the_next_one() {
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
    fn the_message_of_a_lost_worker_is_returned_also_while_it_leaves() {
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
    async fn the_message_of_a_silent_busy_worker_is_returned_and_a_late_reply_returns_its_credit() {
        let mut queue = queue(&[1, 2]);
        let mut waiting: VecDeque<_> = (0..2).map(message).collect();
        deal(&mut queue, &mut waiting);
        for _ in 0..4 {
            tokio::time::advance(TIMEOUT / 2).await;
            queue.announce(&[2]);
            waiting.extend(queue.take_lost(TIMEOUT, |_| Ok(true)).unwrap());
        }
        assert_eq!(waiting, [message(0)], "the other one sent heartbeats");
        assert_eq!(deal(&mut queue, &mut waiting), [], "a heartbeat gives no credit");
        queue.announce(&[1]);
        assert_eq!(deal(&mut queue, &mut waiting), []);
        queue.reply(&[2], &reply(1));
        assert_eq!(deal(&mut queue, &mut waiting), [(2, 0)]);
        queue.reply(&[1], &reply(0));
        assert_eq!(queue.ready, [[1]]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_silence_of_an_idle_worker_does_not_count_when_it_gets_a_message() {
        let mut queue = queue(&[1]);
        tokio::time::advance(TIMEOUT * 2).await;
        let mut waiting: VecDeque<_> = [message(0)].into();
        assert_eq!(deal(&mut queue, &mut waiting), [(1, 0)]);
        assert_eq!(queue.take_lost(TIMEOUT, |_| Ok(true)).unwrap().len(), 0);
    }
}
