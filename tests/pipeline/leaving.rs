//! Peers whose address leaves the name that they are found by, as a swarm's do two seconds before they are told to stop:
//! what they have is still exchanged, and nothing new is sent to them. The addresses are set by hand in place of DNS.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use serde_json::{Value, json};
use slog::{Discard, Logger, o};
use swarmq::requester::{
    Memory, PendingMessage, ReplyTo, RequesterContext, RequesterSocket, RequesterWorker, RetryPolicy, WorkerQueues,
};
use swarmq::responder::FaultInjector;
use swarmq::responder::tasks::{Tasks, TasksConfig, Withheld};
use swarmq::responder::{Backend, ResponderContext, ResponderStates, ResponderWorker};
use swarmq::runtime::InstanceStatus;
use swarmq::runtime::supervision::{
    ArbiterPool, Component, Drain, Factory, Life, PoolSpec, RestartPolicy, Slot, Supervisor,
};
use swarmq::runtime::telemetry::EventSink;
use swarmq::runtime::telemetry::Publisher;
use swarmq::runtime::zeromq::{Contexts, SocketOptions};
use swarmq::web::links::{ConnectOptions, KeptLinks, LinkTable, Links, LinksContext};
use swarmq::web::requests::Requests;
use swarmq::wire::{Delay, Event, Instance, LinkState, Message, Outcome, RequestStatus, TaskName, Tier, now_ms};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{ArticleTier, PATIENCE, Peer, article_reply, eventually, frames, in_time, zmq_socket};

fn status(tier: Tier) -> Arc<InstanceStatus> {
    let instance = Instance {
        id: format!("{}-1", tier.name()),
        tier,
        node: "pi-1".into(),
        service: tier.name().into(),
        slot: None,
        version: "0".into(),
        pid: 1,
        started_at: 0,
        admin: None,
    };
    Arc::new(InstanceStatus::new(instance, EventSink::new(0).0, true, false))
}

fn slot(status: &InstanceStatus) -> Slot {
    Slot { index: 0, drain: CancellationToken::new(), status: status.add_worker(0), log: Logger::root(Discard, o!()) }
}

fn contexts() -> Arc<Contexts> {
    let options = SocketOptions {
        connect_timeout: PATIENCE,
        heartbeat: Duration::from_secs(1),
        heartbeat_timeout: PATIENCE,
        reconnect_min: Duration::from_millis(5),
        reconnect_max: Duration::from_millis(50),
        max_frame_bytes: 1 << 20,
        high_water_mark: 100,
        linger: Duration::ZERO,
    };
    Arc::new(Contexts::new(options, None, Logger::root(Discard, o!())))
}

fn set(addresses: &[SocketAddr]) -> BTreeSet<SocketAddr> {
    addresses.iter().copied().collect()
}

/// Links to requesters that the test plays itself.
struct Web {
    links: Arc<LinkTable>,
    requests: Arc<Requests>,
    status: Arc<InstanceStatus>,
    addresses: watch::Sender<BTreeSet<SocketAddr>>,
    keeper: Addr<Links>,
}

impl Web {
    fn start(addresses: &[SocketAddr]) -> Self {
        let status = status(Tier::Web);
        let links = Arc::new(LinkTable::new(true, status.clone(), "requester:1".into(), PATIENCE));
        let requests =
            Arc::new(Requests::new(links.clone(), status.clone(), Arc::default(), 100, (100, 1 << 20), PATIENCE));
        let addresses = watch::Sender::new(set(addresses));
        let second = Duration::from_secs(1);
        let policy = RestartPolicy {
            restarts: 1,
            period: second,
            backoff_min: Duration::from_millis(5),
            backoff_max: Duration::from_millis(50),
        };
        let none: Factory = Arc::new(|_| Box::pin(async { Ok(()) }));
        let supervisor = Supervisor::launch(PoolSpec {
            name: "link",
            arbiters: Arc::new(ArbiterPool::start(1, 1).unwrap()),
            policy,
            spawn: Component::spawn_from(none),
            status: status.clone(),
            size: watch::Sender::new(0),
            fatal: mpsc::unbounded_channel().0,
            log: Logger::root(Discard, o!()),
        });
        let options = ConnectOptions {
            connect_timeout: PATIENCE,
            heartbeat: second,
            heartbeat_timeout: PATIENCE,
            largest_frame: 8 << 20,
        };
        let context = Arc::new(LinksContext {
            table: links.clone(),
            requests: requests.clone(),
            addresses: addresses.subscribe(),
            policy,
            options,
            supervisor,
            kept: KeptLinks::default(),
        });
        let keeper = Links::new(Life::unsupervised(slot(&status)), context).start();
        Self { links, requests, status, addresses, keeper }
    }

    /// Waits until the links that are up are to these.
    async fn linked(&self, addresses: &[SocketAddr]) {
        eventually("the links", async || {
            let views = self.links.views();
            let up = views.iter().filter(|(_, view)| view.state == LinkState::Connected);
            let up: BTreeSet<SocketAddr> = up.map(|(address, _)| address.parse().unwrap()).collect();
            (up == set(addresses)).then_some(())
        })
        .await;
    }

    fn submit(&self) -> String {
        self.requests.submit(serde_json::from_value(json!({ "fanOut": "one" })).unwrap()).unwrap()
    }

    /// Waits until a request has ended as it should, and every call with it.
    async fn completed(&self, id: &str) {
        let ended = in_time("the end of a request", self.requests.wait(id)).await.unwrap();
        assert_eq!(ended.view.status, RequestStatus::Complete, "{ended:?}");
        assert_eq!(ended.view.counts.responses, 1, "{ended:?}");
    }
}

/// Takes the next request.
async fn request(peer: &mut Peer) -> String {
    peer.object().await["requestId"].as_str().unwrap().to_owned()
}

/// Answers a request as a requester with one worker would.
async fn answer(peer: &mut Peer, id: &str) {
    let message = Message { request_id: id.into(), message_id: format!("{id}-1"), ..Message::default() };
    let promise = json!({ "messageId": message.message_id, "requesterId": "r" });
    let steps: [Value; 3] = [
        json!({ "requestId": id, "accepted": { "instance": "requester-1", "messages": [promise] } }),
        json!({ "requestId": id, "reply": message.reply(7, "done".into()) }),
        json!({ "requestId": id, "complete": { "replies": 1 } }),
    ];
    for step in steps {
        peer.send(step.to_string()).await;
    }
}

#[actix_rt::test]
async fn a_requester_that_leaves_ends_what_it_has_and_gets_nothing_new() {
    let listeners = [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let [first, second] = [listeners[0].local_addr().unwrap(), listeners[1].local_addr().unwrap()];
    let web = Web::start(&[first]);
    let mut leaving = Peer::accept(&listeners[0]).await;
    web.linked(&[first]).await;
    let begun = web.submit();
    assert_eq!(request(&mut leaving).await, begun);
    web.addresses.send_replace(set(&[second]));
    let mut staying = Peer::accept(&listeners[1]).await;
    web.linked(&[second]).await;
    let new = web.submit();
    assert_eq!(request(&mut staying).await, new);
    answer(&mut staying, &new).await;
    answer(&mut leaving, &begun).await;
    web.completed(&new).await;
    web.completed(&begun).await;
    assert_eq!(leaving.next().await, None, "the link is closed when it has nothing under way, and not before");
    let ledger = web.status.ledger.read();
    assert_eq!((ledger.sent, ledger.responses, ledger.retries), (2, 2, 0));
    web.keeper.do_send(Drain);
}

#[actix_rt::test]
async fn a_requester_that_is_back_before_it_ended_is_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let web = Web::start(&[address]);
    let mut peer = Peer::accept(&listener).await;
    web.linked(&[address]).await;
    let begun = web.submit();
    assert_eq!(request(&mut peer).await, begun);
    web.addresses.send_replace(set(&[]));
    web.linked(&[]).await;
    web.addresses.send_replace(set(&[address]));
    web.linked(&[address]).await;
    answer(&mut peer, &begun).await;
    web.completed(&begun).await;
    let next = web.submit();
    assert_eq!(request(&mut peer).await, next, "by the same connection");
    answer(&mut peer, &next).await;
    web.completed(&next).await;
    web.keeper.do_send(Drain);
}

#[actix_rt::test]
async fn what_a_lost_requester_had_is_given_to_another_at_once() {
    let listeners = [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let addresses = [listeners[0].local_addr().unwrap(), listeners[1].local_addr().unwrap()];
    let web = Web::start(&addresses);
    let mut peers = vec![Peer::accept(&listeners[0]).await, Peer::accept(&listeners[1]).await];
    web.linked(&addresses).await;
    let id = web.submit();
    // The one with the fewest requests, and of equals the first.
    let lost = usize::from(addresses[0] > addresses[1]);
    assert_eq!(request(&mut peers[lost]).await, id);
    drop(peers.remove(lost));
    assert_eq!(request(&mut peers[0]).await, id);
    answer(&mut peers[0], &id).await;
    web.completed(&id).await;
    let ledger = web.status.ledger.read();
    assert_eq!((ledger.sent, ledger.responses, ledger.errors, ledger.retries), (2, 1, 1, 1));
    web.keeper.do_send(Drain);
}

#[actix_rt::test]
async fn a_broker_that_leaves_answers_what_it_has_and_gets_nothing_new() {
    for socket in [RequesterSocket::Req, RequesterSocket::Dealer(4)] {
        let (leaving, staying) = (ArticleTier::bind(), ArticleTier::bind());
        let status = status(Tier::Requester);
        let brokers = watch::Sender::new(set(&[leaving.address]));
        let retry = RetryPolicy { after: PATIENCE, max_attempts: 1 };
        let (contexts, subscribed, memory) = (contexts(), brokers.subscribe(), Arc::new(Memory::new(1 << 20)));
        let context = RequesterContext {
            socket,
            retry,
            contexts,
            brokers: subscribed,
            status: status.clone(),
            max_message_bytes: 1 << 20,
            memory: memory.clone(),
        };
        let worker_queues = WorkerQueues::new(watch::Sender::new(1).subscribe(), 10);
        let worker_queue = worker_queues.worker_queue(0);
        let life = Life::unsupervised(slot(&status));
        let worker = RequesterWorker::new(life, worker_queue.clone(), Arc::new(context)).start();
        let (sender, mut told) = mpsc::unbounded_channel();
        let reply_to = ReplyTo { sender, memory, article_format: false };
        let send = |id: &str| {
            let message = Message { message_id: id.into(), requested_at: now_ms(), ..Message::default() };
            let now = Instant::now();
            let pending = PendingMessage::new(message, now, now + PATIENCE, reply_to.clone(), status.clone());
            worker_queues.push(&worker_queue, pending.clone());
            pending
        };
        let first = send("first");
        let (envelope, message) = leaving.message().await;
        brokers.send_replace(set(&[staying.address]));
        eventually("the other broker", async || {
            let peers = status.snapshot().peers;
            peers.iter().any(|peer| peer.address == staying.address.to_string() && peer.connected).then_some(())
        })
        .await;
        let second = send("second");
        leaving.reply(&envelope, &article_reply(&message, "from the one that leaves")).await;
        let (envelope, message) = staying.message().await;
        staying.reply(&envelope, &article_reply(&message, "from the one that stays")).await;
        for pending in [first, second] {
            in_time("a reply", told.recv()).await.unwrap();
            eventually("an outcome", async || pending.outcome()).await;
            assert_eq!((pending.outcome(), pending.attempts()), (Some(Outcome::Response), 1));
        }
        let ledger = status.ledger.read();
        assert_eq!((ledger.sent, ledger.responses, ledger.retries, ledger.late), (2, 2, 0, 0));
        worker.do_send(Drain);
    }
}

#[actix_rt::test]
async fn a_worker_does_what_a_leaving_broker_has_dealt_to_it_and_then_forgets_that_broker() {
    let (dealer, address) = zmq_socket(zmq::DEALER, None);
    let status = status(Tier::Responder);
    let brokers = watch::Sender::new(set(&[address]));
    let backend = Backend::Addresses(brokers.subscribe());
    let tasks = TasksConfig {
        default: TaskName::Echo,
        root: PathBuf::from("."),
        withheld: Withheld::default(),
        default_file: "target.txt".into(),
        max_file_bytes: 1,
        max_cpu_rounds: 1,
    };
    let delay = watch::Sender::new(Delay::fixed(Duration::from_millis(100)));
    let context = ResponderContext {
        states: ResponderStates::new(contexts(), backend, status.clone(), 1, None),
        tasks: Arc::new(Tasks::new(tasks).unwrap()),
        delay: delay.subscribe(),
        faults: Arc::new(FaultInjector::default()),
        status: status.clone(),
        max_reply_bytes: 1 << 20,
    };
    let worker = ResponderWorker::new(Life::unsupervised(slot(&status)), Arc::new(context)).start();
    for id in ["1", "2", "3"] {
        let message = json!({ "messageId": id, "requestId": "r", "requesterId": "q", "requestedAt": 1 }).to_string();
        dealer.send(frames([b"", message.as_bytes()])).await.unwrap();
    }
    eventually("the first in hand", async || (status.ledger.read().in_flight == 1).then_some(())).await;
    brokers.send_replace(set(&[]));
    let announced = in_time("an announcement", dealer.recv()).await.unwrap();
    assert_eq!(announced, frames([b""]));
    for id in ["1", "2", "3"] {
        let reply = in_time("a reply", dealer.recv()).await.unwrap();
        let reply: Value = serde_json::from_slice(&reply[1]).unwrap();
        assert_eq!(reply["messageId"], id);
    }
    assert!(!status.snapshot().peers.is_empty());
    drop(dealer);
    eventually("no broker known", async || status.snapshot().peers.is_empty().then_some(())).await;
    worker.do_send(Drain);
}

#[actix_rt::test]
async fn a_web_tier_that_leaves_is_told_what_happens_to_its_end() {
    let (subscriber, address) = zmq_socket(zmq::SUB, None);
    subscriber.raw().set_subscribe(b"").unwrap();
    let mut publisher = Publisher::new(&contexts(), None).unwrap();
    let event = || Event::InstanceGone { id: "x".into(), at: 1, reason: "why".into() };
    let heard = async |publisher: &Publisher| {
        // A subscription takes a moment; what is published before is lost.
        eventually("an event", async || {
            publisher.publish(&[event()]).unwrap();
            subscriber.try_recv().unwrap()
        })
        .await
    };
    publisher.set_peers(&set(&[address])).unwrap();
    heard(&publisher).await;
    in_time("the connection", publisher.up().wait_for(|up| !up.is_empty())).await.unwrap();
    publisher.set_peers(&set(&[])).unwrap();
    while subscriber.try_recv().unwrap().is_some() {}
    publisher.publish(&[event()]).unwrap();
    in_time("an event after it left", subscriber.recv()).await.unwrap();
}
