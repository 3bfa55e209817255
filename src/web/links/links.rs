//! The actor `Links`: keeps a link to every address of the requester tier while connections are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use actix::prelude::*;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use super::{ConnectOptions, Link, LinkGoal, LinkQueue, LinkTable, Pending};
use crate::runtime::supervision::{Drain, Life, RestartPolicy, StartTransient, Supervised, Supervisor, WorkError};
use crate::web::requests::Requests;
use crate::wire::WorkerState;

/// What `Links` and the links work with. Outlives them.
pub struct LinksContext {
    pub table: Arc<LinkTable>,
    pub requests: Arc<Requests>,
    pub addresses: watch::Receiver<BTreeSet<SocketAddr>>,
    /// The waits before a link connects again.
    pub policy: RestartPolicy,
    pub options: ConnectOptions,
    /// Supervises the links, and restarts those that die.
    pub supervisor: Addr<Supervisor>,
    pub kept: KeptLinks,
}

/// The links that have not ended. They outlive the actor `Links`.
#[derive(Default)]
pub struct KeptLinks(Mutex<BTreeMap<SocketAddr, KeptLink>>);

/// The desired state of a link. The receivers are the link's and its supervisor's: without one, the link has ended.
type KeptLink = Arc<watch::Sender<LinkGoal>>;

/// The actor that starts the links and sets their goals.
pub struct Links {
    context: Arc<LinksContext>,
    known: BTreeSet<SocketAddr>,
    wanted: bool,
    life: Life,
}

/// The addresses of the requester tier have changed.
struct AddressesChanged(BTreeSet<SocketAddr>);

/// Whether the web tier is to be connected: see [`LinkTable::wanted`].
pub struct Wanted(pub bool);

impl Links {
    pub fn new(life: Life, context: Arc<LinksContext>) -> Self {
        // As it is now: what a keeper that died had known must not seem gone until each stream has brought its first value.
        let (known, wanted) = (context.addresses.borrow().clone(), *context.table.wanted().borrow());
        Self { context, known, wanted, life }
    }

    /// Sets the goal of each link, and starts those that are missing.
    fn reconcile(&self, ctx: &mut Context<Self>) {
        let mut kept = self.context.kept.0.lock();
        for (address, link) in &*kept {
            let goal = match (self.wanted, self.known.contains(address)) {
                (true, true) => LinkGoal::Keep,
                (true, false) => LinkGoal::Drain,
                (false, _) => LinkGoal::Close,
            };
            set_goal(link, goal);
        }
        if self.wanted {
            for address in &self.known {
                kept.entry(*address).or_insert_with(|| self.start_link(*address, ctx));
            }
        }
    }

    fn start_link(&self, address: SocketAddr, ctx: &mut Context<Self>) -> KeptLink {
        let queue = Arc::new(LinkQueue::new(address));
        self.context.table.add(queue.clone());
        let (goal, goals) = watch::channel(LinkGoal::Keep);
        let (context, pending) = (self.context.clone(), Arc::new(Mutex::new(Pending::new(queue.clone()))));
        let spawn =
            Link::spawn(move |life| Link::new(life, context.clone(), queue.clone(), pending.clone(), goals.clone()));
        self.context.supervisor.do_send(StartTransient(spawn));
        let link = Arc::new(goal);
        self.watch(address, link.clone(), ctx);
        link
    }

    fn watch(&self, address: SocketAddr, link: KeptLink, ctx: &mut Context<Self>) {
        let end = async move { link.closed().await };
        ctx.spawn(end.into_actor(self).map(move |(), links, ctx| {
            // One that is still in the table has not left it: its supervisor has given up, and the process ends.
            if !links.context.table.has(address) {
                links.context.kept.0.lock().remove(&address);
                links.reconcile(ctx);
            }
        }));
    }
}

impl Actor for Links {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let context = self.context.clone();
        // The links that were started before this actor was restarted.
        context.kept.0.lock().iter().for_each(|(address, link)| self.watch(*address, link.clone(), ctx));
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
        self.context.kept.0.lock().values().for_each(|link| set_goal(link, LinkGoal::Close));
        self.end(Ok(()), ctx);
    }
}

impl Supervised for Links {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }
}

/// Changes the goal of a link. One that is to be closed is not kept after all: another one follows it.
fn set_goal(link: &KeptLink, now: LinkGoal) {
    link.send_if_modified(|goal| *goal != LinkGoal::Close && std::mem::replace(goal, now) != now);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use serde_json::{Value, json};
    use slog::{Discard, Logger, Never, OwnedKVList, Record, o};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::runtime::supervision::{CrashChildren, CrashWorker, PoolSpec};
    use crate::runtime::testing::{no_workers, policy, pool};
    use crate::runtime::{InstanceStatus, status};
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
        status: Arc<InstanceStatus>,
        keeper_status: Arc<InstanceStatus>,
        _addresses: watch::Sender<BTreeSet<SocketAddr>>,
    }

    impl Web {
        fn start(address: SocketAddr) -> Self {
            Self::start_with(address, Logger::root(Discard, o!()))
        }

        /// `log`: of the links.
        fn start_with(address: SocketAddr, log: Logger) -> Self {
            let second = Duration::from_secs(1);
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
                supervisor: Supervisor::launch(PoolSpec { status: status.clone(), log, ..no_workers() }),
                kept: KeptLinks::default(),
            });
            let again = context.clone();
            let spec = pool(Links::spawn(move |life| Links::new(life, again.clone())), 1);
            let (keeper_status, keeper) = (spec.status.clone(), Supervisor::launch(spec));
            Self { context, keeper, status, keeper_status, _addresses: addresses }
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
            self.status.snapshot().restarts
        }
    }

    #[actix_rt::test]
    async fn a_link_that_dies_is_restarted_and_its_requests_continue() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Web::start(listener.local_addr().unwrap());
        let mut peer = accept(&listener).await;
        let id = web.submit().await;
        assert_eq!(request(&mut peer).await["requestId"], id);
        web.context.supervisor.send(CrashChildren).await.unwrap();
        let mut peer = accept(&listener).await;
        let again = request(&mut peer).await;
        assert_eq!((&again["requestId"], &again["attempt"]), (&json!(id), &json!(2)));
        peer.write_all(json!({ &id: [] }).to_string().as_bytes()).await.unwrap();
        web.assert_complete(&id).await;
        assert_eq!(web.restarts(), 1);
    }

    #[actix_rt::test]
    async fn links_outlive_the_actor_that_keeps_them_and_its_restart_knows_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Web::start(listener.local_addr().unwrap());
        let mut peer = accept(&listener).await;
        let id = web.submit().await;
        assert_eq!(request(&mut peer).await["requestId"], id);
        assert!(web.keeper.send(CrashWorker(0)).await.unwrap());
        let keeper = || web.keeper_status.snapshot().workers[0].clone();
        while keeper().restarts == 0 || keeper().state != WorkerState::Idle {
            tokio::task::yield_now().await;
        }
        // The new keeper keeps the link, also when that dies and is started again.
        web.context.supervisor.send(CrashChildren).await.unwrap();
        let mut peer = accept(&listener).await;
        assert_eq!(request(&mut peer).await["requestId"], id);
        peer.write_all(json!({ &id: [] }).to_string().as_bytes()).await.unwrap();
        web.assert_complete(&id).await;
        // A disconnection ends active requests.
        let id = web.submit().await;
        web.context.table.disconnect();
        let ended = timeout(Duration::from_secs(30), web.context.requests.wait(&id)).await.unwrap().unwrap();
        assert_eq!(ended.view.status, RequestStatus::Failed);
        web.keeper.send(Drain).await.unwrap();
        web.context.supervisor.send(Drain).await.unwrap();
        assert!(web.context.table.views().is_empty());
    }

    /// A log that panics at the first line with this text.
    struct PanicsAt(&'static str, AtomicBool);

    impl slog::Drain for PanicsAt {
        type Ok = ();
        type Err = Never;

        fn log(&self, record: &Record, _: &OwnedKVList) -> Result<(), Never> {
            let is_first = record.msg().to_string() == self.0 && !self.1.swap(true, Ordering::Relaxed);
            assert!(!is_first, "a fault");
            Ok(())
        }
    }

    #[actix_rt::test]
    async fn every_request_of_a_link_that_panics_while_it_leaves_has_an_outcome() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let log = PanicsAt("ends a request", AtomicBool::new(false));
        let web = Web::start_with(listener.local_addr().unwrap(), Logger::root(log, o!()));
        let mut peer = accept(&listener).await;
        let ids = [web.submit().await, web.submit().await];
        for _ in &ids {
            request(&mut peer).await;
        }
        web.context.table.disconnect();
        for id in ids {
            let ended = timeout(Duration::from_secs(30), web.context.requests.wait(&id)).await.unwrap().unwrap();
            assert_eq!(ended.view.status, RequestStatus::Failed);
        }
        assert_eq!(web.restarts(), 1);
        web.context.supervisor.send(Drain).await.unwrap();
        assert!(web.context.table.views().is_empty());
    }
}
