//! What is counted while requests are simulated, and what it comes to.

/// What became of the requests that count. Times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// Of the requests, from their arrival to their last reply; sorted.
    pub latencies: Vec<f64>,
    /// From the first of their arrivals to the last. The next three are counted within it, whenever they arrived.
    pub span_ms: f64,
    pub requests_ended: usize,
    pub messages_ended: usize,
    /// The time that responder workers served, added up.
    pub busy_ms: f64,
    /// Of the requests that arrived in the span's second half, how many more than ended in it.
    pub backlog: usize,
    /// A message's mean wait in the requester.
    pub lane_wait_ms: f64,
    /// A message's mean wait at the broker and in its worker's queue.
    pub broker_wait_ms: f64,
    /// A message's mean service.
    pub service_ms: f64,
}

/// A request, with how far all was when it arrived.
pub(super) struct Call {
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
pub(super) struct Totals {
    pub requests: usize,
    pub messages: usize,
    serving: usize,
    /// The ends of all services that have ended, less the starts of all that have begun.
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

    /// The time that workers have served until now, added up.
    fn busy_until(&self, now: f64) -> f64 {
        self.served + now * self.serving as f64
    }
}

/// What the requests come to, all of which have ended, when the first ones, a share of `warm_up`, do not count.
pub(super) fn summary(calls: &[Call], warm_up: f64, messages_per_request: usize) -> Simulated {
    let skipped = (warm_up * calls.len() as f64) as usize;
    let counted = &calls[skipped..];
    let mut latencies: Vec<f64> = counted.iter().map(|call| call.ended - call.arrived).collect();
    latencies.sort_by(f64::total_cmp);
    let messages = (counted.len() * messages_per_request).max(1) as f64;
    let mean = |time: fn(&Call) -> f64| counted.iter().map(time).sum::<f64>() / messages;
    let mut simulated = Simulated {
        latencies,
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
