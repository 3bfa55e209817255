//! The target `processes`: a process for each instance, on this machine, started for each trial and stopped after it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::try_join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::{Deployment, START_TIMEOUT, TargetDriver, settings_of};
use crate::experiment::plan::{Plan, Trial};

/// Maximum wait for a process to end after SIGTERM; above its `shutdown.deadline`.
const END_TIMEOUT: Duration = Duration::from_secs(8);

/// Maximum attempts to start a trial's processes: the telemetry port is chosen before its process binds it, and another
/// program may take it meanwhile.
const MAX_STARTS: usize = 3;

/// Starts processes of one program.
pub struct Processes {
    program: PathBuf,
    running: Vec<Instance>,
}

/// A process and the log that it writes.
struct Instance {
    role: &'static str,
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
}

impl Processes {
    /// Uses the program of this process.
    ///
    /// # Errors
    /// The file of the program is not known.
    pub fn new() -> Result<Self> {
        let program = std::env::current_exe().context("this program's own file can't be found")?;
        Ok(Self { program, running: vec![] })
    }

    async fn start(&mut self, plan: &Plan, trial: &Trial) -> Result<Deployment> {
        let setup = &plan.cells[trial.cell].setup;
        let telemetry = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let settings = settings_of(plan, setup, plan.seed_of(trial.repetition));
        let shared = [("telemetry.web".to_owned(), telemetry.to_string()), ("instance.node".to_owned(), host())];
        let shared: Vec<_> = settings.into_iter().chain(shared).collect();
        let brokers =
            self.tier("responder", setup.responder_instances, "broker for requesters, zeromq", &shared, &[]).await?;
        let upstream = [("requester.responder", brokers)];
        let masters =
            self.tier("requester", setup.requester_instances, "socket master, tcp", &shared, &upstream).await?;
        let upstream = [("web.requester", masters), ("telemetry.port", telemetry.port().to_string())];
        let web = self.tier("web", 1, "web tier, http", &shared, &upstream).await?;
        let deployment = Deployment::at(&format!("http://{web}"), None);
        deployment.ready(setup, START_TIMEOUT).await?;
        Ok(deployment)
    }

    /// Starts `count` processes of a role. Returns the addresses at which they listen for `listens`, separated by commas.
    async fn tier(
        &mut self,
        role: &'static str,
        count: u32,
        listens: &str,
        shared: &[(String, String)],
        own: &[(&str, String)],
    ) -> Result<String> {
        let first = self.running.len();
        for slot in 1..=count {
            let mut command = Command::new(&self.program);
            command.arg(role).args(["--set", "log.format=json", "--set", "log.level=info"]);
            command.args(["--set", &format!("instance.slot={slot}")]);
            for key in ["web.port", "requester.port", "broker.port", "admin.port"] {
                command.args(["--set", &format!("{key}=0")]);
            }
            let own = own.iter().map(|(key, value)| format!("{key}={value}"));
            for setting in shared.iter().map(|(key, value)| format!("{key}={value}")).chain(own) {
                command.args(["--set", &setting]);
            }
            // The environment may hold settings of another deployment.
            for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("SWARMQ_")) {
                command.env_remove(key);
            }
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
            let mut child = command.spawn().with_context(|| format!("{} can't be started", self.program.display()))?;
            let log = child.stdout.take().context("a process without output")?;
            self.running.push(Instance { role, child, log: BufReader::new(log).lines() });
        }
        let addresses = try_join_all(self.running[first..].iter_mut().map(|instance| instance.address(listens)));
        let addresses = timeout(START_TIMEOUT, addresses).await;
        Ok(addresses.map_err(|_| anyhow!("a {role} process did not listen within {START_TIMEOUT:?}"))??.join(","))
    }
}

impl Instance {
    /// Reads from its log the address at which it listens for `what`.
    async fn address(&mut self, what: &str) -> Result<String> {
        let mut last = String::new();
        while let Some(line) = self.log.next_line().await? {
            let entry: Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["msg"] == "listening" && entry["what"] == what {
                let address = entry["address"].as_str().and_then(|url| url.split_once("://"));
                return Ok(address.context("an address without a scheme")?.1.to_owned());
            }
            last = line;
        }
        bail!("a {} process ended before it listened; its last log line: {last}", self.role)
    }

    /// Ends the process: by SIGTERM, and after [`END_TIMEOUT`] by SIGKILL.
    async fn end(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            // It may have ended already.
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGTERM);
        }
        // Reads the log until the end: a full pipe would block the process.
        let ended = async {
            while let Ok(Some(_)) = self.log.next_line().await {}
            self.child.wait().await
        };
        if timeout(END_TIMEOUT, ended).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

impl TargetDriver for Processes {
    async fn set_up(&mut self, plan: &Plan, trial: &Trial) -> Result<Deployment> {
        let mut problem = None;
        for _ in 0..MAX_STARTS {
            match self.start(plan, trial).await {
                Ok(deployment) => return Ok(deployment),
                Err(error) => problem = Some(error),
            }
            self.clear().await?;
        }
        Err(problem.unwrap_or_else(|| anyhow!("nothing was started")))
    }

    async fn clear(&mut self) -> Result<()> {
        // In the order of a request's path, so that each tier can complete its messages.
        while !self.running.is_empty() {
            let role = self.running[self.running.len() - 1].role;
            let (tier, rest) = self.running.drain(..).partition(|instance| instance.role == role);
            self.running = rest;
            let tier: Vec<Instance> = tier;
            try_join_all(tier.into_iter().map(Instance::end)).await?;
        }
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        self.clear().await
    }
}

fn host() -> String {
    nix::unistd::gethostname().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
}
