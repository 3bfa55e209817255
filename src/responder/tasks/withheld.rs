//! Files that the file task never reads, for any `task.root`: hidden files, and the program's own settings, secrets and
//! results.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, File};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use crate::config::CurveKey;

/// Paths of the program's own files. They need not exist; they are looked up at every read.
#[derive(Debug, Clone, Default)]
pub struct Withheld {
    /// Files that hold secrets.
    pub files: Vec<PathBuf>,
    /// Folder of the settings, whose files are withheld.
    pub config_dir: PathBuf,
    /// Folder of the experiments; everything below it is withheld.
    pub experiments_dir: PathBuf,
}

/// Identity of a file or folder, independent of its path: device and inode.
type Id = (u64, u64);

fn id(path: &Path) -> Option<Id> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// The identities of a folder and its parents, the folder first.
pub fn lineage(folder: &Path) -> Vec<Id> {
    let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    real.ancestors().filter_map(id).collect()
}

impl Withheld {
    /// True if `file`, opened as `path` in the folder `root`, must not be read. `above`: the lineage of `root`.
    pub fn holds(&self, root: &Dir, above: &[Id], path: &str, file: &File) -> bool {
        // The real path: a symbolic link may lead to a withheld file.
        let Ok(real) = root.canonicalize(path) else { return true };
        if real.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b".")) {
            return true;
        }
        // /proc has command lines and environments of processes.
        if fstatfs(file).is_ok_and(|system| system.filesystem_type() == PROC_SUPER_MAGIC) {
            return true;
        }
        use cap_std::fs::MetadataExt;
        let Ok(own) = file.metadata().map(|found| Some((found.dev(), found.ino()))) else { return true };
        let inside = real.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let inside = inside.filter_map(|folder| root.metadata(folder).ok().map(|found| (found.dev(), found.ino())));
        let folders: Vec<Id> = inside.chain(above.iter().copied()).collect();
        let experiments = id(&self.experiments_dir);
        self.files.iter().any(|secret| id(secret) == own)
            || folders.first().is_some_and(|first| id(&self.config_dir) == Some(*first))
            || experiments.is_some_and(|experiments| folders.contains(&experiments))
    }
}

/// True if the text is a key, as `swarmq keygen` writes it.
pub fn is_key(text: &str) -> bool {
    CurveKey::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use serde_json::Map;
    use tempfile::TempDir;

    use super::*;
    use crate::responder::tasks::{FileTask, Task, TaskError, TaskInput};

    /// A working folder with typical files.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for dir in ["config/plans", "experiments/run", ".git", "files/.ssh", "files/inner"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        for file in [
            "token",
            "curve.key",
            "config/local.toml",
            "config/plans/a.toml",
            "experiments/run/results.json",
            ".git/config",
            ".env",
            "files/target.txt",
            "files/.env",
            "files/.ssh/id",
            "files/inner/a.txt",
        ] {
            fs::write(at(file), "text").unwrap();
        }
        fs::write(at("pair"), "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\nD:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\n")
            .unwrap();
        symlink("config", at("settings")).unwrap();
        symlink("token", at("linked")).unwrap();
        symlink(".env", at("shown")).unwrap();
        fs::hard_link(at("token"), at("second")).unwrap();
        folder
    }

    async fn read(folder: &TempDir, root: &str, name: &str) -> Result<String, TaskError> {
        let at = |name: &str| folder.path().join(name);
        let withheld = Withheld {
            files: vec![at("token"), at("curve.key"), at("missing")],
            config_dir: at("config"),
            experiments_dir: at("experiments"),
        };
        let task = FileTask::new(&at(root), String::new(), 1_000, withheld).unwrap();
        let parameters = Map::new();
        task.run(TaskInput { message_id: "m", filename: Some(name), parameters: &parameters })
            .await
            .map(|output| output.body)
    }

    #[tokio::test]
    async fn the_programs_own_files_are_withheld_for_any_root() {
        let folder = folder();
        for (root, name) in [
            (".", "token"),
            (".", "curve.key"),
            (".", "linked"),
            (".", "second"),
            (".", "inner/../token"),
            (".", "pair"),
            (".", "config/local.toml"),
            (".", "settings/local.toml"),
            (".", "experiments/run/results.json"),
            (".", ".env"),
            (".", "shown"),
            (".", ".git/config"),
            ("config", "local.toml"),
            ("experiments", "run/results.json"),
            ("experiments/run", "results.json"),
            ("files", ".env"),
            ("files", ".ssh/id"),
            ("files", "inner/../.env"),
        ] {
            let name = if name.starts_with("inner") && root == "." { "files/inner/../../token" } else { name };
            let error = read(&folder, root, name).await.unwrap_err();
            assert!(matches!(error, TaskError::Withheld { .. }), "{root}: {name}: {error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[tokio::test]
    async fn other_files_are_read() {
        let folder = folder();
        for (root, name) in [
            ("files", "target.txt"),
            ("files", "inner/a.txt"),
            (".", "files/target.txt"),
            ("files/.ssh", "id"),
            (".", "config/plans/a.toml"),
        ] {
            assert_eq!(read(&folder, root, name).await.unwrap(), "text", "{root}: {name}");
        }
    }

    #[tokio::test]
    async fn a_settings_folder_above_the_root_withholds_nothing_in_the_root() {
        let folder = folder();
        let withheld = Withheld { config_dir: folder.path().to_owned(), ..Withheld::default() };
        let task = FileTask::new(&folder.path().join("files"), String::new(), 1_000, withheld).unwrap();
        let parameters = Map::new();
        let input = TaskInput { message_id: "m", filename: Some("target.txt"), parameters: &parameters };
        assert_eq!(task.run(input).await.unwrap().body, "text");
    }

    #[tokio::test]
    async fn files_of_proc_are_withheld() {
        let task = FileTask::new(Path::new("/"), String::new(), 1_000_000, Withheld::default()).unwrap();
        let parameters = Map::new();
        for name in ["proc/self/environ", "proc/self/cmdline"] {
            let error = task.run(TaskInput { message_id: "m", filename: Some(name), parameters: &parameters }).await;
            assert!(matches!(error, Err(TaskError::Withheld { .. } | TaskError::OutsideRoot { .. })), "{error:?}");
        }
    }
}
