//! The folder of a run: everything in it is written after every trial, so that neither a crash nor Ctrl-C loses one.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Environment, Results, SCHEMA, TrialResult};
use crate::experiment::analysis::Summary;
use crate::experiment::expected::Expectations;
use crate::experiment::plan::{Plan, Trial};
use crate::experiment::report::{Report, report_page, write_exports};
use crate::wire::now_ms;

/// The file that the others are made of, and that a run goes on from.
pub const RESULTS: &str = "results.json";

/// The page that shows them, where this program can make one.
pub const REPORT: &str = "report.html";

/// What it shows, for programs.
const REPORT_DATA: &str = "report.json";

/// A run's folder and what is known so far.
pub struct Store {
    folder: PathBuf,
    /// Locked as long as this process is at work in it.
    _lock: File,
    pub results: Results,
    expectations: Expectations,
}

impl Store {
    /// A new run in a folder that must not hold one. [`Self::write`] writes it.
    pub fn create(folder: &Path, plan: Plan, environment: Environment) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| cannot_write(folder))?;
        let lock = lock(folder)?;
        if folder.join(RESULTS).exists() {
            bail!(
                "{} holds results already: give another folder with --out, or go on with --resume {}",
                folder.display(),
                folder.display()
            );
        }
        let (schema, started_at) = (SCHEMA.to_owned(), now_ms());
        let results = Results { schema, plan, environment, started_at, finished_at: None, trials: vec![] };
        let expectations = Expectations::of(&results.plan);
        Ok(Self { folder: folder.to_owned(), _lock: lock, results, expectations })
    }

    /// A run that was cut off, to go on with.
    pub fn open(folder: &Path) -> Result<Self> {
        let results = read_results(folder)?;
        let lock = lock(folder)?;
        let expectations = Expectations::of(&results.plan);
        Ok(Self { folder: folder.to_owned(), _lock: lock, results, expectations })
    }

    /// What the trials so far come to.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.results, &self.expectations)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The trials that have no figures yet, in the plan's order.
    pub fn left(&self) -> Vec<Trial> {
        let has = |trial: &Trial| {
            self.results.trials.iter().any(|result| result.number == trial.number && result.problem.is_none())
        };
        self.results.plan.trials().into_iter().filter(|trial| !has(trial)).collect()
    }

    /// Adds a trial; one that was tried before and had a problem is replaced.
    pub fn add(&mut self, result: TrialResult) -> Result<()> {
        self.results.trials.retain(|known| known.number != result.number);
        self.results.trials.push(result);
        self.results.finished_at = self.left().is_empty().then(now_ms);
        self.write()
    }

    /// Writes all of it. A file is either the old one or the new one, whatever happens meanwhile.
    pub fn write(&self) -> Result<()> {
        let json = serde_json::to_vec(&self.results)?;
        replace(&self.folder.join(RESULTS), &json)?;
        write_exports(&self.folder, &self.results)?;
        let summary = self.summary();
        // The dashboard draws it as the run goes on.
        let data = serde_json::to_vec(&Report::of(&self.results, &summary))?;
        replace(&self.folder.join(REPORT_DATA), &data)?;
        match report_page(&self.results, &summary) {
            Some(page) => replace(&self.folder.join(REPORT), page.as_bytes()),
            None => Ok(()),
        }
    }
}

/// The results in a folder, or in a file.
pub fn read_results(path: &Path) -> Result<Results> {
    let file = if path.is_dir() { path.join(RESULTS) } else { path.to_owned() };
    let bytes = match fs::read(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{}: there are no results; give the folder of an experiment", file.display())
        }
        other => other.with_context(|| file.display().to_string())?,
    };
    let results: Results =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is not of the form {SCHEMA}", file.display()))?;
    match results.schema == SCHEMA {
        true => Ok(results),
        false => bail!("{} is of the form {}, this program reads {SCHEMA}", file.display(), results.schema),
    }
}

/// Writes a file beside the old one, and puts it in its place.
pub fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let new = file.with_extension("new");
    let write = || {
        let mut open = File::create(&new)?;
        open.write_all(bytes)?;
        open.sync_all()?;
        fs::rename(&new, file)
    };
    write().with_context(|| cannot_write(file))
}

/// Locks a run's folder. Fails where another process is at work in it.
fn lock(folder: &Path) -> Result<File> {
    let open = File::open(folder).with_context(|| cannot_write(folder))?;
    match open.try_lock() {
        Ok(()) => Ok(open),
        Err(TryLockError::WouldBlock) => bail!("another experiment is at work in {}", folder.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| cannot_write(folder)),
    }
}

fn cannot_write(path: &Path) -> String {
    format!("{} can't be written: give a folder that can be with --out", path.display())
}
