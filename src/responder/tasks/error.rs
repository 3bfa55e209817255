//! Why a task failed. The texts become the bodies of error replies, so each says what is wrong and what to do.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde_json::Value;

/// Characters of a wrong value that an error repeats: enough to recognise it, whatever its size.
const SHOWN_CHARS: usize = 60;

/// Why a task could not be set up, or gave no output.
///
/// Files are named as the message asked for them; the host's own paths stay out of replies.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The folder of the file task cannot be opened; only from setting the task up.
    #[error(
        "cannot open the folder '{}': {cause}; set task.root to a folder that exists and may be read", .root.display()
    )]
    Root {
        /// The folder, as configured.
        root: PathBuf,
        /// What the system said.
        cause: io::Error,
    },

    /// No task has this name.
    #[error("there is no task '{name}': the tasks are {known}")]
    Unknown {
        /// The name asked for, cut when long.
        name: String,
        /// The names there are.
        known: String,
    },

    /// A parameter is of the wrong type or out of range.
    #[error("parameter '{name}' is {found}: give a whole number from {min} to {max}{setting}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its value as JSON, cut when long.
        found: String,
        /// The least value allowed.
        min: u64,
        /// The greatest value allowed.
        max: u64,
        /// The setting that allows more, in brackets; empty where none does.
        setting: &'static str,
    },

    /// The file does not exist. The text is Node.js's, which clients of the original program know.
    #[error("ENOENT: no such file or directory, open '{path}'")]
    NotFound {
        /// The file asked for.
        path: String,
    },

    /// The path leads out of the folder, by `..`, as an absolute path or through a symbolic link.
    #[error(
        "'{path}' is outside the folder that may be read (setting task.root): ask for a file inside it, by a path \
         relative to it"
    )]
    OutsideRoot {
        /// The file asked for.
        path: String,
    },

    /// A hidden file, or one of the program's own.
    #[error(
        "'{path}' is withheld: names that begin with a dot, and the program's own settings, secrets and experiments, are \
         never read"
    )]
    Withheld {
        /// The file asked for.
        path: String,
    },

    /// The path names something else than a regular file.
    #[error("'{path}' is {kind}, not a file: ask for a regular file")]
    NotAFile {
        /// The file asked for.
        path: String,
        /// What it is, with its article.
        kind: &'static str,
    },

    /// The file has more bytes than may be read.
    #[error("'{path}' is larger than {max} bytes: ask for a smaller file or raise the setting task.max_file_bytes")]
    TooBig {
        /// The file asked for.
        path: String,
        /// The most bytes that are read.
        max: u64,
    },

    /// The responder's user may not read the file.
    #[error("permission denied to read '{path}': let the responder's user read it")]
    Denied {
        /// The file asked for.
        path: String,
    },

    /// Any other failure to read the file.
    #[error("cannot read '{path}': {cause}")]
    Unreadable {
        /// The file asked for.
        path: String,
        /// What the system said.
        cause: io::Error,
    },

    /// The work gave up because nobody waited for it any more.
    #[error("the task was given up before its end")]
    Cancelled,

    /// The thread of the task ended early: a panic, or the runtime was shutting down.
    #[error("the task ended without a result ({cause}): send the message again")]
    Died {
        /// What the runtime said.
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

    /// Names the setting that allows more, where a parameter is what is wrong.
    pub(super) fn allowed_by(mut self, name: &'static str) -> Self {
        if let Self::Parameter { setting, .. } = &mut self {
            *setting = name;
        }
        self
    }
}

/// `text`, without what goes beyond [`SHOWN_CHARS`].
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
