//! A property test of the requester's state, without sockets: for any sequence of events, each message gets exactly one outcome,
//! and the ledger balances after every step.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, advance};

use super::{Completed, InFlight, InFlightWindow, Memory, PendingMessage, ReplyTo, WorkerQueues};
use crate::runtime::{InstanceStatus, status};
use crate::wire::{ErrorCode, FanOut, Message, NO_RESPONDER};

const BROKER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
const WORKERS: usize = 4;
const WINDOW: usize = 3;
const QUEUE: usize = 5;
const ATTEMPTS: u32 = 3;
const TIMEOUT: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request arrives.
    Request(FanOut),
    /// The worker sends the next message of its queue.
    Send(usize),
    /// One of the worker's messages gets its reply.
    Reply(usize),
    /// A message that has ended gets another reply.
    ReplyAgain(usize),
    /// The worker loses its connection with all that it has sent.
    Disconnect(usize),
    Die(usize),
    Resize(usize),
    /// Milliseconds pass, and the timers run.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop_oneof![Just(FanOut::All), Just(FanOut::One)].prop_map(Step::Request),
        6 => (0..WORKERS).prop_map(Step::Send),
        4 => (0..WORKERS).prop_map(Step::Reply),
        1 => (0..100_usize).prop_map(Step::ReplyAgain),
        1 => (0..WORKERS).prop_map(Step::Disconnect),
        1 => (0..WORKERS).prop_map(Step::Die),
        1 => (0..=WORKERS).prop_map(Step::Resize),
        2 => (1..60_u64).prop_map(Step::Wait),
    ]
}

struct Pool {
    size: watch::Sender<usize>,
    queues: WorkerQueues,
    windows: Vec<InFlightWindow>,
    messages: Vec<Arc<PendingMessage>>,
    replies: mpsc::UnboundedReceiver<Completed>,
    reply_to: ReplyTo,
    status: Arc<InstanceStatus>,
}

impl Pool {
    fn new() -> Self {
        let size = watch::Sender::new(2);
        let queues = WorkerQueues::new(size.subscribe(), QUEUE);
        let windows = (0..WORKERS).map(|index| InFlightWindow::new(queues.worker_queue(index))).collect();
        let (sender, replies) = mpsc::unbounded_channel();
        let reply_to = ReplyTo { sender, memory: Arc::new(Memory::new(1 << 20)), article_format: false };
        Self { size, queues, windows, messages: vec![], replies, reply_to, status: status() }
    }

    async fn apply(&mut self, step: Step) {
        match step {
            Step::Request(fan_out) => self.request(fan_out),
            Step::Send(worker) => self.send(worker),
            Step::Reply(worker) => {
                let window = &mut self.windows[worker];
                if let Some(id) = window.at_broker(BROKER).first().cloned() {
                    let pending = window.get(&id).unwrap().pending.clone();
                    pending.complete(pending.message.reply(1, "done".into()));
                    window.remove(&id);
                }
            }
            Step::ReplyAgain(index) => {
                if let Some(pending) = self.messages.get(index).filter(|pending| pending.outcome().is_some()) {
                    assert!(!pending.complete(pending.message.reply(2, "once more".into())));
                }
            }
            Step::Disconnect(worker) => self.disconnect(worker),
            Step::Die(worker) => {
                // The successor's window is made before this one is dropped: supervision does not order the two.
                self.windows[worker] = InFlightWindow::new(self.queues.worker_queue(worker));
            }
            Step::Resize(size) => drop(self.size.send_replace(size)),
            Step::Wait(ms) => {
                advance(Duration::from_millis(ms)).await;
                self.expire();
            }
        }
        // A worker above the pool's size ends when its queue and window are empty.
        for worker in *self.size.borrow()..WORKERS {
            self.queues.worker_queue(worker).close_if_empty();
        }
    }

    fn request(&mut self, fan_out: FanOut) {
        let now = Instant::now();
        for queue in self.queues.choose(fan_out) {
            let message_id = self.messages.len().to_string();
            let message = Message { message_id, ..Message::default() };
            let pending = PendingMessage::new(message, now, now + TIMEOUT, self.reply_to.clone(), self.status.clone());
            self.messages.push(pending.clone());
            self.queues.push(&queue, pending);
        }
    }

    fn send(&mut self, worker: usize) {
        if self.windows[worker].len() < WINDOW
            && let Some(pending) = self.queues.worker_queue(worker).pop()
        {
            pending.begin_attempt();
            self.windows[worker].insert(InFlight { pending, broker: BROKER, sent_at: Instant::now() });
        }
    }

    fn disconnect(&mut self, worker: usize) {
        let window = &mut self.windows[worker];
        for id in window.at_broker(BROKER) {
            let pending = window.get(&id).unwrap().pending.clone();
            pending.record_connection_loss();
            if pending.attempts() < ATTEMPTS {
                window.requeue(&id);
            } else {
                pending.complete(pending.message.error(NO_RESPONDER, ErrorCode::Lost, "sent three times"));
                window.remove(&id);
            }
        }
    }

    fn expire(&mut self) {
        for (worker, window) in self.windows.iter_mut().enumerate() {
            self.queues.worker_queue(worker).expire();
            for id in window.due(None) {
                let pending = window.get(&id).unwrap().pending.clone();
                pending.complete(pending.message.timed_out(pending.timeout_detail()));
                window.remove(&id);
            }
        }
    }

    fn check(&mut self) {
        let (ledger, ended) = (self.status.ledger.read(), |pending: &&Arc<PendingMessage>| pending.outcome().is_some());
        assert!(ledger.is_balanced(), "{ledger:?}");
        assert_eq!(ledger.sent, self.messages.len() as u64);
        assert_eq!(ledger.in_flight, (self.messages.len() - self.messages.iter().filter(ended).count()) as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn each_message_has_exactly_one_outcome(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut pool = Pool::new();
            for step in steps {
                pool.apply(step).await;
                pool.check();
            }
            advance(TIMEOUT * 2).await;
            pool.expire();
            pool.check();
            assert!(pool.messages.iter().all(|pending| pending.outcome().is_some()));
            let mut replies = 0;
            while pool.replies.try_recv().is_ok() {
                replies += 1;
            }
            assert_eq!(replies, pool.messages.len(), "each message has one reply");
        });
    }
}
