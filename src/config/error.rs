//! Errors of the configuration. Every message names the setting, its value, its origin, what is allowed, and what to do.

use std::path::PathBuf;

use super::{ENV_PREFIX, Section, variable};

/// Why the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No profile has this name.
    #[error("unknown profile {profile:?} (from {origin}): choose one of {known}")]
    UnknownProfile {
        /// The unknown name.
        profile: String,
        /// The flag or variable that gave it.
        origin: String,
        /// The known names.
        known: String,
    },
    /// The configured folder does not exist or is not a folder.
    #[error(
        "the config folder {} (from {origin}) is not a folder: name one that exists, or leave it out to use the \
         built-in files",
        path.display()
    )]
    NoFolder {
        /// The folder.
        path: PathBuf,
        /// The flag or variable that named it.
        origin: String,
    },
    /// A configuration file exists and can't be read.
    #[error("cannot read {}: {problem}; make it readable, or remove it to use the built-in file", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        problem: String,
    },
    /// A configuration file is not valid TOML.
    #[error("{origin} is not valid TOML; correct it: {problem}")]
    Syntax {
        /// The file.
        origin: String,
        /// Line, column and what was expected.
        problem: String,
    },
    /// No setting has this name.
    #[error("unknown setting {key} (from {origin}): {hint} Correct or remove it")]
    UnknownKey {
        /// The name that was given.
        key: String,
        /// The file or flag that gave it.
        origin: String,
        /// A sentence: the nearest name, or the known names.
        hint: String,
    },
    /// An environment variable has swarmq's prefix and is not a setting.
    #[error(
        "unknown environment variable {name}: {hint} Correct or unset it; a variable is \
         SWARMQ_SECTION__KEY, with two underscores"
    )]
    UnknownVariable {
        /// The variable.
        name: String,
        /// A sentence: the nearest variable, or the known variables.
        hint: String,
    },
    /// A value is out of range or malformed.
    #[error("{key} = {value} (from {origin}) is not allowed: it must be {allowed}. Correct or remove it there")]
    Invalid {
        /// The setting.
        key: String,
        /// Its value, or "(hidden)".
        value: String,
        /// The file, variable or flag that gave it.
        origin: String,
        /// Range, choices or form.
        allowed: String,
    },
    /// Two settings contradict each other.
    #[error("{first} and {second} do not go together: {rule}. Change or remove one of them")]
    Conflict {
        /// One setting: key, value, origin.
        first: String,
        /// The other: key, value, origin.
        second: String,
        /// The rule they break.
        rule: &'static str,
    },
    /// The file of a secret is empty, or can't be read.
    #[error(
        "{setting} = {} (from {origin}) can't be used: {problem}. Write the secret into that file, or remove the setting",
        path.display()
    )]
    SecretFile {
        /// The setting that names the file.
        setting: String,
        /// The file.
        path: PathBuf,
        /// The file, variable or flag that named it.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ConfigError {
    /// For the dotted `key` that a file or flag gave.
    pub(super) fn unknown_key(key: &str, origin: &str, sections: &[Section]) -> Self {
        let hint = hint(key, sections, str::to_owned);
        Self::UnknownKey { key: key.to_owned(), origin: origin.to_owned(), hint }
    }

    /// For the environment variable `name`. Its value is not shown: the name may be a misspelt secret.
    pub(super) fn unknown_variable(name: &str, sections: &[Section]) -> Self {
        let key = name.trim_start_matches(ENV_PREFIX).to_lowercase().replace("__", ".");
        let hint = hint(&key, sections, variable);
        Self::UnknownVariable { name: name.to_owned(), hint }
    }
}

/// A sentence that names the setting most similar to `key`; if none is similar, the settings of its section; else the sections.
fn hint(key: &str, sections: &[Section], spell: fn(&str) -> String) -> String {
    const MIN_SIMILARITY: f64 = 0.75;
    let similarity = |known: &str| strsim::normalized_damerau_levenshtein(key, known);
    let nearest = sections
        .iter()
        .flat_map(|section| &section.entries)
        .max_by(|one, other| similarity(&one.key).total_cmp(&similarity(&other.key)));
    if let Some(entry) = nearest.filter(|entry| similarity(&entry.key) >= MIN_SIMILARITY) {
        return format!("did you mean {}?", spell(&entry.key));
    }
    let parent = key.rsplit_once('.').map_or(key, |(section, _)| section);
    match sections.iter().find(|section| section.key == parent) {
        Some(section) => format!("[{parent}] has {}.", list(section.entries.iter().map(|entry| spell(&entry.key)))),
        None => format!("the sections are {}.", list(sections.iter().map(|section| section.key.clone()))),
    }
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::ConfigError;
    use crate::config::sections;

    #[test]
    fn a_similar_name_is_suggested_and_otherwise_the_known_names() {
        let hint = |key| ConfigError::unknown_key(key, "a file", &sections()).to_string();
        assert!(hint("requester.wrokers").contains("did you mean requester.workers? Correct"));
        assert!(hint("log.colour").contains("[log] has log.level, log.format"));
        assert!(hint("log").contains("[log] has log.level, log.format"));
        assert!(hint("kafka.topic").contains("the sections are instance, web, requester"));
        assert!(hint("kafka.topic").contains("shutdown. Correct"));
    }

    #[test]
    fn a_variable_with_one_underscore_gets_a_suggestion_with_two() {
        let message = ConfigError::unknown_variable("SWARMQ_REQUESTER_WORKERS", &sections()).to_string();
        assert!(message.contains("did you mean SWARMQ_REQUESTER__WORKERS?"), "{message}");
    }
}
