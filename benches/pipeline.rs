//! Messages per second through requester workers, broker and responder workers with the `echo` task and no delay, compared
//! with the limit of libzmq: plain threads around `zmq::proxy` without JSON. Both alternate in one run, so that the ratio
//! depends little on the machine. Run it with `cargo bench --bench pipeline [WORKERS ...]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use slog::{Discard, Logger, o};
use swarmq::app::App;
use swarmq::config::Role;
use swarmq::config::{Config, Override, Sources};
use swarmq::requester::RequestCoordinator;
use swarmq::wire::Request;
use tokio::sync::mpsc;

/// Duration of each measurement, after a warm-up of a fifth of it.
const RUN: Duration = Duration::from_secs(4);

/// Runs of each; the medians are compared.
const TURNS: usize = 5;

/// Requests in flight, so that each worker always has a message waiting.
const UNDER_WAY: usize = 4;

/// A message of the article's size.
const MESSAGE: &[u8] = br#"{"requestId":"7189ab9b-5454-4d1d-8741-71d3ddfb9dcf","filename":"../../target.txt","messageId":"d5f2ab9b-5454-4d1d-8741-71d3ddfb9dcf","requesterId":"4fcfab9b-5454-4d1d-8741-71d3ddfb9dcf","requestedAt":1795346736497,"padding":"0123456789012345"}"#;

fn main() {
    let counts: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![8, 64] } else { counts };
    println!("{:>9}  {:>12}  {:>12}  {:>6}", "workers", "plain msg/s", "swarmq msg/s", "ratio");
    for workers in counts {
        let (mut plain, mut ours) = (vec![], vec![]);
        for _ in 0..TURNS {
            plain.push(run_plain(workers));
            ours.push(run_swarmq(workers));
        }
        let (plain, ours) = (median(plain), median(ours));
        println!("{:>9}  {plain:>12.0}  {ours:>12.0}  {:>6.2}", format!("{workers}x{workers}"), ours / plain);
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Messages per second through plain threads: REQ -> tcp ROUTER, proxy, DEALER -> inproc REP.
fn run_plain(workers: usize) -> f64 {
    let context = zmq::Context::new();
    let (router, dealer) = (context.socket(zmq::ROUTER).unwrap(), context.socket(zmq::DEALER).unwrap());
    router.set_backlog(4096).unwrap();
    router.bind("tcp://127.0.0.1:*").unwrap();
    dealer.bind("inproc://plain").unwrap();
    let address = router.get_last_endpoint().unwrap().unwrap();
    let mut control = context.socket(zmq::PAIR).unwrap();
    control.bind("inproc://control").unwrap();
    let proxy = thread::spawn(move || {
        let (mut router, mut dealer) = (router, dealer);
        zmq::proxy_steerable(&mut router, &mut dealer, &mut control).unwrap();
    });
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut threads = vec![];
    for _ in 0..workers {
        let (socket, stopped) = (context.socket(zmq::REP).unwrap(), stop.clone());
        threads.push(thread::spawn(move || {
            socket.set_rcvtimeo(200).unwrap();
            socket.set_linger(0).unwrap();
            socket.connect("inproc://plain").unwrap();
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(message) = socket.recv_msg(0) {
                    socket.send(message, 0).unwrap();
                }
            }
        }));
        let (socket, stopped, count, address) =
            (context.socket(zmq::REQ).unwrap(), stop.clone(), count.clone(), address.clone());
        threads.push(thread::spawn(move || {
            socket.set_rcvtimeo(1000).unwrap();
            socket.set_linger(0).unwrap();
            socket.connect(&address).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                socket.send(MESSAGE, 0).unwrap();
                if socket.recv_msg(0).is_err() {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    thread::sleep(RUN / 5);
    let (before, begun) = (count.load(Ordering::Relaxed), Instant::now());
    thread::sleep(RUN);
    let rate = (count.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let terminate = context.socket(zmq::PAIR).unwrap();
    terminate.connect("inproc://control").unwrap();
    terminate.send("TERMINATE", 0).unwrap();
    proxy.join().unwrap();
    rate
}

/// Messages per second through the program, from the request's arrival at the requester to the set of replies.
fn run_swarmq(workers: usize) -> f64 {
    let set = |key: &str, value: String| Override { key: key.into(), value, flag: "bench".into() };
    let overrides = vec![
        set("requester.workers", workers.to_string()),
        set("responder.workers", workers.to_string()),
        set("task.name", "echo".into()),
        // As deployed: the test profile publishes much more often.
        set("telemetry.interval", "500ms".into()),
        set("discovery.heartbeat", "1s".into()),
        set("discovery.heartbeat_timeout", "2s".into()),
        set("requester.retry_after", "5s".into()),
    ];
    let sources = Sources { profile: Some("test".into()), overrides, ..Sources::default() };
    let settings = Config::load(&sources).unwrap().settings;
    actix_rt::System::new().block_on(async move {
        let app = App::build(settings, Role::All, Logger::root(Discard, o!())).unwrap();
        let coordinator = app.coordinator().unwrap();
        let count = Arc::new(AtomicU64::new(0));
        for _ in 0..UNDER_WAY {
            actix_rt::spawn(keep_asking(coordinator.clone(), count.clone()));
        }
        actix_rt::time::sleep(RUN / 5).await;
        let (before, begun) = (count.load(Ordering::Relaxed), Instant::now());
        actix_rt::time::sleep(RUN).await;
        let rate = (count.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
        app.run_until_stopped(async {}).await.unwrap();
        rate
    })
}

async fn keep_asking(coordinator: Arc<RequestCoordinator>, count: Arc<AtomicU64>) {
    let log = Logger::root(Discard, o!());
    let mut parameters = serde_json::Map::new();
    parameters.insert("payload".into(), "Hello Paul".into());
    for id in 0_u64.. {
        let request = Request { request_id: id.to_string(), parameters: parameters.clone(), ..Request::default() };
        let (sink, mut frames) = mpsc::channel(1);
        coordinator.handle(request, sink, &log).await;
        // `None` means that the program is shutting down.
        let Some(line) = frames.recv().await else { return };
        let (replies, responses) =
            (line.text.matches("\"messageId\"").count(), line.text.matches("\"body\":\"Hello Paul\"").count());
        assert_eq!(responses, replies, "an error: {}", line.text);
        count.fetch_add(responses as u64, Ordering::Relaxed);
    }
}
