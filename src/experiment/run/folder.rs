//! The folder of a run, and the files in it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file that the others are made of, and that a run goes on from.
pub const RESULTS: &str = "results.json";

/// Trials that have ended since [`RESULTS`] was written, a line of JSON for each.
pub const TRIALS: &str = "trials.jsonl";

/// What the report shows, for programs; the dashboard draws it as the run goes on.
pub const REPORT_DATA: &str = "report.json";

/// The page that shows it, where this program can make one.
pub const REPORT: &str = "report.html";

/// A row for each trial.
pub const TABLE: &str = "results.csv";

/// The longest part of a folder's name that is made of the plan's, in letters.
const MAX_NAME: usize = 50;

/// Makes the folder of a run that begins now, `NAME-DATE-TIME`, in `parent`, which is made where it is missing. Runs that
/// begin in the same second have one each.
pub fn run_folder(parent: &Path, name: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(parent)?;
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let now: String = now.chars().filter(char::is_ascii_digit).collect();
    let stem = format!("{}-{}-{}", part_of_name(name), &now[..8], &now[8..]);
    let mut folder = parent.join(&stem);
    let mut number = 1;
    loop {
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|()| folder),
        }
        folder = parent.join(format!("{stem}-{number}"));
    }
}

/// A plan's name as a part of a folder's: it leads nowhere else, and every file system and URL takes it.
fn part_of_name(name: &str) -> String {
    let letters =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    let text: String = letters.take(MAX_NAME).collect();
    let words: Vec<_> = text.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "plan".to_owned() } else { words.join("-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_begin_in_one_second_have_a_folder_each() {
        let parent = tempfile::tempdir().unwrap();
        let folders: Vec<_> = (0..3).map(|_| run_folder(&parent.path().join("made/then"), "quick").unwrap()).collect();
        assert!(folders.iter().all(|folder| folder.is_dir()));
        assert!(folders[0] != folders[1] && folders[1] != folders[2] && folders[0] != folders[2], "{folders:?}");
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["../../x", "..", "/etc/x", "a/b \u{fc} \"x\"", "a\nb", "", &"x".repeat(300)] {
            let folder = run_folder(parent.path(), name).unwrap();
            assert_eq!(folder.parent(), Some(parent.path()), "{name:?}");
        }
        let parts = ["Cluster vs. Swarm!", "../..", "\u{e9}"].map(part_of_name);
        assert_eq!(parts, ["cluster-vs-swarm", "plan", "plan"]);
    }
}
