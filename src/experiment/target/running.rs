//! The target `running`: a deployment that is already running. Its controls change it for each trial, and restore it at the end.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use awc::http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Deployment, TargetDriver, altered, brokers_apart, with_cap};
use crate::experiment::plan::{Plan, Setup, Target, Trial};
use crate::wire::{Delay, Dispatch, DispatchChoice, InstanceView, Tier, Topology};

/// Maximum wait until a change is complete: a worker that leaves completes its message first.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval at which a deployment that is being changed is read.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Maximum attempts at a change: an instance may start, with its configured pool, while others are changed.
const MAX_CHANGES: usize = 4;

/// Changes a running deployment.
pub struct Running {
    deployment: Deployment,
    /// The state before the first change; `None` until then.
    found: Option<Topology>,
}

impl Running {
    pub fn new(deployment: Deployment) -> Self {
        Self { deployment, found: None }
    }

    /// Sets the number of separate brokers in a plan and, for the target `running`, the numbers of instances to those found: the
    /// expected values depend on them.
    ///
    /// # Errors
    /// There is no requester or no responder instance.
    pub async fn plan_as_found(&self, plan: &mut Plan) -> Result<()> {
        let topology = self.deployment.any_instances(CHANGE_TIMEOUT).await?;
        let instances = |tier| topology.living(tier).count() as u32;
        for cell in &mut plan.cells {
            cell.setup.brokers_apart = brokers_apart(&topology);
            if plan.target == Target::Running {
                cell.setup.requester_instances = instances(Tier::Requester);
                cell.setup.responder_instances = instances(Tier::Responder);
            }
        }
        Ok(())
    }

    /// Stores the state of the deployment before its first change.
    ///
    /// # Errors
    /// The controls could not restore the state: they set one delay and one dispatch for all instances, and the instances have
    /// different ones.
    pub async fn find(&mut self) -> Result<()> {
        if self.found.is_some() {
            return Ok(());
        }
        // With a wait, because an instance that is silent for a moment, on a busy machine, is not known at that moment.
        let topology = self.deployment.any_instances(CHANGE_TIMEOUT).await?;
        for (what, differ) in [
            ("delays", differ(topology.living(Tier::Responder).map(|view| view.snapshot.delay))),
            ("dispatches", differ(topology.living(Tier::Broker).map(|view| view.snapshot.dispatch.as_ref()))),
        ] {
            if differ {
                bail!(
                    "the instances have different {what}, which could not be restored: give all of them the same first"
                );
            }
        }
        self.found = Some(topology);
        Ok(())
    }

    /// Sets the numbers of workers, the delay and the dispatch, and waits until they apply.
    pub async fn change(&mut self, setup: &Setup) -> Result<Deployment> {
        self.find().await?;
        let mut lacking = None;
        for _ in 0..MAX_CHANGES {
            self.change_once(setup).await?;
            match self.changed(setup).await {
                Ok(()) => return Ok(self.deployment.clone()),
                Err(error) => lacking = Some(error),
            }
        }
        Err(lacking.unwrap_or_else(|| anyhow!("nothing was changed")))
    }

    /// Waits until the deployment reports the state of a setup.
    async fn changed(&self, setup: &Setup) -> Result<()> {
        let until = Instant::now() + CHANGE_TIMEOUT;
        loop {
            match altered(&self.deployment.ready(setup, CHANGE_TIMEOUT).await?, setup) {
                None => return Ok(()),
                Some(other) if Instant::now() > until => bail!(other),
                Some(_) => sleep(POLL_INTERVAL).await,
            }
        }
    }

    async fn change_once(&self, setup: &Setup) -> Result<()> {
        let topology = self.deployment.any_instances(CHANGE_TIMEOUT).await?;
        for (tier, workers) in [(Tier::Requester, setup.requesters), (Tier::Responder, setup.responders)] {
            for view in topology.living(tier) {
                if view.snapshot.workers.len() != workers as usize {
                    self.resize(&view.snapshot.instance.id, workers as usize).await?;
                }
            }
        }
        self.set_delay_and_dispatch(Some(setup.delay), Some(setup.dispatch), &topology).await
    }

    async fn resize(&self, instance: &str, workers: usize) -> Result<()> {
        let path = format!("instances/{instance}/workers");
        self.deployment.control(Method::PUT, &path, &json!({ "workers": workers })).await.context(TOKEN)
    }

    async fn set_delay_and_dispatch(
        &self,
        delay: Option<Delay>,
        dispatch: Option<Dispatch>,
        topology: &Topology,
    ) -> Result<()> {
        if let Some(delay) = delay {
            self.deployment.control(Method::PUT, "delay", &with_cap(delay)).await.context(TOKEN)?;
        }
        let differs = topology.living(Tier::Broker).any(|view| view.snapshot.dispatch != dispatch);
        if let Some(dispatch) = dispatch.filter(|_| differs) {
            self.deployment.control(Method::PUT, "dispatch", &DispatchChoice { dispatch }).await.context(TOKEN)?;
        }
        Ok(())
    }
}

/// The number of workers that an instance had in `found`. A new instance gets that of the first one of its tier: a swarm may have
/// started it in place of another.
fn workers_before(found: &Topology, view: &InstanceView) -> Option<usize> {
    let instance = &view.snapshot.instance;
    let same = found.instances.get(&instance.id).or_else(|| found.living(instance.tier).next());
    same.map(|before| before.snapshot.workers.len())
}

/// True if two of the known values differ.
fn differ<T: PartialEq>(values: impl Iterator<Item = Option<T>>) -> bool {
    let mut known = values.flatten();
    let first = known.next();
    first.is_some_and(|first| known.any(|other| other != first))
}

const TOKEN: &str = "the deployment could not be changed; if its controls need a token, give --token";

impl TargetDriver for Running {
    async fn set_up(&mut self, plan: &Plan, trial: &Trial) -> Result<Deployment> {
        self.change(&plan.cells[trial.cell].setup).await
    }

    async fn clear(&mut self) -> Result<()> {
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        let Some(found) = self.found.take() else { return Ok(()) };
        let now = self.deployment.any_instances(CHANGE_TIMEOUT).await?;
        for tier in [Tier::Requester, Tier::Responder] {
            for view in now.living(tier) {
                if let Some(workers) = workers_before(&found, view) {
                    self.resize(&view.snapshot.instance.id, workers).await?;
                }
            }
        }
        let delay = found.living(Tier::Responder).find_map(|view| view.snapshot.delay);
        let dispatch = found.living(Tier::Broker).find_map(|view| view.snapshot.dispatch);
        self.set_delay_and_dispatch(delay, dispatch, &now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Event, Snapshot, WorkerState, WorkerView, snapshot};

    #[test]
    fn an_instance_in_place_of_another_gets_as_many_workers() {
        let with = |id: &str, count: usize| {
            let worker =
                |index| WorkerView { index, id: String::new(), state: WorkerState::Idle, handled: 0, restarts: 0 };
            Snapshot { workers: (0..count).map(worker).collect(), ..snapshot(id, Tier::Responder) }
        };
        let seen = |snapshots: [Snapshot; 2]| {
            let mut topology = Topology::default();
            let events = snapshots.map(|snapshot| Event::Instance { snapshot: Box::new(snapshot) });
            events.iter().for_each(|event| topology.apply(event, 0));
            topology
        };
        let found = seen([with("responder-1", 3), with("responder-2", 5)]);
        let now = seen([with("responder-2", 8), with("responder-9", 8)]);
        let before: Vec<_> = now.living(Tier::Responder).map(|view| workers_before(&found, view)).collect();
        assert_eq!(before, [Some(5), Some(3)]);
    }

    #[test]
    fn unknown_values_do_not_differ() {
        assert!(!differ([Some(1), None, Some(1)].into_iter()) && !differ([None::<u8>].into_iter()));
        assert!(differ([Some(1), None, Some(2)].into_iter()));
    }
}
