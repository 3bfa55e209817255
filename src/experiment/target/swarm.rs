//! The target `swarm`: a stack on a Docker swarm, scaled by Docker's API. The stack's controls change what they can, as with the
//! target `running`; the rest is set by the services' environment variables.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bollard::Docker;
use bollard::models::{ServiceSpec, ServiceUpdateStatusStateEnum as State};
use bollard::query_parameters::{InspectServiceOptions, UpdateServiceOptions};
use tokio::time::{Instant, sleep};

use super::{Deployment, Running, TargetDriver, settings_of};
use crate::experiment::plan::{Plan, Setup, Trial};

/// Maximum wait for a scaled or updated service: nodes may have to pull the image, and tasks start one after the other.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(300);

/// Interval at which a service that is being updated is inspected.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Prefixes of settings that the environment does not set: the controls change them, or the stack keeps its own.
const NOT_BY_ENVIRONMENT: [&str; 6] =
    ["requester.workers", "responder.workers", "broker.dispatch", "task.", "shutdown.", "web."];

/// Changes a stack.
pub struct Swarm {
    docker: Docker,
    stack: String,
    running: Running,
    deployment: Deployment,
    /// The specifications of the services before the first change, by name.
    found: Vec<(String, ServiceSpec)>,
}

impl Swarm {
    /// Connects to the Docker engine at `DOCKER_HOST`, or this machine's. It must be a manager of the swarm.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn connect(stack: &str, deployment: Deployment) -> Result<Self> {
        let docker = Docker::connect_with_defaults()
            .context("no Docker engine on this machine; to use another one, set DOCKER_HOST")?;
        let docker = docker.negotiate_version().await.context("the Docker engine does not answer")?;
        let running = Running::new(deployment.clone());
        Ok(Self { docker, stack: stack.to_owned(), running, deployment, found: vec![] })
    }

    /// Sets a service's replicas and settings, see [`Self::replace`].
    async fn update(&mut self, tier: &str, replicas: u32, plan: &Plan, setup: &Setup, seed: u64) -> Result<()> {
        let name = format!("{}_{tier}", self.stack);
        let (version, spec) = self.inspect(&name).await?;
        if !self.found.iter().any(|(known, _)| *known == name) {
            self.found.push((name.clone(), spec.clone()));
        }
        let mut wanted = spec.clone();
        let mode = wanted.mode.as_mut().and_then(|mode| mode.replicated.as_mut());
        let mode = mode.with_context(|| format!("{name} is not a replicated service: it can't be scaled"))?;
        mode.replicas = Some(i64::from(replicas));
        let container = wanted.task_template.as_mut().and_then(|task| task.container_spec.as_mut());
        let environment = container.context("a service without containers")?.env.get_or_insert_default();
        for (key, value) in settings_of(plan, setup, seed) {
            if !NOT_BY_ENVIRONMENT.iter().any(|prefix| key.starts_with(prefix)) {
                let variable = format!("SWARMQ_{}=", key.to_uppercase().replace('.', "__"));
                environment.retain(|known| !known.starts_with(&variable));
                environment.push(variable + &value);
            }
        }
        self.replace(&name, version, &spec, wanted).await
    }

    async fn inspect(&self, name: &str) -> Result<(i32, ServiceSpec)> {
        let service = self.docker.inspect_service(name, None::<InspectServiceOptions>).await;
        let service = service.with_context(|| {
            format!("no service {name}: is the stack deployed, does --stack name it, and is this engine a manager?")
        })?;
        let version = service.version.and_then(|version| version.index).context("a service without a version")?;
        Ok((version as i32, service.spec.context("a service without a specification")?))
    }

    /// Updates a service if its replicas or environment differ from `old`. Waits for a rolling update, which only another
    /// environment causes; Docker reports no state for a change of replicas.
    async fn replace(&self, name: &str, version: i32, old: &ServiceSpec, spec: ServiceSpec) -> Result<()> {
        if replicas(old) == replicas(&spec) && environment(old) == environment(&spec) {
            return Ok(());
        }
        let rolls = environment(old) != environment(&spec);
        let options = UpdateServiceOptions { version, ..UpdateServiceOptions::default() };
        self.docker
            .update_service(name, spec, options, None)
            .await
            .with_context(|| format!("{name} can't be updated"))?;
        match rolls {
            true => self.rolled_out(name).await,
            false => Ok(()),
        }
    }

    async fn put_back(&self, name: &str, spec: ServiceSpec) -> Result<()> {
        let (version, now) = self.inspect(name).await?;
        self.replace(name, version, &now, spec).await
    }

    /// Waits for the end of an update that has just been requested.
    async fn rolled_out(&self, name: &str) -> Result<()> {
        let until = Instant::now() + UPDATE_TIMEOUT;
        loop {
            let service = self.docker.inspect_service(name, None::<InspectServiceOptions>).await?;
            match service.update_status.and_then(|status| status.state) {
                Some(State::COMPLETED) => return Ok(()),
                Some(State::PAUSED | State::ROLLBACK_PAUSED | State::ROLLBACK_COMPLETED) => {
                    return Err(anyhow!("the update of {name} failed; `docker service ps {name}` shows why"));
                }
                // At first there is no state: Docker has removed that of the last update, and this one has not begun.
                _ if Instant::now() < until => sleep(POLL_INTERVAL).await,
                _ => bail!("{name} was not updated within {UPDATE_TIMEOUT:?}"),
            }
        }
    }
}

fn replicas(spec: &ServiceSpec) -> Option<i64> {
    spec.mode.as_ref()?.replicated.as_ref()?.replicas
}

/// A service's environment variables, sorted, because their order does not matter.
fn environment(spec: &ServiceSpec) -> Vec<String> {
    let container = spec.task_template.as_ref().and_then(|task| task.container_spec.as_ref());
    let mut variables = container.and_then(|container| container.env.clone()).unwrap_or_default();
    variables.sort();
    variables
}

impl TargetDriver for Swarm {
    async fn set_up(&mut self, plan: &Plan, trial: &Trial) -> Result<Deployment> {
        self.running.find().await?;
        let (setup, seed) = (&plan.cells[trial.cell].setup, plan.seed);
        self.update("responder", setup.responder_instances, plan, setup, seed).await?;
        self.update("requester", setup.requester_instances, plan, setup, seed).await?;
        self.deployment.instances_ready(setup, UPDATE_TIMEOUT).await?;
        self.running.change(setup).await
    }

    async fn clear(&mut self) -> Result<()> {
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        let mut left = Ok(());
        // All services, even if one fails.
        for (name, spec) in std::mem::take(&mut self.found) {
            left = left.and(self.put_back(&name, spec).await);
        }
        // The controls last: tasks that an update starts have their configured workers, delay and dispatch.
        left.and(self.running.leave().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{ServiceSpecMode, ServiceSpecModeReplicated, TaskSpec, TaskSpecContainerSpec};

    fn spec(replicas: i64, environment: &[&str]) -> ServiceSpec {
        let env = Some(environment.iter().map(|text| (*text).to_owned()).collect());
        let container_spec = Some(TaskSpecContainerSpec { env, ..Default::default() });
        let replicated = Some(ServiceSpecModeReplicated { replicas: Some(replicas) });
        ServiceSpec {
            mode: Some(ServiceSpecMode { replicated, ..Default::default() }),
            task_template: Some(TaskSpec { container_spec, ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn the_order_of_environment_variables_does_not_matter() {
        let found = spec(2, &["A=1", "B=2"]);
        assert_eq!(environment(&found), environment(&spec(3, &["B=2", "A=1"])));
        assert_ne!(environment(&found), environment(&spec(2, &["A=1", "B=3"])));
        assert_eq!((replicas(&found), replicas(&ServiceSpec::default())), (Some(2), None));
    }
}
