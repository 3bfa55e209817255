//! What the files of a run tell, of which an experiment writes `results.json` and `report.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::experiment::analysis::{Finding, Summary};
use crate::experiment::plan::{Factor, Plan};
use crate::experiment::run::{REPORT, REPORT_DATA, RESULTS, Results, TABLE, TRIALS, TrialResult, read_results};

/// The plan as it was given, which this tier writes.
pub const PLAN: &str = "plan.toml";

/// The files of a run that can be read, with their content types.
pub const FILES: [(&str, &str); 5] = [
    (RESULTS, "application/json"),
    (REPORT_DATA, "application/json"),
    (TABLE, "text/csv; charset=utf-8"),
    (REPORT, "text/html; charset=utf-8"),
    (PLAN, "application/toml"),
];

/// A run as it is listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// Name of its folder.
    pub id: String,
    /// Name of its plan.
    pub plan: String,
    pub description: String,
    pub target: String,
    /// In milliseconds since the epoch.
    pub started_at: u64,
    /// None while trials are left.
    #[schema(required)]
    pub finished_at: Option<u64>,
    /// Trials of the plan, and those that have ended.
    pub trials: usize,
    pub ended: usize,
    /// Trials that failed or are not valid.
    pub problems: usize,
    /// The lowest and the highest throughput of the valid trials, in requests per second.
    #[schema(required, value_type = Option<[f64; 2]>, min_items = 2, max_items = 2)]
    pub requests_per_s: Option<(f64, f64)>,
    /// The sentences of the report, warnings first.
    pub findings: Vec<Finding>,
    /// The files that it has.
    pub files: Vec<String>,
    /// In the order they ran; left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<TrialRow>,
}

/// A trial in a few figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrialRow {
    /// Place in the plan's order, from 0.
    pub number: usize,
    /// From 0.
    pub repetition: u32,
    /// The factors that vary, each with its level.
    pub levels: BTreeMap<Factor, String>,
    /// Why the trial failed or is not valid.
    #[schema(required)]
    pub problem: Option<String>,
    /// The load generator fell behind.
    pub behind: bool,
    /// Requests without all of their replies, or refused.
    pub failed: u64,
    pub requests_per_s: f64,
    pub p50_us: u64,
    pub p99_us: u64,
}

impl TrialRow {
    fn of(trial: &TrialResult, plan: &Plan) -> Self {
        Self {
            number: trial.number,
            repetition: trial.repetition,
            levels: plan.cells.get(trial.cell).map(|cell| cell.levels.clone()).unwrap_or_default(),
            problem: trial.problem.clone(),
            behind: trial.generator.behind,
            failed: trial.requests.failed + trial.requests.refused,
            requests_per_s: trial.requests_per_s,
            p50_us: trial.latency.quantile_us(0.5),
            p99_us: trial.latency.quantile_us(0.99),
        }
    }
}

/// What of `report.json` is read for the list.
#[derive(Deserialize)]
struct ReportFile {
    summary: Summary,
}

/// When each of a run's files was changed: enough to know whether they are the same.
pub type Mark = [Option<SystemTime>; FILES.len() + 1];

/// The mark of a run's folder.
pub fn mark(folder: &Path) -> Mark {
    let changed = |file: &str| fs::metadata(folder.join(file)).and_then(|data| data.modified()).ok();
    let mut mark = [None; FILES.len() + 1];
    let files = FILES.iter().map(|(file, _)| *file).chain([TRIALS]);
    mark.iter_mut().zip(files).for_each(|(mark, file)| *mark = changed(file));
    mark
}

/// What a run's files tell. Results that are missing, or can't be read, are told in the description.
pub fn read_run(folder: &Path, id: &str) -> RunView {
    let mark = mark(folder);
    let files = FILES.iter().zip(mark).filter(|(_, time)| time.is_some()).map(|((file, _), _)| (*file).to_owned());
    let files: Vec<_> = files.collect();
    let made = mark.into_iter().flatten().min().unwrap_or(SystemTime::UNIX_EPOCH);
    let started_at = made.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_millis() as u64);
    let nothing = |what: String| RunView {
        id: id.to_owned(),
        plan: id.to_owned(),
        description: what,
        started_at,
        files: files.clone(),
        ..RunView::default()
    };
    if !folder.join(RESULTS).exists() {
        return nothing("No trial of it has ended.".to_owned());
    }
    let results = match read_results(folder) {
        Ok(results) => results,
        Err(error) => return nothing(format!("{RESULTS} can't be read, of another version? {error:#}")),
    };
    let Results { plan, trials, started_at, finished_at, .. } = results;
    let sound = trials.iter().filter(|trial| trial.problem.is_none());
    let rates = sound.clone().map(|trial| trial.requests_per_s);
    let range = rates.fold(None, |range, rate| match range {
        None => Some((rate, rate)),
        Some((low, high)) => Some((f64::min(low, rate), f64::max(high, rate))),
    });
    RunView {
        id: id.to_owned(),
        description: plan.description.clone(),
        target: plan.target.name().to_owned(),
        started_at,
        finished_at,
        trials: plan.trial_count(),
        ended: trials.len(),
        problems: trials.len() - sound.count(),
        requests_per_s: range,
        findings: findings(folder),
        files,
        rows: trials.iter().map(|trial| TrialRow::of(trial, &plan)).collect(),
        plan: plan.name,
    }
}

/// The sentences of the report; none where there is no report (yet).
fn findings(folder: &Path) -> Vec<Finding> {
    let report =
        fs::read(folder.join(REPORT_DATA)).ok().and_then(|bytes| serde_json::from_slice::<ReportFile>(&bytes).ok());
    report.map(|report| report.summary.findings).unwrap_or_default()
}
