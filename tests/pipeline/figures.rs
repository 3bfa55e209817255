//! The deployment's figures: totals that survive their instances, capacity and its bottleneck, in the API, on the WebSocket and in
//! the metrics.

use serde_json::{Value, json};
use swarmq::wire::{Figures, Ledger, LostWith, Tier, TierFigures};

use crate::dashboards::Dashboard;
use crate::support::{Child, Web, eventually, own_port};

/// The web tier's figures, whose totals never fall.
struct Seen {
    web: Web,
    highest: Vec<Ledger>,
}

impl Seen {
    fn of(web: &Web) -> Self {
        Self { web: web.clone(), highest: vec![Ledger::default(); 4] }
    }

    /// The figures now: no count is below what was seen before, and every tier balances.
    async fn now(&mut self) -> Figures {
        let answer = self.web.get("/api/v1/figures").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let figures: Figures = serde_json::from_slice(&answer.body).unwrap();
        for (tier, highest) in figures.tiers.iter().zip(&mut self.highest) {
            let TierFigures { ledger, lost, .. } = tier;
            assert!(highest.grows_to(ledger), "{tier:?} after {highest:?}");
            *highest = *ledger;
            let ended = ledger.responses + ledger.errors + ledger.timeouts;
            assert!(tier.balanced && ledger.sent == ended + ledger.in_flight + lost, "{tier:?}");
        }
        figures
    }

    /// Waits until the figures are as they should be.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Figures) -> bool) -> Figures {
        eventually(what, async || Some(self.now().await).filter(&is_so)).await
    }
}

fn tier(figures: &Figures, tier: Tier) -> &TierFigures {
    figures.tiers.iter().find(|figures| figures.tier == tier).unwrap()
}

/// Whether every tier has an instance that is known, each often enough.
fn are_there(figures: &Figures, counts: [usize; 4]) -> bool {
    figures.tiers.iter().map(|tier| tier.instances).eq(counts)
}

/// The value of a sample of the metrics.
fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
}

/// Processes of their own: a web tier, and responders with brokers whose tasks take so long.
struct Deployment {
    web: Child,
    responders: Vec<Child>,
    brokers: String,
    telemetry: String,
    requester_port: String,
}

impl Deployment {
    async fn start(responders: usize, delay: &str) -> Self {
        let (port, requester_port) = (own_port().to_string(), own_port().to_string());
        let telemetry = format!("127.0.0.1:{port}");
        let mut web =
            Child::start(&["web", "--requester", &format!("127.0.0.1:{requester_port}")], &[("telemetry.port", &port)]);
        web.web().await;
        let mut started = vec![];
        let mut brokers = vec![];
        for slot in 1..=responders {
            let slot = slot.to_string();
            let own = [("task.delay.kind", "fixed"), ("task.delay.mean", delay), ("responder.workers", "4")];
            let named =
                [("telemetry.web", &*telemetry), ("instance.service", "swarmq_responder"), ("instance.slot", &slot)];
            let mut child = Child::start(&["responder"], &[&own[..], &named].concat());
            brokers.push(child.broker().await.to_string());
            started.push(child);
        }
        Self { web, responders: started, brokers: brokers.join(","), telemetry, requester_port }
    }

    async fn requester(&self, workers: &str) -> Child {
        let changes = [
            ("telemetry.web", &*self.telemetry),
            ("instance.service", "swarmq_requester"),
            ("instance.slot", "1"),
            ("requester.workers", workers),
        ];
        let args = ["requester", "--port", &self.requester_port, "--responder", &self.brokers];
        let mut child = Child::start(&args, &changes);
        child.admin().await.ready().await;
        child
    }

    async fn stop(self) {
        self.web.stop().await;
        for child in self.responders {
            child.stop().await;
        }
    }
}

#[actix_rt::test]
async fn totals_go_on_when_a_requester_is_killed_and_what_was_lost_with_it_is_named() {
    let mut deployment = Deployment::start(1, "100ms").await;
    let first = deployment.requester("3").await;
    let api = deployment.web.web().await;
    let mut seen = Seen::of(&api);
    seen.until("every tier", |figures| are_there(figures, [1, 1, 1, 1])).await;
    // More than three workers do with 100 ms each, so that there is always something in flight.
    let load = json!({ "rate": 12, "request": { "task": "echo" } });
    assert_eq!(api.post("/api/v1/load", load.to_string()).await.status, 200);
    let under_load = |figures: &Figures| {
        let Ledger { responses, in_flight, .. } = tier(figures, Tier::Requester).ledger;
        responses > 5 && in_flight > 0 && figures.requests > 0
    };
    let before = seen.until("a load", under_load).await;
    assert_eq!(before.messages_per_request, 3);
    assert!(tier(&before, Tier::Requester).lost_with.is_empty(), "{before:?}");
    first.kill().await;
    let after = seen.until("the loss", |figures| tier(figures, Tier::Requester).lost > 0).await;
    let requesters = tier(&after, Tier::Requester);
    let [LostWith { name, lost, .. }] = &requesters.lost_with[..] else { panic!("{requesters:?}") };
    assert_eq!((&**name, *lost, requesters.instances), ("requester.1", requesters.lost, 0));
    assert_eq!(after.bottleneck.as_ref().unwrap().text, "no requester is ready");
    let second = deployment.requester("3").await;
    let sent = requesters.ledger.sent;
    seen.until("more of the new one", |figures| {
        let now = tier(figures, Tier::Requester);
        now.instances == 1 && now.ledger.sent > sent + 6 && now.lost == requesters.lost
    })
    .await;
    assert_eq!(api.delete("/api/v1/load").await.status, 200);
    let settled = |figures: &Figures| figures.tiers.iter().all(|tier| tier.ledger.in_flight == 0);
    let last = seen.until("the end of everything under way", settled).await;
    let metrics = deployment.web.admin().await.get("/metrics").await.text();
    let of =
        |name: &str| value(&metrics, &format!("swarmq_deployment_messages_{name}{{tier=\"requester\"}} ")).unwrap();
    let last = tier(&last, Tier::Requester);
    assert_eq!((of("sent_total"), of("lost")), (last.ledger.sent as f64, last.lost as f64));
    second.stop().await;
    let left = seen.until("the second one gone", |figures| tier(figures, Tier::Requester).instances == 0).await;
    assert_eq!(tier(&left, Tier::Requester).lost, last.lost, "with one that leaves nothing is lost");
    deployment.stop().await;
}

#[actix_rt::test]
async fn the_bottleneck_is_that_of_the_deployment_as_it_is_now() {
    let mut deployment = Deployment::start(2, "100ms").await;
    let requester = deployment.requester("4").await;
    let api = deployment.web.web().await;
    let mut seen = Seen::of(&api);
    let limited = async |seen: &mut Seen, text: &str| {
        seen.until(text, |figures| {
            are_there(figures, [1, 1, 2, 2]) && figures.bottleneck.as_ref().is_some_and(|found| found.text == text)
        })
        .await
    };
    let figures = limited(&mut seen, "requesters limit this: 4 in flight at 100 ms = 40/s").await;
    assert_eq!((figures.capacity_per_s, figures.bottleneck.unwrap().tier), (Some(40.0), Tier::Requester));

    // Who is connected to whom is known of each connection, once the web tier has found the requester.
    eventually("each connection", async || {
        let topology = api.topology().await;
        let is_known = |from: Tier, address: String| {
            let mut peers = topology.living(from).flat_map(|view| &view.snapshot.peers);
            peers.any(|peer| peer.address == address && peer.connected)
        };
        let known = [(Tier::Web, Tier::Requester), (Tier::Requester, Tier::Broker)].iter().all(|(from, to)| {
            topology.living(*to).all(|view| is_known(*from, view.snapshot.listens.unwrap().to_string()))
        });
        known.then_some(())
    })
    .await;

    let mut dashboard = Dashboard::open(api.base.trim_start_matches("http://").parse().unwrap()).await;
    assert_eq!(dashboard.next().await["figures"]["bottleneck"]["tier"], "requester");
    let id_of = async |tier: Tier, slot: &str| {
        let topology = api.topology().await;
        let mut living = topology.living(tier).map(|view| &view.snapshot.instance);
        living.find(|instance| instance.slot.as_deref() == Some(slot)).unwrap().id.clone()
    };
    let requester_id = id_of(Tier::Requester, "1").await;
    let workers = format!("/api/v1/control/instances/{requester_id}/workers");
    assert_eq!(api.put(&workers, json!({ "workers": 40 }).to_string()).await.status, 200);
    let figures = limited(&mut seen, "responders limit this: 8 workers at 100 ms = 80/s").await;
    assert_eq!((figures.capacity_per_s, figures.messages_per_request), (Some(80.0), 40));
    let is_news = |event: &Value| event["type"] == "figures" && event["figures"]["bottleneck"]["tier"] == "responder";
    loop {
        let message = dashboard.next().await;
        // A change of settings may give a snapshot.
        let in_snapshot = message["figures"]["bottleneck"]["tier"] == "responder";
        if in_snapshot || message["events"].as_array().is_some_and(|events| events.iter().any(is_news)) {
            break;
        }
    }

    let slow_id = id_of(Tier::Responder, "2").await;
    let faults = format!("/api/v1/control/instances/{slow_id}/faults");
    assert_eq!(api.put(&faults, json!({ "extraLatencyMs": 300 }).to_string()).await.status, 200);
    let text = "responder.2 limits this: 4 workers at 400 ms = 10/s, and it gets 50 % of the messages";
    let figures = limited(&mut seen, text).await;
    let bottleneck = figures.bottleneck.unwrap();
    assert_eq!((figures.capacity_per_s, bottleneck.instance), (Some(20.0), Some(slow_id)));
    assert_eq!(api.delete(&faults).await.status, 200);
    limited(&mut seen, "responders limit this: 8 workers at 100 ms = 80/s").await;
    requester.stop().await;
    deployment.stop().await;
}

#[actix_rt::test]
async fn usage_is_summed_by_node_and_rates_are_of_requests_and_messages() {
    let mut all = Child::start(&[], &[("instance.node", "pi-7")]);
    let api = all.web().await;
    all.admin().await.ready().await;
    let mut seen = Seen::of(&api);
    let load = json!({ "rate": 50, "request": { "task": "echo" } });
    assert_eq!(api.post("/api/v1/load", load.to_string()).await.status, 200);
    let figures = seen
        .until("rates and usage", |figures| {
            let known = figures.nodes.iter().all(|node| node.cpus.is_some_and(|cpus| cpus > 0.0));
            let moving = figures.tiers.iter().all(|tier| tier.per_s > 0.0) && figures.served_per_s > 0.0;
            are_there(figures, [1, 1, 1, 1]) && known && moving
        })
        .await;
    let [node] = &figures.nodes[..] else { panic!("{:?}", figures.nodes) };
    assert_eq!((&*node.node, node.instances), ("pi-7", 4));
    assert!(node.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{node:?}");
    assert_eq!(figures.rates.len(), 4);
    assert_eq!(figures.capacity_per_s, None, "without a delay the processor decides, whose limit is not known");
    assert_eq!(api.delete("/api/v1/load").await.status, 200);
    let idle = seen.until("nothing", |figures| figures.tiers.iter().all(|tier| tier.per_s == 0.0)).await;
    let [web, requesters] = [Tier::Web, Tier::Requester].map(|each| tier(&idle, each).ledger);
    assert_eq!((web.sent, requesters.sent), (idle.requests, 3 * idle.requests), "one link, three workers");
    all.stop().await;
}
