//! `swarmq experiment`: carries out a plan, or compares the results of two runs.

mod compare;
mod progress;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::InProcess;
use crate::cli::output::line;
use crate::experiment::plan::{Order, Plan, PlanFlags, READY_MADE, Target, load_plan};
use crate::experiment::run::{Ending, Store, environment, run, run_folder};
use crate::experiment::target::{Deployment, Processes, RUN_KEY_VARIABLE, Running, Swarm, check};
use crate::runtime::http::web_url;
use progress::Shown;

/// Exit status of a plan that can't be carried out.
const BAD_PLAN: u8 = 2;

/// Exit status of a run that was stopped: 128 + SIGINT.
const STOPPED: u8 = 130;

const AFTER_HELP: &str = "\
Try:
  swarmq experiment quick                          takes under a minute, in this process
  swarmq experiment workers --dry-run              show the trials and how long they would take
  swarmq experiment quick --factor responders=1,8 --target processes
  swarmq experiment --resume experiments/workers-20261125-101500
  swarmq experiment compare experiments/A experiments/B --fail-if 'p99 > 1.2x'
docs/experiments.md describes plans and measurements.";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, args_override_self = true, after_help = AFTER_HELP)]
pub struct ExperimentArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the built-in plans
    Plans {
        /// Print JSON, with the plans' TOML texts
        #[arg(long)]
        json: bool,
    },
    /// Compare two runs
    #[command(after_help = compare::AFTER_HELP)]
    Compare(compare::CompareArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Name of a ready-made plan (`swarmq experiment plans` lists them), path of a plan's TOML file, or - for stdin
    plan: Option<String>,
    /// Name of a plan that has none; by default its file's name
    #[arg(long)]
    name: Option<String>,
    /// Target of the trials
    #[arg(long, value_enum)]
    target: Option<Target>,
    /// Address of the web tier, for the targets running and swarm
    #[arg(long, value_parser = web_url)]
    url: Option<String>,
    /// Name of the stack, for the target swarm
    #[arg(long)]
    stack: Option<String>,
    /// Token of the controls, for the targets running and swarm
    #[arg(long, env = "SWARMQ_ADMIN__TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Levels of a factor, such as responders=1,2,4; one level fixes it; can be repeated
    #[arg(long = "factor", value_name = "NAME=LEVELS")]
    factors: Vec<String>,
    /// Trials of each combination
    #[arg(long)]
    repetitions: Option<u32>,
    /// Time of load before the measurement, such as 2s
    #[arg(long, value_parser = humantime::parse_duration)]
    warm_up: Option<Duration>,
    /// Time of the measurement, such as 10s
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// End the measurement after this number of requests, if that is before the duration
    #[arg(long)]
    count: Option<u64>,
    /// Seed of everything random
    #[arg(long)]
    seed: Option<u64>,
    /// Order of the trials
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// Folder for the results; by default experiments/NAME-DATE-TIME
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Resume an interrupted run, given its folder
    #[arg(
        long, value_name = "FOLDER", conflicts_with_all = [
            "plan", "name", "target", "stack", "factors", "repetitions", "warm_up", "duration", "count", "seed", "order",
            "out",
        ]
    )]
    resume: Option<PathBuf>,
    /// Resume on another machine or with another version of this program too; the report tells it
    #[arg(long, requires = "resume")]
    allow_changes: bool,
    /// Print the trials and how long they would take, and run none
    #[arg(long)]
    dry_run: bool,
    /// How to show progress
    #[arg(long, value_enum, default_value_t = Shown::Bar)]
    progress: Shown,
}

impl ExperimentArgs {
    /// True if the command carries out a plan.
    pub fn measures(&self) -> bool {
        self.what.is_none()
    }
}

/// Executes the command. Exit status 0: every trial was measured; 1: some failed; 2: the plan is not valid; 130: stopped by a
/// signal.
pub fn experiment(args: ExperimentArgs, settings: Vec<String>) -> Result<ExitCode> {
    match args.what {
        None => carry_out(args.run, settings),
        Some(What::Plans { json }) => list(json),
        Some(What::Compare(args)) => compare::compare(&args),
    }
}

fn list(json: bool) -> Result<ExitCode> {
    let plans = READY_MADE.map(|(name, text)| Ok((name, text, load_plan(name, &PlanFlags::default())?)));
    let plans = plans.into_iter().collect::<Result<Vec<_>>>()?;
    if json {
        let plans: Vec<_> = plans
            .iter()
            .map(
                |(name, text, plan)| serde_json::json!({ "name": name, "description": plan.description, "text": text }),
            )
            .collect();
        line(serde_json::to_string(&plans)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, _, plan) in plans {
        let (trials, time) = (plan.trial_count(), rounded(plan.time()));
        line(format_args!("{name}  ({trials} trials, up to {time})\n    {}\n", plan.description))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn carry_out(args: RunArgs, settings: Vec<String>) -> Result<ExitCode> {
    let mut store = match &args.resume {
        Some(_) if !settings.is_empty() => {
            bail!("--set {}: a resumed run keeps its plan's settings; leave --set out, or start a new run", settings[0])
        }
        Some(folder) => Some(Store::open(folder)?),
        None => None,
    };
    if let Some(store) = &mut store {
        let here = environment();
        let differences = store.differences(&here);
        if !differences.is_empty() && !args.allow_changes {
            bail!(
                "what was measured so far can't be compared with what would be measured here ({}): start a new run, or give --allow-changes, and the report tells it",
                differences.join("; ")
            );
        }
        store.resume_in(here);
    }
    let mut plan = match &store {
        Some(store) => {
            let plan = store.results.plan.clone();
            Plan { url: args.url.clone().or(plan.url), ..plan }
        }
        None => match planned(&args, settings) {
            Ok(plan) => plan,
            Err(error) => {
                eprintln!("swarmq: {error:#}");
                return Ok(ExitCode::from(BAD_PLAN));
            }
        },
    };
    let system = actix_rt::System::new();
    let reached = match plan.target {
        Target::Running | Target::Swarm if !args.dry_run => {
            Some(system.block_on(reach(&mut plan, args.token, store.is_none()))?)
        }
        _ => None,
    };
    let stop = CancellationToken::new();
    let done = store.as_ref().map_or(0, |store| store.results.trials.len());
    let mut watcher = progress::watcher(args.progress, &plan, done, stop.clone());
    watcher.planned(&plan)?;
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let mut store = match store.take() {
        Some(store) => store,
        None => {
            let parent = Path::new("experiments");
            let new = || {
                let refused = || format!("can't create a folder in {}: give another one with --out", parent.display());
                run_folder(parent, &plan.name).with_context(refused)
            };
            let folder = args.out.map_or_else(new, Ok)?;
            Store::create(&folder, plan.clone(), environment())?
        }
    };
    let ending = system.block_on(async {
        stop_by_signal(stop.clone())?;
        match (plan.target, reached) {
            (Target::Swarm, Some(deployment)) => {
                let mut swarm = Swarm::connect(&plan.stack, deployment).await?;
                run(&mut store, &mut swarm, &mut watcher, &stop).await
            }
            (_, Some(deployment)) => run(&mut store, &mut Running::new(deployment), &mut watcher, &stop).await,
            (Target::Processes, None) => run(&mut store, &mut Processes::new()?, &mut watcher, &stop).await,
            (_, None) => run(&mut store, &mut InProcess::default(), &mut watcher, &stop).await,
        }
    })?;
    match watcher.finished(&store, &ending) {
        // A closed pipe is not a failure: the results are in the folder.
        Err(error) if !error.is_reader_gone() => return Err(error.into()),
        _ => {}
    }
    Ok(match ending {
        Ending::Finished { problems: 0 } => ExitCode::SUCCESS,
        Ending::Finished { .. } => ExitCode::FAILURE,
        Ending::Stopped { .. } => ExitCode::from(STOPPED),
    })
}

/// Connects to the plan's deployment and checks that its controls are permitted, before anything is written or changed. A new
/// plan gets the instances and brokers that the deployment has, as far as the target does not vary them.
async fn reach(plan: &mut Plan, token: Option<String>, is_new: bool) -> Result<Deployment> {
    let url = plan.url.as_deref().context("give the web tier's address with --url, such as http://127.0.0.1:3000")?;
    let deployment = Deployment::at(url, token).with_run_key(std::env::var(RUN_KEY_VARIABLE).ok());
    deployment.permitted().await?;
    if is_new {
        Running::new(deployment.clone()).plan_as_found(plan).await?;
    }
    Ok(deployment)
}

fn planned(args: &RunArgs, settings: Vec<String>) -> Result<Plan> {
    let Some(name) = &args.plan else {
        bail!("give a plan: {}, or a file's path", READY_MADE.map(|(name, _)| name).join(", "));
    };
    let flags = PlanFlags {
        target: args.target,
        url: args.url.clone(),
        stack: args.stack.clone(),
        factors: args.factors.clone(),
        repetitions: args.repetitions,
        seed: args.seed,
        order: args.order,
        warm_up: args.warm_up,
        duration: args.duration,
        count: args.count,
        settings,
        name: args.name.clone(),
    };
    let plan = load_plan(name, &flags)?;
    check(&plan)?;
    Ok(plan)
}

/// Makes the first SIGINT or SIGTERM cancel a token, and the second end the process.
fn stop_by_signal(stop: CancellationToken) -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    actix_rt::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(i32::from(STOPPED));
            }
            stop.cancel();
        }
    });
    Ok(())
}

/// A time, rounded up to whole seconds, as text.
pub fn rounded(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs_f64().ceil() as u64))
}
