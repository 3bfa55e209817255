//! The stack on the lab: deployed from the files that users deploy, and what the swarm says of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::lab::{Lab, MANAGER};

const NAME: &str = "swarmq";

/// What differs from a user's deployment: no IP_VS here, hence ports of the nodes themselves.
const VARIABLES: [(&str, &str); 5] =
    [("PUBLISH_MODE", "host"), ("WEB_ORDER", "stop-first"), ("WEBS", "2"), ("REQUESTERS", "3"), ("RESPONDERS", "3")];

/// Waits for something that a swarm does, looking five times a second; how long it took.
pub fn wait_for(what: &str, within: Duration, mut look: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let looked = look();
        if let Ok(true) = looked {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > within {
            looked.with_context(|| format!("never seen within {within:?}: {what}"))?;
            bail!("never seen within {within:?}: {what}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// One task, as `docker stack ps` tells it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    #[serde(rename = "ID")]
    pub id: String,
    /// `swarmq_SERVICE.SLOT`
    pub name: String,
    pub node: String,
    pub image: String,
    /// `Running 5 seconds ago`
    pub current_state: String,
}

impl Task {
    pub fn service(&self) -> &str {
        self.name.trim_start_matches("swarmq_").split('.').next().unwrap_or_default()
    }

    pub fn is_running(&self) -> bool {
        self.current_state.starts_with("Running")
    }
}

/// The deployed stack.
pub struct Stack<'a> {
    pub lab: &'a Lab,
}

impl Stack<'_> {
    /// Runs a docker command on the manager.
    pub fn docker(&self, args: &[&str]) -> Result<String> {
        self.lab.docker(MANAGER, args)
    }

    /// Deploys `stack.yml` with the files over it.
    pub fn deploy(&self, image: &str, over: &[&str], variables: &[(&str, &str)]) -> Result<()> {
        let mut args = vec!["stack", "deploy", "--resolve-image", "never", "-c", "stack.yml"];
        over.iter().chain(&["tests/swarm/lab.yml"]).for_each(|file| args.extend(["-c", file]));
        args.push(NAME);
        let variables = [&VARIABLES, &[("IMAGE", image)][..], variables].concat();
        self.lab.docker_with(MANAGER, &args, &variables, "").map(drop)
    }

    /// The tasks that shall run.
    pub fn tasks(&self) -> Result<Vec<Task>> {
        self.tasks_to("running")
    }

    /// True when no task is left that shall have ended. (A dead node's never end, as far as the swarm knows.)
    pub fn no_leftovers(&self) -> Result<bool> {
        Ok(!self.tasks_to("shutdown")?.iter().any(Task::is_running))
    }

    fn tasks_to(&self, desired: &str) -> Result<Vec<Task>> {
        let filter = format!("desired-state={desired}");
        let args = ["stack", "ps", NAME, "--no-trunc", "--filter", &filter, "--format", "{{json .}}"];
        self.docker(&args)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// True when so many tasks of each service run, and nothing else is to.
    pub fn runs(&self, replicas: &[(&str, usize)]) -> Result<bool> {
        let tasks = self.tasks()?;
        let all = replicas.iter().map(|(_, count)| count).sum::<usize>();
        let as_many = |(service, count): &(&str, usize)| {
            tasks.iter().filter(|task| task.service() == *service && task.is_running()).count() == *count
        };
        Ok(tasks.len() == all && replicas.iter().all(as_many))
    }

    /// The tasks' ids, to know later that they were replaced.
    pub fn ids(&self) -> Result<BTreeSet<String>> {
        Ok(self.tasks()?.into_iter().map(|task| task.id).collect())
    }

    /// True when every task that shall run does so, and none is among these.
    pub fn replaced(&self, ids: &BTreeSet<String>) -> Result<bool> {
        Ok(self.tasks()?.iter().all(|task| task.is_running() && !ids.contains(&task.id)))
    }

    /// The services that have a task on a node.
    pub fn services_on(&self, node: &str) -> Result<BTreeSet<String>> {
        let tasks = self.tasks()?.into_iter().filter(|task| task.node == node && task.is_running());
        Ok(tasks.map(|task| task.service().to_owned()).collect())
    }

    /// True when every task that shall run does so with this image.
    pub fn runs_image(&self, image: &str) -> Result<bool> {
        Ok(self.tasks()?.iter().all(|task| task.is_running() && task.image == image))
    }

    /// The state of a service's last update, `none` if there was none.
    pub fn update_state(&self, service: &str) -> Result<String> {
        let format = "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{else}}none{{end}}";
        self.docker(&["service", "inspect", "--format", format, &format!("{NAME}_{service}")])
    }

    pub fn scale(&self, service: &str, replicas: usize) -> Result<()> {
        self.docker(&["service", "scale", "--detach", &format!("{NAME}_{service}={replicas}")]).map(drop)
    }

    /// Starts an update of a service with further arguments.
    pub fn update(&self, service: &str, args: &[&str]) -> Result<()> {
        let service = format!("{NAME}_{service}");
        self.docker(&[&["service", "update", "--detach"], args, &[&*service]].concat()).map(drop)
    }

    /// `ready` or `down`, as the manager knows it.
    pub fn node_is(&self, node: &str, state: &str) -> Result<bool> {
        Ok(self.docker(&["node", "inspect", "--format", "{{.Status.State}}", node])? == state)
    }

    pub fn set_availability(&self, node: &str, availability: &str) -> Result<()> {
        self.docker(&["node", "update", "--availability", availability, node]).map(drop)
    }

    /// When a service's running tasks became healthy, in milliseconds since the epoch, by slot.
    pub fn running_since(&self, service: &str) -> Result<Vec<(String, u64)>> {
        let service = format!("{NAME}_{service}");
        let ids = self.docker(&["service", "ps", "--quiet", "--filter", "desired-state=running", &service])?;
        let format = "{{.Slot}} {{.Status.State}} {{.Status.Timestamp}}";
        let told = self.docker(&[&["inspect", "--format", format][..], &ids.lines().collect::<Vec<_>>()].concat())?;
        told.lines().filter(|line| line.contains(" running ")).map(parse_running).collect()
    }
}

/// `4 running 2026-11-25 00:36:26.123456789 +0000 UTC`
fn parse_running(line: &str) -> Result<(String, u64)> {
    let mut words = line.split(' ');
    let slot = words.next().context("no slot")?.to_owned();
    let (date, time) = (words.nth(1).context("no date")?, words.next().context("no time")?);
    let time = humantime::parse_rfc3339_weak(&format!("{date}T{time}Z")).with_context(|| line.to_owned())?;
    Ok((slot, time.duration_since(std::time::UNIX_EPOCH)?.as_millis() as u64))
}
