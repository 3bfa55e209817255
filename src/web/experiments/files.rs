//! What the files of a run tell, of which an experiment writes `results.json` and `report.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The plan as it was given, which this tier writes.
pub const PLAN: &str = "plan.toml";

/// What was measured.
pub const RESULTS: &str = "results.json";

/// What the report shows, as the page draws it too.
const REPORT: &str = "report.json";

/// The files of a run that can be read, with their content types.
pub const FILES: [(&str, &str); 5] = [
    (RESULTS, "application/json"),
    (REPORT, "application/json"),
    ("results.csv", "text/csv; charset=utf-8"),
    ("report.html", "text/html; charset=utf-8"),
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
    pub finished_at: Option<u64>,
    /// Trials of the plan, and those that have ended.
    pub trials: usize,
    pub ended: usize,
    /// Trials that came to nothing or can't be trusted.
    pub problems: usize,
    /// The lowest and the highest throughput of the others, in requests a second.
    #[schema(value_type = Option<[f64; 2]>)]
    pub requests_per_s: Option<(f64, f64)>,
    /// What was found, in plain words, warnings first.
    pub findings: Vec<Finding>,
    /// Which of its files there are.
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
    pub levels: BTreeMap<String, String>,
    /// Why there are no figures, or why they can't be trusted.
    pub problem: Option<String>,
    /// The load generator did not keep up.
    pub behind: bool,
    /// Requests without all of their replies, or refused.
    pub failed: u64,
    pub requests_per_s: f64,
    pub p50_us: u64,
    pub p99_us: u64,
}

/// What of `results.json` is read for the list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    plan: PlanHead,
    started_at: u64,
    finished_at: Option<u64>,
    trials: Vec<TrialHead>,
}

#[derive(Deserialize)]
struct PlanHead {
    name: String,
    description: String,
    target: String,
    cells: Vec<CellHead>,
    repetitions: usize,
}

#[derive(Deserialize)]
struct CellHead {
    levels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrialHead {
    number: usize,
    cell: usize,
    repetition: u32,
    problem: Option<String>,
    requests_per_s: f64,
    requests: RequestsHead,
    latency: LatencyHead,
    generator: GeneratorHead,
}

#[derive(Deserialize)]
struct RequestsHead {
    failed: u64,
    refused: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LatencyHead {
    p50_us: u64,
    p99_us: u64,
}

#[derive(Deserialize)]
struct GeneratorHead {
    behind: bool,
}

impl TrialHead {
    fn row(self, cells: &[CellHead]) -> TrialRow {
        TrialRow {
            number: self.number,
            repetition: self.repetition,
            levels: cells.get(self.cell).map(|cell| cell.levels.clone()).unwrap_or_default(),
            problem: self.problem,
            behind: self.generator.behind,
            failed: self.requests.failed + self.requests.refused,
            requests_per_s: self.requests_per_s,
            p50_us: self.latency.p50_us,
            p99_us: self.latency.p99_us,
        }
    }
}

/// What of `report.json` is read for the list.
#[derive(Deserialize)]
struct Report {
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    #[serde(rename = "abstract")]
    findings: Vec<Finding>,
}

/// A sentence of what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub is_warning: bool,
    pub text: String,
}

/// When each of a run's files was changed: enough to know whether they are the same.
pub type Mark = [Option<SystemTime>; FILES.len()];

/// The mark of a run's folder.
pub fn mark(folder: &Path) -> Mark {
    FILES.map(|(file, _)| fs::metadata(folder.join(file)).and_then(|data| data.modified()).ok())
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
    let bytes = match fs::read(folder.join(RESULTS)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return nothing("No trial of it has ended.".to_owned()),
        Err(error) => return nothing(format!("{RESULTS} can't be read: {error}")),
    };
    let head: Head = match serde_json::from_slice(&bytes) {
        Ok(head) => head,
        Err(error) => return nothing(format!("{RESULTS} can't be read, of another version? {error}")),
    };
    let sound = head.trials.iter().filter(|trial| trial.problem.is_none());
    let rates = sound.clone().map(|trial| trial.requests_per_s);
    let range = rates.fold(None, |range, rate| match range {
        None => Some((rate, rate)),
        Some((low, high)) => Some((f64::min(low, rate), f64::max(high, rate))),
    });
    RunView {
        id: id.to_owned(),
        plan: head.plan.name,
        description: head.plan.description,
        target: head.plan.target,
        started_at: head.started_at,
        finished_at: head.finished_at,
        trials: head.plan.cells.len() * head.plan.repetitions,
        ended: head.trials.len(),
        problems: head.trials.len() - sound.count(),
        requests_per_s: range,
        findings: findings(folder),
        files,
        rows: head.trials.into_iter().map(|trial| trial.row(&head.plan.cells)).collect(),
    }
}

/// The sentences of the report; none where there is no report (yet).
fn findings(folder: &Path) -> Vec<Finding> {
    let report = fs::read(folder.join(REPORT)).ok().and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok());
    report.map(|report| report.summary.findings).unwrap_or_default()
}
