//! Builds the tiers of one process from its settings, runs them, and shuts them down in order.

mod in_process_target;
mod limits;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use anyhow::{Context, Result};
use slog::{Logger, info, warn};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::admin::{Control, Instances, Workers, admin_routes, serve_admin};
use crate::broker::{BrokerTier, inproc_endpoint};
use crate::config::{Role, Settings, Upstream};
use crate::requester::{MAX_WORKERS, RequestCoordinator, RequesterTier};
use crate::responder::{LocalBroker, ResponderTier};
use crate::runtime::http::{Guard, Permission, http_server};
use crate::runtime::supervision::{Component, CrashWorker, Drain, Resize, Supervisor};
use crate::runtime::{InstanceStatus, Process, bind_telemetry, listen};
use crate::web::WebTier;
use crate::wire::{InstanceState, Tier};
pub use in_process_target::InProcess;

/// Interval of [`App::ready`]'s checks.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The addresses on which the process listens, with their real ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    pub web: Option<SocketAddr>,
    /// The socket master.
    pub requester: Option<SocketAddr>,
    /// The broker's ROUTER.
    pub broker: Option<SocketAddr>,
    /// Address on which a separate broker listens for workers; `None` for `ipc://`.
    pub backend: Option<SocketAddr>,
    /// The web tier's SUB.
    pub telemetry: Option<SocketAddr>,
    pub admin: Option<SocketAddr>,
}

impl Addresses {
    /// Logs the addresses.
    pub fn log(&self, log: &Logger) {
        let all = [
            ("web tier, http", self.web),
            ("socket master, tcp", self.requester),
            ("broker for requesters, zeromq", self.broker),
            ("broker for workers, zeromq", self.backend),
            ("telemetry, zeromq", self.telemetry),
            ("admin, http", self.admin),
        ];
        for (what, address) in all {
            let Some(address) = address else { continue };
            let scheme = if what.ends_with("http") { "http" } else { "tcp" };
            info!(log, "listening"; "what" => what, "address" => format!("{scheme}://{address}"));
        }
    }
}

/// A process with its tiers, started.
pub struct App {
    pub addresses: Addresses,
    process: Process,
    web: Option<WebTier>,
    requester: Option<RequesterTier>,
    responder: Option<ResponderTier>,
    broker: Option<BrokerTier>,
    admin: Addr<Supervisor>,
    deadline: Duration,
}

impl App {
    /// Binds every port and starts every actor of the role, in the current actix system. Errors name the setting to change.
    pub fn build(mut settings: Settings, role: Role, log: Logger) -> Result<Self> {
        limits::raise(&settings, role, &log)?;
        limits::check_curve(&settings.curve, zmq::has("curve") == Some(true))?;
        let all = role == Role::All;
        let mut addresses = Addresses::default();
        let admin_listener = listen("admin", settings.admin.bind, admin_port(&settings, role), "admin.port")?;
        addresses.admin = Some(admin_listener.local_addr()?);
        let subscriber = match all || role == Role::Web {
            true => Some(bind_telemetry(&settings, &log)?),
            false => None,
        };
        if let Some((_, address)) = &subscriber {
            addresses.telemetry = Some(*address);
            if all {
                settings.telemetry.web = Upstream::at(*address);
            }
        }
        let mut process = Process::new(settings, role, log, addresses.admin)?;
        let mut broker = None;
        if all || role == Role::Broker || (role == Role::Responder && process.settings.responder.backend.is_none()) {
            let tier = BrokerTier::start(&mut process, role == Role::Broker)?;
            (addresses.broker, addresses.backend) = (Some(tier.router), tier.backend);
            if all {
                process.settings.requester.responder = Upstream::at(tier.router);
            }
            broker = Some(tier);
        }
        let responder = match all || role == Role::Responder {
            true => Some(ResponderTier::start(&mut process, broker.as_ref().map(local))?),
            false => None,
        };
        let mut requester = None;
        if all || role == Role::Requester {
            let tier = RequesterTier::start(&mut process)?;
            addresses.requester = Some(tier.address);
            if all {
                process.settings.web.requester = Upstream::at(tier.address);
            }
            requester = Some(tier);
        }
        let mut web = None;
        if let Some((subscriber, _)) = subscriber {
            let tier = WebTier::start(&mut process, subscriber)?;
            addresses.web = Some(tier.address);
            web = Some(tier);
        }
        process.start_telemetry(addresses.telemetry)?;
        let instances = Arc::new(Instances {
            controls: controls(requester.as_ref(), broker.as_ref(), responder.as_ref()),
            instances: process.instances.clone(),
            deployment: web.as_ref().map(|tier| tier.deployment.clone()),
        });
        let guard = Arc::new(Guard::new(
            process.settings.admin.bind,
            Permission::of(process.settings.admin.token.as_ref(), &[process.settings.admin.bind]),
            process.settings.web.hosts.clone(),
            admin_routes(),
        ));
        let status = process.instances.first().context("a process has at least one instance")?;
        let factory = http_server(admin_listener, move |listener| serve_admin(listener, &instances, &guard));
        let admin = process.single("admin server", &process.arbiters, status, Component::spawn_from(factory));
        let deadline = process.settings.shutdown.deadline.get();
        Ok(Self { addresses, process, web, requester, responder, broker, admin, deadline })
    }

    /// Waits until every instance is ready, for at most `max_wait`.
    pub async fn ready(&self, max_wait: Duration) {
        let all_ready = async {
            while self.instances().iter().any(|status| status.state().0 != InstanceState::Ready) {
                sleep(POLL_INTERVAL).await;
            }
        };
        // After a timeout, requests get an error that names the missing peer.
        let _ = timeout(max_wait, all_ready).await;
    }

    /// The status of each instance of this process.
    pub fn instances(&self) -> &[Arc<InstanceStatus>] {
        &self.process.instances
    }

    /// The requester's coordinator, for load that is generated in this process.
    pub fn coordinator(&self) -> Option<Arc<RequestCoordinator>> {
        self.requester.as_ref().map(|tier| tier.coordinator.clone())
    }

    /// Runs until `shutdown` is ready, then drains every tier, front to back, within the deadline.
    ///
    /// # Errors
    /// A pool's workers died more often than the restart budget allows.
    pub async fn run_until_stopped(mut self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let failed = tokio::select! {
            () = shutdown => None,
            fatal = self.process.fatal() => Some(fatal),
        };
        let log = self.process.log.clone();
        info!(log, "shutting down"; "deadline" => ?self.deadline);
        let until = Instant::now() + self.deadline;
        if timeout_at(until, self.drain(until)).await.is_err() {
            let left: u64 = self.process.instances.iter().map(|status| status.ledger.read().in_flight).sum();
            warn!(log, "the deadline passed with messages in flight (shutdown.deadline)"; "inFlight" => left);
        }
        // An error means that the supervisor is gone, and the server with it.
        let _ = self.admin.send(Drain).await;
        self.process.stop().await;
        match failed {
            Some(fatal) => Err(fatal.into()),
            None => Ok(()),
        }
    }

    /// Drains front to back, so that each tier can still complete its messages.
    async fn drain(&self, until: Instant) {
        if let Some(web) = &self.web {
            web.drain(until, &self.process.log).await;
        }
        if let Some(requester) = &self.requester {
            requester.drain().await;
        }
        if let Some(broker) = &self.broker {
            broker.drain().await;
        }
        if let Some(responder) = &self.responder {
            responder.drain().await;
        }
    }

    /// Makes a worker panic; false if that worker is not running.
    pub async fn crash_worker(&self, tier: Tier, index: usize) -> bool {
        let pool = match tier {
            Tier::Requester => self.requester.as_ref().map(|tier| &tier.workers),
            Tier::Responder => self.responder.as_ref().map(|tier| &tier.workers),
            Tier::Broker => self.broker.as_ref().map(|tier| &tier.pool),
            Tier::Web => None,
        };
        match pool {
            Some(pool) => pool.send(CrashWorker(index)).await.unwrap_or(false),
            None => false,
        }
    }

    /// Changes a tier's number of workers; false if the process has no such pool, or it is draining.
    pub async fn resize(&self, tier: Tier, workers: usize) -> bool {
        let pool = match tier {
            Tier::Requester => self.requester.as_ref().map(|tier| &tier.workers),
            Tier::Responder => self.responder.as_ref().map(|tier| &tier.workers),
            Tier::Web | Tier::Broker => None,
        };
        match pool {
            Some(pool) => pool.send(Resize(workers)).await.unwrap_or(false),
            None => false,
        }
    }
}

/// The handles of a broker that the responder workers of its process need.
fn local(broker: &BrokerTier) -> LocalBroker {
    LocalBroker { dispatch: broker.dispatch.subscribe(), endpoint: inproc_endpoint, shared: broker.shared.clone() }
}

/// The controls of this process's instances.
fn controls(
    requester: Option<&RequesterTier>,
    broker: Option<&BrokerTier>,
    responder: Option<&ResponderTier>,
) -> Vec<Control> {
    let requester = requester.map(|tier| Control {
        status: tier.status.clone(),
        workers: Some(Workers { pool: tier.workers.clone(), max: MAX_WORKERS }),
        responder: None,
        dispatch: None,
    });
    let broker = broker.map(|tier| Control {
        status: tier.status.clone(),
        workers: None,
        responder: None,
        dispatch: (!tier.separate).then(|| tier.dispatch.clone()),
    });
    let responder = responder.map(|tier| Control {
        status: tier.controls.status.clone(),
        workers: Some(Workers { pool: tier.workers.clone(), max: MAX_WORKERS }),
        responder: Some(tier.controls.clone()),
        dispatch: None,
    });
    [broker, responder, requester].into_iter().flatten().collect()
}

fn admin_port(settings: &Settings, role: Role) -> u16 {
    settings.admin.port.map_or(role.admin_port(), |port| port.port())
}
