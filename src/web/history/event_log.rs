//! The events of the last hour, within a number and within bytes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use super::{EventKind, LoggedEvent};

/// How long an event is kept.
const KEPT: Duration = Duration::from_secs(3_600);

/// Bytes of memory for each event that may be kept: more than most take.
const EVENT_BYTES: usize = 512;

/// Some events of the log.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<LoggedEvent>,
    /// What `after` is to be in the next call, to get what follows.
    pub last: u64,
    /// There are later ones already.
    pub more: bool,
    /// Events after `after` are not kept any more: they were more than an hour old, or there was no room for them.
    pub missed: bool,
}

/// The log.
#[derive(Debug)]
pub struct EventLog {
    /// By `seq`, with the time at which each was added, by the monotonic clock, and its bytes.
    events: VecDeque<(Instant, usize, LoggedEvent)>,
    bytes: usize,
    /// Most events that are kept.
    most: usize,
    /// `seq` of the last event, and of the last one that is not kept any more.
    last: u64,
    forgotten: u64,
}

impl EventLog {
    /// An empty log of up to `most` events, from `since` on, in milliseconds since the epoch: earlier ones, of a web tier that has
    /// ended, are not kept.
    pub fn new(most: usize, since: u64) -> Self {
        let last = since.saturating_mul(1_000);
        Self { events: VecDeque::new(), bytes: 0, most, last, forgotten: last }
    }

    /// Numbers an event and adds it. The number grows with the wall clock, by 1,000 a millisecond, so that a web tier that is
    /// started again uses none a second time; while the clock is set back it goes on from the last one.
    pub fn push(&mut self, now: Instant, mut event: LoggedEvent) {
        event.cut();
        self.last = (self.last + 1).max(event.at.saturating_mul(1_000));
        event.seq = self.last;
        let bytes = event.footprint();
        self.bytes += bytes;
        self.events.push_back((now, bytes, event));
        while self.events.len() > self.most || self.bytes > self.most * EVENT_BYTES {
            self.forget_oldest();
        }
    }

    /// Forgets what is more than an hour old.
    pub fn forget(&mut self, now: Instant) {
        while self.events.front().is_some_and(|(added, ..)| now.duration_since(*added) > KEPT) {
            self.forget_oldest();
        }
    }

    /// Up to `limit` events after the one numbered `after` (none: from the oldest), of these kinds (empty: of all).
    pub fn page(&self, after: Option<u64>, limit: usize, kinds: &[EventKind]) -> EventPage {
        let wanted = |event: &&LoggedEvent| kinds.is_empty() || kinds.contains(&event.kind);
        let mut following = self.since(after.unwrap_or(0)).filter(wanted);
        let events: Vec<_> = following.by_ref().take(limit).cloned().collect();
        let more = following.next().is_some();
        let last = match events.last() {
            Some(event) if more => event.seq,
            _ => self.last.max(after.unwrap_or(0)),
        };
        EventPage { events, last, more, missed: after.is_some_and(|after| after < self.forgotten) }
    }

    /// The latest events after the one numbered `after`, up to so many, oldest first.
    pub fn latest(&self, after: u64, most: usize) -> Vec<&LoggedEvent> {
        let all = self.since(after);
        let surplus = all.len().saturating_sub(most);
        all.skip(surplus).collect()
    }

    /// `seq` of the last event, or of the log's beginning.
    pub fn last(&self) -> u64 {
        self.last
    }

    fn since(&self, after: u64) -> impl ExactSizeIterator<Item = &LoggedEvent> {
        let first = self.events.partition_point(|(_, _, event)| event.seq <= after);
        self.events.range(first..).map(|(_, _, event)| event)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, bytes, event)) = self.events.pop_front() {
            self.bytes -= bytes;
            self.forgotten = event.seq;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, at: u64) -> LoggedEvent {
        LoggedEvent::new(kind, at)
    }

    /// A log of so many at most, with events of two kinds in turn, one each millisecond.
    fn log(most: usize, count: u64) -> EventLog {
        let (mut log, now) = (EventLog::new(most, 0), Instant::now());
        let kinds = [EventKind::Scaled, EventKind::LinkLost];
        (0..count).for_each(|at| log.push(now, event(kinds[at as usize % 2], 1 + at)));
        log
    }

    #[test]
    fn numbers_grow_though_the_clock_is_set_back_and_none_is_used_again_after_a_restart() {
        let (mut log, now) = (EventLog::new(10, 0), Instant::now());
        for at in [5, 5, 3, 6] {
            log.push(now, event(EventKind::Scaled, at));
        }
        let seqs = |log: &EventLog| log.latest(0, 10).iter().map(|event| event.seq).collect::<Vec<_>>();
        assert_eq!(seqs(&log), [5_000, 5_001, 5_002, 6_000]);
        // Begun 7 ms after the epoch.
        let mut restarted = EventLog::new(10, 7);
        let page = restarted.page(Some(log.last()), 10, &[]);
        assert!(page.missed, "what came between is not kept");
        assert!(!restarted.page(Some(page.last), 10, &[]).missed);
        restarted.push(now, event(EventKind::Scaled, 7));
        assert!(restarted.last() > log.last());
    }

    #[test]
    fn pages_follow_one_another_without_a_gap_and_without_a_repeat() {
        let log = log(100, 10);
        let (mut seen, mut after) = (vec![], None);
        loop {
            let page = log.page(after, 4, &[]);
            seen.extend(page.events.iter().map(|event| event.at));
            assert!(!page.missed);
            after = Some(page.last);
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, (1..=10).collect::<Vec<_>>());
        let empty = log.page(after, 4, &[]);
        assert_eq!((empty.events.len(), empty.last, empty.more), (0, log.last(), false));
        assert_eq!(log.page(Some(u64::MAX), 4, &[]).last, u64::MAX, "of another web tier, whose clock is ahead");
    }

    #[test]
    fn a_page_of_some_kinds_goes_on_after_the_others() {
        let log = log(100, 10);
        let first = log.page(None, 2, &[EventKind::LinkLost]);
        assert_eq!(first.events.iter().map(|event| event.at).collect::<Vec<_>>(), [2, 4]);
        assert!(first.more && first.last == 4_000);
        let rest = log.page(Some(first.last), 10, &[EventKind::LinkLost]);
        assert_eq!((rest.events.len(), rest.more, rest.last), (3, false, log.last()));
        assert_eq!(log.page(None, 10, &[EventKind::Scaled, EventKind::LinkLost]).events.len(), 10);
    }

    #[test]
    fn it_keeps_no_more_than_its_number_bytes_and_hour_and_says_what_was_missed() {
        let mut log = log(4, 10);
        assert_eq!(log.latest(0, 10).iter().map(|event| event.at).collect::<Vec<_>>(), [7, 8, 9, 10]);
        assert_eq!(log.latest(0, 3).len(), 3);
        assert!(log.page(Some(5_000), 10, &[]).missed && !log.page(Some(6_000), 10, &[]).missed);
        assert!(!log.page(None, 10, &[]).missed, "whoever asks from the beginning");
        let later = Instant::now() + KEPT;
        log.forget(later - Duration::from_secs(60));
        assert_eq!(log.latest(0, 10).len(), 4);
        log.forget(later + Duration::from_secs(60));
        assert!(log.latest(0, 10).is_empty() && log.bytes == 0 && log.page(Some(9_000), 10, &[]).missed);
    }

    #[test]
    fn texts_from_the_network_are_cut_and_count() {
        let (mut log, now) = (EventLog::new(20, 0), Instant::now());
        for at in 0..100 {
            let long = || Some("ä".repeat(1 << 20));
            let event = LoggedEvent { node: long(), reason: long(), after: long(), ..event(EventKind::Scaled, at) };
            log.push(now, event);
        }
        let kept = log.latest(0, 100);
        assert!(kept.iter().all(|event| event.reason.as_ref().is_some_and(|text| text.len() == 200)));
        assert!((5..20).contains(&kept.len()) && log.bytes <= 20 * EVENT_BYTES, "{} of {}", log.bytes, kept.len());
        assert_eq!(log.bytes, kept.iter().map(|event| event.footprint()).sum::<usize>());
    }
}
