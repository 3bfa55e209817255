//! Shows an experiment's progress: a bar and a line for each trial, or a line of JSON for each event.

use std::fmt::Display;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cli::experiment::rounded;
use crate::cli::output::{OutputError, line};
use crate::experiment::load::Progress;
use crate::experiment::plan::{Plan, Trial};
use crate::experiment::report::table;
use crate::experiment::run::{Ending, Steadiness, Store, TrialResult, Watcher};

/// The format of progress output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// A bar with the time left, and a line for each trial
    Bar,
    /// A line of JSON for each event
    Json,
}

/// Makes a printer for a run of which `done` trials are complete. It cancels `stop` when stdout can't be written any more.
pub fn watcher(shown: Shown, plan: &Plan, done: usize, stop: CancellationToken) -> ProgressPrinter {
    match shown {
        Shown::Json => ProgressPrinter::Json { stop, total: Duration::from_millis(steps(plan)) },
        Shown::Bar => {
            let bar = ProgressBar::new(plan.trial_count() as u64 * steps(plan));
            let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {eta} left  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_position(done as u64 * steps(plan));
            bar.reset_eta();
            ProgressPrinter::Bar { stop, bar, done: done as u64 }
        }
    }
}

/// Length of a trial on the bar, in milliseconds of load.
fn steps(plan: &Plan) -> u64 {
    plan.warm_up_ms + plan.duration_ms
}

/// Prints a run's progress.
pub enum ProgressPrinter {
    Bar { stop: CancellationToken, bar: ProgressBar, done: u64 },
    Json { stop: CancellationToken, total: Duration },
}

impl ProgressPrinter {
    /// Prints the plan.
    pub fn planned(&self, plan: &Plan) -> Result<(), OutputError> {
        match self {
            Self::Json { .. } => line(json!({
                "event": "plan", "plan": plan, "trials": plan.trial_count(), "timeMs": plan.time().as_millis() as u64,
            })),
            Self::Bar { .. } => {
                line(format_args!("{}: {}", plan.name, plan.description))?;
                for (factor, levels) in &plan.factors {
                    line(format_args!("  {factor:20} {}", levels.join(", ")))?;
                }
                line(format_args!(
                    "  {} combinations x {} = {} trials, {}, up to {}",
                    plan.cells.len(),
                    plan.repetitions,
                    plan.trial_count(),
                    plan.target,
                    rounded(plan.time())
                ))
            }
        }
    }

    /// Prints the results, how the run ended, and its folder.
    pub fn finished(&self, store: &Store, ending: &Ending) -> Result<(), OutputError> {
        let folder = store.folder().display();
        match self {
            Self::Json { .. } => {
                let (stopped, left) = match *ending {
                    Ending::Finished { problems } => (false, problems),
                    Ending::Stopped { left } => (true, left),
                };
                line(json!({ "event": "finished", "dir": store.folder(), "stopped": stopped, "problems": left }))
            }
            Self::Bar { bar, .. } => {
                bar.finish_and_clear();
                let summary = store.summary();
                line(format_args!("\n{}", table(&store.results, &summary)))?;
                for finding in &summary.findings {
                    line(format_args!("{} {}", if finding.is_warning { "!" } else { "-" }, finding.text))?;
                }
                line(match ending {
                    Ending::Finished { problems: 0 } => format!("\nresults: {folder}"),
                    Ending::Finished { problems } => {
                        format!("\n{problems} trials failed; to repeat them: swarmq experiment --resume {folder}")
                    }
                    Ending::Stopped { left } => {
                        format!("\nstopped with {left} trials left; to continue: swarmq experiment --resume {folder}")
                    }
                })
            }
        }
    }
}

impl Watcher for ProgressPrinter {
    fn started(&mut self, plan: &Plan, trial: &Trial) {
        let levels = &plan.cells[trial.cell].levels;
        match self {
            Self::Json { stop, .. } => print_or_stop(
                stop,
                json!({
                    "event": "trial-started", "number": trial.number, "of": plan.trial_count(), "levels": levels,
                    "repetition": trial.repetition,
                }),
            ),
            Self::Bar { bar, .. } => bar.set_message(levels_text(plan, trial.cell)),
        }
    }

    fn progress(&mut self, trial: &Trial, progress: &Progress) {
        let Progress { elapsed, sent, ended, .. } = *progress;
        match self {
            Self::Json { stop, total } => {
                let rate = if elapsed.is_zero() { 0.0 } else { ended as f64 / elapsed.as_secs_f64() };
                let (elapsed, total) = (elapsed.as_millis() as u64, total.as_millis() as u64);
                print_or_stop(
                    stop,
                    json!({
                        "event": "load", "number": trial.number, "elapsedMs": elapsed, "totalMs": total, "sent": sent,
                        "ended": ended, "requestsPerS": rate, "measuring": progress.measuring,
                    }),
                );
            }
            Self::Bar { bar, done, .. } => bar.set_position(*done + elapsed.as_millis() as u64),
        }
    }

    fn ended(&mut self, plan: &Plan, result: &TrialResult) {
        match self {
            Self::Json { stop, .. } => {
                print_or_stop(stop, json!({ "event": "trial-ended", "trial": without_histograms(result) }))
            }
            Self::Bar { stop, bar, done } => {
                *done += steps(plan);
                bar.set_position(*done);
                *done = bar.position();
                let load = plan.cells[result.cell].setup.load;
                let figures = figures(result, load.is_open() && load.is_steady());
                let text = format!("{:>4}  {}  {figures}", result.number + 1, levels_text(plan, result.cell));
                // Without a terminal the bar is hidden and would not print the line.
                match bar.is_hidden() {
                    true => print_or_stop(stop, text),
                    false => bar.println(text),
                }
            }
        }
    }
}

/// Prints a line; stops the run if stdout can't be written.
fn print_or_stop(stop: &CancellationToken, text: impl Display) {
    if line(text).is_err() {
        stop.cancel();
    }
}

/// A cell's levels as text.
fn levels_text(plan: &Plan, cell: usize) -> String {
    let levels: Vec<_> = plan.cells[cell].levels.iter().map(|(factor, level)| format!("{factor} {level}")).collect();
    levels.join(", ")
}

fn figures(result: &TrialResult, is_open: bool) -> String {
    if let Some(problem) = &result.problem {
        return format!("PROBLEM: {problem}");
    }
    let time = |share| Duration::from_micros(result.latency.quantile_us(share)).as_secs_f64() * 1_000.0;
    let warnings = [
        (result.requests.failed > 0, "FAILED requests"),
        (result.requests.refused > 0, "REFUSED requests"),
        (result.generator.behind, "the load generator fell behind"),
        (!result.ledger.balanced, "the ledger does not balance"),
        (is_open && Steadiness::is_growing(&result.steadiness), "OVERLOADED: the queue grew"),
    ];
    let warnings: String =
        warnings.iter().filter(|(applies, _)| *applies).map(|(_, text)| format!("  {text}")).collect();
    let latencies = match result.latency.count() {
        0 => "no request was complete".to_owned(),
        _ => format!("p50 {:.1} ms  p99 {:.1} ms", time(0.5), time(0.99)),
    };
    format!("{:.1} requests/s  {latencies}{warnings}", result.requests_per_s)
}

/// A trial without its histograms, which are long and which progress does not need.
fn without_histograms(result: &TrialResult) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("histogram");
                fields.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = json!(result);
    strip(&mut value);
    value
}
