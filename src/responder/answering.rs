//! How a message is answered: its task is done after the worker's delay, and both must end before the message's deadline.

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

/// After so many deaths of its workers, a message is answered with an error instead of being tried again.
const DEATHS_ALLOWED: u32 = 2;

/// The most that a reply is expected to need on its way back; of a short delay a fifth.
const REPLY_TIME: Duration = Duration::from_millis(10);

/// The answer to a message.
pub struct Answer {
    /// The reply's JSON.
    pub json: Vec<u8>,
    /// None: its time ran out before it was worked on to its end.
    pub outcome: Option<Outcome>,
    /// The time that it took.
    pub service: Duration,
}

/// A message that is to be answered, and all that is needed for it: the worker's state stays free.
pub struct Job {
    message: Message,
    /// The error that answers it in place of the task.
    refusal: Option<(ErrorCode, String)>,
    started: Instant,
    delay: Duration,
    deadline: Option<Instant>,
    responder_id: i64,
    /// The index of its worker.
    worker: usize,
    context: Arc<ResponderContext>,
    log: Logger,
}

impl Job {
    /// For the message in hand, which has its JSON in its first frame.
    pub fn new(task: &mut TaskState, worker: usize, context: Arc<ResponderContext>, log: Logger) -> Self {
        // It stays in hand: a successor needs it, should this worker die.
        let frames = task.in_hand.as_deref().unwrap_or_default();
        let parsed = frames.first().map_or_else(|| Message::parse(b""), |json| Message::parse(json));
        let (message, refusal) = match parsed {
            Ok(message) if task.deaths >= DEATHS_ALLOWED => {
                (message, Some((ErrorCode::Panicked, format!("the worker died {} times on this message", task.deaths))))
            }
            Ok(message) => (message, None),
            Err(error) => {
                warn!(log, "a message can't be read"; "error" => %error);
                (Message::default(), Some((ErrorCode::BadRequest, format!("the message can't be read: {error}"))))
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

    /// Does what the message asks for. An error means that the reply can't be written.
    pub async fn answer(self) -> io::Result<Answer> {
        let Self { message, context, .. } = &self;
        let done = match &self.refusal {
            Some((code, body)) => Some(self.error(*code, body)),
            None => before(self.deadline, needed(self.delay, message), self.work()).await,
        };
        let expired = done.is_none();
        let reply = done.unwrap_or_else(|| {
            let body = "its time ran out before it was worked on to its end: nobody waits for it any more";
            self.error(ErrorCode::Timeout, body)
        });
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
        // A panic ends the task, not the worker: the reply goes out by the same socket.
        match AssertUnwindSafe(work).catch_unwind().await {
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

    /// Says where the reply was made, and how long that took, to those who read it: only a message with `attempt` comes from
    /// a requester that reads the optional fields.
    fn stamped(&self, mut reply: Reply, service: Duration) -> Reply {
        if self.message.attempt.is_none() {
            return reply.plain();
        }
        let instance = &self.context.status.instance;
        reply.node = Some(instance.node.clone());
        reply.service = Some(instance.service.clone());
        reply.slot.clone_from(&instance.slot);
        reply.timings = Some(Timings { service_us: Some(service.as_micros() as u64), ..Timings::default() });
        reply
    }
}

/// The reply with which a message that was not begun is returned, for another worker.
pub fn returned(frames: &Frames, responder_id: i64, log: &Logger) -> io::Result<Vec<u8>> {
    let mut message = Message::parse(&frames[0]).unwrap_or_default();
    // The message itself goes back whole behind the reply.
    (message.filename, message.task) = (None, None);
    message.extra.clear();
    debug!(log, "given back"; "requestId" => &message.request_id, "messageId" => &message.message_id);
    let reply = message.error(responder_id, ErrorCode::Draining, "this worker has left");
    Ok(serde_json::to_vec(&reply)?)
}

/// Until when somebody waits for a message's reply, where its sender says so.
fn deadline(delivery: Option<&DeliveryFrame>, message: &Message) -> Option<Instant> {
    let left = |ms: u64| Instant::now() + Duration::from_millis(ms.min(MAX_TIMEOUT_MS));
    delivery.map(deadline_of).or_else(|| message.time_left_ms.map(left))
}

/// The time that a message has to have left to be begun. Under overload every message waits until there is too little, and
/// none would ever be answered. One whose delay is longer than all the time it was given does not wait too long: it is begun,
/// and ends at its deadline.
fn needed(delay: Duration, message: &Message) -> Duration {
    match message.timeout_ms {
        Some(ms) if delay < Duration::from_millis(ms) => delay + REPLY_TIME.min(delay / 5),
        _ => Duration::ZERO,
    }
}

/// Does work that needs some time; none where there is less, or the deadline passes first.
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

    /// Answers a message after a delay, where so many workers died on it before.
    async fn answer(json: &str, delay: Delay, deaths: u32) -> (Reply, Answer) {
        let (_delay, context) = testing::context(delay);
        let mut state = context.states.take(0, &delay);
        state.task.deaths = deaths;
        let log = Logger::root(Discard, o!());
        state.task.in_hand = Some(frames_of([json.as_bytes()]));
        let answer = Job::new(&mut state.task, 0, context.clone(), log).answer().await.unwrap();
        (Reply::parse(&answer.json).unwrap(), answer)
    }

    fn message(fields: &str) -> String {
        format!(r#"{{"requestId":"r","messageId":"m","requesterId":"q","requestedAt":1{fields}}}"#)
    }

    #[tokio::test]
    async fn only_who_reads_the_optional_fields_gets_them() {
        let (reply, answer) = answer(&message(""), Delay::NONE, 0).await;
        assert_eq!((answer.outcome, reply.clone()), (Some(Outcome::Response), reply.plain()));
        let (reply, answer) = self::answer(&message(r#","attempt":1"#), Delay::NONE, 0).await;
        assert!(reply.node.is_some() && reply.service.is_some());
        assert_eq!(reply.timings.unwrap().service_us, Some(answer.service.as_micros() as u64));
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_answered_with_an_error_that_says_why() {
        for (json, deaths, why) in [
            ("{".to_owned(), 0, "the message can't be read"),
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
    async fn a_message_whose_time_runs_out_has_no_outcome() {
        let begun = Instant::now();
        let given = |left| message(&format!(r#","attempt":1,"timeLeftMs":{left},"timeoutMs":5000"#));
        let (reply, answered) = answer(&given(900), Delay::fixed(Duration::from_secs(1)), 0).await;
        assert_eq!((answered.outcome, reply.code), (None, Some(ErrorCode::Timeout)));
        assert_eq!(begun.elapsed(), Duration::ZERO, "it was not begun");
        let (_, answered) = answer(&given(2_000), Delay::fixed(Duration::from_secs(1)), 0).await;
        assert_eq!(answered.outcome, Some(Outcome::Response));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_the_deadline_leaves_no_time_for_is_not_begun_and_other_work_ends_with_it() {
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
    fn a_message_needs_its_delay_and_a_moment_unless_it_never_had_the_time() {
        let ms = Duration::from_millis;
        let given = |timeout_ms| Message { timeout_ms, ..Message::default() };
        assert_eq!(needed(ms(50), &given(Some(300))), ms(60));
        assert_eq!(needed(ms(10), &given(Some(300))), ms(12));
        assert_eq!(needed(ms(0), &given(Some(300))), ms(0));
        assert_eq!(needed(ms(300), &given(Some(300))), ms(0));
        assert_eq!(needed(ms(50), &given(None)), ms(0), "it does not say");
    }
}
