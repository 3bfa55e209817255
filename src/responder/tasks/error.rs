//! Errors of tasks. Their texts become the bodies of error replies, so each says what is wrong and what to do.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde_json::Value;

/// Maximum characters of a wrong value that an error repeats.
const SHOWN_CHARS: usize = 60;

/// Why a task could not be set up, or gave no output.
///
/// Files are named as in the message: replies must not reveal the host's paths.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The folder of the file task can't be opened. Occurs only at start.
    #[error(
        "cannot open the folder '{}': {cause}; set task.root to a folder that exists and may be read", .root.display()
    )]
    Root {
        /// The folder, as configured.
        root: PathBuf,
        /// The system's error.
        cause: io::Error,
    },

    /// No task has this name.
    #[error("there is no task '{name}': the tasks are {known}")]
    Unknown {
        /// The requested name, shortened if long.
        name: String,
        /// The known names.
        known: String,
    },

    /// A parameter is of the wrong type or out of range.
    #[error("parameter '{name}' is {found}: give a whole number from {min} to {max}{setting}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its value as JSON, shortened if long.
        found: String,
        /// The least value allowed.
        min: u64,
        /// The greatest value allowed.
        max: u64,
        /// The setting of the maximum, in brackets; empty if there is none.
        setting: &'static str,
    },

    /// The file does not exist. The text is Node.js's, which clients of the original program know.
    #[error("ENOENT: no such file or directory, open '{path}'")]
    NotFound {
        /// The requested file.
        path: String,
    },

    /// The path leads out of the folder, by `..`, as an absolute path or through a symbolic link.
    #[error(
        "'{path}' is outside the folder that may be read (setting task.root): ask for a file inside it, by a path \
         relative to it"
    )]
    OutsideRoot {
        /// The requested file.
        path: String,
    },

    /// A hidden file, or one of the program's own files.
    #[error(
        "'{path}' is withheld: names that begin with a dot, and the program's own settings, secrets and experiments, can't be \
         read: ask for another file"
    )]
    Withheld {
        /// The requested file.
        path: String,
    },

    /// The path is not a regular file.
    #[error("'{path}' is {kind}, not a file: ask for a regular file")]
    NotAFile {
        /// The requested file.
        path: String,
        /// What it is, with its article.
        kind: &'static str,
    },

    /// The file is larger than the limit.
    #[error("'{path}' is larger than {max} bytes: ask for a smaller file or raise the setting task.max_file_bytes")]
    TooBig {
        /// The requested file.
        path: String,
        /// The limit, in bytes.
        max: u64,
    },

    /// The responder's user may not read the file.
    #[error("permission denied to read '{path}': let the responder's user read it")]
    Denied {
        /// The requested file.
        path: String,
    },

    /// Any other failure to read the file.
    #[error("cannot read '{path}': {cause}")]
    Unreadable {
        /// The requested file.
        path: String,
        /// The system's error.
        cause: io::Error,
    },

    /// The task's future was dropped, so nobody receives this error.
    #[error("the task was cancelled")]
    Cancelled,

    /// The thread of the task ended early: a panic, or the runtime was shutting down.
    #[error("the task ended without a result ({cause}): send the message again")]
    Died {
        /// The runtime's error.
        cause: tokio::task::JoinError,
    },
}

impl TaskError {
    /// A [`TaskError::Unknown`] for `name`.
    pub(super) fn unknown(name: &str, known: String) -> Self {
        Self::Unknown { name: cut(name), known }
    }

    /// A [`TaskError::Parameter`] for `value`.
    pub(super) fn parameter(name: &'static str, value: &Value, range: &RangeInclusive<u64>) -> Self {
        Self::Parameter { name, found: cut(&value.to_string()), min: *range.start(), max: *range.end(), setting: "" }
    }

    /// Adds the setting of the maximum to a `Parameter` error.
    pub(super) fn allowed_by(mut self, name: &'static str) -> Self {
        if let Self::Parameter { setting, .. } = &mut self {
            *setting = name;
        }
        self
    }
}

/// The first [`SHOWN_CHARS`] characters of `text`.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
