//! The places of values in a plan, for error messages.

use std::fmt;

use toml::Spanned;

use super::PlanError;

/// A place in a plan's file, or on the command line.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file, or the flag.
    source: String,
    /// From 1; `None` for the whole source.
    pub line: Option<usize>,
}

impl Place {
    pub fn whole(source: impl Into<String>) -> Self {
        Self { source: source.into(), line: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}", self.source),
            None => f.write_str(&self.source),
        }
    }
}

/// A value and its place.
#[derive(Clone)]
pub struct Located<T> {
    pub value: T,
    pub place: Place,
}

impl<T> Located<T> {
    /// An error about this value.
    pub fn wrong<U>(&self, problem: impl fmt::Display) -> Result<U, PlanError> {
        Err(PlanError::Invalid { place: self.place.clone(), problem: problem.to_string() })
    }
}

/// Finds the lines of values in a file.
pub struct SourceMap<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl SourceMap<'_> {
    /// A value with its line.
    pub fn given<T>(&self, spanned: Spanned<T>) -> Located<T> {
        let line = Some(self.line(spanned.span().start));
        Located { place: Place { source: self.file.to_owned(), line }, value: spanned.into_inner() }
    }

    /// The line, from 1, of a byte offset.
    pub fn line(&self, byte: usize) -> usize {
        1 + self.text[..byte].matches('\n').count()
    }

    /// A value whose place is the whole file, such as a default.
    pub fn whole<T>(&self, value: T) -> Located<T> {
        Located { place: Place::whole(self.file), value }
    }
}
