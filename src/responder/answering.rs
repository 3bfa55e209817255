//! Answers a message: waits for the worker's delay and does the task, both before the message's deadline.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use slog::{Logger, debug, warn};
use tokio::time::{Instant, timeout_at};

use super::{ResponderContext, TaskState, wait};
use crate::responder::tasks::TaskInput;
use crate::runtime::deadline_of;
use crate::runtime::supervision::panic_message;
use crate::runtime::zeromq::Frames;
use crate::wire::{DeliveryFrame, ErrorCode, MAX_TIMEOUT_MS, Message, Outcome, Reply, Timings};

/// Deaths of workers on one message after which it gets an error reply instead of another attempt.
const DEATHS_ALLOWED: u32 = 2;

/// Maximum time that [`needed`] adds to a delay for the reply's way back; it adds a fifth of a short delay.
const REPLY_TIME: Duration = Duration::from_millis(10);

/// The answer to a message.
pub struct Answer {
    /// The reply's JSON.
    pub json: Vec<u8>,
    /// `None`: the message expired before its task was done.
    pub outcome: Option<Outcome>,
    /// Time for the delay, injected faults and the task.
    pub service: Duration,
}

/// The work on one message. It owns all that it needs, so that it does not borrow the worker's state.
pub struct Job {
    message: Message,
    /// The error to reply with instead of doing the task.
    refusal: Option<(ErrorCode, String)>,
    started: Instant,
    delay: Duration,
    deadline: Option<Instant>,
    responder_id: i64,
    /// Index of the worker.
    worker: usize,
    context: Arc<ResponderContext>,
    log: Logger,
}

impl Job {
    /// The job for the current message, whose first frame is its JSON.
    pub fn new(task: &mut TaskState, worker: usize, context: Arc<ResponderContext>, log: Logger) -> Self {
        // Not taken: if this worker dies, the slot's next worker needs the message.
        let frames = task.current.as_deref().unwrap_or_default();
        let parsed = frames.first().map_or_else(|| Message::parse(b""), |json| Message::parse(json));
        let (message, refusal) = match parsed {
            Ok(message) if task.deaths >= DEATHS_ALLOWED => {
                (message, Some((ErrorCode::Panicked, format!("the worker died {} times on this message", task.deaths))))
            }
            Ok(message) => (message, None),
            Err(error) => {
                warn!(log, "a message cannot be parsed"; "error" => %error);
                (Message::default(), Some((ErrorCode::BadRequest, format!("the message cannot be parsed: {error}"))))
            }
        };
        debug!(log, "message"; "requestId" => &message.request_id, "messageId" => &message.message_id);
        let delivery = frames.iter().skip(1).find_map(|frame| DeliveryFrame::parse(frame));
        Self {
            started: Instant::now(),
            delay: if refusal.is_none() { task.delays.draw() } else { Duration::ZERO },
            deadline: deadline(delivery.as_ref(), &message),
            responder_id: task.responder_id,
            message,
            refusal,
            worker,
            context,
            log,
        }
    }

    /// Does the message's task and makes the reply.
    ///
    /// # Errors
    /// The reply cannot be serialised as JSON.
    pub async fn answer(self) -> io::Result<Answer> {
        let Self { message, context, .. } = &self;
        let done = match &self.refusal {
            Some((code, body)) => Some(self.error(*code, body)),
            None => before(self.deadline, needed(self.delay, message), self.work()).await,
        };
        let expired = done.is_none();
        let reply =
            done.unwrap_or_else(|| self.error(ErrorCode::Timeout, "the message expired before its task was done"));
        let service = self.started.elapsed();
        let limit = context.max_reply_bytes;
        let limit = message.max_reply_bytes.map_or(limit, |most| limit.min(usize::try_from(most).unwrap_or(limit)));
        let (reply, json) = self.stamped(reply, service).into_json(limit)?;
        debug!(self.log, "reply"; "requestId" => &reply.request_id, "messageId" => &reply.message_id,
            "type" => ?reply.response_type);
        Ok(Answer { json, outcome: (!expired).then(|| reply.outcome()), service })
    }

    /// Waits for the delay and the injected faults, and does the task.
    async fn work(&self) -> Reply {
        wait(self.delay).await;
        match self.context.faults.apply(self.worker).await {
            Ok(()) => self.run_task().await,
            Err(fault) => self.error(ErrorCode::TaskFailed, fault),
        }
    }

    async fn run_task(&self) -> Reply {
        let message = &self.message;
        let work = async {
            let input = TaskInput {
                message_id: &message.message_id,
                filename: message.filename.as_deref(),
                parameters: &message.parameters,
            };
            self.context.tasks.get(message.task.as_deref())?.run(input).await
        };
        let begun = Instant::now();
        // A panic ends the task, not the worker: the reply goes out by the same socket.
        let done = AssertUnwindSafe(work).catch_unwind().await;
        self.context.status.task(begun.elapsed());
        match done {
            Ok(Ok(output)) => {
                let mut reply = message.reply(self.responder_id, output.body);
                reply.filename = output.filename.or(reply.filename);
                reply
            }
            Ok(Err(error)) => self.error(ErrorCode::TaskFailed, error.to_string()),
            Err(panic) => {
                self.error(ErrorCode::Panicked, format!("the task panicked: {}", panic_message(panic.as_ref())))
            }
        }
    }

    fn error(&self, code: ErrorCode, body: impl Into<String>) -> Reply {
        self.message.error(self.responder_id, code, body)
    }

    /// Adds the optional fields: where the reply was made, and the service time. Only a message with `attempt` comes from a
    /// requester that reads them.
    fn stamped(&self, mut reply: Reply, service: Duration) -> Reply {
        if self.message.attempt.is_none() {
            return reply.into_article_format();
        }
        let instance = &self.context.status.instance;
        reply.node = Some(instance.node.clone());
        reply.service = Some(instance.service.clone());
        reply.slot.clone_from(&instance.slot);
        reply.timings = Some(Timings { service_us: Some(service.as_micros() as u64), ..Timings::default() });
        reply
    }
}

/// The JSON of the error reply that returns a message to the broker, for another worker. The message was not begun.
///
/// # Errors
/// The reply cannot be serialised as JSON.
pub fn returned(frames: &Frames, responder_id: i64, log: &Logger) -> io::Result<Vec<u8>> {
    let mut message = Message::parse(&frames[0]).unwrap_or_default();
    // The complete message follows the reply in its own frames.
    (message.filename, message.task) = (None, None);
    message.extra.clear();
    debug!(log, "returned a message"; "requestId" => &message.request_id, "messageId" => &message.message_id);
    let reply = message.error(responder_id, ErrorCode::Draining, "this worker has left");
    Ok(serde_json::to_vec(&reply)?)
}

/// The message's deadline, if its sender set one.
fn deadline(delivery: Option<&DeliveryFrame>, message: &Message) -> Option<Instant> {
    let left = |ms: u64| Instant::now() + Duration::from_millis(ms.min(MAX_TIMEOUT_MS));
    delivery.map(deadline_of).or_else(|| message.time_left_ms.map(left))
}

/// Minimum time that a message must have left to be begun: its delay, and a moment for the reply. Without this, workers under
/// overload would begin only messages that expire before they are done. Zero if the delay is not shorter than the message's
/// whole timeout: such a message is begun, and expires at its deadline. Zero also if the message has no timeout.
fn needed(delay: Duration, message: &Message) -> Duration {
    match message.timeout_ms {
        Some(ms) if delay < Duration::from_millis(ms) => delay + REPLY_TIME.min(delay / 5),
        _ => Duration::ZERO,
    }
}

/// Does the work. `None` if no more than `needed` is left until the deadline, or if the deadline passes first.
async fn before<T>(deadline: Option<Instant>, needed: Duration, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) if deadline <= Instant::now() + needed => None,
        Some(deadline) => timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::super::testing;
    use super::*;
    use crate::runtime::zeromq::frames_of;
    use crate::wire::Delay;

    /// Answers a message with this delay, after `deaths` workers have died on it.
    async fn answer(json: &str, delay: Delay, deaths: u32) -> (Reply, Answer) {
        let (_delay, context) = testing::context(delay);
        let mut state = context.states.take(0, &delay);
        state.task.deaths = deaths;
        let log = Logger::root(Discard, o!());
        state.task.current = Some(frames_of([json.as_bytes()]));
        let answer = Job::new(&mut state.task, 0, context.clone(), log).answer().await.unwrap();
        (Reply::parse(&answer.json).unwrap(), answer)
    }

    fn message(fields: &str) -> String {
        format!(r#"{{"requestId":"r","messageId":"m","requesterId":"q","requestedAt":1{fields}}}"#)
    }

    #[tokio::test]
    async fn only_messages_with_attempt_get_the_optional_fields() {
        let (reply, answer) = answer(&message(""), Delay::NONE, 0).await;
        assert_eq!((answer.outcome, reply.clone()), (Some(Outcome::Response), reply.into_article_format()));
        let (reply, answer) = self::answer(&message(r#","attempt":1"#), Delay::NONE, 0).await;
        assert!(reply.node.is_some() && reply.service.is_some());
        assert_eq!(reply.timings.unwrap().service_us, Some(answer.service.as_micros() as u64));
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_done_gets_an_error_with_the_reason() {
        for (json, deaths, why) in [
            ("{".to_owned(), 0, "the message cannot be parsed"),
            (message(""), DEATHS_ALLOWED, "the worker died 2 times"),
            (message(r#","task":"sleep""#), 0, "there is no task 'sleep'"),
        ] {
            let (reply, answer) = answer(&json, Delay::NONE, deaths).await;
            assert_eq!(answer.outcome, Some(Outcome::Error));
            assert!(reply.body.contains(why), "{}", reply.body);
        }
        let (_, answer) = answer(&message(""), Delay::NONE, DEATHS_ALLOWED - 1).await;
        assert_eq!(answer.outcome, Some(Outcome::Response), "it is tried again");
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_message_has_no_outcome() {
        let begun = Instant::now();
        let given = |left| message(&format!(r#","attempt":1,"timeLeftMs":{left},"timeoutMs":5000"#));
        let (reply, answered) = answer(&given(900), Delay::fixed(Duration::from_secs(1)), 0).await;
        assert_eq!((answered.outcome, reply.code), (None, Some(ErrorCode::Timeout)));
        assert_eq!(begun.elapsed(), Duration::ZERO, "it was not begun");
        let (_, answered) = answer(&given(2_000), Delay::fixed(Duration::from_secs(1)), 0).await;
        assert_eq!(answered.outcome, Some(Outcome::Response));
    }

    #[tokio::test(start_paused = true)]
    async fn work_without_enough_time_left_is_not_begun_and_other_work_ends_at_the_deadline() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let work = async |delay| wait(delay).await;
        assert_eq!(before(Some(begun + second), second * 2, work(second)).await, None);
        assert_eq!(before(Some(begun), Duration::ZERO, work(Duration::ZERO)).await, None);
        assert_eq!(begun.elapsed(), Duration::ZERO, "it was not begun");
        assert_eq!(before(None, second, work(second)).await, Some(()));
        let now = Instant::now();
        assert_eq!(before(Some(now + second * 2), second, work(second)).await, Some(()));
        assert_eq!(before(Some(now + second * 3), Duration::ZERO, work(second * 9)).await, None);
        assert_eq!(now.elapsed(), second * 3);
    }

    #[test]
    fn a_message_needs_time_for_its_delay_and_reply_unless_its_timeout_is_too_short() {
        let ms = Duration::from_millis;
        let given = |timeout_ms| Message { timeout_ms, ..Message::default() };
        assert_eq!(needed(ms(50), &given(Some(300))), ms(60));
        assert_eq!(needed(ms(10), &given(Some(300))), ms(12));
        assert_eq!(needed(ms(0), &given(Some(300))), ms(0));
        assert_eq!(needed(ms(300), &given(Some(300))), ms(0));
        assert_eq!(needed(ms(50), &given(None)), ms(0), "no timeout");
    }
}
