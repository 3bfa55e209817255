//! The layers of a configuration: files, environment variables, flags. Each has a text that names its origin.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::{ConfigError, Section};

/// Prefix of swarmq's environment variables.
pub const ENV_PREFIX: &str = "SWARMQ_";

const PROFILE: &str = "SWARMQ_PROFILE";
const CONFIG_DIR: &str = "SWARMQ_CONFIG_DIR";
const DEFAULT_PROFILE: &str = "local";
const DEFAULT_FOLDER: &str = "config";

const DEFAULT: (&str, &str) = ("default", include_str!("../../config/default.toml"));
/// The profiles: names, and the files built into the program.
const PROFILES: [(&str, &str); 4] = [
    (DEFAULT_PROFILE, include_str!("../../config/local.toml")),
    ("bridge", include_str!("../../config/bridge.toml")),
    ("swarm", include_str!("../../config/swarm.toml")),
    ("test", include_str!("../../config/test.toml")),
];

/// The sources of the configuration, apart from files.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--profile`; overrides `SWARMQ_PROFILE`.
    pub profile: Option<String>,
    /// `--config-dir`; overrides `SWARMQ_CONFIG_DIR`. The folder must exist.
    pub config_dir: Option<PathBuf>,
    /// Environment variables; those without the prefix `SWARMQ_` and empty ones are ignored.
    pub env: Vec<(String, String)>,
    /// Settings given by flags; the last one wins.
    pub overrides: Vec<Override>,
}

/// The layers of `default.toml` and of the profile's file.
pub fn files(folder: &Path, profile: (&str, &str)) -> Result<[Layer; 2], ConfigError> {
    Ok([Layer::file(folder, DEFAULT)?, Layer::file(folder, profile)?])
}

/// A setting given by a flag.
#[derive(Clone)]
pub struct Override {
    /// Dotted name of the setting.
    pub key: String,
    /// Its value as text.
    pub value: String,
    /// The flag, for messages; only its first word is shown, since the rest may be a secret.
    pub flag: String,
}

impl Sources {
    /// The environment of this process, without flags. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn from_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        };
        Self { env: std::env::vars_os().map(text).collect(), ..Self::default() }
    }

    /// The profile's name and built-in file.
    pub(super) fn profile(&self) -> Result<(&'static str, &'static str), ConfigError> {
        let (name, origin) = match (&self.profile, self.variable(PROFILE)) {
            (Some(name), _) => (name.as_str(), "--profile"),
            (None, Some(name)) => (name, PROFILE),
            (None, None) => (DEFAULT_PROFILE, "default"),
        };
        PROFILES.into_iter().find(|(known, _)| *known == name).ok_or_else(|| ConfigError::UnknownProfile {
            profile: name.to_owned(),
            origin: origin.to_owned(),
            known: PROFILES.map(|(known, _)| known).join(", "),
        })
    }

    /// The folder of the configuration files.
    pub(super) fn folder(&self) -> Result<PathBuf, ConfigError> {
        let explicit = match (&self.config_dir, self.variable(CONFIG_DIR)) {
            (Some(path), _) => Some((path.clone(), "--config-dir")),
            (None, Some(path)) => Some((PathBuf::from(path), CONFIG_DIR)),
            (None, None) => None,
        };
        if let Some((path, origin)) = explicit.clone().filter(|(path, _)| !path.is_dir()) {
            return Err(ConfigError::NoFolder { path, origin: origin.to_owned() });
        }
        Ok(explicit.map_or_else(|| PathBuf::from(DEFAULT_FOLDER), |(path, _)| path))
    }

    /// One layer for each environment variable that has a setting's value.
    pub(super) fn variables(&self, sections: &[Section]) -> Result<Vec<Layer>, ConfigError> {
        let mut layers = Vec::new();
        for (name, value) in &self.env {
            if !name.starts_with(ENV_PREFIX) || name == PROFILE || name == CONFIG_DIR || is_orchestrators(name, value) {
                continue;
            }
            let mut entries = sections.iter().flat_map(|section| &section.entries);
            let entry = entries.find(|entry| entry.variable() == *name);
            let entry = entry.ok_or_else(|| ConfigError::unknown_variable(name, sections))?;
            if !value.is_empty() {
                layers.push(Layer::value(&entry.key, value, name));
            }
        }
        Ok(layers)
    }

    /// One layer for each flag that has a setting's value.
    pub(super) fn flags(&self, sections: &[Section]) -> Result<Vec<Layer>, ConfigError> {
        let layer = |Override { key, value, flag }: &Override| {
            let origin = flag.split([' ', '=']).next().unwrap_or_default();
            let known = sections.iter().flat_map(|section| &section.entries).any(|entry| entry.key == *key);
            if known {
                Ok(Layer::value(key, value, origin))
            } else {
                Err(ConfigError::unknown_key(key, origin, sections))
            }
        };
        self.overrides.iter().map(layer).collect()
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.env.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

/// True for variables that Kubernetes and Docker links set for a service named `swarmq` or `swarmq-...`: they contain the
/// service's addresses. Their names never contain the two underscores of a setting.
fn is_orchestrators(name: &str, value: &str) -> bool {
    let is_address = || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let parts: Vec<&str> = name.split('_').collect();
    match parts.as_slice() {
        _ if name.contains("__") => false,
        [.., "SERVICE", "HOST" | "PORT"] | [_, "TCP" | "UDP", ..] => true,
        [.., "PORT"] if is_address() => true,
        // SERVICE_PORT_<name> of a named port, and PORT_<number>_<protocol> with any suffix.
        _ => parts.windows(3).any(|three| {
            matches!(three, ["SERVICE", "PORT", _])
                || (three[0] == "PORT" && three[1].parse::<u16>().is_ok() && matches!(three[2], "TCP" | "UDP" | "SCTP"))
        }),
    }
}

/// Settings of one origin.
pub struct Layer {
    origin: String,
    settings: Dict,
}

impl Layer {
    /// One setting. Its value stays text, because the setting's type decides how to parse it: `slot=1` is text.
    pub(super) fn value(key: &str, value: &str, origin: &str) -> Self {
        let settings = nest(key, Value::from(value)).into_dict().unwrap_or_default();
        Self { origin: origin.to_owned(), settings }
    }

    /// The file `name.toml` in `folder`, or the built-in file if the folder does not have it.
    fn file(folder: &Path, (name, built_in): (&str, &str)) -> Result<Self, ConfigError> {
        let path = folder.join(name).with_extension("toml");
        let (origin, text) = match std::fs::read_to_string(&path) {
            Ok(text) => (path.display().to_string(), text),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                (format!("built-in profile {name}"), built_in.to_owned())
            }
            Err(error) => {
                return Err(ConfigError::Unreadable { path, problem: error.to_string() });
            }
        };
        match Toml::from_str(&text) {
            Ok(settings) => Ok(Self { origin, settings }),
            Err(error) => Err(ConfigError::Syntax { origin, problem: error.to_string() }),
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.settings.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orchestrators_variables_are_distinguished_from_misspelt_settings() {
        let tcp = "tcp://10.0.0.1:3000";
        for (name, value) in [
            ("SWARMQ_PORT", tcp),
            ("SWARMQ_SERVICE_HOST", "10.0.0.1"),
            ("SWARMQ_SERVICE_PORT", "3000"),
            ("SWARMQ_SERVICE_PORT_HTTP", "3000"),
            ("SWARMQ_PORT_3000_TCP", tcp),
            ("SWARMQ_PORT_3000_TCP_PROTO", "tcp"),
            ("SWARMQ_PORT_3000_TCP_ADDR", "10.0.0.1"),
            ("SWARMQ_TCP_ADDR", "10.0.0.1"),
            ("SWARMQ_WEB_SERVICE_HOST", "10.0.0.1"),
            ("SWARMQ_WEB_PORT", tcp),
            ("SWARMQ_WEB_PORT_3000_TCP_PORT", "3000"),
        ] {
            assert!(is_orchestrators(name, value), "{name}");
        }
        for (name, value) in [
            ("SWARMQ_PORT", "3000"),
            ("SWARMQ_WEB_PORT", "3000"),
            ("SWARMQ_WEB__PORT", tcp),
            ("SWARMQ_REQUESTER_WORKERS", "3"),
            ("SWARMQ_INSTANCE_SERVICE", "web"),
            ("SWARMQ_TASK_ROOT", "/srv"),
        ] {
            assert!(!is_orchestrators(name, value), "{name}");
        }
    }
}
