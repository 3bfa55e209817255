//! Where in a plan something was given, for messages about it.

use std::fmt;

use toml::Spanned;

use super::PlanError;

/// A value and the place that it was given at.
#[derive(Clone)]
pub struct Located<T> {
    pub value: T,
    /// The file and its line, or the flag.
    pub place: String,
}

impl<T> Located<T> {
    /// The error of what is wrong with it.
    pub fn wrong<U>(&self, problem: impl fmt::Display) -> Result<U, PlanError> {
        Err(PlanError::Invalid { place: self.place.clone(), problem: problem.to_string() })
    }
}

/// Where in a file something is.
pub struct SourceMap<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl SourceMap<'_> {
    /// A value with its line.
    pub fn given<T>(&self, spanned: Spanned<T>) -> Located<T> {
        let line = 1 + self.text[..spanned.span().start].matches('\n').count();
        Located { place: format!("{}, line {line}", self.file), value: spanned.into_inner() }
    }

    /// A value that is the whole file's.
    pub fn whole<T>(&self, value: T) -> Located<T> {
        Located { place: self.file.to_owned(), value }
    }
}
