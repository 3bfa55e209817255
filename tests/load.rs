//! The load generator against a server whose service times are known: alone in its process, so that nothing else runs
//! while it measures.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use actix_web::web::{Data, post};
use actix_web::{App, HttpResponse, HttpServer};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use swarmq::experiment::load::{LoadTask, Made, start_load};
use swarmq::wire::{OutcomeCounts, RequestStatus, RequestView};
use tokio_util::sync::CancellationToken;

const RATE: f64 = 200.0;
const SECONDS: u64 = 5;

/// What the server knows itself.
struct Known {
    random: ChaCha8Rng,
    begun: Instant,
    /// When each request came and when its answer was made, in the order in which they came.
    times: Vec<(Duration, Duration)>,
    /// A time in which nothing is answered.
    stall: Option<(Duration, Duration)>,
    /// Requests that wait for its end.
    stalled: u32,
}

/// Between two answers after a stall. All at once would take the client longer to read than the percentiles may be off.
const DRAIN: Duration = Duration::from_millis(2);

impl Known {
    /// From when each request was due until its answer was made. The load began when the request that was quickest on its
    /// way says.
    fn latencies(&self) -> Vec<Duration> {
        let due = |number: usize| Duration::from_secs_f64(number as f64 / RATE);
        let begun = self.times.iter().enumerate().map(|(number, (came, _))| came.saturating_sub(due(number))).min();
        let begun = begun.unwrap_or_default();
        let latency = |(number, (_, ended)): (usize, &(Duration, Duration))| ended.saturating_sub(begun + due(number));
        self.times.iter().enumerate().map(latency).collect()
    }
}

/// Answers after a drawn time, and not before a stall has ended.
async fn answer(known: Data<Mutex<Known>>) -> HttpResponse {
    let (number, begun, delay, stall) = {
        let mut known = known.lock().unwrap();
        let came = known.begun.elapsed();
        known.times.push((came, Duration::ZERO));
        let delay = Duration::from_micros(known.random.random_range(10_000..30_000));
        (known.times.len() - 1, known.begun, delay, known.stall)
    };
    actix_rt::time::sleep(delay).await;
    if let Some((_, until)) = stall.filter(|(from, until)| (*from..*until).contains(&begun.elapsed())) {
        let place = {
            let mut known = known.lock().unwrap();
            known.stalled += 1;
            known.stalled
        };
        actix_rt::time::sleep((until + DRAIN * place).saturating_sub(begun.elapsed())).await;
    }
    known.lock().unwrap().times[number].1 = begun.elapsed();
    let counts = OutcomeCounts { responses: 1, ..OutcomeCounts::default() };
    let view = RequestView { status: RequestStatus::Complete, counts, ..RequestView::default() };
    HttpResponse::Ok().json(view)
}

/// Makes a load of so many requests at most, of which the server knows.
async fn load(stall: Option<(Duration, Duration)>, count: Option<u64>) -> (Made, Data<Mutex<Known>>) {
    let random = ChaCha8Rng::seed_from_u64(20_170_129);
    let known = Data::new(Mutex::new(Known { random, begun: Instant::now(), times: vec![], stall, stalled: 0 }));
    let served = known.clone();
    let server =
        HttpServer::new(move || App::new().app_data(served.clone()).route("/api/v1/requests", post().to(answer)))
            .workers(1)
            .bind("127.0.0.1:0")
            .unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    let server = server.disable_signals().run();
    let handle = server.handle();
    actix_rt::spawn(server);
    let task = LoadTask {
        url,
        body: serde_json::json!({}),
        load: format!("constant {RATE}/s").parse().unwrap(),
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(SECONDS),
        count,
        seed: 1,
        timeout: Duration::from_secs(30),
    };
    let made = start_load(task, CancellationToken::new()).unwrap().made.await.unwrap().unwrap();
    handle.stop(false).await;
    (made, known)
}

/// Holds what was measured against what the server knows.
async fn measure(stall: Option<(Duration, Duration)>) {
    let (Made { tally, generator, .. }, known) = load(stall, None).await;
    let mut truth = known.lock().unwrap().latencies();
    truth.sort();
    assert_eq!((truth.len() as u64, tally.latency.count()), (SECONDS * RATE as u64, truth.len() as u64));
    assert_eq!((generator.intended, generator.unsent), (truth.len() as u64, 0));
    let (achieved, _) = tally.rates();
    assert!((achieved / RATE - 1.0).abs() < 0.05, "{achieved} requests a second");
    for share in [0.5, 0.9, 0.95, 0.99] {
        let measured = tally.latency.quantile_us(share) as f64 / 1_000.0;
        let known = truth[(share * truth.len() as f64).ceil() as usize - 1].as_secs_f64() * 1_000.0;
        assert!((measured - known).abs() <= 0.01 * known + 1.0, "p{}: {measured} ms, not {known} ms", share * 100.0);
    }
    if let Some((from, until)) = stall {
        // Every request of the stall waited for longer than that; a client that waits for each answer would have sent one
        // request into the stall, and seen one slow answer.
        let stalled = truth.iter().filter(|latency| **latency > Duration::from_millis(100)).count() as f64;
        let expected = (until - from).as_secs_f64() * RATE;
        assert!((stalled / expected - 1.0).abs() < 0.05, "{stalled} slow requests, not {expected}");
        let slow = (1.0 - tally.latency.count_up_to(Duration::from_millis(100)) as f64 / truth.len() as f64)
            * truth.len() as f64;
        assert!((slow / stalled - 1.0).abs() < 0.05, "{slow} of {stalled} slow requests were seen");
    }
}

/// One after the other: two loads at once would measure each other.
#[actix_rt::test]
async fn percentiles_are_within_one_percent_and_a_millisecond_also_when_the_server_stalls() {
    measure(None).await;
    measure(Some((Duration::from_secs(2), Duration::from_secs(3)))).await;
    // A count ends when the next request would be due, and not when the last one has its answer.
    let (Made { tally, .. }, known) = load(None, Some(100)).await;
    assert_eq!((tally.requests.complete, known.lock().unwrap().times.len()), (100, 100));
    assert_eq!(tally.window(), Duration::from_secs_f64(100.0 / RATE));
}
