//! Stdout of the commands that end by themselves. What they print may go to a pipe whose reader has left, or to a full
//! disk: `println!` would panic.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Stdout takes no more.
#[derive(Debug, thiserror::Error)]
#[error("the output can't be written: {0}")]
pub struct OutputError(#[from] io::Error);

impl OutputError {
    /// True when its reader has left, as `head` does: that is no fault.
    pub fn is_reader_gone(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

/// Prints a line at once.
pub fn line(text: impl Display) -> Result<(), OutputError> {
    whole(format_args!("{text}\n"))
}

/// Prints a text as it is, at once.
pub fn whole(text: impl Display) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    Ok(write!(out, "{text}").and_then(|()| out.flush())?)
}
