//! Sentences about what a run's figures do not say, or say of something else.

use super::names::{label, plural, ratio_said};
use super::{CellSummary, Summary};
use crate::experiment::run::{Machine, Results};
use crate::experiment::statistics::{Metric, percent, short};

/// A load average above this share of the cores means that other programs use the machine.
const BUSY: f64 = 0.5;

/// The report warns if the hypervisor took at least this share of the cores' time.
const STEAL: f64 = 0.01;

/// The report warns if the lowest frequency by the highest is below this.
const SLOWED: f64 = 0.9;

/// Maximum cells that a sentence names.
const MAX_NAMED: usize = 3;

/// Maximum sentences about expected figures.
const MAX_DOUBTS: usize = 6;

/// All of them; saturation first.
pub(super) fn warnings(results: &Results, summary: &Summary) -> Vec<String> {
    let mut warnings: Vec<String> = overload(results, summary).into_iter().collect();
    if summary.trials_done < summary.trials_planned {
        warnings.push(format!("{} of {} trials are complete.", summary.trials_done, summary.trials_planned));
    }
    let lost: Vec<_> =
        results.trials.iter().filter_map(|trial| Some((trial.number, trial.problem.as_ref()?))).collect();
    if let Some((number, problem)) = lost.first() {
        let count = plural(lost.len(), "trial has", "trials have");
        warnings.push(format!("{count} no figures; trial {}: {problem}", number + 1));
    }
    let unbalanced = results.trials.iter().filter(|trial| trial.problem.is_none() && !trial.ledger.balanced);
    let unbalanced: Vec<_> = unbalanced.collect();
    if let Some(first) = unbalanced.first() {
        let count = plural(unbalanced.len(), "trial", "trials");
        let why = first.ledger.reason.as_deref().unwrap_or("the reason is unknown");
        warnings.push(format!("The ledger does not balance in {count}; trial {}: {why}.", first.number + 1));
    }
    let behind = summary.cells.iter().map(|cell| cell.behind).sum();
    if behind > 0 {
        let count = plural(behind, "trial", "trials");
        warnings.push(format!("The load generator fell behind in {count}: their figures show the generator's limit."));
    }
    warnings.extend(doubts(results, summary).take(MAX_DOUBTS));
    warnings.extend(unsteady(results, summary));
    warnings.extend(failures(summary));
    warnings.extend(cut_off(results, summary));
    warnings.extend(machine(results));
    warnings
}

/// Why expected figures may not be those of the trials.
fn doubts<'a>(results: &'a Results, summary: &'a Summary) -> impl Iterator<Item = String> + 'a {
    let with = |cell: &CellSummary, doubt: String| match label(&results.plan.cells[cell.cell].levels).as_str() {
        "" => format!("Expected figures: {doubt}."),
        label => format!("Expected figures of {label}: {doubt}."),
    };
    let of_cell = move |cell: &'a CellSummary| {
        cell.expected.iter().flat_map(|expected| expected.doubts()).map(move |doubt| with(cell, doubt))
    };
    summary.cells.iter().filter(|cell| cell.trials > 0).flat_map(of_cell)
}

/// Names of cells that something applies to, each with more about it; none if there is no such cell.
fn named<'a>(
    results: &Results,
    cells: impl Iterator<Item = &'a CellSummary>,
    more: impl Fn(&CellSummary) -> Option<String>,
) -> Option<String> {
    let cells: Vec<_> = cells.collect();
    let name = |cell: &&CellSummary| {
        let label = label(&results.plan.cells[cell.cell].levels);
        [Some(label).filter(|label| !label.is_empty()), more(cell)].into_iter().flatten().collect::<Vec<_>>().join(": ")
    };
    let mut names: Vec<String> = cells.iter().take(MAX_NAMED).map(name).filter(|name| !name.is_empty()).collect();
    if cells.len() > MAX_NAMED {
        names.push(format!("{} more", cells.len() - MAX_NAMED));
    }
    (!cells.is_empty()).then(|| names.join("; "))
}

fn overload(results: &Results, summary: &Summary) -> Option<String> {
    let rates = |cell: &CellSummary| {
        let asked = results.plan.cells[cell.cell].setup.load.offered_per_s()?;
        let say = |rate: f64| Metric::RequestsPerS.say(rate);
        let capacity = cell.capacity_per_s(&results.plan);
        let capacity = capacity.map_or_else(String::new, |rate| format!(", capacity {}", say(rate)));
        Some(format!("{} asked, {} done{capacity}", say(asked), say(cell.median(Metric::RequestsPerS)?)))
    };
    let cells = named(results, summary.cells.iter().filter(|cell| cell.is_overloaded), rates)?;
    Some(format!(
        "More was asked than the workers can do ({cells}): the queue grew for the whole trial, and latencies say only how long that was."
    ))
}

fn unsteady(results: &Results, summary: &Summary) -> Option<String> {
    let halves = |cell: &CellSummary| cell.halves.as_ref().map(ratio_said);
    let cells = summary.cells.iter().filter(|cell| cell.is_unsteady && !cell.is_overloaded);
    let cells = named(results, cells, halves)?;
    Some(format!(
        "There was no steady state: the mean latency of the second half of the measured time is not that of the first ({cells}). Latencies depend on warm-up and duration; longer ones help, unless more was asked than the workers can do."
    ))
}

fn failures(summary: &Summary) -> Option<String> {
    let sum = |of: fn(&CellSummary) -> u64| summary.cells.iter().map(of).sum::<u64>();
    let (sent, failed, refused) =
        (sum(|cell| cell.requests.sent), sum(|cell| cell.requests.failed), sum(|cell| cell.requests.refused));
    let reasons = summary.cells.iter().flat_map(|cell| &cell.errors);
    let why = reasons.max_by_key(|(_, count)| **count).map(|(reason, _)| format!(", most often: {reason}"));
    (failed + refused > 0).then(|| {
        format!(
            "Of {} requests, {} failed and {} were refused{}.",
            short(sent as f64),
            short(failed as f64),
            short(refused as f64),
            why.unwrap_or_default()
        )
    })
}

/// Latencies are those of complete requests: of the others they are not known.
fn cut_off(results: &Results, summary: &Summary) -> Option<String> {
    let timeouts = |cell: &CellSummary| Some(plural(cell.messages.timeouts as usize, "timeout", "timeouts"));
    let cells = named(results, summary.cells.iter().filter(|cell| cell.messages.timeouts > 0), timeouts)?;
    let timeout = Metric::Max.say(results.plan.timeout_ms as f64);
    Some(format!(
        "Latencies are cut off at the timeout of {timeout} ({cells}): those of requests that timed out are not among them, so that true percentiles are higher."
    ))
}

fn machine(results: &Results) -> Vec<String> {
    let environment = &results.environment;
    let mut warnings = vec![];
    if environment.build == "debug" {
        warnings.push("A debug build was measured: a release build is several times as fast.".to_owned());
    }
    if environment.load_average > BUSY * environment.cores as f64 {
        warnings.push(format!(
            "Other programs used the machine when the run began: the load average was {} on {}.",
            short(environment.load_average),
            plural(environment.cores, "core", "cores")
        ));
    }
    let machines = || results.trials.iter().filter_map(|trial| trial.machine.as_ref());
    let stolen: Vec<f64> = machines().map(|machine| machine.steal).filter(|steal| *steal > STEAL).collect();
    if let Some(most) = stolen.iter().copied().reduce(f64::max) {
        let trials = plural(stolen.len(), "trial", "trials");
        warnings.push(format!("The hypervisor took up to {} of the cores' time in {trials}.", percent(most)));
    }
    if let Some([low, high]) = extremes(machines(), |machine| machine.mhz)
        && low < SLOWED * high
    {
        warnings.push(format!(
            "The processor's frequency was {} MHz in one trial and {} MHz in another.",
            short(low),
            short(high)
        ));
    }
    for resumed in &results.resumed {
        let later = results.trials.iter().filter(|trial| trial.started_at >= resumed.at).count();
        if later > 0 {
            let trials = plural(later, "trial was", "trials were");
            let differences = resumed.differences.join("; ");
            warnings.push(format!("The run was resumed elsewhere, and {trials} measured there ({differences})."));
        }
    }
    warnings
}

fn extremes<'a>(machines: impl Iterator<Item = &'a Machine>, of: impl Fn(&Machine) -> Option<f64>) -> Option<[f64; 2]> {
    machines.filter_map(of).map(|value| [value; 2]).reduce(|[low, high], [value, _]| [low.min(value), high.max(value)])
}

/// What the machine did during the trials: rows of a table, from the least to the most of any trial.
pub(super) fn conditions(results: &Results) -> Vec<(String, String)> {
    let machines = || results.trials.iter().filter_map(|trial| trial.machine.as_ref());
    type Of = fn(&Machine) -> Option<f64>;
    type Say = fn(f64) -> String;
    let rows: [(&str, Of, Say); 7] = [
        ("load average", |machine| Some(machine.load_average), short),
        ("cores in use, by any program", |machine| Some(machine.busy), percent),
        ("cores taken by the hypervisor (steal)", |machine| Some(machine.steal), percent),
        ("time in which programs waited for a core (PSI)", |machine| machine.cpu_pressure, percent),
        ("time in which programs waited for memory", |machine| machine.memory_pressure, percent),
        ("time in which programs waited for a disk", |machine| machine.io_pressure, percent),
        ("frequency, MHz", |machine| machine.mhz, short),
    ];
    let row = |(name, of, say): (&str, Of, Say)| {
        let [low, high] = extremes(machines(), of)?;
        Some((name.to_owned(), format!("{} to {}", say(low), say(high))))
    };
    rows.into_iter().filter_map(row).collect()
}
