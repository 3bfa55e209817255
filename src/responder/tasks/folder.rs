//! The folder of the file task: opened once, and read from within only.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, FileType, FileTypeExt, OpenOptions, OpenOptionsExt};
use nix::libc::{ENXIO, O_NONBLOCK};

use super::{TaskError, Withheld, is_key, lineage};

/// A folder, opened at the first read if it does not exist at start. Once it is open, renaming it has no effect.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    opened: OnceLock<Opened>,
    withheld: Withheld,
}

#[derive(Debug)]
struct Opened {
    dir: Dir,
    lineage: Vec<(u64, u64)>,
}

impl Folder {
    /// # Errors
    /// [`TaskError::Root`] when `path` exists and can't be opened as a folder.
    pub fn new(path: &Path, withheld: Withheld) -> Result<Self, TaskError> {
        let folder = Self { path: path.to_owned(), opened: OnceLock::new(), withheld };
        match folder.open() {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(TaskError::Root { root: folder.path, cause }),
            _ => Ok(folder),
        }
    }

    fn open(&self) -> io::Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let dir = Dir::open_ambient_dir(&self.path, ambient_authority())?;
        Ok(self.opened.get_or_init(|| Opened { dir, lineage: lineage(&self.path) }))
    }

    /// The text of the file at `path` in the folder, of at most `max_bytes` bytes. Blocks on the disk only.
    pub fn read(&self, path: &str, max_bytes: u64) -> Result<String, TaskError> {
        let Opened { dir, lineage } = self.open().map_err(|cause| refusal(path, cause))?;
        let mut options = OpenOptions::new();
        // Without O_NONBLOCK, opening a fifo waits for a writer that may never come.
        options.read(true).custom_flags(O_NONBLOCK);
        let file = dir.open_with(path, &options).map_err(|cause| refusal(path, cause))?;

        // Read from the open handle: the path may refer to another file by now.
        let metadata = file.metadata().map_err(|cause| refusal(path, cause))?;
        if !metadata.is_file() {
            return Err(TaskError::NotAFile { path: path.to_owned(), kind: kind(&metadata.file_type()) });
        }

        if self.withheld.holds(dir, lineage, path, &file) {
            return Err(TaskError::Withheld { path: path.to_owned() });
        }

        // The limit applies to the read, because a file may grow after its length was checked.
        let mut bytes = Vec::new();
        file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|cause| refusal(path, cause))?;
        if bytes.len() as u64 > max_bytes {
            return Err(TaskError::TooBig { path: path.to_owned(), max: max_bytes });
        }
        let text =
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        if is_key(&text) {
            return Err(TaskError::Withheld { path: path.to_owned() });
        }
        Ok(text)
    }
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
    use super::*;

    // Tests only the mapping of the error: if root runs the tests, no file is denied.
    #[test]
    fn a_file_that_may_not_be_read_is_denied() {
        let error = refusal("x", io::Error::from_raw_os_error(nix::libc::EACCES));
        assert!(matches!(error, TaskError::Denied { .. }), "{error}");
    }

    #[test]
    fn a_root_that_is_not_a_folder_is_an_error_that_names_the_setting() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Folder::new(file.path(), Withheld::default()).unwrap_err();
        assert!(error.to_string().contains("task.root"), "{error}");
    }

    #[test]
    fn a_device_is_refused() {
        let folder = Folder::new(Path::new("/dev"), Withheld::default()).unwrap();
        let text = folder.read("zero", 16).unwrap_err().to_string();
        assert!(text.starts_with("'zero' is a device"), "{text}");
    }
}
