//! What can be wrong with a configuration. Every message names the setting, its value, where it came from, what is
//! allowed, and what to do.

use std::path::PathBuf;

use super::{ENV_PREFIX, Section, variable};

/// Why the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No profile has this name.
    #[error("unknown profile {profile:?} (from {origin}): choose one of {known}")]
    UnknownProfile {
        /// The name that was asked for.
        profile: String,
        /// The flag or variable that asked.
        origin: String,
        /// The names there are.
        known: String,
    },
    /// The config folder that was asked for is not there.
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
    /// A configuration file is there and cannot be read.
    #[error("cannot read {}: {problem}; make it readable, or remove it to use the built-in file", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// A configuration file is no TOML.
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
        /// The nearest name, or the names there are: a sentence.
        hint: String,
    },
    /// An environment variable has swarmq's prefix and sets nothing.
    #[error(
        "unknown environment variable {name}: {hint} Correct or unset it; a variable is \
         SWARMQ_SECTION__KEY, with two underscores"
    )]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The nearest variable, or the variables there are: a sentence.
        hint: String,
    },
    /// A value out of range, or of another form.
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
    /// Two settings that do not go together.
    #[error("{first} and {second} do not go together: {rule}. Change or remove one of them")]
    Conflict {
        /// One setting: key, value, origin.
        first: String,
        /// The other: key, value, origin.
        second: String,
        /// The rule they break.
        rule: &'static str,
    },
    /// The file of a secret gives none.
    #[error(
        "{setting} = {} (from {origin}) gives nothing: {problem}. Write the secret into that file, or remove the setting",
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

    /// For the environment variable `name`. Its value is not shown: it may be a misspelt secret.
    pub(super) fn unknown_variable(name: &str, sections: &[Section]) -> Self {
        let key = name.trim_start_matches(ENV_PREFIX).to_lowercase().replace("__", ".");
        let hint = hint(&key, sections, variable);
        Self::UnknownVariable { name: name.to_owned(), hint }
    }
}

/// The setting nearest to `key` if one is near; else the settings of its section; else the sections. A sentence.
fn hint(key: &str, sections: &[Section], spell: fn(&str) -> String) -> String {
    const NEAR: f64 = 0.75;
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(key, known);
    let nearest = sections
        .iter()
        .flat_map(|section| &section.entries)
        .max_by(|one, other| likeness(&one.key).total_cmp(&likeness(&other.key)));
    if let Some(entry) = nearest.filter(|entry| likeness(&entry.key) >= NEAR) {
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
    fn a_near_name_is_suggested_and_otherwise_the_names_there_are() {
        let hint = |key| ConfigError::unknown_key(key, "a file", &sections()).to_string();
        assert!(hint("requester.wrokers").contains("did you mean requester.workers? Correct"));
        assert!(hint("log.colour").contains("[log] has log.level, log.format"));
        assert!(hint("log").contains("[log] has log.level, log.format"));
        assert!(hint("kafka.topic").contains("the sections are instance, web, requester"));
        assert!(hint("kafka.topic").contains("shutdown. Correct"));
    }

    #[test]
    fn a_variable_with_one_underscore_is_led_to_two() {
        let message = ConfigError::unknown_variable("SWARMQ_REQUESTER_WORKERS", &sections()).to_string();
        assert!(message.contains("did you mean SWARMQ_REQUESTER__WORKERS?"), "{message}");
    }
}
