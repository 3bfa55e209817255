//! Writes to stdout without a panic if the reader of a pipe has closed it or the disk is full, as `println!` would.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Stdout can't be written.
#[derive(Debug, thiserror::Error)]
#[error("the output can't be written: {0}")]
pub struct OutputError(#[from] io::Error);

impl OutputError {
    /// True if the pipe's reader has closed it, as `head` does. Not a failure.
    pub fn is_reader_gone(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

/// Prints a line and flushes it.
pub fn line(text: impl Display) -> Result<(), OutputError> {
    whole(format_args!("{text}\n"))
}

/// Prints a text without a line end and flushes it.
pub fn whole(text: impl Display) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    Ok(write!(out, "{text}").and_then(|()| out.flush())?)
}
