//! `swarmq experiment compare`: compares two runs, with an exit status for CI.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::output::line;
use crate::experiment::analysis::{Rule, Strictness, compare as compare_runs};
use crate::experiment::report::{compare_page, compare_table};
use crate::experiment::run::read_results;

pub const AFTER_HELP: &str = "\
Rules: a metric, one of > >= < <=, and a limit: a ratio of the second run to the first (1.2x), a change (+20%, -10%), or
a value of the second run (50ms, 100/s, 64MB, 1%).
Metrics: requests/s, messages/s, mean, p50, p90, p95, p99, p99.9, max, cpu, memory, errors.
Exit status 1: a rule is broken in some cell, or the runs have no cell in common.";

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Folder, or results.json, of the first run
    first: PathBuf,
    /// Folder, or results.json, of the second run
    second: PathBuf,
    /// Fail if this holds in any cell, such as 'p99 > 1.2x'; can be repeated
    #[arg(long = "fail-if", value_name = "RULE")]
    rules: Vec<Rule>,
    /// Judge rules by intervals: a rule is broken if the whole interval is beyond its limit, not only the figure
    #[arg(long, requires = "rules")]
    by_interval: bool,
    /// Another run of the first one's program and plan on its machine; given twice or more, the intervals include how much
    /// such runs differ (A/A)
    #[arg(long, value_name = "RUN")]
    aa: Vec<PathBuf>,
    /// Write an HTML page with charts of the comparison
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "compare.html")]
    html: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Exit status 0: no rule is broken.
pub fn compare(args: &CompareArgs) -> Result<ExitCode> {
    let aa = args.aa.iter().map(|run| read_results(run)).collect::<Result<Vec<_>>>()?;
    let strictness = if args.by_interval { Strictness::Interval } else { Strictness::Estimate };
    let (first, second) = (read_results(&args.first)?, read_results(&args.second)?);
    let comparison = compare_runs(&first, &second, &aa, &args.rules, strictness)?;
    match args.json {
        true => line(serde_json::to_string(&comparison)?)?,
        false => line(compare_table(&comparison))?,
    }
    match args.rules.len() {
        0 => {}
        // The table marks the broken rules.
        _ if args.json || !comparison.broken.is_empty() => {}
        1 => line("The rule holds.")?,
        rules => line(format_args!("All {rules} rules hold."))?,
    }
    if let Some(file) = &args.html {
        let page = compare_page(&comparison)
            .context("the page needs the feature `dashboard`, which this program was built without")?;
        fs::write(file, page).with_context(|| format!("{} can't be written", file.display()))?;
        eprintln!("page: {}", file.display());
    }
    Ok(if comparison.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
