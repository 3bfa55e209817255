//! A client of a deployment: experiments read and change it only by the API of its web tier.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use awc::http::{Method, StatusCode, header};
use awc::{Client, ClientRequest, Connector};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::experiment::plan::Setup;
use crate::runtime::http::json_answer;
use crate::wire::{Delay, InstanceState, InstanceView, Ledger, LinkState, TaskName, Tier, Topology, WorkerState};

/// Timeout of a call.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an idle connection is kept for further calls: less than servers keep it (the web tier: 5 s), so that no call is
/// sent on a connection that the server closes.
const KEPT: Duration = Duration::from_secs(1);

/// The header, and the environment variable, with the key of an experiment that the web tier itself runs.
pub const RUN_KEY_HEADER: &str = "swarmq-run-key";
pub const RUN_KEY_VARIABLE: &str = "EXPERIMENT_RUN_KEY";

/// Between two looks at a deployment that is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// The tiers that a request crosses.
pub const TIERS: [Tier; 4] = [Tier::Web, Tier::Requester, Tier::Broker, Tier::Responder];

/// A control call that is not permitted. Another attempt does not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// The response of `GET /api/v1/control`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Permitted {
    permitted: bool,
    needs_token: bool,
}

/// A web tier and the tiers behind it.
#[derive(Clone)]
pub struct Deployment {
    /// Such as `http://127.0.0.1:3000`.
    pub url: String,
    token: Option<String>,
    /// Of the experiment, where the web tier itself runs it.
    run_key: Option<String>,
    client: Client,
}

impl Deployment {
    /// The deployment whose web tier is at `url`, a result of [`web_url`](crate::runtime::http::web_url). `token`: for the
    /// controls, if they need one.
    pub fn at(url: &str, token: Option<String>) -> Self {
        let connector = Connector::new().conn_keep_alive(KEPT);
        let client = Client::builder().connector(connector).timeout(PATIENCE).disable_redirects().finish();
        Self { url: url.to_owned(), token, run_key: None, client }
    }

    /// The same, as seen by an experiment that the web tier itself runs, and that shows it this key.
    pub fn with_run_key(self, run_key: Option<String>) -> Self {
        Self { run_key, ..self }
    }

    /// The state of every known instance.
    pub async fn topology(&self) -> Result<Topology> {
        self.read("topology").await
    }

    /// Checks that the controls may be called with this token.
    ///
    /// # Errors
    /// They may not, and the text says what they need; or the web tier does not answer.
    pub async fn permitted(&self) -> Result<()> {
        let Permitted { permitted, needs_token } = self.read("control").await?;
        let url = &self.url;
        match (permitted, needs_token, &self.token) {
            (true, ..) => Ok(()),
            (false, true, None) => bail!("the controls at {url} need a token: give it with --token"),
            (false, true, Some(_)) => bail!("the controls at {url} have another token than the one given"),
            (false, false, _) => bail!(
                "the controls at {url} are refused to everybody, because other machines reach it and no token is set: \
                 set one on every instance (SWARMQ_ADMIN__TOKEN; of a stack ADMIN_TOKEN, or docker/stack.secrets.yml), \
                 and give it with --token"
            ),
        }
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let url = format!("{}/api/v1/{path}", self.url);
        let request = self.request(Method::GET, &url);
        let mut response = request.send().await.map_err(|error| anyhow!("no answer from {url}: {error}"))?;
        json_answer(&mut response).await.map_err(|reason| anyhow!("{url}: {reason}"))
    }

    fn request(&self, method: Method, url: &str) -> ClientRequest {
        let mut request = self.client.request(method, url);
        if let Some(key) = &self.run_key {
            request = request.insert_header((RUN_KEY_HEADER, key.as_str()));
        }
        match &self.token {
            Some(token) => request.insert_header((header::AUTHORIZATION, format!("Bearer {token}"))),
            None => request,
        }
    }

    /// Calls a control.
    ///
    /// # Errors
    /// [`Refused`] if the call is not permitted; others if it fails for another reason.
    pub async fn control(&self, method: Method, path: &str, body: &impl Serialize) -> Result<()> {
        let url = format!("{}/api/v1/control/{path}", self.url);
        let request = self.request(method, &url);
        let mut response = request.send_json(body).await.map_err(|error| anyhow!("no answer from {url}: {error}"))?;
        if response.status().is_success() {
            return Ok(());
        }
        let answer: Value = json_answer(&mut response).await.map_err(|reason| anyhow!("{url}: {reason}"))?;
        let reason = answer["error"]["message"].as_str().unwrap_or("no reason given");
        let text = format!("{url} was refused ({}): {reason}", response.status());
        match response.status() {
            StatusCode::FORBIDDEN => Err(Refused(text).into()),
            _ => Err(anyhow!(text)),
        }
    }

    /// Waits until the deployment has the instances and workers of a setup, all ready and connected, for up to `timeout`.
    pub async fn ready(&self, setup: &Setup, timeout: Duration) -> Result<Topology> {
        self.wait_for(setup, true, timeout).await
    }

    /// Like [`Self::ready`], with any number of workers.
    pub async fn instances_ready(&self, setup: &Setup, timeout: Duration) -> Result<Topology> {
        self.wait_for(setup, false, timeout).await
    }

    /// Waits until the deployment has a requester and a responder instance.
    pub async fn any_instances(&self, timeout: Duration) -> Result<Topology> {
        let until = Instant::now() + timeout;
        loop {
            let topology = self.topology().await?;
            let has = |tier| topology.living(tier).next().is_some();
            match has(Tier::Requester) && has(Tier::Responder) {
                true => return Ok(topology),
                false if Instant::now() > until => {
                    bail!("the web tier at {} knows no requester or no responder instance", self.url)
                }
                false => sleep(LOOK).await,
            }
        }
    }

    async fn wait_for(&self, setup: &Setup, workers: bool, timeout: Duration) -> Result<Topology> {
        let until = Instant::now() + timeout;
        loop {
            let seen = self.topology().await;
            let lacking = match &seen {
                Ok(topology) => lacking(topology, setup, workers),
                Err(error) => Some(error.to_string()),
            };
            match (seen, lacking) {
                (Ok(topology), None) => return Ok(topology),
                (_, lacking) if Instant::now() > until => {
                    let lacking = lacking.unwrap_or_default();
                    bail!("the deployment was not ready within {timeout:?}: {lacking}");
                }
                _ => sleep(LOOK).await,
            }
        }
    }

    /// Waits until the requesters have sent `messages` more messages than in `before`, and no tier has more in flight than in
    /// `before`. Returns the state then, or after `timeout`.
    pub async fn settled(&self, before: &Topology, messages: u64, timeout: Duration) -> Result<Topology> {
        let until = Instant::now() + timeout;
        loop {
            let topology = self.topology().await?;
            let counted = ledger_since(before, &topology, Tier::Requester).sent >= messages;
            let is_settled = TIERS.iter().all(|tier| {
                ledger_since(before, &topology, *tier).in_flight <= in_flight_before(before, &topology, *tier)
            });
            if (counted && is_settled) || Instant::now() > until {
                return Ok(topology);
            }
            sleep(LOOK).await;
        }
    }
}

/// The difference between a deployment and a setup, in words: an instance that has restarted has its configured workers, delay
/// and dispatch. `None` if there is no difference.
pub fn altered(topology: &Topology, setup: &Setup) -> Option<String> {
    let delay = with_cap(setup.delay);
    let other_delay = || {
        let mut views = topology.living(Tier::Responder);
        let view = views.find(|view| view.snapshot.delay.is_some_and(|found| with_cap(found) != delay))?;
        Some(format!("{} has another delay than the trial's", view.snapshot.instance.id))
    };
    let other_dispatch = || {
        let mut views = topology.living(Tier::Broker);
        let view = views.find(|view| view.snapshot.dispatch.is_some_and(|found| found != setup.dispatch))?;
        Some(format!("{} has another dispatch than the trial's", view.snapshot.instance.id))
    };
    lacking(topology, setup, true).or_else(other_delay).or_else(other_dispatch)
}

/// A delay with its cap always set: a control call without a cap keeps the previous one.
pub fn with_cap(delay: Delay) -> Delay {
    Delay { cap: Some(delay.cap()), ..delay }
}

/// The number of brokers in processes of their own, without those of responder instances.
pub fn brokers_apart(topology: &Topology) -> u32 {
    let own = topology.living(Tier::Responder).filter(|view| view.snapshot.peers.is_empty()).count();
    topology.living(Tier::Broker).count().saturating_sub(own) as u32
}

/// What a deployment lacks to match a setup, in words; `None` if it matches. `workers`: the numbers of workers must match too.
fn lacking(topology: &Topology, setup: &Setup, workers: bool) -> Option<String> {
    let tiers = [
        (Tier::Web, None, None),
        (Tier::Requester, Some(setup.requester_instances), workers.then_some(setup.requesters)),
        (Tier::Responder, Some(setup.responder_instances), workers.then_some(setup.responders)),
    ];
    let brokers = topology.living(Tier::Broker).count();
    for (tier, instances, workers) in tiers {
        let living: Vec<&InstanceView> = topology.living(tier).collect();
        let name = tier.name();
        if instances.map_or(living.is_empty(), |wanted| living.len() != wanted as usize) {
            let wanted = instances.map_or("at least 1".to_owned(), |wanted| wanted.to_string());
            return Some(format!("there are {} {name} instances, and the trial needs {wanted}", living.len()));
        }
        for InstanceView { snapshot, .. } in living {
            let id = &snapshot.instance.id;
            if snapshot.state != InstanceState::Ready {
                return Some(format!(
                    "{id} is {:?}: {}",
                    snapshot.state,
                    snapshot.reason.as_deref().unwrap_or("no reason given")
                ));
            }
            let at_work =
                snapshot.workers.iter().filter(|worker| matches!(worker.state, WorkerState::Idle | WorkerState::Busy));
            let (at_work, there) =
                (at_work.count(), snapshot.workers.iter().filter(|worker| worker.state != WorkerState::Gone).count());
            if workers.is_some_and(|wanted| at_work != wanted as usize || there != wanted as usize) {
                return Some(format!("{id} has {at_work} of {} workers", workers.unwrap_or_default()));
            }
            let connected = snapshot.peers.iter().filter(|peer| peer.connected).count();
            if tier == Tier::Requester && connected < brokers {
                return Some(format!("{id} is connected to {connected} of {brokers} brokers"));
            }
        }
    }
    // A responder without peers has a broker in its own process. Telemetry may report that broker later.
    let own = topology.living(Tier::Responder).filter(|view| view.snapshot.peers.is_empty()).count();
    if brokers < own {
        return Some(format!("only {brokers} of the brokers of {own} responder instances are known"));
    }
    let linked = topology.links.values().filter(|link| link.state == LinkState::Connected).count();
    (linked < setup.requester_instances as usize)
        .then(|| format!("the web tier has links to {linked} of {} requester instances", setup.requester_instances))
}

/// What a tier's instances in `after` have counted since `before`. `in_flight` is the number in `after`.
pub fn ledger_since(before: &Topology, after: &Topology, tier: Tier) -> Ledger {
    let mut sum = Ledger::default();
    let of_tier = |view: &&InstanceView| view.snapshot.instance.tier == tier;
    for view in after.instances.values().filter(of_tier) {
        let (now, then) = (view.snapshot.ledger, before.instances.get(&view.snapshot.instance.id));
        let then = then.map(|view| view.snapshot.ledger).unwrap_or_default();
        sum.add(&Ledger { in_flight: now.in_flight, ..now.since(&then) });
    }
    sum
}

/// Messages that a tier's instances in `after` had in flight in `before`: of other load, or of instances that ended with them.
pub fn in_flight_before(before: &Topology, after: &Topology, tier: Tier) -> u64 {
    let known = before
        .instances
        .iter()
        .filter(|(id, view)| view.snapshot.instance.tier == tier && after.instances.contains_key(*id));
    known.map(|(_, view)| view.snapshot.ledger.in_flight).sum()
}

/// The body of a trial's requests.
pub fn body(setup: &Setup, timeout_ms: u64) -> Value {
    let parameters = match setup.task {
        TaskName::Echo => BTreeMap::from([("payload", Value::from("x".repeat(setup.payload_bytes as usize)))]),
        TaskName::Cpu => BTreeMap::from([("rounds", Value::from(setup.rounds))]),
        TaskName::File => BTreeMap::new(),
    };
    serde_json::json!({
        "task": setup.task, "parameters": parameters, "fanOut": setup.fan_out, "timeoutMs": timeout_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Event, PeerView, Snapshot, snapshot};

    fn seen(snapshots: impl IntoIterator<Item = Snapshot>) -> Topology {
        let mut topology = Topology::default();
        for snapshot in snapshots {
            topology.apply(&Event::Instance { snapshot: Box::new(snapshot) }, 0);
        }
        topology
    }

    #[test]
    fn a_broker_that_responders_connect_to_is_separate() {
        let own = || [snapshot("responder-1", Tier::Responder), snapshot("broker-1", Tier::Broker)];
        assert_eq!(brokers_apart(&seen(own())), 0);
        let connected = |id| {
            let peers = vec![PeerView { address: "broker-2:4000".to_owned(), connected: true }];
            Snapshot { peers, ..snapshot(id, Tier::Responder) }
        };
        let apart = [connected("responder-2"), connected("responder-3"), snapshot("broker-2", Tier::Broker)];
        assert_eq!(brokers_apart(&seen(apart.clone())), 1);
        assert_eq!(brokers_apart(&seen(own().into_iter().chain(apart))), 1);
    }
}
