//! Earlier runs: a folder for each, in one folder, with what an experiment writes there. To this tier results are files.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use parking_lot::Mutex;

use super::{FILES, Mark, PLAN, RunView, mark, read_run};
use crate::experiment::run::{RESULTS, run_folder};
use crate::runtime::http::ApiError;
use crate::wire::ErrorCode;

/// Runs that are listed: the newest.
const MAX_LISTED: usize = 500;

/// Longest name of a run.
const MAX_ID: usize = 100;

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

    /// Makes the folder of a new run, with its plan in it; its name, made of the plan's and the time.
    ///
    /// # Errors
    /// When the folder can't be written; the text says which setting to change.
    pub fn create(&self, name: &str, plan: &str) -> Result<String, ApiError> {
        let failed = |error: io::Error| ApiError::new(ErrorCode::Internal, self.refusal(&error));
        let folder = run_folder(&self.dir, name).map_err(failed)?;
        fs::write(folder.join(PLAN), plan).map_err(failed)?;
        Ok(folder.file_name().unwrap_or_default().to_string_lossy().into_owned())
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
        Ok(read_run(&self.folder(id)?, id))
    }

    /// The runs, newest first, without their trials. A folder that does not exist has none.
    pub fn list(&self) -> Vec<RunView> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<_> = names.filter_map(|id| Some((mark(&self.folder(&id).ok()?), id))).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(MAX_LISTED);
        let mut known = self.known.lock();
        let mut now = HashMap::new();
        for (mark, id) in found {
            let view = match known.remove(&id) {
                Some((at, view)) if at == mark => view,
                _ => RunView { rows: vec![], ..read_run(&self.dir.join(&id), &id) },
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
    id.len() <= MAX_ID && id.chars().all(allowed) && id.starts_with(|first: char| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for id in ["quick-20261125-101500", "a", "A.b_c-9"] {
            assert!(is_name(id), "{id}");
        }
        let long = "x".repeat(MAX_ID + 1);
        for id in ["", ".", "..", "a/b", "/etc", ".hidden", "a\0", "a b", "ä", &long] {
            assert!(!is_name(id), "{id}");
        }
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
