//! What a run writes to its folder. Every trial is appended to a file when it ends, so that neither a crash nor Ctrl-C loses
//! one; the whole is written anew when a twentieth more trials have ended, so that long runs do not write all of it for
//! each.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Environment, REPORT, REPORT_DATA, RESULTS, Results, Resumed, SCHEMA, TRIALS, TrialResult};
use crate::experiment::analysis::Summary;
use crate::experiment::expected::Expectations;
use crate::experiment::plan::{Plan, Trial};
use crate::experiment::report::{Report, report_page, write_exports};
use crate::wire::now_ms;

/// The whole is written when one more trial has ended for so many that it has.
const TRIALS_PER_NEW: usize = 20;

/// A run's folder and what is known so far.
pub struct Store {
    folder: PathBuf,
    /// Locked as long as this process is at work in it.
    _lock: File,
    pub results: Results,
    expectations: Expectations,
    /// Trials that the whole does not have yet.
    appended: usize,
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
        let results =
            Results { schema, plan, environment, started_at, finished_at: None, trials: vec![], resumed: vec![] };
        let expectations = Expectations::of(&results.plan);
        Ok(Self { folder: folder.to_owned(), _lock: lock, results, expectations, appended: 0 })
    }

    /// A run that was cut off, to go on with.
    pub fn open(folder: &Path) -> Result<Self> {
        let results = read_results(folder)?;
        let lock = lock(folder)?;
        let expectations = Expectations::of(&results.plan);
        Ok(Self { folder: folder.to_owned(), _lock: lock, results, expectations, appended: 0 })
    }

    /// In what this environment differs from that of the run's last part.
    pub fn differences(&self, here: &Environment) -> Vec<String> {
        let last = self.results.resumed.last().map_or(&self.results.environment, |resumed| &resumed.environment);
        last.differences(here)
    }

    /// Notes that the trials from now on are measured in an environment that differs.
    pub fn resume_in(&mut self, here: Environment) {
        let differences = self.differences(&here);
        if !differences.is_empty() {
            self.results.resumed.push(Resumed { at: now_ms(), environment: here, differences });
        }
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
        append(&self.folder.join(TRIALS), &result)?;
        self.results.add(result);
        self.appended += 1;
        self.results.finished_at = self.left().is_empty().then(now_ms);
        match self.results.finished_at.is_some() || self.appended * TRIALS_PER_NEW >= self.results.trials.len() {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// Writes all of it, if a trial has ended since that was done.
    pub fn close(&mut self) -> Result<()> {
        if self.appended == 0 { Ok(()) } else { self.write() }
    }

    /// Writes all of it. A file is either the old one or the new one, whatever happens meanwhile.
    pub fn write(&mut self) -> Result<()> {
        let json = serde_json::to_vec(&self.results)?;
        replace(&self.folder.join(RESULTS), &json)?;
        write_exports(&self.folder, &self.results)?;
        let summary = self.summary();
        // The dashboard draws it as the run goes on.
        let data = serde_json::to_vec(&Report::of(&self.results, &summary))?;
        replace(&self.folder.join(REPORT_DATA), &data)?;
        if let Some(page) = report_page(&self.results, &summary) {
            replace(&self.folder.join(REPORT), page.as_bytes())?;
        }
        self.appended = 0;
        let trials = self.folder.join(TRIALS);
        match fs::remove_file(&trials) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| cannot_write(&trials)),
            _ => Ok(()),
        }
    }
}

/// Adds a line to the trials of a run, on the disk when this returns.
fn append(file: &Path, trial: &TrialResult) -> Result<()> {
    let mut line = serde_json::to_vec(trial)?;
    line.push(b'\n');
    let write = || {
        let mut open = File::options().create(true).append(true).open(file)?;
        open.write_all(&line)?;
        open.sync_data()
    };
    write().with_context(|| cannot_write(file))
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
    let mut results: Results =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is not of the form {SCHEMA}", file.display()))?;
    if results.schema != SCHEMA {
        bail!("{} is of the form {}, this program reads {SCHEMA}", file.display(), results.schema);
    }
    // Nothing was appended since the whole was written, or it is no folder.
    let appended = fs::read(path.join(TRIALS)).unwrap_or_default();
    for line in appended.split(|byte| *byte == b'\n') {
        // A line that is cut off is that of a trial that a crash cut off too.
        if let Ok(trial) = serde_json::from_slice(line) {
            results.add(trial);
        }
    }
    Ok(results)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{good_trial, plan_of};

    #[test]
    fn a_crash_loses_no_trial_and_long_runs_do_not_write_all_of_it_for_each() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("run");
        let mut store = Store::create(&folder, plan_of("repetitions = 60"), Environment::default()).unwrap();
        store.write().unwrap();
        let (mut wholes, mut last) = (0, fs::read(folder.join(RESULTS)).unwrap());
        for repetition in 0..50 {
            store.add(TrialResult { number: repetition as usize, ..good_trial(0, repetition, 10.0, 10) }).unwrap();
            let now = fs::read(folder.join(RESULTS)).unwrap();
            wholes += usize::from(now != last);
            last = now;
            // As another process sees it, or this one after a crash.
            let read = read_results(&folder).unwrap();
            assert_eq!(read, store.results);
        }
        assert_eq!(wholes, 20 + 10 + 3, "each of the first 20, then every second, then every third");
        let cut = [&fs::read(folder.join(TRIALS)).unwrap_or_default()[..], b"{\"number\":50,\"ce"].concat();
        fs::write(folder.join(TRIALS), cut).unwrap();
        drop(store);
        let store = Store::open(&folder).unwrap();
        assert_eq!((store.results.trials.len(), store.left().len()), (50, 10));
    }
}
