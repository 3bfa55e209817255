//! The load generator. It has its own threads, so that it neither waits for the deployment nor counts as a part of it.
//!
//! An open loop has a pacing thread that sleeps until each request is due, because an event loop's timers are accurate to a
//! millisecond only. A request's latency is measured from its due time, so that late sending counts as latency (coordinated
//! omission: G. Tene, "How NOT to Measure Latency", 2013). A closed loop has no due times: probes from the same thread measure
//! how late the generator handles events, and so responses.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use actix_rt::System;
use anyhow::{Context, Result, anyhow};
use awc::{Client, Connector};
use futures_util::stream::{FuturesUnordered, StreamExt};
use nix::time::{ClockId, clock_gettime};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand_distr::Exp1;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{Answer, Arrivals, Tally, Times};
use crate::experiment::plan::Load;
use crate::experiment::run::Generator;
use crate::responder::wait;
use crate::runtime::Purpose;
use crate::wire::RequestView;

/// Maximum requests in flight; requests that are due beyond it are never sent.
pub const MAX_UNDER_WAY: usize = 10_000;

/// Time between two progress reports.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Maximum size of a response, in bytes.
const MAX_RESPONSE: usize = 64 << 20;

/// Time that a request may take beyond its messages' timeout.
const GRACE: Duration = Duration::from_secs(5);

/// Probes per second in a closed loop.
const PROBES_PER_S: f64 = 100.0;

/// A load and its target.
#[derive(Clone, Debug)]
pub struct LoadTask {
    /// URL of the web tier, such as `http://127.0.0.1:3000`.
    pub url: String,
    /// The body of every request.
    pub body: Value,
    pub load: Load,
    pub warm_up: Duration,
    pub duration: Duration,
    /// Maximum number of measured requests.
    pub count: Option<u64>,
    pub seed: u64,
    /// Timeout of a message.
    pub timeout: Duration,
}

/// Progress of a load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    pub elapsed: Duration,
    /// The warm-up is over.
    pub measuring: bool,
    /// No more requests are sent.
    pub finished: bool,
    pub sent: u64,
    pub ended: u64,
    /// CPU time of the load generator.
    pub cpu: Duration,
}

/// Result of a load.
pub struct Made {
    pub tally: Tally,
    pub generator: Generator,
    /// Total CPU time of the load generator.
    pub cpu: Duration,
}

/// A running load.
pub struct LoadRunning {
    pub progress: watch::Receiver<Progress>,
    pub made: oneshot::Receiver<Result<Made>>,
}

/// Starts a load. It ends after its duration, or when `stop` is cancelled, and waits for the requests in flight.
pub fn start_load(task: LoadTask, stop: CancellationToken) -> Result<LoadRunning> {
    let (progress, progress_receiver) = watch::channel(Progress::default());
    let (sender, made) = oneshot::channel();
    let run = move || {
        let result = System::new().block_on(make(task, progress, stop));
        // An error means that the receiver was dropped: nobody needs the result.
        let _ = sender.send(result);
    };
    thread::Builder::new().name("load".to_owned()).spawn(run).context("can't start the load generator's thread")?;
    Ok(LoadRunning { progress: progress_receiver, made })
}

/// State that the requests of a load share.
struct Shared {
    client: Client,
    task: LoadTask,
    begun: Instant,
    tally: RefCell<Tally>,
    sent: Cell<u64>,
    ended: Cell<u64>,
    /// Measured requests that have been sent.
    counted: Cell<u64>,
    /// Of the think times of all clients.
    thoughts: RefCell<ChaCha8Rng>,
    stop: CancellationToken,
}

async fn make(task: LoadTask, progress: watch::Sender<Progress>, stop: CancellationToken) -> Result<Made> {
    let timeout = task.timeout + GRACE;
    // No limit of connections, and no connection closed before the requests' own timeout.
    let connector = Connector::new().limit(0).timeout(timeout).conn_keep_alive(timeout);
    let client = Client::builder().connector(connector).timeout(timeout).no_default_headers().finish();
    let length = task.warm_up + task.duration;
    let tally = RefCell::new(Tally::new(task.warm_up, length));
    let (sent, ended, counted) = Default::default();
    let thoughts = RefCell::new(Purpose::Arrivals.stream(task.seed));
    let begun = Instant::now();
    let shared = Rc::new(Shared { client, begun, tally, sent, ended, counted, thoughts, task, stop: stop.clone() });
    let events = actix_rt::spawn(report_progress(shared.clone(), progress.clone()));
    let (intended, unsent) = match shared.task.load {
        Load::Closed { clients, think } => {
            shared.closed(clients, think, length).await?;
            (shared.sent.get(), 0)
        }
        _ => shared.open(length).await?,
    };
    events.abort();
    progress.send_modify(|progress| progress.finished = true);
    // The reporting task drops its clone of `shared` when it has been aborted.
    let _ = events.await;
    let shared = Rc::into_inner(shared).ok_or_else(|| anyhow!("a request outlived its load"))?;
    let tally = shared.tally.into_inner();
    let cpu = own_cpu();
    let behind = unsent > 0 || tally.is_late();
    let generator = Generator { intended, unsent, behind, lag: tally.lag.clone(), cpu_ms: cpu.as_secs_f64() * 1_000.0 };
    Ok(Made { tally, generator, cpu })
}

/// Publishes the load's progress periodically.
async fn report_progress(shared: Rc<Shared>, progress: watch::Sender<Progress>) {
    let mut ticks = actix_rt::time::interval(PROGRESS_INTERVAL);
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

/// CPU time of this thread; the pacing thread's is negligible.
fn own_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

impl Shared {
    /// Clients that each think and send a request, again and again. They begin by thinking, so that not all send at once.
    async fn closed(self: &Rc<Self>, clients: u32, think: Duration, length: Duration) -> Result<()> {
        let mut due = self.pace(Arrivals::new(Load::Constant { per_s: PROBES_PER_S }, length, self.task.seed))?;
        let shared = self.clone();
        let probes = actix_rt::spawn(async move {
            while let Some(due) = due.recv().await {
                shared.tally.borrow_mut().lag(due, shared.begun.elapsed());
            }
        });
        // Ends the think times of the other clients when one finds that there are enough requests.
        let over = self.stop.child_token();
        let client = |shared: Rc<Self>, over: CancellationToken| async move {
            loop {
                shared.think(think, length, &over).await;
                let due = shared.begun.elapsed();
                if shared.stop.is_cancelled() || due >= length {
                    return;
                }
                if shared.is_enough() {
                    over.cancel();
                    return shared.tally.borrow_mut().close(due);
                }
                let failed = shared.request(due).await;
                if failed {
                    // Back off: a web tier that refuses at once would get thousands of requests per second.
                    actix_rt::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        (0..clients).map(|_| client(self.clone(), over.clone())).collect::<FuturesUnordered<_>>().collect::<()>().await;
        probes.abort();
        // The probes drop their clone of the load when they have been aborted.
        let _ = probes.await;
        Ok(())
    }

    /// Waits for a think time, exponentially distributed, at most until the load is over.
    async fn think(&self, mean: Duration, length: Duration, over: &CancellationToken) {
        if mean.is_zero() {
            return;
        }
        let drawn = mean.mul_f64(self.thoughts.borrow_mut().sample(Exp1));
        let left = length.saturating_sub(self.begun.elapsed());
        tokio::select! {
            () = wait(drawn.min(left)) => {}
            () = over.cancelled() => {}
        }
    }

    /// Starts the pacing thread. It sends each due time when that time has come.
    fn pace(&self, arrivals: Arrivals) -> Result<mpsc::UnboundedReceiver<Duration>> {
        let (sender, due) = mpsc::unbounded_channel();
        let (begun, stop) = (self.begun, self.stop.clone());
        let pace = move || {
            for due in arrivals {
                thread::sleep(due.saturating_sub(begun.elapsed()));
                if stop.is_cancelled() || sender.send(due).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("pacing".to_owned()).spawn(pace).context("can't start the load's pacing thread")?;
        Ok(due)
    }

    /// Sends requests at their due times. Returns the number of requests that were due, and of those that were never sent.
    async fn open(self: &Rc<Self>, length: Duration) -> Result<(u64, u64)> {
        let mut due = self.pace(Arrivals::new(self.task.load, length, self.task.seed))?;
        let mut under_way = FuturesUnordered::new();
        let (mut intended, mut unsent) = (0, 0);
        loop {
            tokio::select! {
                Some(_) = under_way.next() => {}
                next = due.recv() => match next {
                    Some(after) if self.is_enough() => {
                        self.tally.borrow_mut().close(after);
                        due.close();
                    }
                    Some(_) if under_way.len() >= MAX_UNDER_WAY => (intended, unsent) = (intended + 1, unsent + 1),
                    Some(due) => {
                        intended += 1;
                        let shared = self.clone();
                        self.tally.borrow_mut().lag(due, self.begun.elapsed());
                        under_way.push(async move { shared.request(due).await });
                    }
                    None => break,
                }
            }
        }
        under_way.collect::<Vec<_>>().await;
        Ok((intended, unsent))
    }

    /// True if `count` measured requests have been sent.
    fn is_enough(&self) -> bool {
        self.task.count.is_some_and(|count| self.counted.get() >= count)
    }

    /// Sends a request and counts its outcome; returns true if it failed.
    async fn request(&self, due: Duration) -> bool {
        self.sent.set(self.sent.get() + 1);
        if self.tally.borrow().counts(due) {
            self.counted.set(self.counted.get() + 1);
        }
        let answer = self.ask().await;
        let ended = self.begun.elapsed();
        self.ended.set(self.ended.get() + 1);
        self.tally.borrow_mut().add(Times { due, ended }, &answer);
        !matches!(answer, Answer::View(_))
    }

    async fn ask(&self) -> Answer {
        let url = format!("{}/api/v1/requests?wait=true", self.task.url);
        let mut response = match self.client.post(url).send_json(&self.task.body).await {
            Ok(response) => response,
            Err(error) => return Answer::Lost(error.to_string()),
        };
        let body = match response.body().limit(MAX_RESPONSE).await {
            Ok(body) => body,
            Err(error) => return Answer::Lost(error.to_string()),
        };
        if response.status().is_success() {
            return match serde_json::from_slice::<RequestView>(&body) {
                Ok(view) => Answer::View(Box::new(view)),
                Err(error) => Answer::Lost(format!("a response that cannot be parsed: {error}")),
            };
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = |field: &str| body["error"][field].as_str().unwrap_or("no reason given").to_owned();
        match body["error"]["requestId"].as_str() {
            // The request was accepted, so its messages' outcomes count.
            Some(id) => match self.view_of(id).await {
                Some(view) => Answer::View(Box::new(view)),
                None => Answer::Lost(said("code")),
            },
            None => Answer::Refused(format!("{}: {}", said("code"), said("message"))),
        }
    }

    async fn view_of(&self, request_id: &str) -> Option<RequestView> {
        let url = format!("{}/api/v1/requests/{request_id}", self.task.url);
        self.client.get(url).send().await.ok()?.json().limit(MAX_RESPONSE).await.ok()
    }
}
