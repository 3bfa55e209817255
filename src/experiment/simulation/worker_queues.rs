//! The worker queues of the simulated requesters, and the choice among them.

use std::collections::VecDeque;
use std::ops::Range;

use crate::runtime::TieBreaker;
use crate::wire::FanOut;

/// Messages that wait for one requester worker, and its number in flight.
pub struct SimulatedQueue<T> {
    pub waiting: VecDeque<T>,
    pub in_flight: usize,
    /// Round-robin position over the brokers.
    pub turn: usize,
}

/// The worker queues of all requester instances, grouped by instance.
pub struct SimulatedQueues<T> {
    pub all: Vec<SimulatedQueue<T>>,
    per_instance: usize,
    /// Requests under way, by requester instance.
    pub pending: Vec<usize>,
    /// Tie breakers among instances, and in each instance among its queues.
    instances_in_turn: TieBreaker,
    queues_in_turn: Vec<TieBreaker>,
}

impl<T> SimulatedQueues<T> {
    /// Empty queues. Each worker of an instance begins with another broker.
    pub fn new(instances: usize, per_instance: usize) -> Self {
        let turn = |index| index / per_instance + index % per_instance;
        let queue = |index| SimulatedQueue { waiting: VecDeque::new(), in_flight: 0, turn: turn(index) };
        Self {
            all: (0..instances * per_instance).map(queue).collect(),
            per_instance,
            pending: vec![0; instances],
            instances_in_turn: TieBreaker::default(),
            queues_in_turn: (0..instances).map(|_| TieBreaker::default()).collect(),
        }
    }

    /// The instance that counts a request, and the queues of its messages: all, or the least loaded one of the instance with the
    /// fewest requests, breaking ties round-robin.
    pub fn choose(&mut self, fan_out: FanOut) -> (usize, Range<usize>) {
        let (instance, queues) = match fan_out {
            FanOut::All => (0, 0..self.all.len()),
            FanOut::One => {
                let instance = self.instances_in_turn.least(self.pending.len(), |index| self.pending[index]);
                let instance = instance.unwrap_or_default();
                let first = instance * self.per_instance;
                let load = |index: usize| self.all[first + index].waiting.len() + self.all[first + index].in_flight;
                let queue = first + self.queues_in_turn[instance].least(self.per_instance, load).unwrap_or_default();
                (instance, queue..queue + 1)
            }
        };
        self.pending[instance] += 1;
        (instance, queues)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fan_out_one_chooses_the_least_loaded_queue_and_all_every_queue() {
        let mut queues = SimulatedQueues::<()>::new(2, 2);
        assert_eq!(queues.all.iter().map(|queue| queue.turn).collect::<Vec<_>>(), [0, 1, 1, 2]);
        queues.all[2].in_flight = 1;
        queues.all[0].waiting.push_back(());
        // Instances have 0 and 0 requests, then 1 and 0, then 1 and 1.
        let chosen: Vec<_> = (0..2).map(|_| queues.choose(FanOut::One)).collect();
        assert_eq!(chosen, [(0, 1..2), (1, 3..4)]);
        queues.pending = vec![5, 1];
        queues.all[3].in_flight = 2;
        assert_eq!(queues.choose(FanOut::One), (1, 2..3));
        assert_eq!(queues.choose(FanOut::All), (0, 0..4));
        assert_eq!(queues.pending, [6, 2]);
    }
}
