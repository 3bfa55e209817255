//! A plan carried out: trial after trial, each written before the next begins.

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::{Generator, LedgerVerdict, RequestCounts, Shares, Store, TrialResult, measure, nodes};
use crate::experiment::load::Progress;
use crate::experiment::plan::{Plan, Trial};
use crate::experiment::target::{Refused, TargetDriver};
use crate::wire::{Latency, OutcomeCounts, now_ms};

/// Who is told how a run goes.
pub trait Watcher {
    fn started(&mut self, plan: &Plan, trial: &Trial);
    fn progress(&mut self, trial: &Trial, progress: &Progress);
    fn ended(&mut self, plan: &Plan, result: &TrialResult);
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every trial was tried; so many of them have a problem in place of figures.
    Finished { problems: usize },
    /// It was told to stop; what is left can be resumed.
    Stopped { left: usize },
}

/// Runs what is left of a run's trials. An error means that nothing more can be written or set up, or that a change was
/// not permitted; what was measured before it is kept.
pub async fn run(
    store: &mut Store,
    driver: &mut impl TargetDriver,
    watcher: &mut impl Watcher,
    stop: &CancellationToken,
) -> Result<Ending> {
    let plan = store.results.plan.clone();
    // Of a run that is gone on with too: another version of the program may have made its report.
    store.write()?;
    let mut refused = None;
    for trial in store.left() {
        watcher.started(&plan, &trial);
        let measured = tokio::select! {
            measured = one(store, driver, watcher, &plan, &trial, stop) => measured,
            // Where a deployment is being made, nothing is measured yet: it is given up at once.
            () = stop.cancelled() => Ok(None),
        };
        let cleared = driver.clear().await;
        let result = match measured {
            Ok(None) => break,
            Ok(Some(result)) => result,
            Err(error) if error.is::<Refused>() => {
                refused = Some(error);
                break;
            }
            Err(error) => without_figures(&trial, format!("{error:#}")),
        };
        store.add(result.clone())?;
        watcher.ended(&plan, &result);
        cleared?;
        if stop.is_cancelled() {
            break;
        }
    }
    let as_found = driver.leave().await;
    store.close()?;
    // It tells the reason why the deployment may not be as it was found, too.
    refused.map_or(as_found, Err)?;
    let left = store.left();
    Ok(match stop.is_cancelled() && !left.is_empty() {
        true => Ending::Stopped { left: left.len() },
        false => Ending::Finished { problems: left.len() },
    })
}

async fn one(
    store: &mut Store,
    driver: &mut impl TargetDriver,
    watcher: &mut impl Watcher,
    plan: &Plan,
    trial: &Trial,
    stop: &CancellationToken,
) -> Result<Option<TrialResult>> {
    let deployment = driver.set_up(plan, trial).await?;
    let inside = driver.shares_process();
    let mut tell = |progress: &Progress| watcher.progress(trial, progress);
    let result = measure(plan, trial, &deployment, inside, stop, &mut tell).await?;
    store.results.environment.nodes = nodes(&deployment.topology().await?);
    Ok(result)
}

/// A trial that could not be carried out.
fn without_figures(trial: &Trial, problem: String) -> TrialResult {
    TrialResult {
        number: trial.number,
        cell: trial.cell,
        repetition: trial.repetition,
        started_at: now_ms(),
        problem: Some(problem),
        measured_ms: 0.0,
        requests: RequestCounts::default(),
        messages: OutcomeCounts::default(),
        requests_per_s: 0.0,
        messages_per_s: 0.0,
        latency: Latency::precise(),
        percentiles: vec![],
        hops: Default::default(),
        shares: Shares::default(),
        errors: Default::default(),
        usage: vec![],
        ledger: LedgerVerdict::default(),
        generator: Generator { intended: 0, unsent: 0, lag: Latency::precise(), behind: false, cpu_ms: 0.0 },
        steadiness: None,
        machine: None,
    }
}
