//! The response tier: a broker, and the responder workers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Addr;
use anyhow::{Context, Result};
use slog::warn;
use tokio::sync::{Mutex, watch};

use super::{MOST_LEAST_BUSY, Process, bind_zmq, bound, first_responder_id};
use crate::actors::{
    Backend, Backends, Board, BrokerDesk, Control, Desks, Drain, Factory, OnItsWay, Outboxes, Parts, ResponderContext,
    ResponderWork, Supervisor, Workers, run_broker, run_responder, worker_endpoint,
};
use crate::model::{DelayShape, DelayView, TaskName, Tier};
use crate::process;
use crate::tasks::{BUILT_IN_FILE, Delay, FaultInjector, Tasks, TasksConfig, Withheld};
use crate::transport::{Socket, bind};

/// Where the workers of this process find their broker under round-robin dispatch.
const INPROC: &str = "inproc://workers";

/// Where a separate broker listens for workers by default.
const DEFAULT_BACKEND: &str = "tcp://127.0.0.1:5433";

/// A broker, started.
pub struct BrokerTier {
    /// Where its ROUTER listens.
    pub router: SocketAddr,
    /// Where its DEALER listens, for workers elsewhere.
    pub backend: Option<SocketAddr>,
    pub pool: Addr<Supervisor>,
    board: Arc<Board>,
    /// How many workers it shall deal to, and does.
    workers: watch::Sender<usize>,
    released: watch::Receiver<usize>,
    dispatch: watch::Receiver<process::Dispatch>,
}

impl BrokerTier {
    /// `separate`: its workers are elsewhere.
    pub fn start(process: &mut Process, separate: bool) -> Result<Self> {
        let settings = process.settings.broker.clone();
        let contexts = process.contexts.clone();
        let router = contexts.server_socket(zmq::ROUTER, "broker for requesters")?;
        // A reply to a requester that is gone is an error to be told, not silently dropped.
        router.set_router_mandatory(true)?;
        let max_message_bytes = process.settings.requester.max_message_bytes.usize();
        let limit_bytes = usize::try_from(settings.queue_bytes.get()).unwrap_or(usize::MAX);
        let mark = high_water_mark(limit_bytes, max_message_bytes);
        set_marks(&router, mark)?;
        let address = bind_zmq(&router, settings.bind, settings.port.port(), "broker.port")?;
        let workers = watch::Sender::new(process.settings.responder.workers.usize());
        let released = watch::Sender::new(0);
        let released_to = released.subscribe();
        let dealer = match separate {
            true => {
                let dealer = contexts.server_socket(zmq::DEALER, "broker for workers")?;
                set_marks(&dealer, mark)?;
                dealer
            }
            false => contexts.inproc_socket(zmq::DEALER)?,
        };
        let endpoint = match (separate, &settings.backend) {
            (false, _) => INPROC,
            (true, Some(configured)) => configured.as_str(),
            (true, None) => DEFAULT_BACKEND,
        };
        bind(&dealer, endpoint).with_context(|| {
            format!("the broker can't listen for workers on {endpoint}: is something else there? Set broker.backend")
        })?;
        let backend = bound(&dealer).ok();
        let parts = (!separate).then(|| Parts { contexts, size: workers.subscribe(), released });
        let dispatch = watch::Sender::new(settings.dispatch);
        let board = process.board(Tier::Broker, false, true);
        board.set_dispatch(settings.dispatch);
        let (depth, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let shown = (depth.clone(), bytes.clone());
        board.watch_queue(move || shown.0.load(Ordering::Relaxed));
        board.watch_queue_bytes(move || shown.1.load(Ordering::Relaxed));
        let desk = Arc::new(Mutex::new(BrokerDesk {
            router: Socket::attach(router)?,
            backends: Backends::new(dispatch.subscribe(), Socket::attach(dealer)?, parts),
            on_its_way: OnItsWay::default(),
            outboxes: Outboxes::new(limit_bytes),
            limit: settings.queue.usize(),
            limit_bytes,
            max_message_bytes,
            forget_after: settings.forget_after.get(),
            board: board.clone(),
            depth,
            bytes,
        }));
        let dispatched = dispatch.subscribe();
        let control = Control { dispatch: (!separate).then_some(dispatch), ..Control::none(board.clone()) };
        process.controls.push(control);
        let arbiters = process.arbiter_pool(settings.arbiters.usize(), 1)?;
        let factory: Factory = Arc::new(move |seat| Box::pin(run_broker(seat, desk.clone())));
        let pool = process.pool("broker", &arbiters, &board, watch::Sender::new(1), factory);
        Ok(Self { router: address, backend, pool, board, workers, released: released_to, dispatch: dispatched })
    }

    /// Takes no more messages; returns when the reply to each that is here has left.
    pub async fn drain(&self) {
        self.board.set_draining();
        // An error means that the supervisor is gone, and all it kept.
        let _ = self.pool.send(Drain).await;
    }
}

/// The responder workers of this process, started.
pub struct ResponderTier {
    pub workers: Addr<Supervisor>,
    board: Arc<Board>,
}

impl ResponderTier {
    /// `broker`: the one of this process; none: it is elsewhere.
    pub fn start(process: &mut Process, broker: Option<&BrokerTier>) -> Result<Self> {
        let settings = process.settings.responder.clone();
        let board = process.board(Tier::Responder, broker.is_none(), true);
        let tasks = Arc::new(tasks(&process.settings)?);
        let view = delay_view(&process.settings.task.delay);
        let delay = watch::Sender::new(delay(&process.settings.task.delay)?);
        board.set_delay(view);
        let faults = Arc::new(FaultInjector::default());
        board.watch_faults(faults.clone());
        let never = watch::Sender::new(0);
        let (size, released, backend) = match (broker, &settings.backend) {
            (Some(broker), _) => (
                broker.workers.clone(),
                broker.released.clone(),
                Backend::Here { shared: INPROC, own: worker_endpoint, dispatch: broker.dispatch.clone() },
            ),
            (None, Some(url)) => {
                let backend = match url.upstream() {
                    Some(upstream) => Backend::Addresses(process.follow(&upstream)),
                    None => Backend::Ipc(url.as_str().to_owned()),
                };
                (watch::Sender::new(settings.workers.usize()), never.subscribe(), backend)
            }
            (None, None) => anyhow::bail!("a responder without a broker needs responder.backend"),
        };
        let seed = process.settings.task.delay.seed.map(|seed| seed.get());
        let desks = Desks::new(process.contexts.clone(), backend, board.clone(), first_responder_id(), seed);
        let context = Arc::new(ResponderContext {
            desks,
            released,
            tasks,
            delay: delay.subscribe(),
            faults: faults.clone(),
            board: board.clone(),
            max_reply_bytes: process.settings.requester.max_message_bytes.usize(),
        });
        let arbiters = process.arbiter_pool(settings.arbiters.usize(), settings.blocking_threads.usize())?;
        let factory: Factory = Arc::new(move |seat| Box::pin(run_responder(seat, context.clone())));
        let workers = process.pool("responder worker", &arbiters, &board, size, factory);
        process.controls.push(Control {
            workers: Some(Workers { pool: workers.clone(), most: MOST_LEAST_BUSY.max(settings.workers.usize()) }),
            work: Some(ResponderWork { delay, faults }),
            ..Control::none(board.clone())
        });
        let task = &process.settings.task;
        if task.name == TaskName::File && task.file != Path::new(BUILT_IN_FILE) {
            let path = task.root.join(&task.file);
            if !path.is_file() {
                warn!(process.log, "the file to be read is not there: replies will be errors (task.root, task.file)";
                    "path" => %path.display());
            }
        }
        Ok(Self { workers, board })
    }

    /// Returns when every worker has ended what it has in hand and left.
    pub async fn drain(&self) {
        self.board.set_draining();
        // An error means that the supervisor is gone, and all it kept.
        let _ = self.workers.send(Drain).await;
    }
}

/// Messages that libzmq queues for each connection and direction, where it tells nobody how many bytes those have: the
/// largest ones take an eighth of what the broker may hold. More wait where they are counted, or with their sender.
fn high_water_mark(limit_bytes: usize, max_message_bytes: usize) -> i32 {
    (limit_bytes / 8 / max_message_bytes).clamp(1, 1_000) as i32
}

fn set_marks(socket: &zmq::Socket, mark: i32) -> zmq::Result<()> {
    socket.set_rcvhwm(mark)?;
    socket.set_sndhwm(mark)
}

fn tasks(all: &process::Settings) -> Result<Tasks> {
    let settings = &all.task;
    let secrets = [&all.admin.token_file, &all.curve.key_file];
    Ok(Tasks::new(TasksConfig {
        withheld: Withheld {
            files: secrets.into_iter().flatten().cloned().collect(),
            config_dir: all.folder.clone(),
            experiments_dir: all.experiments.dir.clone(),
        },
        default: settings.name,
        root: settings.root.clone(),
        default_file: settings.file.to_string_lossy().into_owned(),
        max_file_bytes: settings.max_file_bytes.get(),
        max_cpu_rounds: settings.max_cpu_rounds.get(),
    })?)
}

/// The configured delay, as the tasks know it.
fn delay(settings: &process::Delay) -> Result<Delay> {
    let (mean, cap) = (settings.mean.get(), settings.cap.get());
    Ok(match settings.kind {
        DelayShape::None => Delay::none(),
        DelayShape::Fixed => Delay::fixed(mean),
        DelayShape::Uniform => Delay::uniform(settings.min.get(), settings.max.get())?,
        DelayShape::Exponential => Delay::exponential(mean, cap),
        DelayShape::LogNormal => Delay::log_normal(mean, settings.sigma.get(), cap)?,
    })
}

/// The configured delay, as the page and the API show it.
fn delay_view(settings: &process::Delay) -> DelayView {
    DelayView {
        kind: settings.kind,
        min_ms: settings.min.get().as_millis() as u64,
        max_ms: settings.max.get().as_millis() as u64,
        mean_ms: settings.mean.get().as_millis() as u64,
        sigma: settings.sigma.get(),
    }
}
