//! A deployment: web, requester and responder, each in a process with a memory limit.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use parking_lot::Mutex;
use procfs::process::Process;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::get;
use crate::limits::{Group, Means, memory_limit};
use crate::net::wait_for;
use crate::{Attack, root};

/// The longest time that something takes that does not depend on an attack.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lines of its log that are kept of an instance, the last ones.
const KEPT_LINES: usize = 400;

/// Every secret of the deployment has this in it.
pub const SECRET: &str = "secret-9c1e";

/// Where a deployment can be reached.
pub struct Site {
    pub web: SocketAddr,
    pub requester: SocketAddr,
    pub broker: SocketAddr,
    pub telemetry: SocketAddr,
    /// The admin servers of web, requester and responder.
    pub admins: Vec<SocketAddr>,
}

/// An instance's process.
pub struct Instance {
    pub tier: &'static str,
    /// Memory limit in bytes.
    pub limit: u64,
    child: Child,
    /// Of the program itself, also in a container.
    pid: i32,
    log: Arc<Mutex<VecDeque<String>>>,
    container: Option<String>,
    // Last: a group with a member can't be removed.
    _group: Option<Group>,
}

/// Resident memory in bytes: now, and the most there has been.
#[derive(Clone, Copy, Default)]
pub struct Memory {
    pub now: u64,
    pub peak: u64,
}

impl Instance {
    /// Starts a tier in a folder.
    fn start(tier: &'static str, args: &[String], means: &Means, folder: &Path) -> Result<Self> {
        let limit = memory_limit(tier)?;
        let (mut command, group, container) = match means {
            Means::Containers(image) => {
                let name = format!("swarmq-attacks-{}-{tier}", process::id());
                let mut command = Command::new("docker");
                let bytes = limit.to_string();
                command.args(["run", "--rm", "--name", &name, "--network", "host", "--read-only", "--cap-drop", "ALL"]);
                command.args(["--memory", &bytes, "--memory-swap", &bytes, "-v"]);
                command.arg(format!("{}:/srv:ro", folder.display())).arg(image);
                (command, None, Some(name))
            }
            Means::Groups => {
                let group = Group::new(tier, limit)?;
                let mut command = Command::new("sh");
                command.args(["-c", r#"echo $$ > "$0" && exec "$@""#]).arg(group.members()).arg(program());
                (command, Some(group), None)
            }
            Means::Nothing(_) => (Command::new(program()), None, None),
        };
        command.arg(tier).args(args).current_dir(folder).stdin(Stdio::null());
        // Settings of whoever runs this are not the deployment's.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SWARMQ_")) {
            command.env_remove(name);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("can't start {command:?}"))?;
        let log = Arc::<Mutex<VecDeque<String>>>::default();
        let (output, kept) = (BufReader::new(child.stdout.take().context("no output")?), log.clone());
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let mut kept = kept.lock();
                if kept.len() == KEPT_LINES {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
        });
        let pid = child.id() as i32;
        Ok(Self { tier, limit, child, pid, log, container, _group: group })
    }

    /// Where it listens for something, once its log says so.
    fn address(&mut self, what: &str) -> Result<SocketAddr> {
        let listens = |line: &String| {
            let line: Value = serde_json::from_str(line).ok()?;
            let listens = line["msg"] == "listening" && line["what"] == what;
            listens.then(|| line["address"].as_str()?.split("//").nth(1)?.parse().ok()).flatten()
        };
        let found = wait_for(PATIENCE, || {
            let found = self.log.lock().iter().find_map(listens).map(Ok);
            found.or_else(|| self.end().map(|end| Err(anyhow!(end))))
        });
        let unheard = || format!("{} does not say where it listens ({what}): {}", self.tier, self.log());
        found.unwrap_or_else(|| Err(anyhow!("it runs"))).with_context(unheard)
    }

    /// The program's own process, which in a container is not the one that was started here.
    fn find_pid(&mut self) -> Result<()> {
        if let Some(name) = &self.container {
            let output = Command::new("docker").args(["inspect", "-f", "{{.State.Pid}}", name]).output()?;
            self.pid = String::from_utf8_lossy(&output.stdout).trim().parse().context("no process in the container")?;
        }
        Ok(())
    }

    /// Its memory; none when it has ended.
    pub fn memory(&self) -> Option<Memory> {
        let status = Process::new(self.pid).ok()?.status().ok()?;
        Some(Memory { now: status.vmrss? << 10, peak: status.vmhwm? << 10 })
    }

    /// How it ended, if it did.
    pub fn end(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        let is_killed = status.signal() == Some(9) || (self.container.is_some() && status.code() == Some(137));
        let megabytes = self.limit >> 20;
        Some(match is_killed {
            true => format!("{} was killed for memory, at its limit of {megabytes} MB", self.tier),
            false => format!("{} ended ({status})", self.tier),
        })
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.log.lock().iter().map(|line| line.clone() + "\n").collect()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(name) = &self.container {
            let _ =
                Command::new("docker").args(["rm", "-f", name]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three instances that are ready, in a folder with files and secrets.
pub struct Deployment {
    pub site: Site,
    pub instances: Vec<Instance>,
    _folder: TempDir,
}

impl Deployment {
    /// Starts it for an attack.
    pub fn start(attack: &Attack, means: &Means) -> Result<Self> {
        let folder = furnish()?;
        let telemetry = own_port()?;
        let settings = |tier: &str, own: &[(&str, String)]| {
            let common = [
                ("instance.id", format!("attacked-{tier}")),
                ("log.level", "info".to_owned()),
                ("log.format", "json".to_owned()),
                ("admin.port", "0".to_owned()),
                ("shutdown.deadline", "2s".to_owned()),
                ("task.delay.kind", "none".to_owned()),
                ("task.root", "files".to_owned()),
                ("telemetry.web", format!("127.0.0.1:{telemetry}")),
            ];
            let of_attack = attack.settings.iter().map(|(key, value)| (*key, (*value).to_owned()));
            let all: Vec<_> = common.into_iter().chain(own.iter().cloned()).chain(of_attack).collect();
            let is_last = |number: usize, key: &str| all[number + 1..].iter().all(|(other, _)| *other != key);
            let all =
                all.iter().enumerate().filter(|(number, (key, value))| is_last(*number, key) && !value.is_empty());
            let flags = all.flat_map(|(_, (key, value))| ["--set".to_owned(), format!("{key}={value}")]);
            ["--profile".to_owned(), "local".to_owned()].into_iter().chain(flags).collect::<Vec<_>>()
        };
        let start = |tier, own: &[(&str, String)]| Instance::start(tier, &settings(tier, own), means, folder.path());
        let free = || "0".to_owned();
        let mut responder = start("responder", &[("broker.port", free())])?;
        let broker = responder.address("broker for requesters, zeromq")?;
        let to_broker = ("requester.responder", broker.to_string());
        let mut requester = start("requester", &[("requester.port", free()), to_broker])?;
        let socket_master = requester.address("socket master, tcp")?;
        let to_requester = ("web.requester", socket_master.to_string());
        let ports = [("web.port", free()), ("telemetry.port", telemetry.to_string()), to_requester];
        let mut web = start("web", &ports)?;
        let (page, telemetry) = (web.address("web tier, http")?, web.address("telemetry, zeromq")?);
        let mut instances = vec![web, requester, responder];
        let admins = instances.iter_mut().map(|one| one.address("admin, http")).collect::<Result<Vec<_>>>()?;
        instances.iter_mut().try_for_each(Instance::find_pid)?;
        let site = Site { web: page, requester: socket_master, broker, telemetry, admins };
        let connects = !attack.settings.contains(&("web.connect", "manual"));
        for (admin, instance) in site.admins.iter().zip(&instances).filter(|(_, one)| connects || one.tier != "web") {
            let ready = wait_for(PATIENCE, || get(*admin, "/readyz").ok().filter(|answer| answer.status == 200));
            if ready.is_none() {
                bail!("{} does not get ready: {}", instance.tier, instance.log());
            }
        }
        // The broker in the responder's process is the fourth.
        let known =
            || get(page, "/api/v1/topology").ok()?.json().ok()?["instances"].as_object().map(|all| all.len() == 4);
        wait_for(PATIENCE, || known().filter(|known| *known)).context("the web tier does not know every instance")?;
        Ok(Self { site, instances, _folder: folder })
    }
}

/// The program under attack.
fn program() -> PathBuf {
    std::env::var_os("SWARMQ_BIN").map_or_else(|| root().join("target/release/swarmq"), PathBuf::from)
}

/// A folder to start in: files to be read in `files`, and around it what must not be.
fn furnish() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    for name in ["files", "files/.hidden", "config", "experiments/run", ".git"] {
        fs::create_dir_all(path.join(name))?;
    }
    fs::write(path.join("target.txt"), "Hello Paul")?;
    fs::write(path.join("files/target.txt"), "Hello Paul")?;
    fs::write(path.join("files/zeros"), vec![0; 180_000])?;
    fs::write(path.join("files/fewer-zeros"), vec![0; 160_000])?;
    fs::write(path.join("config/default.toml"), format!("# {SECRET}\n"))?;
    for name in ["config/local.toml", "experiments/run/plan.toml", "token", ".env", ".git/config", "files/.hidden/x"] {
        // A comment and a token's text at once: the first is read as settings, the other as a token.
        fs::write(path.join(name), format!("#{SECRET}\n"))?;
    }
    // Two keys of 40 characters.
    fs::write(path.join("curve.key"), format!("{:0<40}\n{SECRET:0<40}\n", "public"))?;
    for name in ["files/link", "link"] {
        std::os::unix::fs::symlink("../token", path.join(name))?;
    }
    // The image's user is another one.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(folder)
}

/// A free port below those that the system gives to connections, which an attack makes many of.
fn own_port() -> Result<u16> {
    let first = 10_000 + (process::id() % 300) as u16 * 64;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..first + 64).find(free).context("no port is free")
}

/// True until a time.
pub fn is_before(until: Instant) -> bool {
    Instant::now() < until
}
