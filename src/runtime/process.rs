//! The resources that the tiers of one process share, and their shutdown.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix::Addr;
use anyhow::{Context, Result};
use futures_util::future::join_all;
use parking_lot::Mutex;
use slog::{Logger, o};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{mpsc, oneshot, watch};

use super::{InstanceStatus, LookUps, identity, run_discovery};
use crate::config::{Role, Settings, Upstream};
use crate::runtime::supervision::{
    ArbiterPool, Component, Drain, Factory, Fatal, PoolSpec, RestartPolicy, Spawn, Supervised, Supervisor,
};
use crate::runtime::telemetry::{EventSink, MAX_REPORT, Proof, Subscriber, TelemetryContext, TelemetryPublisher};
use crate::runtime::zeromq::{Contexts, SocketOptions, bind, endpoint};
use crate::wire::{Event, Tier, now_ms};

/// Reports of one peer that may wait in the web tier's socket. Further ones stay in the peer's queue of `KEPT_REPORTS`.
const WAITING_REPORTS: i32 = 16;

/// Reports that an instance queues for a slow web tier; further ones are dropped.
const KEPT_REPORTS: u32 = 200;

/// Connections that may wait for accept(2).
const BACKLOG: i32 = 4_096;

/// How long closed sockets may continue to send: queued replies, and the last telemetry.
const LINGER: Duration = Duration::from_secs(1);
const TELEMETRY_LINGER: Duration = Duration::from_millis(200);

/// The shared parts of one process.
pub struct Process {
    pub settings: Settings,
    pub role: Role,
    pub log: Logger,
    pub instances: Vec<Arc<InstanceStatus>>,
    pub policy: RestartPolicy,
    /// Contexts of the sockets that carry messages.
    pub contexts: Arc<Contexts>,
    /// One thread for what is done seldom: telemetry, discovery, starting and stopping HTTP servers.
    pub arbiters: Arc<ArbiterPool>,
    event_sink: EventSink,
    /// None when telemetry has started.
    events: Option<mpsc::Receiver<Event>>,
    fatal: (mpsc::UnboundedSender<Fatal>, mpsc::UnboundedReceiver<Fatal>),
    admin: Option<SocketAddr>,
    /// What runs until the process stops: telemetry, discovery.
    services: Vec<Addr<Supervisor>>,
    /// Every arbiter pool, for `stop`.
    pools: Vec<Arc<ArbiterPool>>,
}

impl Process {
    /// Starts no component yet. Must be called within an actix system.
    pub fn new(settings: Settings, role: Role, log: Logger, admin: Option<SocketAddr>) -> Result<Self> {
        let supervision = &settings.supervision;
        let policy = RestartPolicy {
            restarts: supervision.restarts.usize(),
            period: supervision.period.get(),
            backoff_min: supervision.backoff_min.get(),
            backoff_max: supervision.backoff_max.get(),
        };
        let (event_sink, events) = EventSink::new(settings.telemetry.events_per_second.get());
        let arbiters =
            Arc::new(ArbiterPool::start(1, 1).context("can't start the thread for telemetry and discovery")?);
        let high_water_mark = settings.broker.queue.get() as u32;
        let options = socket_options(&settings, settings.requester.max_message_bytes.get(), high_water_mark, LINGER);
        let contexts = Arc::new(Contexts::new(options, settings.curve.key.clone(), log.clone()));
        Ok(Self {
            role,
            log,
            instances: vec![],
            policy,
            contexts,
            event_sink,
            events: Some(events),
            fatal: mpsc::unbounded_channel(),
            admin,
            services: vec![],
            pools: vec![arbiters.clone()],
            arbiters,
            settings,
        })
    }

    /// A pool of arbiters that is stopped with the process.
    pub fn arbiter_pool(&mut self, size: usize, blocking_threads: usize) -> Result<Arc<ArbiterPool>> {
        let pool =
            Arc::new(ArbiterPool::start(size, blocking_threads).context("can't start the threads of the arbiters")?);
        self.pools.push(pool.clone());
        Ok(pool)
    }

    /// The status of a tier's instance in this process.
    pub fn status(&mut self, tier: Tier, needs_peer: bool, needs_worker: bool) -> Arc<InstanceStatus> {
        let instance = identity::instance(&self.settings, self.role, tier, self.admin);
        let status = Arc::new(InstanceStatus::new(instance, self.event_sink.clone(), needs_peer, needs_worker));
        self.instances.push(status.clone());
        status
    }

    /// Starts a pool of actors. `status` shows them.
    pub fn pool(
        &self,
        name: &'static str,
        arbiters: &Arc<ArbiterPool>,
        status: &Arc<InstanceStatus>,
        size: watch::Sender<usize>,
        spawn: Spawn,
    ) -> Addr<Supervisor> {
        let log = self.log.new(o!("component" => name, "instance" => status.instance.id.clone()));
        Supervisor::launch(PoolSpec {
            name,
            arbiters: arbiters.clone(),
            policy: self.policy,
            spawn,
            status: status.clone(),
            size,
            fatal: self.fatal.0.clone(),
            log,
        })
    }

    /// Starts a pool of one actor that `status` does not list; it counts its restarts.
    pub fn single(
        &self,
        name: &'static str,
        arbiters: &Arc<ArbiterPool>,
        status: &InstanceStatus,
        spawn: Spawn,
    ) -> Addr<Supervisor> {
        self.pool(name, arbiters, &Arc::new(status.of_component()), watch::Sender::new(1), spawn)
    }

    /// Starts a supervisor without workers, for children that are distributed over the arbiters.
    pub fn children(
        &self,
        name: &'static str,
        arbiters: &Arc<ArbiterPool>,
        status: &Arc<InstanceStatus>,
    ) -> Addr<Supervisor> {
        let none: Factory = Arc::new(|_| Box::pin(async { Ok(()) }));
        self.pool(name, arbiters, status, watch::Sender::new(0), Component::spawn_from(none))
    }

    /// Resolves an upstream's names periodically, for an instance; the receiver has the current addresses.
    pub fn follow(&mut self, upstream: &Upstream, status: &InstanceStatus) -> watch::Receiver<BTreeSet<SocketAddr>> {
        self.follow_with(upstream, None, status)
    }

    /// `own`: the address where this process listens, if it is one of the peers itself: only the others are followed.
    fn follow_with(
        &mut self,
        upstream: &Upstream,
        own: Option<SocketAddr>,
        status: &InstanceStatus,
    ) -> watch::Receiver<BTreeSet<SocketAddr>> {
        let (addresses, receiver) = watch::channel(BTreeSet::new());
        let (addresses, discovery) = (Arc::new(addresses), &self.settings.discovery);
        let (every, limit) = (discovery.interval.get(), discovery.connect_timeout.get());
        let look_ups = LookUps { upstream: upstream.clone(), own, every, limit };
        let factory: Factory = Arc::new(move |slot| Box::pin(run_discovery(slot, look_ups.clone(), addresses.clone())));
        self.service("discovery", status, Component::spawn_from(factory));
        receiver
    }

    /// Starts an actor that runs until the process stops, on the thread for what is done seldom.
    fn service(&mut self, name: &'static str, status: &InstanceStatus, spawn: Spawn) {
        let service = self.single(name, &self.arbiters, status, spawn);
        self.services.push(service);
    }

    /// The events that the instances of this process publish, for its own web tier.
    pub fn own_events(&self) -> mpsc::Receiver<Event> {
        self.event_sink.attach()
    }

    /// Starts the process's telemetry publisher. Call it after every `status`. `own`: the address where this process itself
    /// listens for telemetry.
    pub fn start_telemetry(&mut self, own: Option<SocketAddr>) -> Result<()> {
        let contexts = Arc::new(telemetry_contexts(&self.settings, &self.log));
        let status = self.instances.first().context("a process has at least one instance")?.clone();
        let telemetry = TelemetryContext {
            instances: self.instances.clone(),
            event_sink: self.event_sink.clone(),
            outbox: Mutex::new(self.events.take().context("telemetry is started once")?),
            interval: self.settings.telemetry.interval.get(),
            contexts,
            proof: proof(&self.settings),
            web: self.follow_with(&self.settings.telemetry.web.clone(), own, &status),
        };
        let telemetry = Arc::new(telemetry);
        let spawn = TelemetryPublisher::spawn(move |life| TelemetryPublisher::new(life, telemetry.clone()));
        self.service("telemetry", &status, spawn);
        Ok(())
    }

    /// Resolves when a pool has used up its restarts.
    pub async fn fatal(&mut self) -> Fatal {
        match self.fatal.1.recv().await {
            Some(fatal) => fatal,
            // Unreachable: this struct owns a sender.
            None => std::future::pending().await,
        }
    }

    /// Publishes `instance-gone` and stops every arbiter. Work that still runs is aborted.
    pub async fn stop(self) {
        let reason = "it was shut down".to_owned();
        for status in &self.instances {
            let id = status.instance.id.clone();
            self.event_sink.emit(Event::InstanceGone { id, at: now_ms(), reason: reason.clone() });
        }
        // Errors mean that a service has ended already.
        let ended = join_all(self.services.iter().map(|service| service.send(Drain)));
        let _ = tokio::time::timeout(LINGER, ended).await;
        // In a thread of its own, because joining waits until work stops, as a read from a disk that hangs. No thread of
        // the runtime, which would be waited for without end when it is dropped.
        let (pools, (done, stopped)) = (self.pools, oneshot::channel());
        let stop = move || {
            pools.iter().for_each(|pool| pool.stop());
            // Nobody waits any more.
            let _ = done.send(());
        };
        let _stopping = thread::Builder::new().name("stop".to_owned()).spawn(stop);
        let _ = tokio::time::timeout(LINGER * 2, stopped).await;
    }
}

/// A TCP listener, or an error that names the setting.
pub fn listen(what: &str, bind: IpAddr, port: u16, setting: &str) -> Result<TcpListener> {
    let address = SocketAddr::new(bind, port);
    let listener = bind_tcp(address).with_context(|| {
        format!(
            "{what} can't listen on {address}: is something else there? Set {setting} to another port (0: any free one)"
        )
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Listens with the same backlog as the ZeroMQ sockets: std's backlog of 128 makes a burst of clients wait for seconds.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // As std does: connections of the previous process may be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The web tier's SUB socket, bound.
pub fn bind_telemetry(settings: &Settings, log: &Logger) -> Result<(Subscriber, SocketAddr)> {
    let socket = telemetry_contexts(settings, log).server_socket(zmq::SUB, "telemetry")?;
    socket.set_rcvhwm(WAITING_REPORTS)?;
    let address = bind_zmq(&socket, settings.telemetry.bind, settings.telemetry.port.port(), "telemetry.port")?;
    // CURVE has authenticated the peer already.
    let proof = settings.curve.key.is_none().then(|| proof(settings)).flatten();
    Ok((Subscriber::new(socket, proof, telemetry_per_second(settings))?, address))
}

/// Upper bound of the telemetry of one host, in bytes per second: `events_per_second` events, and a report of the maximum
/// size every `telemetry.interval`.
fn telemetry_per_second(settings: &Settings) -> u64 {
    /// Size of an event, in bytes: it has no body.
    const EVENT: u64 = 1 << 10;
    let telemetry = &settings.telemetry;
    let reports = 1 + (1_000 / telemetry.interval.get().as_millis().max(1)) as u64;
    telemetry.events_per_second.get() * EVENT + reports * MAX_REPORT as u64
}

/// Binds a ZeroMQ socket to a TCP port (0: any free one) and returns the bound address.
pub fn bind_zmq(socket: &zmq::Socket, ip: IpAddr, port: u16, setting: &str) -> Result<SocketAddr> {
    let host = SocketAddr::new(ip, port);
    bind(socket, &endpoint(host)).with_context(|| {
        format!("can't listen on {host}: is something else there? Set {setting} to another port (0: any free one)")
    })?;
    bound(socket)
}

/// The TCP address a ZeroMQ socket is bound to.
pub fn bound(socket: &zmq::Socket) -> Result<SocketAddr> {
    let endpoint = socket.get_last_endpoint()?.unwrap_or_default();
    let address = endpoint.strip_prefix("tcp://").unwrap_or(&endpoint);
    address.parse().with_context(|| format!("libzmq reports an endpoint that is not a TCP address: {endpoint:?}"))
}

/// The proof that reports come from this deployment; `None` without `admin.token`.
fn proof(settings: &Settings) -> Option<Proof> {
    settings.admin.token.as_ref().map(Proof::of)
}

fn telemetry_contexts(settings: &Settings, log: &Logger) -> Contexts {
    let options = socket_options(settings, MAX_REPORT as u64, KEPT_REPORTS, TELEMETRY_LINGER);
    Contexts::new(options, settings.curve.key.clone(), log.clone())
}

fn socket_options(settings: &Settings, max_frame_bytes: u64, high_water_mark: u32, linger: Duration) -> SocketOptions {
    let discovery = &settings.discovery;
    SocketOptions {
        connect_timeout: discovery.connect_timeout.get(),
        heartbeat: discovery.heartbeat.get(),
        heartbeat_timeout: discovery.heartbeat_timeout.get(),
        reconnect_min: settings.supervision.backoff_min.get(),
        reconnect_max: settings.supervision.backoff_max.get(),
        max_frame_bytes,
        high_water_mark,
        linger,
    }
}
