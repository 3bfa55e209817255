//! The command line.

mod config;
mod experiment;
mod healthcheck;
mod keygen;
pub mod output;
mod request;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;

use crate::config::{Config, Override, Role, Sources};

const AFTER_HELP: &str = "\
Settings come from defaults, config files, environment variables (SWARMQ_REQUESTER__WORKERS=8) and flags, the later
overriding the earlier; `swarmq config` shows each setting with its origin.

Try:
  swarmq                     every tier in one process; then open http://127.0.0.1:3000
  swarmq request             send a request to it and print the replies as they arrive
  swarmq --responders 8 --set task.delay.kind=none";

/// A message-queue application that makes a Docker Swarm visible and measurable.
///
/// Without a command, every tier runs in this one process.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    all: AllFlags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Common {
    /// Config profile: local (the default), bridge, swarm or test [env: SWARMQ_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Folder whose default.toml and <profile>.toml replace the built-in ones [env: SWARMQ_CONFIG_DIR]
    #[arg(long, global = true, value_name = "FOLDER")]
    config_dir: Option<PathBuf>,
    /// Change a setting, such as requester.workers=8; can be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Args)]
struct AllFlags {
    /// Port of the web server (web.port)
    #[arg(long)]
    port: Option<String>,
    /// Requester workers (requester.workers)
    #[arg(long)]
    requesters: Option<String>,
    /// Responder workers (responder.workers)
    #[arg(long)]
    responders: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the web tier: dashboard, API, and the links to the requesters
    Web {
        /// Port of the web server (web.port)
        #[arg(long)]
        port: Option<String>,
        /// Address of the requesters (web.requester)
        #[arg(long, value_name = "HOST:PORT")]
        requester: Option<String>,
    },
    /// Run a requester: a socket master and its workers
    Requester {
        /// Port of the socket master (requester.port)
        #[arg(long)]
        port: Option<String>,
        /// Workers (requester.workers)
        #[arg(long)]
        workers: Option<String>,
        /// Address of the brokers (requester.responder)
        #[arg(long, value_name = "HOST:PORT")]
        responder: Option<String>,
    },
    /// Run a responder: a broker and its workers, or with --backend only workers
    Responder {
        /// Port of the broker (broker.port)
        #[arg(long)]
        port: Option<String>,
        /// Workers (responder.workers)
        #[arg(long)]
        workers: Option<String>,
        /// Connect the workers to the broker at this address, tcp://host:port or ipc://path (responder.backend)
        #[arg(long, value_name = "URL")]
        backend: Option<String>,
    },
    /// Run a broker without workers; start workers with `swarmq responder --backend`
    Broker {
        /// Port for requesters (broker.port)
        #[arg(long)]
        port: Option<String>,
        /// Where to listen for workers, tcp://IP:port or ipc://path (broker.backend)
        #[arg(long, value_name = "URL")]
        backend: Option<String>,
    },
    /// Send a request and print each reply as it arrives
    Request(request::AskArgs),
    /// Run an experiment: measure and compare worker counts, replicas, delays and loads
    Experiment(Box<experiment::ExperimentArgs>),
    /// Show the settings in effect, each with its origin
    Config {
        /// Only check them: prints nothing and exits with 0 if they are valid
        #[arg(long)]
        check: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check that a running process is alive or, with --ready, ready for work (exit status 0: yes, 1: no)
    Healthcheck {
        /// Check readiness instead of liveness
        #[arg(long)]
        ready: bool,
        /// Address of the admin server; by default this machine, at admin.port or the ports 9090 to 9093
        #[arg(long, value_name = "HOST:PORT")]
        address: Option<String>,
    },
    /// Make a key for the deployment's ZeroMQ connections, to stdout or into a new file (curve.key_file)
    Keygen { file: Option<PathBuf> },
    /// Write a completion script for a shell to stdout
    Completions { shell: Shell },
}

impl Cli {
    /// Executes the command; returns the exit status.
    pub fn run(self) -> Result<ExitCode> {
        if self.command.as_ref().is_some_and(Command::ends_at_once) {
            end_at_once_by_signal()?;
        }
        let (role, flags) = match self.command {
            None => (
                Role::All,
                vec![
                    ("web.port", "--port", self.all.port),
                    ("requester.workers", "--requesters", self.all.requesters),
                    ("responder.workers", "--responders", self.all.responders),
                ],
            ),
            Some(Command::Web { port, requester }) => {
                (Role::Web, vec![("web.port", "--port", port), ("web.requester", "--requester", requester)])
            }
            Some(Command::Requester { port, workers, responder }) => (
                Role::Requester,
                vec![
                    ("requester.port", "--port", port),
                    ("requester.workers", "--workers", workers),
                    ("requester.responder", "--responder", responder),
                ],
            ),
            Some(Command::Responder { port, workers, backend }) => (
                Role::Responder,
                vec![
                    ("broker.port", "--port", port),
                    ("responder.workers", "--workers", workers),
                    ("responder.backend", "--backend", backend),
                ],
            ),
            Some(Command::Broker { port, backend }) => {
                (Role::Broker, vec![("broker.port", "--port", port), ("broker.backend", "--backend", backend)])
            }
            Some(Command::Request(args)) => return request::ask(args),
            Some(Command::Experiment(args)) => return experiment::experiment(*args, self.common.set),
            Some(Command::Config { check, json }) => return config::config(&self.common.load(vec![])?, check, json),
            Some(Command::Healthcheck { ready, address }) => {
                return healthcheck::probe(&self.common.load(vec![])?.settings, ready, address);
            }
            Some(Command::Keygen { file }) => return keygen::keygen(file.as_deref()),
            Some(Command::Completions { shell }) => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "swarmq", &mut script);
                output::whole(String::from_utf8_lossy(&script))?;
                return Ok(ExitCode::SUCCESS);
            }
        };
        run::run(self.common.load(flags)?, role)
    }
}

impl Command {
    /// True for commands that need no orderly shutdown.
    fn ends_at_once(&self) -> bool {
        match self {
            Self::Web { .. } | Self::Requester { .. } | Self::Responder { .. } | Self::Broker { .. } => false,
            Self::Experiment(args) => !args.measures(),
            Self::Request(_) | Self::Config { .. } | Self::Healthcheck { .. } => true,
            Self::Keygen { .. } | Self::Completions { .. } => true,
        }
    }
}

/// Makes SIGINT and SIGTERM end the process. By default they don't if it is process 1, as in a container: the kernel ignores
/// signals to process 1 that have no handler.
fn end_at_once_by_signal() -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        register_conditional_shutdown(signal, 128 + signal, Arc::new(AtomicBool::new(true)))?;
    }
    Ok(())
}

impl Common {
    /// Loads the configuration. `flags`: setting, flag and value of the command's own flags; they override the other sources.
    fn load(self, flags: Vec<(&str, &str, Option<String>)>) -> Result<Config> {
        let mut sources = Sources::from_process();
        sources.profile = self.profile.or(sources.profile);
        sources.config_dir = self.config_dir.or(sources.config_dir);
        for (key, flag, value) in flags {
            let Some(value) = value else { continue };
            sources.overrides.push(Override { key: key.to_owned(), value, flag: flag.to_owned() });
        }
        for setting in self.set {
            let Some((key, value)) = setting.split_once('=') else {
                anyhow::bail!("--set {setting}: give KEY=VALUE, such as --set requester.workers=8");
            };
            let flag = format!("--set {key}");
            sources.overrides.push(Override { key: key.trim().to_owned(), value: value.trim().to_owned(), flag });
        }
        Ok(Config::load(&sources)?)
    }
}
