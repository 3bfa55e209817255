//! The file task: returns the text of a file in one folder.

use std::path::Path;
use std::sync::Arc;

use super::{Folder, Task, TaskError, TaskFuture, TaskInput, TaskOutput, Withheld, off_thread};

/// The file that is built into the program, so that a message without `filename` gets a response in any folder. The default of
/// `task.file`.
pub const BUILT_IN_FILE: &str = "target.txt";

/// Reads text files in one folder only.
///
/// `..`, absolute paths and symbolic links must not lead out of the folder; links within it work if they are relative.
/// Hidden files and those in [`Withheld`] are not read. Bytes that are not UTF-8 become U+FFFD.
#[derive(Debug)]
pub struct FileTask {
    folder: Arc<Folder>,
    default_file: String,
    max_bytes: u64,
}

impl FileTask {
    /// Opens `root` and keeps it open: renaming the folder later has no effect. If it does not exist, each read tries to open
    /// it again. `default_file`: for messages without a filename, relative to `root`. Files of more than `max_bytes` bytes
    /// are refused.
    ///
    /// # Errors
    /// [`TaskError::Root`] when `root` exists and can't be opened as a folder. `default_file` need not exist yet.
    pub fn new(root: &Path, default_file: String, max_bytes: u64, withheld: Withheld) -> Result<Self, TaskError> {
        Ok(Self { folder: Arc::new(Folder::new(root, withheld)?), default_file, max_bytes })
    }
}

impl Task for FileTask {
    fn run<'a>(&'a self, input: TaskInput<'a>) -> TaskFuture<'a> {
        let path = input.filename.unwrap_or(&self.default_file).to_owned();
        let (folder, max_bytes) = (Arc::clone(&self.folder), self.max_bytes);
        Box::pin(off_thread(move || {
            let body = folder.read(&path, max_bytes).or_else(|error| built_in(&path, error))?;
            Ok(TaskOutput { body, filename: Some(path) })
        }))
    }
}

/// The text of the built-in file if it was requested and the folder does not have it; else the error.
fn built_in(path: &str, error: TaskError) -> Result<String, TaskError> {
    match error {
        TaskError::NotFound { .. } if path == BUILT_IN_FILE => Ok(include_str!("../../../files/target.txt").to_owned()),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use serde_json::Map;
    use tempfile::TempDir;

    use super::*;

    const MAX_BYTES: u64 = 16;

    /// A folder that contains the root and a file outside it.
    struct Fixture {
        folder: TempDir,
        task: FileTask,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("root");
            fs::create_dir_all(root.join("inner")).unwrap();
            fs::write(root.join("target.txt"), "Hello Paul").unwrap();
            fs::write(folder.path().join("secret.txt"), "secret").unwrap();
            let task = FileTask::new(&root, "target.txt".to_owned(), MAX_BYTES, Withheld::default()).unwrap();
            Self { folder, task }
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            fs::write(self.folder.path().join("root").join(name), bytes).unwrap();
        }

        fn link(&self, target: &str, name: &str) {
            symlink(target, self.folder.path().join("root").join(name)).unwrap();
        }

        async fn read(&self, filename: Option<&str>) -> Result<TaskOutput, TaskError> {
            let parameters = Map::new();
            let input = TaskInput { message_id: "m", filename, parameters: &parameters };
            self.task.run(input).await
        }

        async fn body(&self, filename: &str) -> String {
            self.read(Some(filename)).await.unwrap().body
        }

        async fn error(&self, filename: &str) -> TaskError {
            self.read(Some(filename)).await.unwrap_err()
        }
    }

    #[tokio::test]
    async fn a_message_without_a_filename_gets_the_default_file() {
        let output = Fixture::new().read(None).await.unwrap();
        assert_eq!(output.body, "Hello Paul");
        assert_eq!(output.filename.as_deref(), Some("target.txt"));
    }

    #[tokio::test]
    async fn the_output_has_the_filename_as_requested() {
        let fixture = Fixture::new();
        let output = fixture.read(Some("inner/../target.txt")).await.unwrap();
        assert_eq!(output.body, "Hello Paul");
        assert_eq!(output.filename.as_deref(), Some("inner/../target.txt"));
    }

    #[tokio::test]
    async fn a_missing_file_has_the_error_text_of_node() {
        let fixture = Fixture::new();
        fixture.link("nowhere", "dangling");
        for name in ["nope.txt", "nope/nope.txt", "dangling", ""] {
            assert_eq!(
                fixture.error(name).await.to_string(),
                format!("ENOENT: no such file or directory, open '{name}'")
            );
        }
    }

    #[tokio::test]
    async fn the_built_in_target_txt_is_read_if_the_folder_has_none() {
        let fixture = Fixture::new();
        let target = fixture.folder.path().join("root/target.txt");
        fixture.write("target.txt", b"mine");
        assert_eq!(fixture.read(None).await.unwrap().body, "mine");
        fs::remove_file(&target).unwrap();
        for filename in [None, Some("target.txt")] {
            assert_eq!(fixture.read(filename).await.unwrap().body, "Hello Paul");
        }
        assert!(matches!(fixture.error("inner/target.txt").await, TaskError::NotFound { .. }));
        fs::create_dir(&target).unwrap();
        assert!(matches!(fixture.error("target.txt").await, TaskError::NotAFile { .. }));
    }

    #[tokio::test]
    async fn nothing_outside_the_root_is_read() {
        let fixture = Fixture::new();
        let secret = fixture.folder.path().join("secret.txt");
        let target = fixture.folder.path().join("root/target.txt");
        fixture.link("../secret.txt", "up");
        fixture.link(secret.to_str().unwrap(), "absolute");
        fixture.link("..", "inner/dots");
        fixture.link("../..", "inner/far");
        assert_eq!(fixture.body("inner/dots/target.txt").await, "Hello Paul");
        for name in [
            "../secret.txt",
            "../../target.txt",
            "inner/../../secret.txt",
            "..",
            "/etc/passwd",
            target.to_str().unwrap(),
            "up",
            "absolute",
            "inner/far/secret.txt",
            "../nope.txt",
        ] {
            let error = fixture.error(name).await;
            assert!(matches!(error, TaskError::OutsideRoot { .. }), "{name}: {error}");
            assert!(error.to_string().contains("task.root"), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[tokio::test]
    async fn a_symlink_inside_the_root_is_followed() {
        let fixture = Fixture::new();
        fixture.link("../target.txt", "inner/link");
        assert_eq!(fixture.body("inner/link").await, "Hello Paul");
    }

    #[tokio::test]
    async fn a_symlink_loop_is_an_error() {
        let fixture = Fixture::new();
        fixture.link("loop", "loop");
        assert!(matches!(fixture.error("loop").await, TaskError::Unreadable { .. }));
    }

    #[tokio::test]
    async fn an_empty_file_is_an_empty_body() {
        let fixture = Fixture::new();
        fixture.write("empty", b"");
        assert_eq!(fixture.body("empty").await, "");
    }

    #[tokio::test]
    async fn bytes_that_are_not_utf8_are_replaced() {
        let fixture = Fixture::new();
        fixture.write("latin1", b"M\xfcnchen");
        assert_eq!(fixture.body("latin1").await, "M\u{fffd}nchen");
    }

    #[tokio::test]
    async fn the_size_is_capped() {
        let fixture = Fixture::new();
        fixture.write("most", &[b'x'; MAX_BYTES as usize]);
        fixture.write("more", &[b'x'; MAX_BYTES as usize + 1]);
        assert_eq!(fixture.body("most").await.len(), MAX_BYTES as usize);
        let text = fixture.error("more").await.to_string();
        assert!(text.contains("larger than 16 bytes") && text.contains("task.max_file_bytes"), "{text}");
    }

    #[tokio::test]
    async fn folders_fifos_and_sockets_are_refused_without_blocking() {
        let fixture = Fixture::new();
        let root = fixture.folder.path().join("root");
        let made = Command::new("mkfifo").arg(root.join("fifo")).status();
        assert!(made.unwrap().success());
        let _listener = UnixListener::bind(root.join("socket")).unwrap();
        for (name, kind) in [("inner", "a directory"), (".", "a directory"), ("fifo", "a fifo"), ("socket", "a socket")]
        {
            let text = fixture.error(name).await.to_string();
            assert!(text.starts_with(&format!("'{name}' is {kind}")), "{name}: {text}");
        }
    }

    #[tokio::test]
    async fn unusable_paths_are_errors() {
        let fixture = Fixture::new();
        for name in ["target.txt/x", "a\0b", &"x".repeat(5_000)] {
            assert!(matches!(fixture.error(name).await, TaskError::Unreadable { .. }));
        }
    }

    #[tokio::test]
    async fn a_root_created_after_the_start_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("later");
        let task = FileTask::new(&root, "late.txt".to_owned(), MAX_BYTES, Withheld::default()).unwrap();
        let fixture = Fixture { folder, task };
        assert!(fixture.error("late.txt").await.to_string().starts_with("ENOENT"));
        fs::create_dir(&root).unwrap();
        fs::write(root.join("late.txt"), "Hello Paul").unwrap();
        assert_eq!(fixture.body("late.txt").await, "Hello Paul");
    }
}
