//! The load generator: on threads of its own, so that it neither waits for the deployment nor is counted as a part of it.
//!
//! An open loop has a pacing thread that sleeps until each request is due, because an event loop's timers are exact to a
//! millisecond only. A request's latency counts from when it was due: one that is sent late, for whatever reason, was
//! slow (coordinated omission: G. Tene, "How NOT to Measure Latency", 2013).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use actix_rt::System;
use anyhow::{Context, Result, anyhow};
use awc::{Client, Connector};
use futures_util::stream::{FuturesUnordered, StreamExt};
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{Answer, Arrivals, Tally, Times};
use crate::experiment::plan::Load;
use crate::experiment::run::Generator;
use crate::wire::RequestView;

/// Requests under way at one time; what is due beyond them is never sent.
const MAX_UNDER_WAY: usize = 10_000;

/// Between two looks at how far it is.
const TOLD_EVERY: Duration = Duration::from_millis(250);

/// The largest answer that is read.
const MAX_ANSWER: usize = 64 << 20;

/// How much longer than its messages a request may take.
const GRACE: Duration = Duration::from_secs(5);

/// Lag that one request in a hundred may have before the generator counts as behind.
const TOLERABLE_LAG: Duration = Duration::from_millis(20);

/// What load to make, and against what.
#[derive(Clone, Debug)]
pub struct LoadTask {
    /// Of the web tier, such as `http://127.0.0.1:3000`.
    pub url: String,
    /// The body of every request.
    pub body: Value,
    pub load: Load,
    pub warm_up: Duration,
    pub duration: Duration,
    /// Requests that count.
    pub count: Option<u64>,
    pub seed: u64,
    /// Of a message.
    pub timeout: Duration,
}

/// How far a load is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    pub elapsed: Duration,
    /// The warm-up is over.
    pub measuring: bool,
    /// No more requests are sent.
    pub finished: bool,
    pub sent: u64,
    pub ended: u64,
    /// Processor time of the load generator.
    pub cpu: Duration,
}

/// What a load came to.
pub struct Made {
    pub tally: Tally,
    pub generator: Generator,
    /// Processor time of the load generator, all in all.
    pub cpu: Duration,
}

/// A load that is being made.
pub struct LoadRunning {
    pub progress: watch::Receiver<Progress>,
    pub made: oneshot::Receiver<Result<Made>>,
}

/// Starts a load. It ends by itself, or when `stop` is cancelled, and waits for what it has sent.
pub fn start_load(task: LoadTask, stop: CancellationToken) -> Result<LoadRunning> {
    let (progress, told) = watch::channel(Progress::default());
    let (sender, made) = oneshot::channel();
    let run = move || {
        let result = System::new().block_on(make(task, progress, stop));
        // Nobody waits for a load that was given up.
        let _ = sender.send(result);
    };
    thread::Builder::new().name("load".to_owned()).spawn(run).context("no thread for the load generator")?;
    Ok(LoadRunning { progress: told, made })
}

/// What the requests of a load share.
struct Shared {
    client: Client,
    task: LoadTask,
    begun: Instant,
    tally: RefCell<Tally>,
    sent: Cell<u64>,
    ended: Cell<u64>,
    /// Requests that count and have been sent.
    counted: Cell<u64>,
    stop: CancellationToken,
}

async fn make(task: LoadTask, progress: watch::Sender<Progress>, stop: CancellationToken) -> Result<Made> {
    let patience = task.timeout + GRACE;
    // A connection for each request under way, and none given up meanwhile.
    let connector = Connector::new().limit(0).timeout(patience).conn_keep_alive(patience);
    let client = Client::builder().connector(connector).timeout(patience).no_default_headers().finish();
    let length = task.warm_up + task.duration;
    let tally = RefCell::new(Tally::new(task.warm_up, length));
    let (sent, ended, counted) = Default::default();
    let shared =
        Rc::new(Shared { client, begun: Instant::now(), tally, sent, ended, counted, task, stop: stop.clone() });
    let events = actix_rt::spawn(tell(shared.clone(), progress.clone()));
    let (intended, unsent) = match shared.task.load {
        Load::Closed { clients } => {
            shared.closed(clients, length).await;
            (shared.sent.get(), 0)
        }
        _ => shared.open(length).await?,
    };
    events.abort();
    progress.send_modify(|progress| progress.finished = true);
    // The event sink's share is gone once it has seen that it was aborted.
    let _ = events.await;
    let shared = Rc::into_inner(shared).ok_or_else(|| anyhow!("a request outlived its load"))?;
    let tally = shared.tally.into_inner();
    let lag = tally.lag.clone();
    let cpu = own_cpu();
    let late = Duration::from_micros(lag.quantile_us(0.99)) > TOLERABLE_LAG;
    let generator =
        Generator { intended, unsent, behind: unsent > 0 || late, lag, cpu_ms: cpu.as_secs_f64() * 1_000.0 };
    Ok(Made { tally, generator, cpu })
}

/// Tells how far the load is, again and again.
async fn tell(shared: Rc<Shared>, progress: watch::Sender<Progress>) {
    let mut ticks = actix_rt::time::interval(TOLD_EVERY);
    loop {
        ticks.tick().await;
        let elapsed = shared.begun.elapsed();
        progress.send_replace(Progress {
            elapsed,
            measuring: elapsed >= shared.task.warm_up,
            finished: elapsed >= shared.task.warm_up + shared.task.duration,
            sent: shared.sent.get(),
            ended: shared.ended.get(),
            cpu: own_cpu(),
        });
    }
}

/// Processor time of this thread; the pacing thread's is next to nothing.
fn own_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

impl Shared {
    /// Clients that each send a request when their last one has ended.
    async fn closed(self: &Rc<Self>, clients: u32, length: Duration) {
        let client = |shared: Rc<Self>| async move {
            while !shared.stop.is_cancelled() && shared.begun.elapsed() < length && !shared.is_enough() {
                let due = shared.begun.elapsed();
                let failed = shared.request(due).await;
                if failed {
                    // What refuses at once would be asked thousands of times a second for nothing.
                    actix_rt::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        (0..clients).map(|_| client(self.clone())).collect::<FuturesUnordered<_>>().collect::<()>().await;
    }

    /// Requests at their times. How many were due, and how many of them were never sent.
    async fn open(self: &Rc<Self>, length: Duration) -> Result<(u64, u64)> {
        let arrivals = Arrivals::new(self.task.load, length, self.task.seed);
        let (sender, mut due) = mpsc::unbounded_channel();
        let (begun, stop) = (self.begun, self.stop.clone());
        let pace = move || {
            for due in arrivals {
                thread::sleep(due.saturating_sub(begun.elapsed()));
                if stop.is_cancelled() || sender.send(due).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("pacing".to_owned()).spawn(pace).context("no thread to pace the load")?;
        let mut under_way = FuturesUnordered::new();
        let (mut intended, mut unsent) = (0, 0);
        loop {
            tokio::select! {
                Some(_) = under_way.next() => {}
                next = due.recv() => match next {
                    Some(_) if self.is_enough() => due.close(),
                    Some(_) if under_way.len() >= MAX_UNDER_WAY => (intended, unsent) = (intended + 1, unsent + 1),
                    Some(due) => {
                        intended += 1;
                        let shared = self.clone();
                        under_way.push(async move { shared.request(due).await });
                    }
                    None => break,
                }
            }
        }
        under_way.collect::<Vec<_>>().await;
        Ok((intended, unsent))
    }

    /// Whether as many requests as should count have been sent.
    fn is_enough(&self) -> bool {
        self.task.count.is_some_and(|count| self.counted.get() >= count)
    }

    /// Sends one request and counts what becomes of it; true when it failed.
    async fn request(&self, due: Duration) -> bool {
        let sent = self.begun.elapsed();
        self.sent.set(self.sent.get() + 1);
        if self.tally.borrow().counts(due) {
            self.counted.set(self.counted.get() + 1);
        }
        let answer = self.ask().await;
        let ended = self.begun.elapsed();
        self.ended.set(self.ended.get() + 1);
        let mut tally = self.tally.borrow_mut();
        tally.add(Times { due, sent, ended }, &answer);
        if self.is_enough() && tally.requests.sent == self.counted.get() {
            // The last one that counts: what came after it would make the time longer for nothing.
            tally.close(ended);
        }
        !matches!(answer, Answer::View(_))
    }

    async fn ask(&self) -> Answer {
        let url = format!("{}/api/v1/requests?wait=true", self.task.url);
        let mut response = match self.client.post(url).send_json(&self.task.body).await {
            Ok(response) => response,
            Err(error) => return Answer::Lost(error.to_string()),
        };
        let body = match response.body().limit(MAX_ANSWER).await {
            Ok(body) => body,
            Err(error) => return Answer::Lost(error.to_string()),
        };
        if response.status().is_success() {
            return match serde_json::from_slice::<RequestView>(&body) {
                Ok(view) => Answer::View(Box::new(view)),
                Err(error) => Answer::Lost(format!("an answer that can't be read: {error}")),
            };
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = |field: &str| body["error"][field].as_str().unwrap_or("no reason given").to_owned();
        match body["error"]["requestId"].as_str() {
            // It was taken on, and what its messages came to is to be counted.
            Some(id) => match self.view_of(id).await {
                Some(view) => Answer::View(Box::new(view)),
                None => Answer::Lost(said("code")),
            },
            None => Answer::Refused(format!("{}: {}", said("code"), said("message"))),
        }
    }

    async fn view_of(&self, request_id: &str) -> Option<RequestView> {
        let url = format!("{}/api/v1/requests/{request_id}", self.task.url);
        self.client.get(url).send().await.ok()?.json().limit(MAX_ANSWER).await.ok()
    }
}
