//! The target `running`: whatever answers at an address, changed by its controls and left as it was found.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use awc::http::Method;
use serde_json::json;

use super::{Deployment, TargetDriver};
use crate::experiment::plan::{Plan, Setup, Trial};
use crate::wire::{Delay, Dispatch, DispatchChoice, Tier, Topology};

/// Longest wait until changed pools are as they should be: a worker that leaves ends its message first.
const CHANGING: Duration = Duration::from_secs(10);

/// Times that a change is made: an instance may come, with the pool that it is configured with, while others are changed.
const CHANGES: usize = 4;

/// Changes a deployment that runs already.
pub struct Running {
    deployment: Deployment,
    /// How it was found; none before the first change.
    found: Option<Topology>,
}

impl Running {
    pub fn new(deployment: Deployment) -> Self {
        Self { deployment, found: None }
    }

    /// Gives a plan as many instances as there are, of which this target varies none: what is expected of them is made
    /// of their number. An error where there is none.
    pub async fn plan_as_found(&self, plan: &mut Plan) -> Result<()> {
        let topology = self.deployment.inhabited(CHANGING).await?;
        let instances = |tier| topology.living(tier).count() as u32;
        for cell in &mut plan.cells {
            cell.setup.requester_instances = instances(Tier::Requester);
            cell.setup.responder_instances = instances(Tier::Responder);
        }
        Ok(())
    }

    /// Sets worker counts, delay and dispatch, and waits until they hold.
    pub async fn change(&mut self, setup: &Setup) -> Result<Deployment> {
        let mut lacking = None;
        for _ in 0..CHANGES {
            self.change_once(setup).await?;
            match self.deployment.ready(setup, CHANGING).await {
                Ok(_) => return Ok(self.deployment.clone()),
                Err(error) => lacking = Some(error),
            }
        }
        Err(lacking.unwrap_or_else(|| anyhow!("nothing was changed")))
    }

    async fn change_once(&mut self, setup: &Setup) -> Result<()> {
        // An instance that was silent for a moment, on a busy machine, is not known at that moment.
        let topology = self.deployment.inhabited(CHANGING).await?;
        self.found.get_or_insert_with(|| topology.clone());
        for (tier, workers) in [(Tier::Requester, setup.requesters), (Tier::Responder, setup.responders)] {
            for view in topology.living(tier) {
                if view.snapshot.workers.len() != workers as usize {
                    self.resize(&view.snapshot.instance.id, workers as usize).await?;
                }
            }
        }
        self.work(Some(setup.delay), Some(setup.dispatch), &topology).await
    }

    async fn resize(&self, instance: &str, workers: usize) -> Result<()> {
        let path = format!("instances/{instance}/workers");
        self.deployment.control(Method::PUT, &path, &json!({ "workers": workers })).await.context(TOKEN)
    }

    async fn work(&self, delay: Option<Delay>, dispatch: Option<Dispatch>, topology: &Topology) -> Result<()> {
        if let Some(delay) = delay {
            self.deployment.control(Method::PUT, "delay", &delay).await.context(TOKEN)?;
        }
        let differs = topology.living(Tier::Broker).any(|view| view.snapshot.dispatch != dispatch);
        if let Some(dispatch) = dispatch.filter(|_| differs) {
            self.deployment.control(Method::PUT, "dispatch", &DispatchChoice { dispatch }).await.context(TOKEN)?;
        }
        Ok(())
    }
}

const TOKEN: &str = "the deployment can't be changed; where its controls need a token, give --token";

impl TargetDriver for Running {
    async fn set_up(&mut self, plan: &Plan, trial: &Trial) -> Result<Deployment> {
        self.change(&plan.cells[trial.cell].setup).await
    }

    async fn clear(&mut self) -> Result<()> {
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        let Some(found) = self.found.take() else { return Ok(()) };
        let now = self.deployment.topology().await?;
        for tier in [Tier::Requester, Tier::Responder] {
            for view in found.living(tier) {
                let is_there = now.living(tier).any(|other| other.snapshot.instance.id == view.snapshot.instance.id);
                if is_there {
                    self.resize(&view.snapshot.instance.id, view.snapshot.workers.len()).await?;
                }
            }
        }
        let delay = found.living(Tier::Responder).find_map(|view| view.snapshot.delay);
        let dispatch = found.living(Tier::Broker).find_map(|view| view.snapshot.dispatch);
        self.work(delay, dispatch, &now).await
    }
}
