//! Counts during a simulation, and its result.

use crate::wire::Latency;

/// The result of a simulation. Requests of the warm-up count only where a field says so. Times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// Latencies of requests, from arrival to last reply; sorted.
    pub latencies: Vec<f64>,
    /// Latencies of messages, from their request's arrival to their reply, the warm-up included.
    pub messages: Latency,
    /// Length of the measured time: from the end of the warm-up until no more requests are made. The next three fields are
    /// counted in this time, for all requests.
    pub span_ms: f64,
    pub requests_ended: usize,
    pub messages_ended: usize,
    /// Sum of the responder workers' service time.
    pub busy_ms: f64,
    /// Arrivals in the second half of the measured time, minus ends in it; at least 0.
    pub backlog: usize,
    /// Requests made, the warm-up's included.
    pub requests: usize,
    /// When the last request was made.
    pub last_ms: f64,
    /// A message's mean wait in the requester.
    pub requester_wait_ms: f64,
    /// A message's mean wait at the broker and in its worker's queue.
    pub broker_wait_ms: f64,
    /// A message's mean service time.
    pub service_ms: f64,
}

impl Simulated {
    /// `None` if the span is 0.
    pub fn requests_per_s(&self) -> Option<f64> {
        self.per_s(self.requests_ended)
    }

    /// `None` if the span is 0.
    pub fn messages_per_s(&self) -> Option<f64> {
        self.per_s(self.messages_ended)
    }

    fn per_s(&self, count: usize) -> Option<f64> {
        (self.span_ms > 0.0).then(|| count as f64 * 1000.0 / self.span_ms)
    }

    /// Mean latency of a request, until its last reply.
    pub fn mean_latency_ms(&self) -> f64 {
        self.latencies.iter().sum::<f64>() / self.latencies.len() as f64
    }

    /// Mean wait of a message, in the requester and at the broker.
    pub fn mean_wait_ms(&self) -> f64 {
        self.requester_wait_ms + self.broker_wait_ms
    }
}

/// A request.
pub struct Call {
    pub arrived: f64,
    pub ended: f64,
    pub instance: usize,
    pub missing: usize,
    pub requester_wait: f64,
    pub broker_wait: f64,
    pub service: f64,
}

/// The measured time, and the responder workers' service time in it.
pub struct Window {
    pub begin: f64,
    pub end: f64,
    pub busy: f64,
}

/// Sums the service time of all workers between two times.
pub struct Busy {
    begin: f64,
    end: f64,
    now: f64,
    serving: usize,
    pub sum: f64,
}

impl Busy {
    /// Without an end, counts until [`Self::close`].
    pub fn new(begin: f64, end: Option<f64>) -> Self {
        Self { begin, end: end.unwrap_or(f64::INFINITY), now: 0.0, serving: 0, sum: 0.0 }
    }

    /// Advances the time to the next event. The number of busy workers has not changed since the last one.
    pub fn pass(&mut self, until: f64) {
        let counted = until.min(self.end) - self.now.max(self.begin);
        self.sum += counted.max(0.0) * self.serving as f64;
        self.now = until;
    }

    /// Ends the count at `at`, which must not be in the past.
    pub fn close(&mut self, at: f64) {
        self.end = self.end.min(at);
    }

    pub fn begin_service(&mut self) {
        self.serving += 1;
    }

    pub fn end_service(&mut self) {
        self.serving -= 1;
    }
}

/// The result of requests that have all ended.
pub fn summary(calls: &[Call], window: Window, sojourns: Latency, messages_per_request: usize) -> Simulated {
    let counted = &calls[calls.partition_point(|call| call.arrived < window.begin)..];
    let mut latencies: Vec<f64> = counted.iter().map(|call| call.ended - call.arrived).collect();
    latencies.sort_by(f64::total_cmp);
    let messages = (counted.len() * messages_per_request).max(1) as f64;
    let mean = |time: fn(&Call) -> f64| counted.iter().map(time).sum::<f64>() / messages;
    let ended_after = |begin: f64| calls.iter().filter(|call| begin < call.ended && call.ended <= window.end).count();
    let middle = window.begin.midpoint(window.end);
    let requests_ended = ended_after(window.begin);
    Simulated {
        latencies,
        messages: sojourns,
        span_ms: window.end - window.begin,
        requests_ended,
        messages_ended: requests_ended * messages_per_request,
        busy_ms: window.busy,
        backlog: counted.iter().filter(|call| call.arrived >= middle).count().saturating_sub(ended_after(middle)),
        requests: calls.len(),
        last_ms: calls.last().map_or(0.0, |call| call.arrived),
        requester_wait_ms: mean(|call| call.requester_wait),
        broker_wait_ms: mean(|call| call.broker_wait),
        service_ms: mean(|call| call.service),
    }
}

#[cfg(test)]
mod tests {
    use crate::experiment::simulation::{Arrivals, Scenario, simulate};
    use crate::wire::FanOut;
    use proptest::prelude::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    proptest! {
        /// In any deployment: every request ends, none is faster than its slowest message, no worker serves for longer than the
        /// span, and no wait is negative.
        #[test]
        fn time_adds_up(
            tiers in (1..4_usize, 1..4_usize, 1..4_usize, 1..4_usize, 1..4_usize),
            (shared_queue, all, closed) in any::<(bool, bool, bool)>(),
            brokers_apart in 0..4_usize,
            requests in 2..200_usize,
            seed in any::<u64>(),
        ) {
            let (requester_instances, requester_workers, responder_instances, responder_workers, window) = tiers;
            let scenario = Scenario {
                requester_instances, requester_workers, responder_instances, responder_workers, window, shared_queue, brokers_apart,
                fan_out: if all { FanOut::All } else { FanOut::One },
                arrivals: if closed { Arrivals::closed(3) } else { Arrivals::Poisson { rate: 20.0 } },
                requests, duration_ms: None, warm_up_ms: 0.0, count: None, seed,
            };
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut services = vec![];
            let simulated = simulate(&scenario, || {
                services.push(random.random_range(0.0..200.0));
                services[services.len() - 1]
            }).unwrap();
            prop_assert_eq!(simulated.latencies.len(), requests);
            prop_assert_eq!(services.len(), requests * scenario.messages_per_request());
            let mut slowest: Vec<f64> = services
                .chunks(scenario.messages_per_request())
                .map(|services| services.iter().copied().fold(0.0, f64::max))
                .collect();
            slowest.sort_by(f64::total_cmp);
            prop_assert!(simulated.latencies.iter().zip(&slowest).all(|(latency, slowest)| *latency >= slowest - 1e-6));
            let time = simulated.span_ms * scenario.all_responder_workers() as f64;
            prop_assert!((-1e-6..=time + 1e-6).contains(&simulated.busy_ms));
            prop_assert!(simulated.requester_wait_ms >= 0.0 && simulated.broker_wait_ms >= 0.0);
            let served = services.iter().sum::<f64>() / services.len() as f64;
            prop_assert!((simulated.service_ms - served).abs() < 1e-6);
        }
    }
}
