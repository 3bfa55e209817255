//! A discrete-event simulation of requests through worker queues, brokers and responder workers. It follows the program's own
//! rules, without the overhead of processes, network and scheduler.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::{Arrivals, Busy, Call, Due, Scenario, ScenarioError, Simulated, SimulatedQueues, Window, summary};
use crate::wire::Latency;

/// Simulates a scenario. `draw` returns the service time of each message, in milliseconds, in order of arrival, so that
/// scenarios that differ only in dispatch have the same service times.
///
/// # Errors
/// What [`Scenario::check`] finds; a service that is negative or not finite; a duration in which no request arrives.
pub fn simulate(scenario: &Scenario, draw: impl FnMut() -> f64) -> Result<Simulated, ScenarioError> {
    scenario.check()?;
    let mut simulation = Simulation::new(scenario, draw);
    simulation.run()?;
    match (simulation.calls.is_empty(), scenario.duration_ms) {
        (true, Some(value)) => {
            let allowed = "a time in which a request arrives";
            Err(ScenarioError::Range { what: "durationMs", value, allowed })
        }
        _ => Ok(summary(&simulation.calls, simulation.window(), simulation.sojourns, scenario.messages_per_request())),
    }
}

/// A message on its way.
struct SimMessage {
    request: usize,
    queue: usize,
    /// Known once it is sent.
    broker: usize,
    service: f64,
    sent: f64,
}

#[derive(Default)]
struct Broker {
    /// Messages that wait for the first free worker.
    waiting: VecDeque<SimMessage>,
    /// Workers without a message of this broker, the longest so first.
    idle: VecDeque<usize>,
    /// Round-robin position over its workers.
    turn: usize,
}

#[derive(Default)]
struct Worker {
    /// By broker that deals to it; a single one that is its own.
    waiting: Vec<VecDeque<SimMessage>>,
    /// Round-robin position over these brokers.
    turn: usize,
    in_hand: Option<SimMessage>,
}

impl Worker {
    fn receive(&mut self, message: SimMessage) {
        let from = message.broker % self.waiting.len();
        self.waiting[from].push_back(message);
    }

    /// The next message that it takes, from its brokers in turn.
    fn next(&mut self) -> Option<SimMessage> {
        let brokers = self.waiting.len();
        let from =
            (0..brokers).map(|step| (self.turn + step) % brokers).find(|broker| !self.waiting[*broker].is_empty())?;
        self.turn = from + 1;
        self.waiting[from].pop_front()
    }
}

struct Simulation<'a, D> {
    scenario: &'a Scenario,
    draw: D,
    due: Due,
    now: f64,
    calls: Vec<Call>,
    queues: SimulatedQueues<SimMessage>,
    brokers: Vec<Broker>,
    /// The workers of all brokers, grouped by broker.
    workers: Vec<Worker>,
    /// Service ends: the bits of the time (non-negative floats sort like their bits), the order of the starts, the worker.
    ends: BinaryHeap<Reverse<(u64, usize, usize)>>,
    begun: usize,
    busy: Busy,
    /// Requests that arrived after the warm-up.
    measured: usize,
    /// When a request was not made because the maximum number was reached.
    enough_at: Option<f64>,
    /// Latencies of the messages.
    sojourns: Latency,
}

impl<'a, D: FnMut() -> f64> Simulation<'a, D> {
    fn new(scenario: &'a Scenario, draw: D) -> Self {
        let workers = scenario.all_responder_workers();
        let worker = || {
            let waiting = (0..scenario.brokers_apart.max(1)).map(|_| VecDeque::new()).collect();
            Worker { waiting, ..Worker::default() }
        };
        let idle = |broker| scenario.workers_of(broker).collect();
        Self {
            scenario,
            draw,
            due: Due::new(scenario),
            now: 0.0,
            calls: Vec::with_capacity(scenario.requests.min(1 << 20)),
            queues: SimulatedQueues::new(scenario.requester_instances, scenario.requester_workers),
            brokers: (0..scenario.brokers()).map(|broker| Broker { idle: idle(broker), ..Broker::default() }).collect(),
            workers: (0..workers).map(|_| worker()).collect(),
            ends: BinaryHeap::with_capacity(workers),
            begun: 0,
            busy: Busy::new(scenario.warm_up_ms, scenario.duration_ms),
            measured: 0,
            enough_at: None,
            sojourns: Latency::precise(),
        }
    }

    /// Runs until every request has ended. A service that ends at the time of an arrival ends before it.
    fn run(&mut self) -> Result<(), ScenarioError> {
        if let Arrivals::Closed { clients, think_ms: 0.0 } = self.scenario.arrivals {
            for _ in 0..clients {
                self.arrive()?;
            }
        }
        loop {
            let end = self.ends.peek().map(|Reverse((time, _, _))| f64::from_bits(*time));
            match (end, self.due.next()) {
                (end, Some(arrival)) if end.is_none_or(|end| end > arrival) && self.may_arrive(arrival) => {
                    self.pass(arrival);
                    self.due.take();
                    self.arrive()?;
                }
                (Some(end), _) => {
                    self.pass(end);
                    self.end_service()?;
                }
                (None, _) => return Ok(()),
            }
        }
    }

    /// Advances the time to the next event.
    fn pass(&mut self, until: f64) {
        self.busy.pass(until);
        self.now = until;
    }

    /// The measured time: from the end of the warm-up until no more requests are made.
    fn window(&self) -> Window {
        let last = self.calls.last().map_or(0.0, |call| call.arrived);
        let end = self.enough_at.or(self.scenario.duration_ms).unwrap_or(last);
        let begin = self.scenario.warm_up_ms.min(end);
        Window { begin, end, busy: self.busy.sum }
    }

    fn may_arrive(&mut self, at: f64) -> bool {
        if self.scenario.duration_ms.is_some_and(|duration| at >= duration) {
            return false;
        }
        let is_enough = self.scenario.count.is_some_and(|count| self.measured >= count);
        if is_enough || self.calls.len() >= self.scenario.requests {
            if self.enough_at.is_none() {
                self.enough_at = Some(at);
                self.busy.close(at);
            }
            return false;
        }
        true
    }

    /// Handles an arrival: puts the request's messages into worker queues, unless its duration or count is used up.
    fn arrive(&mut self) -> Result<(), ScenarioError> {
        if !self.may_arrive(self.now) {
            return Ok(());
        }
        let (instance, queues) = self.queues.choose(self.scenario.fan_out);
        let request = self.calls.len();
        self.calls.push(Call {
            arrived: self.now,
            ended: self.now,
            instance,
            missing: queues.len(),
            requester_wait: 0.0,
            broker_wait: 0.0,
            service: 0.0,
        });
        self.measured += usize::from(self.now >= self.scenario.warm_up_ms);
        for queue in queues {
            let service = (self.draw)();
            if !(service >= 0.0 && service.is_finite()) {
                let allowed = "a time of 0 or more milliseconds";
                return Err(ScenarioError::Range { what: "a drawn service time", value: service, allowed });
            }
            self.queues.all[queue].waiting.push_back(SimMessage { request, queue, broker: 0, service, sent: 0.0 });
            self.send(queue);
        }
        Ok(())
    }

    /// Sends a queue's messages to the brokers, round-robin, until its worker's window is full.
    fn send(&mut self, queue: usize) {
        while self.queues.all[queue].in_flight < self.scenario.window
            && let Some(mut message) = self.queues.all[queue].waiting.pop_front()
        {
            let broker = self.queues.all[queue].turn % self.brokers.len();
            self.queues.all[queue].turn = broker + 1;
            self.queues.all[queue].in_flight += 1;
            (message.broker, message.sent) = (broker, self.now);
            self.calls[message.request].requester_wait += self.now - self.calls[message.request].arrived;
            self.dispatch(message);
        }
    }

    /// The broker sends a message to the longest idle worker, or round-robin.
    fn dispatch(&mut self, message: SimMessage) {
        let (broker, workers) = (&mut self.brokers[message.broker], self.scenario.workers_of(message.broker));
        let worker = match self.scenario.shared_queue {
            true => broker.idle.pop_front(),
            false => {
                let worker = workers.start + broker.turn;
                broker.turn = (broker.turn + 1) % workers.len();
                Some(worker)
            }
        };
        match worker {
            None => broker.waiting.push_back(message),
            Some(worker) => {
                self.workers[worker].receive(message);
                self.begin_service(worker);
            }
        }
    }

    /// A worker takes its next message, if it is idle.
    fn begin_service(&mut self, worker: usize) {
        if self.workers[worker].in_hand.is_some() {
            return;
        }
        let Some(message) = self.workers[worker].next() else { return };
        let call = &mut self.calls[message.request];
        call.broker_wait += self.now - message.sent;
        call.service += message.service;
        self.busy.begin_service();
        self.ends.push(Reverse(((self.now + message.service).to_bits(), self.begun, worker)));
        self.begun += 1;
        self.workers[worker].in_hand = Some(message);
    }

    /// Ends the next service: returns the reply, and the worker takes its next message.
    fn end_service(&mut self) -> Result<(), ScenarioError> {
        let Some(Reverse((_, _, worker))) = self.ends.pop() else { return Ok(()) };
        let Some(message) = self.workers[worker].in_hand.take() else { return Ok(()) };
        self.busy.end_service();
        let broker = &mut self.brokers[message.broker];
        match broker.waiting.pop_front() {
            Some(next) => self.workers[worker].receive(next),
            None if self.scenario.shared_queue => broker.idle.push_back(worker),
            None => {}
        }
        self.begin_service(worker);
        self.queues.all[message.queue].in_flight -= 1;
        self.send(message.queue);
        let call = &mut self.calls[message.request];
        self.sojourns.record(Duration::from_secs_f64((self.now - call.arrived) / 1_000.0));
        call.missing -= 1;
        if call.missing > 0 {
            return Ok(());
        }
        call.ended = self.now;
        self.queues.pending[call.instance] -= 1;
        match self.scenario.arrivals {
            Arrivals::Closed { think_ms: 0.0, .. } => return self.arrive(),
            Arrivals::Closed { .. } => self.due.schedule(self.now),
            Arrivals::Constant { .. } | Arrivals::Poisson { .. } => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "simulation_tests.rs"]
mod tests;
