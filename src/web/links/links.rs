//! The keeper of the links: has one to every address of the requester tier while links are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix::prelude::*;
use backon::ExponentialBackoff;
use futures_util::StreamExt;
use slog::warn;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use super::{ConnectOptions, Link, LinkGoal, LinkQueue, LinkTable, Pending};
use crate::runtime::InstanceStatus;
use crate::runtime::supervision::{
    Crash, Drain, Life, RestartPolicy, StartTemporary, Supervised, Supervisor, WorkError,
};
use crate::web::requests::Requests;
use crate::wire::{LinkState, WorkerState};

/// What the keeper and its links work with; it outlives them.
pub struct LinksContext {
    pub table: Arc<LinkTable>,
    pub requests: Arc<Requests>,
    pub addresses: watch::Receiver<BTreeSet<SocketAddr>>,
    pub policy: RestartPolicy,
    pub options: ConnectOptions,
    /// Supervises the links.
    pub supervisor: Addr<Supervisor>,
    pub status: Arc<InstanceStatus>,
    pub kept: KeptLinks,
}

/// What outlives a link, of each that is there.
#[derive(Default)]
pub struct KeptLinks(Mutex<BTreeMap<SocketAddr, KeptLink>>);

struct KeptLink {
    /// Its receiver is the link's: without one, the link has ended.
    goal: Arc<watch::Sender<LinkGoal>>,
    queue: Arc<LinkQueue>,
    pending: Arc<Mutex<Pending>>,
    started: Instant,
    backoff: ExponentialBackoff,
}

/// The keeper of the links. A link that dies is made anew, with the requests that it had.
pub struct Links {
    context: Arc<LinksContext>,
    known: BTreeSet<SocketAddr>,
    wanted: bool,
    life: Life,
}

/// The addresses of the requester tier have changed.
struct AddressesChanged(BTreeSet<SocketAddr>);

/// Whether connections shall be made.
struct Wanted(bool);

impl Links {
    pub fn new(life: Life, context: Arc<LinksContext>) -> Self {
        Self { context, known: BTreeSet::new(), wanted: false, life }
    }

    /// Tells each link whether it is still wanted, and starts those that are missing.
    fn reconcile(&self, ctx: &mut Context<Self>) {
        let mut kept = self.context.kept.lock();
        for (address, link) in &*kept {
            link.tell(match (self.wanted, self.known.contains(address)) {
                (true, true) => LinkGoal::Keep,
                (true, false) => LinkGoal::Drain,
                (false, _) => LinkGoal::Close,
            });
        }
        if self.wanted {
            for address in &self.known {
                kept.entry(*address).or_insert_with(|| {
                    let queue = Arc::new(LinkQueue::new(*address));
                    self.context.table.add(queue.clone());
                    let link = KeptLink::new(queue, self.context.policy);
                    self.start_link(*address, &link, ctx);
                    link
                });
            }
        }
    }

    /// Starts a link, or another one in place of one that died.
    fn start_link(&self, address: SocketAddr, link: &KeptLink, ctx: &mut Context<Self>) {
        let (context, goals) = (self.context.clone(), link.goal.subscribe());
        let (queue, pending) = (link.queue.clone(), link.pending.clone());
        let start = StartTemporary::new(move |life| Link::new(life, context, queue, pending, goals));
        self.context.supervisor.do_send(start);
        self.watch(address, link.goal.clone(), ctx);
    }

    fn watch(&self, address: SocketAddr, goal: Arc<watch::Sender<LinkGoal>>, ctx: &mut Context<Self>) {
        let end = async move { goal.closed().await };
        ctx.spawn(end.into_actor(self).map(move |(), links, ctx| links.ended(address, ctx)));
    }

    /// A link has ended: it was to, or it died.
    fn ended(&self, address: SocketAddr, ctx: &mut Context<Self>) {
        let context = self.context.clone();
        let mut kept = context.kept.lock();
        if !context.table.has(address) {
            kept.remove(&address);
            drop(kept);
            return self.reconcile(ctx);
        }
        let Some(link) = kept.get_mut(&address) else { return };
        if link.started.elapsed() > context.policy.period {
            link.backoff = context.policy.backoff();
        }
        let wait = link.backoff.next().unwrap_or(context.policy.backoff_max);
        warn!(self.life.slot.log, "a link died, starting again"; "requester" => address, "wait" => ?wait);
        context.status.restarted();
        let reason = "a fault of this program ended the link; it is made anew".to_owned();
        context.table.set(address, LinkState::Connecting, Some(reason), None);
        ctx.run_later(wait, move |links, ctx| {
            let context = links.context.clone();
            if let Some(link) = context.kept.lock().get_mut(&address) {
                link.started = Instant::now();
                links.start_link(address, link, ctx);
            }
        });
    }
}

impl Actor for Links {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let context = self.context.clone();
        // Those of a keeper that died.
        context.kept.lock().iter().for_each(|(address, link)| self.watch(*address, link.goal.clone(), ctx));
        ctx.add_stream(WatchStream::new(context.addresses.clone()).map(AddressesChanged));
        ctx.add_stream(WatchStream::new(context.table.wanted()).map(Wanted));
        self.life.slot.status.set(WorkerState::Idle, None);
    }
}

impl StreamHandler<AddressesChanged> for Links {
    fn handle(&mut self, AddressesChanged(known): AddressesChanged, ctx: &mut Self::Context) {
        self.known = known;
        self.reconcile(ctx);
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.end(Err(WorkError::Other("the discovery of requesters has ended".to_owned())), ctx);
    }
}

impl StreamHandler<Wanted> for Links {
    fn handle(&mut self, Wanted(wanted): Wanted, ctx: &mut Self::Context) {
        self.wanted = wanted;
        self.reconcile(ctx);
    }
}

impl Handler<Drain> for Links {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.context.kept.lock().values().for_each(|link| link.tell(LinkGoal::Close));
        self.end(Ok(()), ctx);
    }
}

impl Handler<Crash> for Links {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on request");
    }
}

impl Supervised for Links {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }
}

impl KeptLinks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, KeptLink>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptLink {
    fn new(queue: Arc<LinkQueue>, policy: RestartPolicy) -> Self {
        Self {
            goal: Arc::new(watch::Sender::new(LinkGoal::Keep)),
            pending: Arc::new(Mutex::new(Pending::new(queue.clone()))),
            queue,
            started: Instant::now(),
            backoff: policy.backoff(),
        }
    }

    /// A link that is to be closed is not kept after all: another one follows it.
    fn tell(&self, now: LinkGoal) {
        self.goal.send_if_modified(|goal| *goal != LinkGoal::Close && std::mem::replace(goal, now) != now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::runtime::status;
    use crate::runtime::supervision::{Component, CrashTemporary, CrashWorker, Factory};
    use crate::runtime::testing::{policy, supervise};
    use crate::web::requests::NewRequest;
    use crate::wire::RequestStatus;

    /// A requester that the test plays.
    type Peer = BufReader<TcpStream>;

    async fn request(peer: &mut Peer) -> Value {
        let mut line = String::new();
        timeout(Duration::from_secs(30), peer.read_line(&mut line)).await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn accept(listener: &TcpListener) -> Peer {
        BufReader::new(timeout(Duration::from_secs(30), listener.accept()).await.unwrap().unwrap().0)
    }

    struct Web {
        context: Arc<LinksContext>,
        keeper: Addr<Supervisor>,
        _addresses: watch::Sender<BTreeSet<SocketAddr>>,
    }

    impl Web {
        fn start(address: SocketAddr) -> Self {
            let second = Duration::from_secs(1);
            let none: Factory = Arc::new(|_| Box::pin(async { Ok(()) }));
            let status = status();
            let table = Arc::new(LinkTable::new(true, status.clone(), "requester:1".into(), second));
            let requests = Requests::new(table.clone(), status.clone(), Arc::default(), 9, (9, 1 << 20), second * 60);
            let addresses = watch::Sender::new(BTreeSet::from([address]));
            let context = Arc::new(LinksContext {
                table,
                requests: Arc::new(requests),
                addresses: addresses.subscribe(),
                policy: policy(),
                options: ConnectOptions {
                    connect_timeout: second * 30,
                    heartbeat: second,
                    heartbeat_timeout: second * 30,
                    largest_frame: 1 << 20,
                },
                supervisor: supervise(Component::spawn_from(none), 0),
                status,
                kept: KeptLinks::default(),
            });
            let again = context.clone();
            let keeper = supervise(Links::spawn(move |life| Links::new(life, again.clone())), 1);
            Self { context, keeper, _addresses: addresses }
        }

        /// Submits a request once a link is up.
        async fn submit(&self) -> String {
            let mut changes = self.context.table.changes();
            while !self.context.table.any(&BTreeSet::new()) {
                timeout(Duration::from_secs(30), changes.changed()).await.unwrap().unwrap();
            }
            self.context.requests.submit(NewRequest::default()).unwrap()
        }

        async fn assert_complete(&self, id: &str) {
            let ended = timeout(Duration::from_secs(30), self.context.requests.wait(id)).await.unwrap().unwrap();
            assert_eq!(ended.view.status, RequestStatus::Complete, "{ended:?}");
        }

        fn restarts(&self) -> u64 {
            self.context.status.snapshot().restarts
        }
    }

    #[actix_rt::test]
    async fn a_link_that_dies_is_made_anew_and_its_requests_go_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Web::start(listener.local_addr().unwrap());
        let mut peer = accept(&listener).await;
        let id = web.submit().await;
        assert_eq!(request(&mut peer).await["requestId"], id);
        web.context.supervisor.send(CrashTemporary).await.unwrap();
        let mut peer = accept(&listener).await;
        let again = request(&mut peer).await;
        assert_eq!((&again["requestId"], &again["attempt"]), (&json!(id), &json!(2)));
        peer.write_all(json!({ &id: [] }).to_string().as_bytes()).await.unwrap();
        web.assert_complete(&id).await;
        assert_eq!(web.restarts(), 1);
    }

    #[actix_rt::test]
    async fn links_outlive_their_keeper_and_the_next_one_keeps_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Web::start(listener.local_addr().unwrap());
        let mut peer = accept(&listener).await;
        let id = web.submit().await;
        assert_eq!(request(&mut peer).await["requestId"], id);
        assert!(web.keeper.send(CrashWorker(0)).await.unwrap());
        // The new keeper knows of the link: that dies and is made anew.
        web.context.supervisor.send(CrashTemporary).await.unwrap();
        let mut peer = accept(&listener).await;
        assert_eq!(request(&mut peer).await["requestId"], id);
        peer.write_all(json!({ &id: [] }).to_string().as_bytes()).await.unwrap();
        web.assert_complete(&id).await;
        // Whoever disconnects ends what is under way.
        let id = web.submit().await;
        web.context.table.disconnect();
        let ended = timeout(Duration::from_secs(30), web.context.requests.wait(&id)).await.unwrap().unwrap();
        assert_eq!(ended.view.status, RequestStatus::Failed);
        web.keeper.send(Drain).await.unwrap();
        web.context.supervisor.send(Drain).await.unwrap();
        assert!(web.context.table.views().is_empty());
    }
}
