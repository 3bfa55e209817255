//! A property test of [`ReadyQueue`]: no sequence of events loses a message or sends it to two workers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::ReadyQueue;
use crate::runtime::zeromq::{Frames, frames_of};

const TIMEOUT: Duration = Duration::from_secs(60);

fn message(id: u8) -> Frames {
    frames_of([b"requester", &[id], b"", b"{}"])
}

fn reply(id: u8) -> Frames {
    frames_of([b"requester", &[id], b"", b"a reply"])
}

#[derive(Clone, Debug)]
enum Step {
    Message,
    Announce(usize),
    Leave(usize),
    /// A worker replies to its message, if it has one.
    Reply(usize),
    /// A worker's connection is lost, and the message sent on it too.
    Lose(usize),
    Check,
    /// Dispatch is round-robin for a moment: the other strategy sends the waiting messages.
    OtherStrategy,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Message),
        3 => (0..5_usize).prop_map(Step::Announce),
        1 => (0..5_usize).prop_map(Step::Leave),
        6 => (0..5_usize).prop_map(Step::Reply),
        1 => (0..5_usize).prop_map(Step::Lose),
        1 => Just(Step::Check),
        1 => Just(Step::OtherStrategy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// After any sequence of events, each message waits, or is at one connected worker, or has ended; no worker has two.
    #[test]
    fn no_message_is_lost_or_dealt_twice(steps in prop::collection::vec(step(), 1..80)) {
        let mut queue = ReadyQueue::default();
        let mut waiting = VecDeque::new();
        // The message on each connection, and the current connection of each worker: it gets a new one when it reconnects.
        let mut workers: BTreeMap<u8, Option<u8>> = BTreeMap::new();
        let mut connections: [Option<u8>; 5] = [None; 5];
        let (mut sent, mut connected, mut ended) = (0_u8, 0_u8, vec![]);
        for step in steps.into_iter().chain([Step::Check]) {
            match step {
                Step::Message => {
                    waiting.push_back(message(sent));
                    sent += 1;
                }
                Step::Announce(worker) => {
                    let id = *connections[worker].get_or_insert_with(|| {
                        connected += 1;
                        connected
                    });
                    workers.entry(id).or_default();
                    queue.announce(&[id]);
                }
                Step::Leave(worker) => connections[worker].into_iter().for_each(|id| queue.leave(&[id])),
                Step::Reply(worker) => {
                    let id = connections[worker].unwrap_or_default();
                    if let Some(message) = workers.get_mut(&id).and_then(Option::take) {
                        queue.reply(&[id], &reply(message));
                        ended.push(message);
                    }
                }
                Step::Lose(worker) => {
                    if let Some(id) = connections[worker].take() {
                        workers.remove(&id);
                    }
                }
                Step::Check => {
                    let lost = queue.take_lost(TIMEOUT, |id| Ok(workers.contains_key(&id[0]))).unwrap();
                    lost.into_iter().for_each(|message| waiting.push_front(message));
                }
                Step::OtherStrategy => {
                    ended.extend(waiting.drain(..).map(|message| message[1][0]));
                }
            }
            queue.deal(&mut waiting, |id, message| {
                let Some(has) = workers.get_mut(&id[0]) else { return Ok(false) };
                assert_eq!(has.replace(message[1][0]), None, "two messages at worker {}", id[0]);
                Ok(true)
            }).unwrap();
            prop_assert!(waiting.is_empty() || !queue.has_ready());
        }
        let mut all: Vec<u8> = waiting.iter().map(|message| message[1][0]).collect();
        all.extend(workers.values().flatten());
        all.extend(ended);
        all.sort_unstable();
        prop_assert_eq!(all, (0..sent).collect::<Vec<_>>());
    }
}
