use super::*;
use crate::wire::FanOut;

/// Two requester instances and two responder instances, of two workers each; every service takes 100 ms.
fn scenario() -> Scenario {
    Scenario {
        requester_instances: 2,
        requester_workers: 2,
        window: 1,
        responder_instances: 2,
        responder_workers: 2,
        brokers_apart: 0,
        shared_queue: true,
        fan_out: FanOut::One,
        arrivals: Arrivals::closed(1),
        requests: 8,
        duration_ms: None,
        warm_up_ms: 0.0,
        count: None,
        seed: 1,
    }
}

fn latencies(scenario: &Scenario) -> Vec<f64> {
    simulate(scenario, || 100.0).unwrap().latencies
}

#[test]
fn a_request_for_one_goes_to_the_least_loaded() {
    let four = Scenario { arrivals: Arrivals::closed(4), ..scenario() };
    // Each worker queue gets one message; both instances begin with the same brokers.
    assert_eq!(latencies(&four), [100.0; 8]);
    // The fifth waits in a worker queue, although the other three workers are free when its worker is.
    let burst = Scenario { arrivals: Arrivals::closed(5), requests: 5, ..scenario() };
    let simulated = simulate(&burst, || 100.0).unwrap();
    assert_eq!(simulated.latencies, [100.0, 100.0, 100.0, 100.0, 200.0]);
    assert_eq!((simulated.requester_wait_ms, simulated.broker_wait_ms), (20.0, 0.0));
}

#[test]
fn every_queue_begins_with_a_different_broker() {
    let fan_out = Scenario { fan_out: FanOut::All, requester_workers: 1, responder_workers: 1, ..scenario() };
    assert_eq!(latencies(&fan_out), [100.0; 8]);
    let workers = Scenario { requester_instances: 1, requester_workers: 2, ..fan_out };
    assert_eq!(latencies(&workers), [100.0; 8]);
}

#[test]
fn round_robin_sends_to_the_next_worker_even_if_another_is_free() {
    let burst = |shared_queue| Scenario {
        requester_instances: 1,
        requester_workers: 3,
        responder_instances: 1,
        shared_queue,
        fan_out: FanOut::All,
        requests: 1,
        ..scenario()
    };
    let of = |shared_queue| {
        let mut services = [300.0, 100.0, 100.0].into_iter();
        simulate(&burst(shared_queue), || services.next().unwrap()).unwrap().latencies
    };
    assert_eq!((of(true), of(false)), (vec![300.0], vec![400.0]));
}

#[test]
fn a_window_bounds_the_messages_in_flight() {
    let of = |window| {
        let queue =
            Scenario { requester_instances: 1, requester_workers: 1, window, responder_workers: 1, ..scenario() };
        let burst = Scenario { arrivals: Arrivals::closed(4), requests: 4, ..queue };
        latencies(&burst)
    };
    assert_eq!(of(1), [100.0, 200.0, 300.0, 400.0]);
    assert_eq!(of(2), [100.0, 100.0, 200.0, 200.0]);
}

#[test]
fn a_constant_rate_is_even_and_a_duration_ends_it() {
    let even = Scenario {
        arrivals: Arrivals::Constant { rate: 20.0 },
        requests: 1_000,
        duration_ms: Some(1_000.0),
        warm_up_ms: 500.0,
        ..scenario()
    };
    let simulated = simulate(&even, || 100.0).unwrap();
    assert_eq!((simulated.latencies.len(), simulated.span_ms), (10, 500.0));
    assert_eq!((simulated.requests_ended, simulated.messages_ended, simulated.backlog), (10, 10, 0));
    assert!((simulated.busy_ms - 1_000.0).abs() < 1e-6, "two workers of four at any time: {simulated:?}");
}

#[test]
fn impossible_service_times_and_durations_are_refused() {
    let early = Scenario { arrivals: Arrivals::Poisson { rate: 0.001 }, duration_ms: Some(1.0), ..scenario() };
    let error = simulate(&early, || 1.0).unwrap_err().to_string();
    assert!(error.contains("in which a request arrives"));
    for service in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(simulate(&scenario(), || service).is_err());
    }
}

/// Two brokers apart deal to the same worker: it takes from both in turn.
#[test]
fn a_worker_of_several_brokers_takes_from_each_in_turn() {
    for shared_queue in [true, false] {
        let one_worker = Scenario {
            requester_instances: 1,
            responder_instances: 1,
            responder_workers: 1,
            brokers_apart: 2,
            window: 3,
            shared_queue,
            arrivals: Arrivals::closed(6),
            requests: 6,
            ..scenario()
        };
        // Of six messages each broker has three.
        let simulated = simulate(&one_worker, || 100.0).unwrap();
        assert_eq!(simulated.latencies, [100.0, 200.0, 300.0, 400.0, 500.0, 600.0]);
        // Of two workers the first is the next in turn of both brokers: it gets four messages. One that is free takes the fifth.
        let two = Scenario { responder_instances: 2, ..one_worker };
        let last = if shared_queue { 300.0 } else { 400.0 };
        assert_eq!(simulate(&two, || 100.0).unwrap().latencies, [100.0, 100.0, 200.0, 200.0, 300.0, last]);
    }
}
