//! An experiment against the stack: the swarm scaled by `swarmq experiment` through Docker's API, and left as it was.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use swarmq::experiment::plan::Factor;
use swarmq::experiment::run::read_results;

use crate::lab::{MANAGER, root, run};

/// The token that permits the controls.
pub const TOKEN: &str = "for-experiments";

/// Two cells of a second: one responder, and three. In this order, because the swarm spreads the new ones over its nodes; those
/// that an update has started may share one.
const PLAN: [&str; 11] = [
    "quick",
    "--target=swarm",
    "--repetitions=1",
    "--order=interleaved",
    "--warm-up=300ms",
    "--duration=1s",
    "--factor=responder_instances=1,3",
    "--factor=responders=2",
    "--factor=requester_instances=2",
    "--factor=delay=fixed 20ms",
    "--progress=json",
];

/// Runs it by the manager's engine; what it found, in a line for each trial.
pub fn experiment(docker_host: &str, web: &str) -> Result<Vec<String>> {
    let folder = root().join("target/swarm/experiment");
    // Of an earlier run.
    let _ = std::fs::remove_dir_all(&folder);
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarmq"));
    command.arg("experiment").args(PLAN).arg("--url").arg(format!("http://{web}")).arg("--out").arg(&folder);
    run(command.args(["--token", TOKEN]).env("DOCKER_HOST", docker_host), "")?;
    sound(&folder)
}

/// Checks what was measured.
fn sound(folder: &Path) -> Result<Vec<String>> {
    let results = read_results(folder)?;
    let mut lines = vec![];
    for trial in &results.trials {
        let level = &results.plan.cells[trial.cell].levels[&Factor::ResponderInstances];
        let instances: usize = level.parse().context("a level that is no number")?;
        ensure!(trial.problem.is_none(), "{level} responders: {:?}", trial.problem);
        ensure!(trial.ledger.balanced, "{level} responders: {:?}", trial.ledger);
        ensure!(trial.requests.sent > 0 && trial.requests.complete == trial.requests.sent, "{:?}", trial.requests);
        let workers = trial.shares.responders.len();
        ensure!(workers == instances * 2, "{level} responders: replies of {workers} workers");
        ensure!(trial.shares.nodes.len() == instances, "{level} responders: replies from {:?}", trial.shares.nodes);
        lines.push(format!("{level} responders of 2 workers: {:.0} requests/s", trial.requests_per_s));
    }
    ensure!(lines.len() == 2, "{} trials", lines.len());
    let report = folder.join("report.html");
    ensure!(report.is_file(), "no report at {} for {MANAGER}'s swarm", report.display());
    Ok(lines)
}
