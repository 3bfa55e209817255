//! The target `swarm`: a stack on a Docker swarm, scaled by Docker's API. What can be changed while it runs is changed by
//! the stack's own controls, as with the target `running`; the rest is environment of the services.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bollard::Docker;
use bollard::models::{ServiceSpec, ServiceUpdateStatusStateEnum as State};
use bollard::query_parameters::{InspectServiceOptions, UpdateServiceOptions};
use tokio::time::{Instant, sleep};

use super::{Deployment, Laboratory, Plan, Running, Setup, Trial, settings_of};

/// Longest wait for a scaled or updated service: images may have to be pulled, and tasks start one after the other.
const SCALING: Duration = Duration::from_secs(300);

/// Between two looks at a service that is being updated.
const LOOK: Duration = Duration::from_millis(250);

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
        if !same(&spec, &wanted) {
            self.replace(&name, version, wanted).await?;
        }
        Ok(())
    }

    async fn inspect(&self, name: &str) -> Result<(i32, ServiceSpec)> {
        let service = self.docker.inspect_service(name, None::<InspectServiceOptions>).await;
        let service = service.with_context(|| {
            format!("no service {name}: is the stack deployed, does --stack name it, and is this engine a manager?")
        })?;
        let version = service.version.and_then(|version| version.index).context("a service without a version")?;
        Ok((version as i32, service.spec.context("a service without a specification")?))
    }

    async fn replace(&self, name: &str, version: i32, spec: ServiceSpec) -> Result<()> {
        let options = UpdateServiceOptions { version, ..UpdateServiceOptions::default() };
        self.docker
            .update_service(name, spec, options, None)
            .await
            .with_context(|| format!("{name} can't be updated"))?;
        let until = Instant::now() + SCALING;
        loop {
            let service = self.docker.inspect_service(name, None::<InspectServiceOptions>).await?;
            match service.update_status.and_then(|status| status.state) {
                Some(State::UPDATING | State::ROLLBACK_STARTED) if Instant::now() < until => sleep(LOOK).await,
                Some(State::UPDATING | State::ROLLBACK_STARTED) => bail!("{name} was not updated within {SCALING:?}"),
                Some(State::PAUSED | State::ROLLBACK_PAUSED | State::ROLLBACK_COMPLETED) => {
                    return Err(anyhow!("the update of {name} failed; `docker service ps {name}` tells why"));
                }
                _ => return Ok(()),
            }
        }
    }
}

/// Whether two specifications have the same replicas, and the same environment in any order.
fn same(one: &ServiceSpec, other: &ServiceSpec) -> bool {
    let replicas = |spec: &ServiceSpec| spec.mode.as_ref()?.replicated.as_ref()?.replicas;
    let environment = |spec: &ServiceSpec| {
        let container = spec.task_template.as_ref().and_then(|task| task.container_spec.as_ref());
        let mut variables = container.and_then(|container| container.env.clone()).unwrap_or_default();
        variables.sort();
        variables
    };
    replicas(one) == replicas(other) && environment(one) == environment(other)
}

impl Laboratory for Swarm {
    async fn set_up(&mut self, plan: &Plan, trial: &Trial) -> Result<Deployment> {
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
        self.running.leave().await?;
        for (name, spec) in std::mem::take(&mut self.found) {
            let (version, now) = self.inspect(&name).await?;
            if !same(&now, &spec) {
                self.replace(&name, version, spec).await?;
            }
        }
        Ok(())
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
    fn only_a_service_that_differs_is_updated() {
        let found = spec(2, &["A=1", "B=2"]);
        assert!(same(&found, &spec(2, &["B=2", "A=1"])));
        assert!(!same(&found, &spec(3, &["A=1", "B=2"])));
        assert!(!same(&found, &spec(2, &["A=1", "B=3"])));
    }
}
