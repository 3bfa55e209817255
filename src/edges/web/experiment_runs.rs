//! Earlier runs: a folder for each, in one folder, with what an experiment writes there. To this tier results are files.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::ErrorCode;
use crate::transport::ApiError;

/// Runs that are listed: the newest.
const MOST_LISTED: usize = 500;

/// Longest name of a run.
const LONGEST_ID: usize = 100;

pub const PLAN: &str = "plan.toml";
const RESULTS: &str = "results.json";

/// What the report shows, as the page draws it too.
const REPORT: &str = "report.json";

/// The files of a run that can be read, with their content types.
const FILES: [(&str, &str); 5] = [
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
type Mark = [Option<SystemTime>; FILES.len()];

fn mark(folder: &Path) -> Mark {
    FILES.map(|(file, _)| fs::metadata(folder.join(file)).and_then(|data| data.modified()).ok())
}

/// The folder of runs.
pub struct Runs {
    dir: PathBuf,
    /// What was read of the results, so that a list of many does not read them all again.
    known: Mutex<HashMap<String, (Mark, RunView)>>,
}

impl Runs {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, known: Mutex::default() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Why no run can be kept, and what to do about it; none where one can.
    pub fn unwritable(&self) -> Option<String> {
        let existing = self.dir.ancestors().find(|path| path.exists() || path.as_os_str().is_empty());
        let place = existing.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        access(place, AccessFlags::W_OK | AccessFlags::X_OK).err().map(|error| self.refusal(&io::Error::from(error)))
    }

    fn refusal(&self, error: &io::Error) -> String {
        format!(
            "the results can't be kept in the folder {} ({error}): set experiments.dir to a folder that the program may \
             write; in a container, mount a volume there (docs/experiments.md)",
            std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone()).display()
        )
    }

    /// Makes the folder of a new run, with its plan in it; its name, made of the time and the plan's name.
    ///
    /// # Errors
    /// When the folder can't be written; the text says which setting to change.
    pub fn create(&self, name: &str, plan: &str) -> Result<String, ApiError> {
        let failed = |error: io::Error| ApiError::new(ErrorCode::Internal, self.refusal(&error));
        fs::create_dir_all(&self.dir).map_err(failed)?;
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let time: String = time.chars().filter(char::is_ascii_digit).collect();
        let stem = format!("{}-{}-{}", &time[..8], &time[8..], slug(name));
        for number in 1.. {
            let id = if number == 1 { stem.clone() } else { format!("{stem}-{number}") };
            match fs::create_dir(self.dir.join(&id)) {
                Ok(()) => {
                    fs::write(self.dir.join(&id).join(PLAN), plan).map_err(failed)?;
                    return Ok(id);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        unreachable!("numbers do not end")
    }

    /// The folder of a run.
    ///
    /// # Errors
    /// `NotFound` for a name that is none, or that no run has.
    pub fn folder(&self, id: &str) -> Result<PathBuf, ApiError> {
        let unknown =
            || ApiError::new(ErrorCode::NotFound, format!("no run {id}: GET /api/v1/experiments/runs lists them"));
        if !is_name(id) {
            return Err(unknown());
        }
        let folder = self.dir.join(id);
        [PLAN, RESULTS].iter().any(|file| folder.join(file).is_file()).then_some(folder).ok_or_else(unknown)
    }

    /// A file of a run, with its content type.
    ///
    /// # Errors
    /// `NotFound` for files that runs do not have, or that this one does not have (yet).
    pub fn file(&self, id: &str, name: &str) -> Result<(Vec<u8>, &'static str), ApiError> {
        let folder = self.folder(id)?;
        let missing =
            |why: &dyn std::fmt::Display| ApiError::new(ErrorCode::NotFound, format!("{name} of the run {id}: {why}"));
        let Some((name, content_type)) = FILES.iter().find(|(known, _)| *known == name) else {
            return Err(missing(&format!("there are {}", FILES.map(|(name, _)| name).join(", "))));
        };
        match fs::read(folder.join(name)) {
            Ok(bytes) => Ok((bytes, content_type)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(missing(&"it is written when a trial has ended")),
            Err(error) => Err(missing(&error)),
        }
    }

    /// A run with its trials.
    pub fn view(&self, id: &str) -> Result<RunView, ApiError> {
        Ok(read(&self.folder(id)?, id))
    }

    /// The runs, newest first, without their trials. A folder that does not exist has none.
    pub fn list(&self) -> Vec<RunView> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<_> = names.filter_map(|id| Some((mark(&self.folder(&id).ok()?), id))).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(MOST_LISTED);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = HashMap::new();
        for (mark, id) in found {
            let view = match known.remove(&id) {
                Some((at, view)) if at == mark => view,
                _ => RunView { rows: vec![], ..read(&self.dir.join(&id), &id) },
            };
            now.insert(id, (mark, view));
        }
        *known = now;
        let mut views: Vec<_> = known.values().map(|(_, view)| view.clone()).collect();
        views.sort_by(|a, b| b.started_at.cmp(&a.started_at).then_with(|| a.id.cmp(&b.id)));
        views
    }

    /// Deletes a run with all its files.
    pub fn delete(&self, id: &str) -> Result<(), ApiError> {
        let folder = self.folder(id)?;
        fs::remove_dir_all(&folder).map_err(|error| {
            ApiError::new(ErrorCode::Internal, format!("{} can't be deleted: {error}", folder.display()))
        })
    }
}

/// Whether a text is a name that a run's folder can have: no way out of the folder of runs.
fn is_name(id: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    id.len() <= LONGEST_ID && id.chars().all(allowed) && id.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// A name as a part of a folder's name.
fn slug(name: &str) -> String {
    let letters =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    let text: String = letters.take(LONGEST_ID / 2).collect();
    let words: Vec<_> = text.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "plan".to_owned() } else { words.join("-") }
}

fn read(folder: &Path, id: &str) -> RunView {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for id in ["20261125-101500-quick", "a", "A.b_c-9"] {
            assert!(is_name(id), "{id}");
        }
        let long = "x".repeat(LONGEST_ID + 1);
        for id in ["", ".", "..", "a/b", "/etc", ".hidden", "a\0", "a b", "ä", &long] {
            assert!(!is_name(id), "{id}");
        }
        assert_eq!([slug("Cluster vs. Swarm!"), slug("../.."), slug("é")], ["cluster-vs-swarm", "plan", "plan"]);
    }

    #[test]
    fn runs_of_one_second_have_folders_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::new(dir.path().join("made/when/needed"));
        assert_eq!(runs.unwritable(), None);
        assert!(runs.list().is_empty());
        let ids: Vec<_> = (0..3).map(|_| runs.create("quick", "repetitions = 1").unwrap()).collect();
        assert!(ids.iter().all(|id| is_name(id)) && ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
        assert_eq!(runs.list().len(), 3);
        assert_eq!(runs.file(&ids[0], PLAN).unwrap().0, b"repetitions = 1");
        assert!(runs.file(&ids[0], RESULTS).is_err());
        runs.delete(&ids[0]).unwrap();
        assert_eq!(runs.list().len(), 2);
    }

    #[test]
    fn a_folder_that_holds_something_else_is_no_run_and_results_of_another_form_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::new(dir.path().to_owned());
        fs::create_dir(dir.path().join("photos")).unwrap();
        assert!(runs.list().is_empty() && runs.delete("photos").is_err());
        let id = runs.create("quick", "").unwrap();
        assert_eq!(runs.list()[0].description, "No trial of it has ended.");
        fs::write(dir.path().join(&id).join(RESULTS), "{\"schema\":\"other\"}").unwrap();
        let view = &runs.list()[0];
        assert!(view.description.contains("another version") && view.id == id, "{view:?}");
    }
}
