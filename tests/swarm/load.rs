//! The steady load: an open-loop client that sends a request at each tick, whatever became of those before, and keeps
//! what came of every one. It asks the web instances in turn as a load balancer would: on to the next where nobody
//! listens or it is told to come back later, but never a second time what may have been taken on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use awc::Connector;
use awc::error::SendRequestError;
use parking_lot::Mutex;
use serde_json::{Value, json};
use swarmq::wire::{RequestStatus, RequestView};
use tokio::time::timeout;

/// Requests a second.
pub const RATE: u32 = 10;

/// Every so many-th request goes to all requester workers, the others to one.
const ALL_EVERY: usize = 10;

/// How long a client tries to find a web instance that takes its request.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than the program itself lets a request take (`requester.timeout` and a second).
const MAX_ANSWER: Duration = Duration::from_secs(15);

/// What became of a request.
pub enum End {
    /// It has ended, as its view says.
    Ended(Box<RequestView>),
    /// It may have been taken on, but the web instance did not answer.
    ConnectionLost(String),
    /// No web instance took it on.
    NotTaken(String),
}

/// A request of the load. Its time counts from when it was due.
pub struct Asked {
    pub due: Instant,
    pub ended: Instant,
    pub end: End,
}

impl Asked {
    pub fn took(&self) -> Duration {
        self.ended.duration_since(self.due)
    }

    /// Why it is not what its sender hoped for; none when every message has its response.
    pub fn problem(&self) -> Option<String> {
        match &self.end {
            End::ConnectionLost(reason) => Some(format!("connection to web lost: {reason}")),
            End::NotTaken(reason) => Some(format!("not taken: {reason}")),
            End::Ended(view) if view.status != RequestStatus::Complete => {
                Some(format!("failed: {}", view.reason.as_deref().unwrap_or("no reason")))
            }
            End::Ended(view) if view.counts.responses == view.messages.len() as u64 => None,
            End::Ended(view) => {
                let lost = view.messages.iter().find_map(|message| message.lost.clone());
                let body = view.replies.iter().find(|reply| reply.code.is_some()).map(|reply| reply.body.clone());
                Some(format!("in part: {}", lost.or(body).unwrap_or_default()))
            }
        }
    }
}

/// A load that runs in a thread of its own until [`Load::stop`].
pub struct Load {
    asked: Arc<Mutex<Vec<Asked>>>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Load {
    /// Starts to ask the web tier at these addresses.
    pub fn start(addresses: Vec<String>) -> Self {
        let (asked, stopping) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicBool>::default());
        let (kept, stop) = (asked.clone(), stopping.clone());
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
                let mut asking = Vec::new();
                for number in 0.. {
                    let due = ticks.tick().await.into_std();
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (addresses, kept) = (addresses.clone(), kept.clone());
                    asking.push(actix_rt::spawn(async move {
                        let end = ask(number, &addresses).await;
                        let asked = Asked { due, ended: Instant::now(), end };
                        kept.lock().push(asked);
                    }));
                }
                for task in asking {
                    task.await?;
                }
                Ok(())
            })
        });
        Self { asked, stopping, thread }
    }

    /// How many requests have ended so far, and how many of those as they should.
    pub fn so_far(&self) -> (usize, usize) {
        let asked = self.asked.lock();
        (asked.len(), asked.iter().filter(|asked| asked.problem().is_none()).count())
    }

    /// Sends no more; all that was asked, when the last has ended.
    pub fn stop(self) -> Result<Vec<Asked>> {
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the load has panicked"))??;
        let mut asked = std::mem::take(&mut *self.asked.lock());
        asked.sort_by_key(|asked| asked.due);
        Ok(asked)
    }
}

/// Sends one request and waits for its end.
async fn ask(number: usize, addresses: &[String]) -> End {
    let fan_out = if number.is_multiple_of(ALL_EVERY) { "all" } else { "one" };
    let body = json!({ "task": "echo", "parameters": { "payload": number.to_string() }, "fanOut": fan_out });
    let connector = Connector::new().timeout(Duration::from_secs(1));
    let client = awc::Client::builder().connector(connector).timeout(MAX_ANSWER).finish();
    let begun = Instant::now();
    for address in addresses.iter().cycle().skip(number) {
        let sent = client.post(format!("http://{address}/api/v1/requests")).force_close().send_json(&body).await;
        let refusal = match sent {
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                match answer.json::<Value>().await {
                    Ok(json) if status == 202 => return follow(&client, address, &json["requestId"]).await,
                    Ok(json) => format!("{status}: {json}"),
                    Err(error) => return End::ConnectionLost(error.to_string()),
                }
            }
            Err(SendRequestError::Connect(error)) => error.to_string(),
            Err(error) => return End::ConnectionLost(error.to_string()),
        };
        if begun.elapsed() > PATIENCE {
            return End::NotTaken(refusal);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    End::NotTaken("no addresses".to_owned())
}

/// Waits for the end of a request that was taken on.
async fn follow(client: &awc::Client, address: &str, id: &Value) -> End {
    let id = id.as_str().unwrap_or_default();
    let lost = |reason: String| End::ConnectionLost(format!("{reason} ({id})"));
    let url = format!("http://{address}/api/v1/requests/{id}/replies");
    let lines = async {
        let mut answer = client.get(url).force_close().send().await.map_err(|error| error.to_string())?;
        answer.body().limit(1 << 20).await.map_err(|error| error.to_string())
    };
    // A node that died says nothing more, not even that.
    let lines = timeout(MAX_ANSWER, lines).await.unwrap_or_else(|_| Err("nothing more was heard".to_owned()));
    let last = lines.map(|lines| lines.trim_ascii_end().split(|byte| *byte == b'\n').next_back().map(<[u8]>::to_vec));
    match last {
        Ok(line) => match serde_json::from_slice(&line.unwrap_or_default()) {
            Ok(view) => End::Ended(Box::new(view)),
            Err(error) => lost(format!("no request at the end of the replies: {error}")),
        },
        Err(reason) => lost(reason),
    }
}
