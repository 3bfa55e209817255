//! A responder worker: it does a task for each message, after a delay, and replies.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use slog::{debug, info, warn};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{Backend, FaultInjector, FromBroker, ResponderState, ResponderStates, TaskState, wait};
use crate::responder::tasks::{TaskError, TaskInput, TaskOutput, Tasks};
use crate::runtime::supervision::{Slot, WorkError, panic_message};
use crate::runtime::zeromq::{Frames, frames_of};
use crate::runtime::{InstanceStatus, deadline_of};
use crate::wire::{
    Delay, DeliveryFrame, EXPIRED, ErrorCode, Hop, MAX_TIMEOUT_MS, Message, Reply, Timings, WorkerState,
};

/// After so many deaths of its workers, a message is answered with an error instead of being tried again.
const DEATHS_ALLOWED: u32 = 2;

/// The most that a reply is expected to need on its way back; of a short delay a fifth.
const REPLY_TIME: Duration = Duration::from_millis(10);

/// How long a worker that leaves waits for a broker to confirm that it gets no more messages.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What all responder workers of an instance share.
pub struct ResponderContext {
    pub states: ResponderStates,
    pub tasks: Arc<Tasks>,
    pub delay: watch::Receiver<Delay>,
    pub faults: Arc<FaultInjector>,
    pub status: Arc<InstanceStatus>,
    /// The longest reply sent, in bytes of JSON.
    pub max_reply_bytes: usize,
}

/// Runs one responder worker until it is drained. An error means that its socket failed.
pub async fn run_responder(slot: Slot, context: Arc<ResponderContext>) -> Result<(), WorkError> {
    let delay = *context.delay.borrow();
    let state = context.states.state(slot.index, &delay);
    let mut state = state.lock().await;
    slot.status.name(&state.task.responder_id.to_string());
    // A successor may be on another arbiter than the worker before it.
    state.brokers.attach_here()?;
    let mut backend = context.states.backend.clone();
    follow_brokers(&mut state, &mut backend, &slot)?;
    if state.task.in_hand.is_some() {
        state.task.deaths += 1;
        slot.status.set(WorkerState::Busy, None);
        reply(&mut state, &slot, &context).await?;
    }
    while !slot.drain.is_cancelled() {
        slot.status.set(WorkerState::Idle, None);
        let due = state.brokers.next_renewal();
        let from_broker = tokio::select! {
            from_broker = state.brokers.next() => from_broker?,
            () = slot.drain.cancelled() => break,
            () = backend.changed() => FromBroker::Changed,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => FromBroker::Changed,
        };
        match from_broker {
            FromBroker::Message(frames) => take(frames, &mut state, &slot, &context).await?,
            FromBroker::Changed => follow_brokers(&mut state, &mut backend, &slot)?,
        }
    }
    leave(&mut state, &slot, &context).await?;
    context.states.clear(slot.index);
    Ok(())
}

/// Connects to the brokers that there are, and to no others.
fn follow_brokers(state: &mut ResponderState, backend: &mut Backend, slot: &Slot) -> io::Result<()> {
    let id = state.task.responder_id;
    for gone in state.brokers.follow(&backend.brokers(), |message| returned(message, id, slot))? {
        info!(slot.log, "broker gone"; "broker" => %gone);
    }
    Ok(())
}

/// Leaves every broker: what the worker has is answered, or returned for another one. A broker of this process always
/// confirms, or closes the connection; one elsewhere may be another program by now.
async fn leave(state: &mut ResponderState, slot: &Slot, context: &ResponderContext) -> Result<(), WorkError> {
    let id = state.task.responder_id;
    state.brokers.leave(|message| returned(message, id, slot))?;
    let patience = match context.states.backend {
        Backend::Here(_) => Duration::MAX,
        Backend::Ipc(_) | Backend::Addresses(_) => LEAVE_TIMEOUT,
    };
    while !state.brokers.is_empty() {
        match timeout(patience, state.brokers.next()).await {
            Ok(Ok(FromBroker::Message(frames))) => take(frames, state, slot, context).await?,
            Ok(Ok(FromBroker::Changed)) => drop(state.brokers.follow(&[], |message| returned(message, id, slot))?),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                warn!(slot.log, "a broker did not confirm that this worker left"; "after" => ?LEAVE_TIMEOUT);
                break;
            }
        }
    }
    Ok(())
}

/// Takes a message in hand, and answers it.
async fn take(
    frames: Frames,
    state: &mut ResponderState,
    slot: &Slot,
    context: &ResponderContext,
) -> Result<(), WorkError> {
    slot.status.set(WorkerState::Busy, None);
    context.status.ledger.sent();
    state.task.in_hand = Some(frames);
    state.task.deaths = 0;
    reply(state, slot, context).await
}

/// Replies to the message in hand. While it is worked on, the broker gets heartbeats.
async fn reply(state: &mut ResponderState, slot: &Slot, context: &ResponderContext) -> Result<(), WorkError> {
    let ResponderState { brokers, task } = state;
    let answer = tokio::select! {
        answer = answer(task, slot, context) => answer?,
        failed = brokers.beat() => match failed? {},
    };
    if !brokers.reply(answer)? {
        info!(slot.log, "a reply is not sent: the connection to its broker was lost");
    }
    Ok(())
}

/// Does what the message in hand asks for; the reply's frames.
async fn answer(state: &mut TaskState, slot: &Slot, context: &ResponderContext) -> Result<Frames, WorkError> {
    let Some(frames) = &state.in_hand else { return Ok(vec![]) };
    let started = Instant::now();
    let mut limit = context.max_reply_bytes;
    let delivery = frames.iter().skip(1).find_map(|frame| DeliveryFrame::parse(frame));
    let mut expired = false;
    let mut reply = match Message::parse(&frames[0]) {
        Err(error) => {
            warn!(slot.log, "a message can't be read"; "error" => %error);
            let message = Message::default();
            message
                .error(state.responder_id, ErrorCode::BadRequest, format!("the message can't be read: {error}"))
                .plain()
        }
        Ok(message) => {
            debug!(slot.log, "message"; "requestId" => &message.request_id, "messageId" => &message.message_id);
            limit = message.max_reply_bytes.map_or(limit, |most| limit.min(usize::try_from(most).unwrap_or(limit)));
            let reply = if state.deaths >= DEATHS_ALLOWED {
                let body = format!("the worker died {} times on this message", state.deaths);
                message.error(state.responder_id, ErrorCode::Panicked, body)
            } else {
                let deadline = deadline(delivery.as_ref(), &message);
                state.delays.replace(&context.delay.borrow());
                let delay = state.delays.draw();
                let work = async {
                    wait(delay).await;
                    match context.faults.apply(slot.index).await {
                        Ok(()) => to_reply(&message, state.responder_id, run_task(&message, &context.tasks).await),
                        Err(fault) => message.error(state.responder_id, ErrorCode::TaskFailed, fault),
                    }
                };
                match before(deadline, needed(delay, &message), work).await {
                    Some(reply) => reply,
                    None => {
                        expired = true;
                        let body = "its time ran out before it was worked on to its end: nobody waits for it any more";
                        message.error(state.responder_id, ErrorCode::Timeout, body)
                    }
                }
            };
            // Only a message with `attempt` comes from a requester that reads the optional fields.
            if message.attempt.is_some() { placed(reply, &context.status) } else { reply.plain() }
        }
    };
    let service = started.elapsed();
    if reply.attempt.is_some() {
        reply.timings = Some(Timings { service_us: Some(service.as_micros() as u64), ..Timings::default() });
    }
    let (reply, json) = reply.into_json(limit).map_err(io::Error::from)?;
    debug!(slot.log, "reply"; "requestId" => &reply.request_id, "messageId" => &reply.message_id, "type" => ?reply.response_type);
    let mut answer = frames_of([&json]);
    // Frames that this program does not know go back as they came.
    let others = state.in_hand.take().into_iter().flatten().skip(1);
    answer.extend(others.filter(|frame| DeliveryFrame::parse(frame).is_none()));
    if expired {
        answer.push(EXPIRED.into());
    }
    match expired {
        true => context.status.ledger.expired(),
        false => {
            context.status.ledger.ended(reply.outcome());
            context.status.hops.record(Hop::Service, service);
        }
    }
    slot.status.handled();
    Ok(answer)
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

async fn run_task(message: &Message, tasks: &Tasks) -> Result<Result<TaskOutput, TaskError>, String> {
    let task = match tasks.get(message.task.as_deref()) {
        Ok(task) => task,
        Err(error) => return Ok(Err(error)),
    };
    let input = TaskInput {
        message_id: &message.message_id,
        filename: message.filename.as_deref(),
        parameters: &message.parameters,
    };
    // A panic ends the task, not the worker: the reply goes out by the same socket.
    AssertUnwindSafe(async { task.run(input).await })
        .catch_unwind()
        .await
        .map_err(|panic| panic_message(panic.as_ref()))
}

fn to_reply(message: &Message, responder_id: i64, result: Result<Result<TaskOutput, TaskError>, String>) -> Reply {
    match result {
        Ok(Ok(output)) => {
            let mut reply = message.reply(responder_id, output.body);
            reply.filename = output.filename.or(reply.filename);
            reply
        }
        Ok(Err(error)) => message.error(responder_id, ErrorCode::TaskFailed, error.to_string()),
        Err(panic) => message.error(responder_id, ErrorCode::Panicked, format!("the task panicked: {panic}")),
    }
}

/// Says where the reply was made.
fn placed(mut reply: Reply, status: &InstanceStatus) -> Reply {
    let instance = &status.instance;
    reply.node = Some(instance.node.clone());
    reply.service = Some(instance.service.clone());
    reply.slot.clone_from(&instance.slot);
    reply
}

/// The reply with which a message that was not begun is returned, for another worker.
fn returned(frames: &Frames, responder_id: i64, slot: &Slot) -> io::Result<Vec<u8>> {
    let mut message = Message::parse(&frames[0]).unwrap_or_default();
    // The message itself goes back whole behind the reply.
    (message.filename, message.task) = (None, None);
    message.extra.clear();
    debug!(slot.log, "given back"; "requestId" => &message.request_id, "messageId" => &message.message_id);
    let reply = message.error(responder_id, ErrorCode::Draining, "this worker has left");
    Ok(serde_json::to_vec(&reply)?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
