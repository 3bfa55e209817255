//! The honest client: it asks ten times a second for a request that every worker takes part in, and waits for each answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::http::{Answer, ask};

const PAUSE: Duration = Duration::from_millis(100);

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Every message had its response.
    Served,
    /// Told to come back later: by the web tier, or by another with `overloaded`.
    Refused,
    /// Anything else.
    Failed(String),
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub begun: Instant,
    pub took: Duration,
    pub end: End,
}

/// A client at work until [`Client::stop`].
pub struct Client {
    asked: Arc<Mutex<Vec<Asked>>>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Client {
    pub fn start(web: SocketAddr) -> Self {
        let (asked, stopping) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicBool>::default());
        let (kept, stop) = (asked.clone(), stopping.clone());
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let payload = uuid::Uuid::new_v4().to_string();
                let answer = ask(web, &json!({ "task": "echo", "parameters": { "payload": payload } }));
                let end =
                    answer.map_or_else(|error| End::Failed(format!("{error:#}")), |answer| end(&answer, &payload));
                let asked = Asked { begun, took: begun.elapsed(), end };
                kept.lock().push(asked);
                thread::sleep(PAUSE);
            }
        });
        Self { asked, stopping, thread }
    }

    /// All that has ended so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// Waits for the request under way, and sends no more.
    pub fn stop(self) -> Result<Vec<Asked>> {
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the honest client has panicked"))?;
        Ok(std::mem::take(&mut *self.asked.lock()))
    }
}

/// What an answer to a request with this payload means.
fn end(answer: &Answer, payload: &str) -> End {
    if answer.status == 503 && answer.header("retry-after").is_some() {
        return End::Refused;
    }
    let view = answer.json().unwrap_or_default();
    let replies = view["replies"].as_array().map_or(&[][..], |replies| replies);
    let is_served = |reply: &Value| reply["responseType"] == "Response" && reply["body"] == payload;
    let is_refused = |reply: &Value| reply["code"] == "overloaded";
    let is_whole = answer.status == 200 && view["status"] == "complete" && !replies.is_empty();
    match is_whole {
        true if replies.iter().all(is_served) => End::Served,
        true if replies.iter().all(|reply| is_served(reply) || is_refused(reply)) => End::Refused,
        true => {
            let other = replies.iter().find(|reply| !is_served(reply)).unwrap_or(&Value::Null);
            End::Failed(format!("a reply: {} {}", other["code"], other["body"]))
        }
        false => End::Failed(answer.text()),
    }
}
