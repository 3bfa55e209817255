//! A responder worker: a REP that does a task for each message, after a delay, and replies.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use slog::{debug, info, warn};
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::{Backend, Delay, FaultInjector, ResponderState, ResponderStates};
use crate::responder::tasks::{TaskError, TaskInput, TaskOutput, Tasks};
use crate::runtime::supervision::{Slot, WorkError, next_change, panic_message};
use crate::runtime::zeromq::{Peers, frames_of, peers_news};
use crate::runtime::{InstanceStatus, deadline_of};
use crate::wire::{
    DeliveryFrame, Dispatch, EXPIRED, ErrorCode, Hop, MAX_TIMEOUT_MS, Message, RETURNED, Reply, Timings, WorkerState,
};

/// After so many deaths of its workers, a message is answered with an error instead of being tried again.
const DEATHS_ALLOWED: u32 = 2;

/// What all responder workers of an instance share.
pub struct ResponderContext {
    pub states: ResponderStates,
    /// How many workers the broker deals to: one at or above it may leave at once.
    pub released: watch::Receiver<usize>,
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
    let state = context.states.state(slot.index, &delay)?;
    let mut state = state.lock().await;
    slot.status.name(&state.responder_id.to_string());
    // A successor may be on another arbiter than the worker before it.
    state.socket.attach_here()?;
    let mut addresses = match &context.states.backend {
        Backend::Addresses(addresses) => Some(addresses.clone()),
        _ => None,
    };
    follow_brokers(&mut state, addresses.as_mut(), &context, &slot)?;
    let mut dispatch = match &context.states.backend {
        Backend::Here { dispatch, .. } => Some(dispatch.clone()),
        _ => None,
    };
    follow_dispatch(&mut state, dispatch.as_mut(), &context, &slot)?;
    if state.in_hand.is_some() {
        state.deaths += 1;
        slot.status.set(WorkerState::Busy, None);
        answer(&mut state, &slot, &context).await?;
    }
    let mut released = context.released.clone();
    loop {
        slot.status.set(WorkerState::Idle, None);
        let ResponderState { socket, brokers, up, .. } = &mut *state;
        let frames = tokio::select! {
            frames = socket.recv() => frames?,
            () = may_leave(&slot, &mut released) => break,
            () = next_change(dispatch.as_mut()) => {
                follow_dispatch(&mut state, dispatch.as_mut(), &context, &slot)?;
                continue;
            }
            () = news_of_brokers(brokers, up, addresses.as_mut()) => {
                follow_brokers(&mut state, addresses.as_mut(), &context, &slot)?;
                continue;
            }
        };
        slot.status.set(WorkerState::Busy, None);
        context.status.ledger.sent();
        state.in_hand = Some(frames);
        state.deaths = 0;
        answer(&mut state, &slot, &context).await?;
    }
    give_back(&state, &slot).await?;
    context.states.clear(slot.index);
    Ok(())
}

/// Returns when the worker is to leave, and the broker deals it nothing any more.
async fn may_leave(slot: &Slot, released: &mut watch::Receiver<usize>) {
    slot.drain.cancelled().await;
    // An error means that the broker is gone, and deals out nothing.
    let _ = released.wait_for(|released| *released <= slot.index).await;
}

/// Connects to the worker's own endpoint when the broker deals out by it.
fn follow_dispatch(
    state: &mut ResponderState,
    dispatch: Option<&mut watch::Receiver<Dispatch>>,
    context: &ResponderContext,
    slot: &Slot,
) -> io::Result<()> {
    if let (Backend::Here { own, .. }, Some(dispatch)) = (&context.states.backend, dispatch)
        && *dispatch.borrow_and_update() == Dispatch::LeastBusy
        && !state.own_endpoint
    {
        state.socket.raw().connect(&own(slot.index))?;
        state.own_endpoint = true;
    }
    Ok(())
}

/// The addresses behind the name of brokers elsewhere.
type Addresses = watch::Receiver<BTreeSet<SocketAddr>>;

/// Returns when [`follow_brokers`] has to be called.
async fn news_of_brokers(brokers: &Peers, up: &mut Addresses, known: Option<&mut Addresses>) {
    tokio::select! {
        () = next_change(known) => {}
        () = peers_news(brokers, up) => {}
    }
}

/// Connects to brokers that are new, disconnects from those that have left, and makes connections anew that stay down.
fn follow_brokers(
    state: &mut ResponderState,
    known: Option<&mut Addresses>,
    context: &ResponderContext,
    slot: &Slot,
) -> io::Result<()> {
    let Some(known) = known else { return Ok(()) };
    let (known, up) = (known.borrow_and_update().clone(), state.up.borrow_and_update().clone());
    let changes = state.brokers.follow(state.socket.raw(), &known, &up)?;
    for gone in changes.gone {
        info!(slot.log, "broker gone"; "broker" => %gone);
        context.status.forget_peer(gone);
    }
    for new in changes.new {
        context.status.know_peer(new);
    }
    Ok(())
}

/// Does what the message in hand asks for and replies.
async fn answer(state: &mut ResponderState, slot: &Slot, context: &ResponderContext) -> Result<(), WorkError> {
    let Some(frames) = &state.in_hand else { return Ok(()) };
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
                let work = async {
                    state.delays.wait().await;
                    match context.faults.apply(slot.index).await {
                        Ok(()) => to_reply(&message, state.responder_id, run_task(&message, &context.tasks).await),
                        Err(fault) => message.error(state.responder_id, ErrorCode::TaskFailed, fault),
                    }
                };
                match before(deadline, work).await {
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
    state.socket.send(answer).await?;
    match expired {
        true => context.status.ledger.expired(),
        false => {
            context.status.ledger.ended(reply.outcome());
            context.status.hops.record(Hop::Service, service);
        }
    }
    slot.status.handled();
    Ok(())
}

/// Until when somebody waits for a message's reply, where its sender says so.
fn deadline(delivery: Option<&DeliveryFrame>, message: &Message) -> Option<tokio::time::Instant> {
    let left = |ms: u64| tokio::time::Instant::now() + Duration::from_millis(ms.min(MAX_TIMEOUT_MS));
    delivery.map(deadline_of).or_else(|| message.time_left_ms.map(left))
}

/// Does what can be done before the deadline; none if that passes first.
async fn before<T>(deadline: Option<tokio::time::Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) if deadline <= tokio::time::Instant::now() => None,
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

/// Returns the messages that are here already, for other workers, and leaves.
async fn give_back(state: &ResponderState, slot: &Slot) -> Result<(), WorkError> {
    while let Some(frames) = state.socket.try_recv()? {
        let mut message = Message::parse(&frames[0]).unwrap_or_default();
        // The message itself goes back whole behind the reply.
        (message.filename, message.task) = (None, None);
        message.extra.clear();
        debug!(slot.log, "given back"; "requestId" => &message.request_id, "messageId" => &message.message_id);
        let reply = message.error(state.responder_id, ErrorCode::Draining, "this worker has been taken away");
        let mut answer = frames_of([&serde_json::to_vec(&reply).map_err(io::Error::from)?, RETURNED]);
        answer.extend(frames);
        state.socket.send(answer).await?;
    }
    Ok(())
}
