//! Counts the outcomes of a trial's requests.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::experiment::run::{Percentile, RequestCounts, Shares, Steadiness};
use crate::experiment::statistics::has_beyond;
use crate::wire::{Hop, Latency, OutcomeCounts, RequestStatus, RequestView};

/// Shares of the requests at which reports show the latency.
const PERCENTILES: [f64; 13] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 0.99999, 1.0];

/// Maximum different errors that are counted separately; further ones are counted together.
const MAX_ERRORS: usize = 20;

/// Lag up to which the generator does not count as behind, whatever the latencies.
const NEGLIGIBLE_LAG: Duration = Duration::from_millis(1);

/// Maximum lag of the generator, as a share of the latency, at the median and at the 99th percentile.
const TOLERABLE_LAG: f64 = 0.1;

/// The end of a request, as its client sees it.
pub enum Answer {
    /// Every message ended, whatever its outcome; or some of them, and then it failed.
    View(Box<RequestView>),
    /// The web tier refused it, for this reason.
    Refused(String),
    /// No response, or none that could be read; the reason.
    Lost(String),
}

/// A request's times, from the load's start.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub due: Duration,
    pub ended: Duration,
}

/// Counts requests that are due in a window, and requests that end in it.
pub struct Tally {
    begin: Duration,
    /// End of the window. With a limited number of requests it moves back to when the next one would have been sent.
    end: Duration,
    pub requests: RequestCounts,
    pub messages: OutcomeCounts,
    pub latency: Latency,
    pub hops: BTreeMap<Hop, Latency>,
    pub shares: Shares,
    pub errors: BTreeMap<String, u64>,
    pub lag: Latency,
    /// Messages of all requests, inside and outside the window.
    pub all_messages: u64,
    /// Requests without an answer, inside and outside the window: how many messages they had is not known.
    pub lost: u64,
    /// End times of complete requests, with their number of messages that had a response.
    ends: Vec<(Duration, u64)>,
    /// When each request was due, and when it ended.
    spans: Vec<(Duration, Duration)>,
}

impl Tally {
    pub fn new(begin: Duration, end: Duration) -> Self {
        Self {
            begin,
            end,
            requests: RequestCounts::default(),
            messages: OutcomeCounts::default(),
            latency: Latency::precise(),
            hops: BTreeMap::new(),
            shares: Shares::default(),
            errors: BTreeMap::new(),
            lag: Latency::precise(),
            all_messages: 0,
            lost: 0,
            ends: vec![],
            spans: vec![],
        }
    }

    /// True if a request that is due at this time is in the window.
    pub fn counts(&self, due: Duration) -> bool {
        (self.begin..self.end).contains(&due)
    }

    /// Ends the window early.
    pub fn close(&mut self, end: Duration) {
        self.end = self.end.min(end);
    }

    /// Records how late the generator handled a due time in the window.
    pub fn lag(&mut self, due: Duration, at: Duration) {
        if self.counts(due) {
            self.lag.record(at.saturating_sub(due));
        }
    }

    /// The window's length.
    pub fn window(&self) -> Duration {
        self.end.saturating_sub(self.begin)
    }

    /// Whether it was in a steady state.
    pub fn steadiness(&self) -> Steadiness {
        Steadiness::of(&self.spans, self.begin, self.end)
    }

    /// True if the generator's lag is a considerable part of the latencies measured.
    pub fn is_late(&self) -> bool {
        [0.5, 0.99].into_iter().any(|share| {
            let tolerable = TOLERABLE_LAG * self.latency.quantile_us(share) as f64;
            self.lag.quantile_us(share) as f64 > tolerable.max(NEGLIGIBLE_LAG.as_micros() as f64)
        })
    }

    pub fn add(&mut self, times: Times, answer: &Answer) {
        self.spans.push((times.due, times.ended));
        if let Answer::View(view) = answer {
            self.all_messages += view.counts.total();
            if is_complete(view) {
                self.ends.push((times.ended, view.counts.responses));
            }
        }
        self.lost += u64::from(matches!(answer, Answer::Lost(_)));
        if !self.counts(times.due) {
            return;
        }
        self.requests.sent += 1;
        match answer {
            Answer::Refused(reason) => {
                self.requests.refused += 1;
                self.error(reason);
            }
            Answer::Lost(reason) => {
                self.requests.failed += 1;
                self.error(reason);
            }
            Answer::View(view) => {
                match is_complete(view) {
                    true => {
                        self.requests.complete += 1;
                        self.latency.record(times.ended.saturating_sub(times.due));
                    }
                    false => {
                        self.requests.failed += 1;
                        if let Some(reason) = &view.reason {
                            self.error(reason);
                        }
                    }
                }
                self.messages(view);
            }
        }
    }

    fn messages(&mut self, view: &RequestView) {
        self.messages.responses += view.counts.responses;
        self.messages.errors += view.counts.errors;
        self.messages.timeouts += view.counts.timeouts;
        for reply in &view.replies {
            if let Some(code) = &reply.code {
                let code = serde_json::to_value(code).unwrap_or_default();
                self.error(code.as_str().unwrap_or_default());
            }
            let Some(timings) = reply.timings.filter(|_| reply.code.is_none()) else { continue };
            *self.shares.responders.entry(reply.responder_id.to_string()).or_default() += 1;
            *self.shares.nodes.entry(reply.node.clone().unwrap_or_default()).or_default() += 1;
            for (hop, time) in timings.hops() {
                self.hops.entry(hop).or_insert_with(Latency::precise).record(time);
            }
        }
    }

    fn error(&mut self, text: &str) {
        let known = self.errors.len() < MAX_ERRORS || self.errors.contains_key(text);
        *self.errors.entry(if known { text } else { "others" }.to_owned()).or_default() += 1;
    }

    /// Complete requests, and messages with a response, per second of the window.
    pub fn rates(&self) -> (f64, f64) {
        let inside = self.ends.iter().filter(|(ended, _)| (self.begin..=self.end).contains(ended));
        let (requests, messages) = inside.fold((0, 0), |(requests, sum), (_, messages)| (requests + 1, sum + messages));
        let seconds = self.window().as_secs_f64();
        match seconds > 0.0 {
            true => (f64::from(requests) / seconds, messages as f64 / seconds),
            false => (0.0, 0.0),
        }
    }

    /// The latency at each share, except for shares that need more requests than there are.
    pub fn percentiles(&self) -> Vec<Percentile> {
        let count = self.latency.count();
        let tellable = |share: &f64| count > 0 && (*share == 1.0 || has_beyond(count, *share));
        let point = |share| Percentile { share, us: self.latency.quantile_us(share) };
        PERCENTILES.into_iter().filter(tellable).map(point).collect()
    }
}

fn is_complete(view: &RequestView) -> bool {
    view.status == RequestStatus::Complete && view.counts.responses == view.counts.total() && view.counts.responses > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn view(status: RequestStatus, counts: (u64, u64, u64)) -> Answer {
        let counts = OutcomeCounts { responses: counts.0, errors: counts.1, timeouts: counts.2 };
        Answer::View(Box::new(RequestView { status, counts, ..RequestView::default() }))
    }

    fn times(due: u32, ended: u32) -> Times {
        Times { due: MS * due, ended: MS * ended }
    }

    #[test]
    fn requests_due_in_the_window_count_and_their_latency_is_from_the_due_time() {
        let mut tally = Tally::new(MS * 100, MS * 1_100);
        let complete = view(RequestStatus::Complete, (2, 0, 0));
        tally.add(times(50, 150), &complete);
        tally.add(times(100, 300), &complete);
        tally.add(times(1_000, 1_200), &complete);
        tally.add(times(200, 201), &Answer::Refused("overloaded".into()));
        tally.add(times(50, 60), &Answer::Lost("the connection was closed".into()));
        tally.add(times(300, 400), &view(RequestStatus::Complete, (1, 1, 0)));
        tally.add(times(1_100, 1_200), &complete);
        assert_eq!(tally.requests, RequestCounts { sent: 4, complete: 2, failed: 1, refused: 1 });
        assert_eq!((tally.messages.total(), tally.all_messages, tally.lost), (6, 10, 1));
        // Two complete requests ended in the window of a second, one of them sent before it.
        assert_eq!(tally.rates(), (2.0, 4.0));
        assert_eq!(tally.latency.max_us() / 1_000, 200);
        assert_eq!(tally.errors["overloaded"], 1);
        tally.lag(MS * 50, MS * 99);
        tally.lag(MS * 100, MS * 110);
        assert_eq!((tally.lag.count(), tally.lag.max_us() / 1_000), (1, 10));
        assert_eq!(tally.percentiles().iter().map(|point| point.share).collect::<Vec<_>>(), [0.0, 0.1, 0.25, 0.5, 1.0]);
    }

    /// Latencies and lags in microseconds, of all requests but one in twenty, and of that one.
    #[test]
    fn the_generator_is_late_where_its_lag_is_a_tenth_of_the_latency_and_a_millisecond() {
        for (latency, lag, is_late) in [
            ([5_000, 5_000], [990, 990], false),
            ([5_000, 5_000], [1_010, 1_010], true),
            ([30_000, 30_000], [2_900, 2_900], false),
            ([30_000, 30_000], [3_100, 3_100], true),
            ([30_000, 300_000], [100, 29_000], false),
            ([30_000, 300_000], [100, 31_000], true),
            ([30_000, 300_000], [3_100, 3_100], true),
        ] {
            let mut tally = Tally::new(Duration::ZERO, MS * 1_000);
            for (at, which) in (0..20).map(|at| (at, usize::from(at == 19))) {
                tally.latency.record(Duration::from_micros(latency[which]));
                tally.lag(MS * at, MS * at + Duration::from_micros(lag[which]));
            }
            assert_eq!(tally.is_late(), is_late, "{latency:?}, {lag:?}");
        }
    }

    #[test]
    fn a_window_that_is_closed_early_is_shorter() {
        let mut tally = Tally::new(MS * 100, MS * 1_100);
        tally.close(MS * 600);
        assert_eq!(tally.window(), MS * 500);
        assert!(tally.counts(MS * 599) && !tally.counts(MS * 600));
        assert_eq!(Tally::new(MS, MS).rates(), (0.0, 0.0));
    }

    #[test]
    fn errors_beyond_the_maximum_are_counted_together() {
        let mut tally = Tally::new(Duration::ZERO, MS * 100);
        (0..30).for_each(|number| tally.add(times(1, 2), &Answer::Lost(number.to_string())));
        assert_eq!((tally.errors.len(), tally.errors["others"]), (MAX_ERRORS + 1, 10));
    }
}
