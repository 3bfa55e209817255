//! The messages that a broker has passed on and not yet seen a reply to.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Envelope;
use crate::runtime::zeromq::Frames;

/// Which message it is and until when somebody waits for it, where its requester says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub delivery_id: Uuid,
    pub deadline: Instant,
}

struct InFlightEntry {
    arrived: Instant,
    delivery: Option<Delivery>,
    /// The envelope of the message's latest sending, where that is not the one it was passed on with.
    reply_to: Option<Frames>,
    /// More than one only from a DEALER that gives its messages no ids.
    copies: u32,
    /// Of all copies.
    bytes: usize,
}

/// A message that has its reply.
#[derive(Debug)]
pub struct Ended {
    /// Since its latest sending arrived.
    pub residence: Duration,
    /// Its requester reads the broker's stamp.
    pub wants_stamp: bool,
    /// The envelope that the reply has to have in place of its own.
    pub reply_to: Option<Frames>,
}

/// What was given up on, in messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Nobody waits for them any more.
    pub expired: u32,
    /// They say nothing of a deadline, and their workers never replied.
    pub forgotten: u32,
}

#[derive(Default)]
pub struct InFlightTable {
    by_envelope: HashMap<Envelope, InFlightEntry>,
    by_id: HashMap<Uuid, Envelope>,
    count: usize,
    bytes: usize,
}

impl InFlightTable {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The memory they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True for a message that was passed on and has no reply yet.
    pub fn has(&self, message: &Frames) -> bool {
        Envelope::of(message).is_some_and(|envelope| self.by_envelope.contains_key(&envelope))
    }

    /// A message is passed on. An earlier sending of it that is still here counts as lost; the copies of that.
    pub fn add(&mut self, envelope: Envelope, delivery: Option<Delivery>, bytes: usize) -> u32 {
        let earlier = delivery.and_then(|delivery| self.by_id.insert(delivery.delivery_id, envelope.clone()));
        let lost = earlier.filter(|earlier| *earlier != envelope).and_then(|earlier| self.by_envelope.remove(&earlier));
        let lost = lost.map_or(0, |entry| {
            self.bytes -= entry.bytes;
            self.count -= entry.copies as usize;
            entry.copies
        });
        let fresh = InFlightEntry { arrived: Instant::now(), delivery, reply_to: None, copies: 0, bytes: 0 };
        let entry = self.by_envelope.entry(envelope).or_insert(fresh);
        entry.copies += 1;
        entry.bytes += bytes;
        self.count += 1;
        self.bytes += bytes;
        lost
    }

    /// A message that is here already was sent again: its reply goes to the latest sending, and it is not worked on
    /// twice. False for one that is not here.
    pub fn sent_again(&mut self, delivery: Delivery, envelope: Frames) -> bool {
        let key = self.by_id.get(&delivery.delivery_id);
        let Some(entry) = key.and_then(|key| self.by_envelope.get_mut(key)) else { return false };
        entry.arrived = Instant::now();
        entry.delivery = Some(delivery);
        entry.reply_to = Some(envelope);
        true
    }

    /// A reply has come. None for a reply to nothing that is known.
    pub fn end(&mut self, envelope: &Envelope) -> Option<Ended> {
        let entry = self.by_envelope.get_mut(envelope)?;
        // Copies are of one program, and alike: which of them it is that ends is not known.
        let bytes = entry.bytes / entry.copies as usize;
        entry.bytes -= bytes;
        entry.copies -= 1;
        self.bytes -= bytes;
        self.count -= 1;
        let ended = Ended {
            residence: entry.arrived.elapsed(),
            wants_stamp: entry.delivery.is_some(),
            reply_to: entry.reply_to.take(),
        };
        if entry.copies == 0 {
            let delivery = entry.delivery;
            self.by_envelope.remove(envelope);
            self.forget_id(delivery, envelope);
        }
        Some(ended)
    }

    /// Gives up on messages whose deadline has passed, and on those without one that were passed on longer ago than
    /// `age`.
    pub fn give_up(&mut self, age: Duration) -> GivenUp {
        let now = Instant::now();
        let over = |entry: &InFlightEntry| match entry.delivery {
            Some(delivery) => delivery.deadline <= now,
            None => now.duration_since(entry.arrived) >= age,
        };
        let mut given_up = GivenUp::default();
        let gone: Vec<_> = self.by_envelope.extract_if(|_, entry| over(entry)).collect();
        for (envelope, entry) in gone {
            self.bytes -= entry.bytes;
            self.count -= entry.copies as usize;
            match entry.delivery {
                Some(_) => given_up.expired += entry.copies,
                None => given_up.forgotten += entry.copies,
            }
            self.forget_id(entry.delivery, &envelope);
        }
        given_up
    }

    /// Another message may have its id by now, in another envelope.
    fn forget_id(&mut self, delivery: Option<Delivery>, envelope: &Envelope) {
        if let Some(Delivery { delivery_id, .. }) = delivery
            && self.by_id.get(&delivery_id) == Some(envelope)
        {
            self.by_id.remove(&delivery_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::zeromq::frames_of;

    fn envelope(id: &[u8]) -> Envelope {
        Envelope::of(&frames_of([b"peer", id, b"", b"json"])).unwrap()
    }

    fn delivery(id: u128, left: Duration) -> Delivery {
        Delivery { delivery_id: Uuid::from_u128(id), deadline: Instant::now() + left }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_copy_of_a_message_ends_once() {
        let mut table = InFlightTable::default();
        let key = envelope(b"1");
        table.add(key.clone(), None, 100);
        table.add(key.clone(), None, 51);
        assert_eq!(table.bytes(), 151);
        assert!(!table.end(&key).unwrap().wants_stamp);
        assert_eq!((table.len(), table.bytes()), (1, 76));
        assert_eq!(table.give_up(Duration::ZERO), GivenUp { expired: 0, forgotten: 1 });
        assert!(table.end(&key).is_none() && table.is_empty());
        assert_eq!(table.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_sent_again_is_here_once_and_its_reply_goes_to_the_latest_sending() {
        let mut table = InFlightTable::default();
        let (first, second) = (envelope(b"1"), || frames_of([b"peer", b"2", b""]));
        assert!(!table.sent_again(delivery(7, SECOND), second()), "it is not here yet");
        table.add(first.clone(), Some(delivery(7, SECOND)), 10);
        tokio::time::advance(SECOND / 2).await;
        assert!(table.sent_again(delivery(7, SECOND), second()));
        tokio::time::advance(SECOND * 3 / 4).await;
        assert_eq!(table.give_up(SECOND), GivenUp::default(), "it has the time of its latest sending");
        let ended = table.end(&first).unwrap();
        assert_eq!((ended.reply_to, ended.residence, ended.wants_stamp), (Some(second()), SECOND * 3 / 4, true));
        assert!(table.is_empty() && !table.sent_again(delivery(7, SECOND), second()), "it has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_passed_on_again_ends_its_earlier_sending() {
        let mut table = InFlightTable::default();
        assert_eq!(table.add(envelope(b"1"), Some(delivery(7, SECOND)), 10), 0);
        assert_eq!(table.add(envelope(b"2"), Some(delivery(7, SECOND)), 20), 1);
        assert_eq!((table.len(), table.bytes()), (1, 20));
        assert!(table.end(&envelope(b"1")).is_none() && table.end(&envelope(b"2")).is_some());
        assert!(table.is_empty() && table.bytes() == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_given_up_and_the_rest_stays() {
        let mut table = InFlightTable::default();
        table.add(envelope(b"1"), Some(delivery(1, SECOND)), 10);
        table.add(envelope(b"2"), Some(delivery(2, SECOND * 3)), 20);
        table.add(envelope(b"3"), None, 40);
        tokio::time::advance(SECOND * 2).await;
        assert_eq!(table.give_up(SECOND * 5), GivenUp { expired: 1, forgotten: 0 });
        assert_eq!((table.len(), table.bytes()), (2, 60));
        assert!(table.end(&envelope(b"1")).is_none());
        assert_eq!(table.give_up(SECOND * 2), GivenUp { expired: 0, forgotten: 1 });
        assert!(table.end(&envelope(b"2")).is_some() && table.is_empty());
    }
}
