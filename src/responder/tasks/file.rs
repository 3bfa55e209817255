//! The file task: returns the text of a file in one folder.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, FileType, FileTypeExt, OpenOptions, OpenOptionsExt};
use nix::libc::{ENXIO, O_NONBLOCK};

use super::{Task, TaskError, TaskFuture, TaskInput, TaskOutput, Withheld, is_key, lineage, off_thread};

/// The file that is built into the program, so that a message without `filename` gets a response in any folder. The default of
/// `task.file`.
pub const BUILT_IN_FILE: &str = "target.txt";

/// Reads text files in one folder only.
///
/// `..`, absolute paths and symbolic links must not lead out of the folder; links within it work if they are relative.
/// Hidden files and those in [`Withheld`] are not read. Bytes that are not UTF-8 become U+FFFD.
#[derive(Debug)]
pub struct FileTask {
    root: Arc<Root>,
    default_file: String,
    max_bytes: u64,
}

/// The folder, opened at the first read if it does not exist at start.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    opened: OnceLock<Opened>,
    withheld: Withheld,
}

#[derive(Debug)]
struct Opened {
    dir: Dir,
    lineage: Vec<(u64, u64)>,
}

impl Root {
    fn open(&self) -> io::Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let dir = Dir::open_ambient_dir(&self.path, ambient_authority())?;
        Ok(self.opened.get_or_init(|| Opened { dir, lineage: lineage(&self.path) }))
    }
}

impl FileTask {
    /// Opens `root` and keeps it open: renaming the folder later has no effect. If it does not exist, each read tries to open
    /// it again. `default_file`: for messages without a filename, relative to `root`. Files of more than `max_bytes` bytes
    /// are refused.
    ///
    /// # Errors
    /// [`TaskError::Root`] when `root` exists and can't be opened as a folder. `default_file` need not exist yet.
    pub fn new(root: &Path, default_file: String, max_bytes: u64, withheld: Withheld) -> Result<Self, TaskError> {
        let root = Root { path: root.to_owned(), opened: OnceLock::new(), withheld };
        match root.open() {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(TaskError::Root { root: root.path, cause }),
            _ => Ok(Self { root: Arc::new(root), default_file, max_bytes }),
        }
    }
}

impl Task for FileTask {
    fn run<'a>(&'a self, input: TaskInput<'a>) -> TaskFuture<'a> {
        let path = input.filename.unwrap_or(&self.default_file).to_owned();
        let (root, max_bytes) = (Arc::clone(&self.root), self.max_bytes);
        Box::pin(off_thread(move || {
            let body = read(&root, &path, max_bytes).or_else(|error| built_in(&path, error))?;
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

/// Reads the file `path` of `root`. Blocks on the disk only.
fn read(root: &Root, path: &str, max_bytes: u64) -> Result<String, TaskError> {
    let Opened { dir, lineage } = root.open().map_err(|cause| refusal(path, cause))?;
    let mut options = OpenOptions::new();
    // Without O_NONBLOCK, opening a fifo waits for a writer that may never come.
    options.read(true).custom_flags(O_NONBLOCK);
    let file = dir.open_with(path, &options).map_err(|cause| refusal(path, cause))?;

    // Read from the open handle: the path may refer to another file by now.
    let metadata = file.metadata().map_err(|cause| refusal(path, cause))?;
    if !metadata.is_file() {
        return Err(TaskError::NotAFile { path: path.to_owned(), kind: kind(&metadata.file_type()) });
    }

    if root.withheld.holds(dir, lineage, path, &file) {
        return Err(TaskError::Withheld { path: path.to_owned() });
    }

    // The limit applies to the read, because a file may grow after its length was checked.
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|cause| refusal(path, cause))?;
    if bytes.len() as u64 > max_bytes {
        return Err(TaskError::TooBig { path: path.to_owned(), max: max_bytes });
    }
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    if is_key(&text) {
        return Err(TaskError::Withheld { path: path.to_owned() });
    }
    Ok(text)
}

/// Converts an error of the system or of cap-std's path check.
fn refusal(path: &str, cause: io::Error) -> TaskError {
    let path = path.to_owned();
    match (cause.kind(), cause.raw_os_error()) {
        (io::ErrorKind::NotFound, _) => TaskError::NotFound { path },
        // cap-std's refusal of a path outside has this kind too, but no OS error.
        (io::ErrorKind::PermissionDenied, None) => TaskError::OutsideRoot { path },
        (io::ErrorKind::PermissionDenied, Some(_)) => TaskError::Denied { path },
        (_, Some(ENXIO)) => TaskError::NotAFile { path, kind: "a socket or an absent device" },
        _ => TaskError::Unreadable { path, cause },
    }
}

/// The kind of a file that is not regular, with its article.
fn kind(file_type: &FileType) -> &'static str {
    if file_type.is_dir() {
        "a directory"
    } else if file_type.is_fifo() {
        "a fifo"
    } else if file_type.is_char_device() || file_type.is_block_device() {
        "a device"
    } else {
        "of an unknown type"
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
    async fn a_device_is_refused() {
        let task = FileTask::new(Path::new("/dev"), "zero".to_owned(), MAX_BYTES, Withheld::default()).unwrap();
        let parameters = Map::new();
        let input = TaskInput { message_id: "m", filename: None, parameters: &parameters };
        let text = task.run(input).await.unwrap_err().to_string();
        assert!(text.starts_with("'zero' is a device"), "{text}");
    }

    #[tokio::test]
    async fn unusable_paths_are_errors() {
        let fixture = Fixture::new();
        for name in ["target.txt/x", "a\0b", &"x".repeat(5_000)] {
            assert!(matches!(fixture.error(name).await, TaskError::Unreadable { .. }));
        }
    }

    // Tests only the mapping of the error: if root runs the tests, no file is denied.
    #[test]
    fn a_file_that_may_not_be_read_is_denied() {
        let error = refusal("x", io::Error::from_raw_os_error(nix::libc::EACCES));
        assert!(matches!(error, TaskError::Denied { .. }), "{error}");
    }

    #[test]
    fn a_root_that_is_not_a_folder_is_an_error_that_names_the_setting() {
        let root = Fixture::new().folder.path().join("secret.txt");
        fs::create_dir_all(root.parent().unwrap()).unwrap();
        fs::write(&root, "").unwrap();
        let error = FileTask::new(&root, String::new(), MAX_BYTES, Withheld::default()).unwrap_err();
        assert!(error.to_string().contains("task.root"), "{error}");
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
