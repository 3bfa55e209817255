//! The target `swarm`: a stack on a Docker swarm, scaled by Docker's API. What can be changed while it runs is changed by
//! the stack's own controls, as with the target `running`; the rest is environment of the services.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bollard::Docker;
use bollard::models::{ServiceSpec, ServiceUpdateStatusStateEnum as State};
use bollard::query_parameters::{InspectServiceOptions, UpdateServiceOptions};
use tokio::time::{Instant, sleep};

use super::{Deployment, Running, TargetDriver, settings_of};
use crate::experiment::plan::{Plan, Setup, Trial};

/// Longest wait for a scaled or updated service: images may have to be pulled, and tasks start one after the other.
const SCALING: Duration = Duration::from_secs(300);

/// Between two looks at a service that is being updated.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Settings that the controls change, and those of a tier that is left as it is.
const NOT_BY_ENVIRONMENT: [&str; 6] =
    ["requester.workers", "responder.workers", "broker.dispatch", "task.", "shutdown.", "web."];

/// Changes a stack.
pub struct Swarm {
    docker: Docker,
    stack: String,
    running: Running,
    deployment: Deployment,
    /// The services as they were found, by name.
    found: Vec<(String, ServiceSpec)>,
}

impl Swarm {
    /// By the engine that `DOCKER_HOST` names, or this machine's; it must be a manager of the swarm.
    pub async fn connect(stack: &str, deployment: Deployment) -> Result<Self> {
        let docker = Docker::connect_with_defaults()
            .context("no Docker engine; DOCKER_HOST names another than this machine's")?;
        let docker = docker.negotiate_version().await.context("the Docker engine does not answer")?;
        let running = Running::new(deployment.clone());
        Ok(Self { docker, stack: stack.to_owned(), running, deployment, found: vec![] })
    }

    /// Gives a service so many replicas and its settings, where it differs, and waits until the swarm has done so.
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

    /// Gives a service another specification, if it is one, and waits until the swarm has done what that asks for.
    async fn replace(&self, name: &str, version: i32, old: &ServiceSpec, spec: ServiceSpec) -> Result<()> {
        if replicas(old) == replicas(&spec) && environment(old) == environment(&spec) {
            return Ok(());
        }
        // Another number of replicas is no update that has a state.
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

    /// Waits for the end of an update that has just been asked for.
    async fn rolled_out(&self, name: &str) -> Result<()> {
        let until = Instant::now() + SCALING;
        loop {
            let service = self.docker.inspect_service(name, None::<InspectServiceOptions>).await?;
            match service.update_status.and_then(|status| status.state) {
                Some(State::COMPLETED) => return Ok(()),
                Some(State::PAUSED | State::ROLLBACK_PAUSED | State::ROLLBACK_COMPLETED) => {
                    return Err(anyhow!("the update of {name} failed; `docker service ps {name}` tells why"));
                }
                // None at first: the state of the last update is gone, and this one has not begun.
                _ if Instant::now() < until => sleep(POLL_INTERVAL).await,
                _ => bail!("{name} was not updated within {SCALING:?}"),
            }
        }
    }
}

fn replicas(spec: &ServiceSpec) -> Option<i64> {
    spec.mode.as_ref()?.replicated.as_ref()?.replicas
}

/// A service's environment, in an order of its own: Docker's does not matter.
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
        self.deployment.populated(setup, SCALING).await?;
        self.running.change(setup).await
    }

    async fn clear(&mut self) -> Result<()> {
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        let mut left = Ok(());
        // Each of them, whatever became of the others.
        for (name, spec) in std::mem::take(&mut self.found) {
            left = left.and(self.put_back(&name, spec).await);
        }
        // The controls last: a task that an update starts is as it is configured.
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
    fn an_environment_is_the_same_in_any_order() {
        let found = spec(2, &["A=1", "B=2"]);
        assert_eq!(environment(&found), environment(&spec(3, &["B=2", "A=1"])));
        assert_ne!(environment(&found), environment(&spec(2, &["A=1", "B=3"])));
        assert_eq!((replicas(&found), replicas(&ServiceSpec::default())), (Some(2), None));
    }
}
