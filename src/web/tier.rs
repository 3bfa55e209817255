//! The web tier: HTTP server, links and hub.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use anyhow::{Context, Result};
use parking_lot::Mutex;
use slog::{Logger, warn};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};

use super::Load;
use crate::config::Connect;
use crate::runtime::http::{Guard, HttpLimits, Permission, http_server};
use crate::runtime::supervision::{Component, Drain, Supervised, Supervisor};
use crate::runtime::telemetry::Subscriber;
use crate::runtime::{InstanceStatus, Memory, Process, listen};
use crate::web::Feed;
use crate::web::experiments::{Experiments, Program, RunKey, Runs};
use crate::web::history::History;
use crate::web::http::{Answers, WebContext, access, serve_web};
use crate::web::hub::{Deployment, Hub, HubContext, OwnSettings};
use crate::web::links::{ConnectOptions, KeptLinks, LinkTable, Links, LinksContext};
use crate::web::requests::Requests;
use crate::wire::{ErrorCode, Problem, Tier};

/// What the bodies of requests that are being received may take, in bytes, where no single one may be larger.
const BODIES: usize = 16 << 20;

/// Before the end of a shutdown's deadline, for the answers to requests that did not end within it.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A web instance, started.
pub struct WebTier {
    /// Where its HTTP server listens.
    pub address: SocketAddr,
    requests: Arc<Requests>,
    load: Arc<Load>,
    experiments: Arc<Experiments>,
    pub deployment: Arc<Deployment>,
    status: Arc<InstanceStatus>,
    server: Addr<Supervisor>,
    /// In the order in which they are drained.
    components: [Addr<Supervisor>; 4],
}

impl WebTier {
    pub fn start(process: &mut Process, subscriber: Subscriber) -> Result<Self> {
        let (settings, discovery) = (process.settings.web.clone(), process.settings.discovery.clone());
        let listener = listen("the web server", settings.bind, settings.port.port(), "web.port")?;
        let address = listener.local_addr()?;
        let status = process.status(Tier::Web, true, false);
        let wanted = settings.connect == Connect::Auto;
        let upstream = settings.requester.as_str().to_owned();
        let links = Arc::new(LinkTable::new(wanted, status.clone(), upstream, discovery.connect_timeout.get()));
        let keep_bytes = settings.keep_bytes.usize();
        let feed = Arc::new(Feed::default());
        let requests = Arc::new(Requests::new(
            links.clone(),
            status.clone(),
            feed.clone(),
            settings.max_in_flight.usize(),
            (settings.keep_requests.usize(), keep_bytes),
            process.settings.requester.timeout.get(),
        ));
        let interval = process.settings.telemetry.interval.get();
        let admin = &process.settings.admin;
        let permission = Permission::of(admin.token.as_ref(), &[settings.bind, admin.bind]);
        let own = OwnSettings {
            id: status.instance.id.clone(),
            timeout: process.settings.requester.timeout.get(),
            task: process.settings.task.name.name().to_owned(),
            batch: settings.batch.get(),
            controls: matches!(permission, Permission::Open),
            keep_requests: settings.keep_requests.usize(),
        };
        let history = Arc::new(History::new(settings.keep_events.usize(), feed.clone()));
        let load = Arc::new(Load::new(history.clone()));
        let deployment = Arc::new(Deployment::new(
            keep_bytes / 2,
            settings.max_dashboards.usize(),
            interval,
            own,
            (feed, requests.clone()),
            links.clone(),
            (load.clone(), history.clone()),
        ));
        let run_key = RunKey::random();
        let program = Program {
            path: std::env::current_exe().context("this program's own path is not known")?,
            token: process.settings.admin.token.clone(),
            url: format!("http://{}", reachable(address)),
            key: run_key.clone(),
        };
        let runs = Runs::new(process.settings.experiments.dir.clone());
        let arbiters = process.arbiter_pool(settings.arbiters.usize(), 1)?;
        let jobs = process.children("job", &arbiters, &status);
        let experiments = Arc::new(Experiments::new(runs, program, deployment.clone(), jobs.clone()));
        let link_supervisor = process.children("link", &arbiters, &status);
        let context = Arc::new(LinksContext {
            table: links.clone(),
            requests: requests.clone(),
            addresses: process.follow(&settings.requester, &status),
            policy: process.policy,
            options: ConnectOptions {
                connect_timeout: discovery.connect_timeout.get(),
                heartbeat: discovery.heartbeat.get(),
                heartbeat_timeout: discovery.heartbeat_timeout.get(),
                // A whole set of replies, as the article's requester sends it, has several.
                largest_frame: (8 * process.settings.requester.max_message_bytes.usize()).max(8 << 20),
            },
            supervisor: link_supervisor.clone(),
            kept: KeptLinks::default(),
        });
        let spawn = Links::spawn(move |life| Links::new(life, context.clone()));
        let link_keeper = process.single("links", &arbiters, &status, spawn);
        let context = Arc::new(HubContext {
            deployment: deployment.clone(),
            subscriber: AsyncMutex::new(subscriber),
            own_events: Mutex::new(process.own_events()),
        });
        // Whatever telemetry costs, the links do not wait for it.
        let hub_arbiter = process.arbiter_pool(1, 1)?;
        let hub = process.single("hub", &hub_arbiter, &status, Hub::spawn(move |life| Hub::new(life, context.clone())));
        let context = WebContext {
            deployment: deployment.clone(),
            links,
            requests: requests.clone(),
            answers: Arc::new(Answers::new(keep_bytes / 2)),
            load: load.clone(),
            history,
            jobs: jobs.clone(),
            experiments: experiments.clone(),
            run_key,
            guard: Arc::new(Guard::new(settings.bind, permission, settings.hosts.clone(), access())),
            max_body_bytes: settings.max_body_bytes.usize(),
            limits: HttpLimits {
                connections: settings.max_connections.usize(),
                body_timeout: settings.body_timeout.get(),
                send_timeout: settings.send_timeout.get(),
                bodies: Memory::of(BODIES.max(settings.max_body_bytes.usize())),
            },
            threads: settings.threads.usize(),
        };
        let factory = http_server(listener, move |listener| serve_web(listener, context.clone(), 1));
        let server = process.single("web server", &process.arbiters, &status, Component::spawn_from(factory));
        Ok(Self {
            address,
            requests,
            load,
            experiments,
            deployment,
            status,
            server,
            components: [link_keeper, link_supervisor, jobs, hub],
        })
    }

    /// Takes no more requests; returns when all have ended and the connections are closed. What would end too late for its
    /// answer to leave before `deadline` ends as an error with the replies it has.
    pub async fn drain(&self, deadline: Instant, log: &Logger) {
        self.status.set_draining();
        self.load.stop("the web tier was shut down", None);
        self.experiments.drain().await;
        let left = deadline.saturating_duration_since(Instant::now());
        if timeout(left.saturating_sub(LAST_ANSWERS), self.requests.all_ended()).await.is_err() {
            let message = "the web instance that held this request was shut down before all replies were there";
            let problem = Problem { code: ErrorCode::Draining, message: message.to_owned() };
            let ended = self.requests.end_all(&problem);
            warn!(log, "requests had to end before their replies were there (shutdown.deadline)"; "requests" => ended);
        }
        self.deployment.close_sessions();
        // The server waits for its connections within its own, short deadline.
        let _ = timeout(Duration::from_secs(2), self.server.send(Drain)).await;
        for component in &self.components {
            // An error means that the supervisor has ended, and the workers with it.
            let _ = component.send(Drain).await;
        }
    }
}

/// An address at which this machine itself reaches a server.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}
