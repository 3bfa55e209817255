//! Counts during a simulation, and its result.

use crate::wire::Latency;

/// The result of a simulation, without the warm-up's requests. Times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// Latencies of requests, from arrival to last reply; sorted.
    pub latencies: Vec<f64>,
    /// Latencies of messages, from their request's arrival to their reply, the warm-up included.
    pub messages: Latency,
    /// Time from the first counted arrival to the last. The next three fields are counted in this time, for all requests.
    pub span_ms: f64,
    pub requests_ended: usize,
    pub messages_ended: usize,
    /// Sum of the responder workers' service time.
    pub busy_ms: f64,
    /// Arrivals in the second half of the span, minus ends in it; at least 0.
    pub backlog: usize,
    /// A message's mean wait in the requester.
    pub lane_wait_ms: f64,
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
        self.lane_wait_ms + self.broker_wait_ms
    }
}

/// A request, with the totals at its arrival.
pub struct Call {
    pub arrived: f64,
    pub ended: f64,
    pub instance: usize,
    pub missing: usize,
    pub lane_wait: f64,
    pub broker_wait: f64,
    pub service: f64,
    pub before: Totals,
}

#[derive(Clone, Copy, Default)]
pub struct Totals {
    pub requests: usize,
    pub messages: usize,
    serving: usize,
    /// Sum of all service ends minus sum of all service starts.
    served: f64,
}

impl Totals {
    pub fn begin_service(&mut self, now: f64) {
        self.serving += 1;
        self.served -= now;
    }

    pub fn end_service(&mut self, now: f64) {
        self.serving -= 1;
        self.served += now;
        self.messages += 1;
    }

    /// Sum of the workers' service time until `now`.
    fn busy_until(&self, now: f64) -> f64 {
        self.served + now * self.serving as f64
    }
}

/// The result of requests that have all ended, without the first share `warm_up` of them.
pub fn summary(calls: &[Call], sojourns: Latency, warm_up: f64, messages_per_request: usize) -> Simulated {
    let skipped = (warm_up * calls.len() as f64) as usize;
    let counted = &calls[skipped..];
    let mut latencies: Vec<f64> = counted.iter().map(|call| call.ended - call.arrived).collect();
    latencies.sort_by(f64::total_cmp);
    let messages = (counted.len() * messages_per_request).max(1) as f64;
    let mean = |time: fn(&Call) -> f64| counted.iter().map(time).sum::<f64>() / messages;
    let mut simulated = Simulated {
        latencies,
        messages: sojourns,
        span_ms: 0.0,
        requests_ended: 0,
        messages_ended: 0,
        busy_ms: 0.0,
        backlog: 0,
        lane_wait_ms: mean(|call| call.lane_wait),
        broker_wait_ms: mean(|call| call.broker_wait),
        service_ms: mean(|call| call.service),
    };
    if let [first, .., last] = counted {
        simulated.span_ms = last.arrived - first.arrived;
        simulated.requests_ended = last.before.requests - first.before.requests;
        simulated.messages_ended = last.before.messages - first.before.messages;
        simulated.busy_ms = last.before.busy_until(last.arrived) - first.before.busy_until(first.arrived);
        let late = &counted[counted.len() / 2..];
        simulated.backlog = (late.len() - 1).saturating_sub(last.before.requests - late[0].before.requests);
    }
    simulated
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
            requests in 2..200_usize,
            seed in any::<u64>(),
        ) {
            let (requester_instances, requester_workers, responder_instances, responder_workers, window) = tiers;
            let scenario = Scenario {
                requester_instances, requester_workers, responder_instances, responder_workers, window, shared_queue,
                fan_out: if all { FanOut::All } else { FanOut::One },
                arrivals: if closed { Arrivals::Closed { clients: 3 } } else { Arrivals::Poisson { rate: 20.0 } },
                requests, duration_ms: None, warm_up: 0.0, seed,
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
            prop_assert!(simulated.lane_wait_ms >= 0.0 && simulated.broker_wait_ms >= 0.0);
            let served = services.iter().sum::<f64>() / services.len() as f64;
            prop_assert!((simulated.service_ms - served).abs() < 1e-6);
        }
    }
}
