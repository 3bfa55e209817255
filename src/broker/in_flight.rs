//! The in-flight table of a broker: messages that it has accepted and that have no reply yet.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Envelope;
use crate::runtime::zeromq::Frames;

/// A message's id and deadline, from its delivery frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub delivery_id: Uuid,
    pub deadline: Instant,
}

struct InFlightEntry {
    arrived: Instant,
    delivery: Option<Delivery>,
    /// The envelope of the latest attempt, if it is not the one that was passed on.
    reply_to: Option<Frames>,
    /// Number of messages with this envelope: more than one if a DEALER sends messages without ids.
    copies: u32,
    /// Memory of all copies.
    bytes: usize,
}

/// A message whose reply has arrived.
#[derive(Debug)]
pub struct Ended {
    /// Time since its latest attempt arrived.
    pub residence: Duration,
    /// The requester reads the broker's stamp.
    pub wants_stamp: bool,
    /// The envelope that replaces the reply's own.
    pub reply_to: Option<Frames>,
}

/// Numbers of removed messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Their deadline has passed.
    pub expired: u32,
    /// They have no deadline, and their workers did not reply in time.
    pub unanswered: u32,
}

/// Messages in flight, by envelope and by delivery id.
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

    /// Memory of the messages, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True if a message is in flight.
    pub fn contains(&self, message: &Frames) -> bool {
        Envelope::of(message).is_some_and(|envelope| self.by_envelope.contains_key(&envelope))
    }

    /// Adds a message. Removes an earlier attempt of it, which counts as lost, and returns the number of its copies.
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

    /// Records a retry of a message in flight: its reply goes to the latest attempt. False if the message is not in flight.
    pub fn record_retry(&mut self, delivery: Delivery, envelope: Frames) -> bool {
        let key = self.by_id.get(&delivery.delivery_id);
        let Some(entry) = key.and_then(|key| self.by_envelope.get_mut(key)) else { return false };
        entry.arrived = Instant::now();
        entry.delivery = Some(delivery);
        entry.reply_to = Some(envelope);
        true
    }

    /// Ends the message that a reply answers; `None` if no such message is in flight.
    pub fn end(&mut self, envelope: &Envelope) -> Option<Ended> {
        let entry = self.by_envelope.get_mut(envelope)?;
        // Copies cannot be distinguished, so each counts with the mean size.
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
            self.remove_id(delivery, envelope);
        }
        Some(ended)
    }

    /// Removes messages whose deadline has passed, and messages without a deadline that arrived at least `age` ago.
    pub fn expire(&mut self, age: Duration) -> Removed {
        let now = Instant::now();
        let over = |entry: &InFlightEntry| match entry.delivery {
            Some(delivery) => delivery.deadline <= now,
            None => now.duration_since(entry.arrived) >= age,
        };
        let mut removed = Removed::default();
        let gone: Vec<_> = self.by_envelope.extract_if(|_, entry| over(entry)).collect();
        for (envelope, entry) in gone {
            self.bytes -= entry.bytes;
            self.count -= entry.copies as usize;
            match entry.delivery {
                Some(_) => removed.expired += entry.copies,
                None => removed.unanswered += entry.copies,
            }
            self.remove_id(entry.delivery, &envelope);
        }
        removed
    }

    /// Removes the id of an entry, unless a later attempt with another envelope uses it.
    fn remove_id(&mut self, delivery: Option<Delivery>, envelope: &Envelope) {
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
        assert_eq!(table.expire(Duration::ZERO), Removed { expired: 0, unanswered: 1 });
        assert!(table.end(&key).is_none() && table.is_empty());
        assert_eq!(table.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reply_to_a_retried_message_goes_to_the_latest_attempt() {
        let mut table = InFlightTable::default();
        let (first, second) = (envelope(b"1"), || frames_of([b"peer", b"2", b""]));
        assert!(!table.record_retry(delivery(7, SECOND), second()), "it is not in flight yet");
        table.add(first.clone(), Some(delivery(7, SECOND)), 10);
        tokio::time::advance(SECOND / 2).await;
        assert!(table.record_retry(delivery(7, SECOND), second()));
        tokio::time::advance(SECOND * 3 / 4).await;
        assert_eq!(table.expire(SECOND), Removed::default(), "its time counts from the latest attempt");
        let ended = table.end(&first).unwrap();
        assert_eq!((ended.reply_to, ended.residence, ended.wants_stamp), (Some(second()), SECOND * 3 / 4, true));
        assert!(table.is_empty() && !table.record_retry(delivery(7, SECOND), second()), "it has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_that_is_passed_on_removes_the_earlier_attempt() {
        let mut table = InFlightTable::default();
        assert_eq!(table.add(envelope(b"1"), Some(delivery(7, SECOND)), 10), 0);
        assert_eq!(table.add(envelope(b"2"), Some(delivery(7, SECOND)), 20), 1);
        assert_eq!((table.len(), table.bytes()), (1, 20));
        assert!(table.end(&envelope(b"1")).is_none() && table.end(&envelope(b"2")).is_some());
        assert!(table.is_empty() && table.bytes() == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_expired_and_unanswered_messages_are_removed() {
        let mut table = InFlightTable::default();
        table.add(envelope(b"1"), Some(delivery(1, SECOND)), 10);
        table.add(envelope(b"2"), Some(delivery(2, SECOND * 3)), 20);
        table.add(envelope(b"3"), None, 40);
        tokio::time::advance(SECOND * 2).await;
        assert_eq!(table.expire(SECOND * 5), Removed { expired: 1, unanswered: 0 });
        assert_eq!((table.len(), table.bytes()), (2, 60));
        assert!(table.end(&envelope(b"1")).is_none());
        assert_eq!(table.expire(SECOND * 2), Removed { expired: 0, unanswered: 1 });
        assert!(table.end(&envelope(b"2")).is_some() && table.is_empty());
    }
}
