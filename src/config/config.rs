//! Loads the settings: merges the layers, checks the result, and notes each value's origin.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use figment::Figment;
use figment::error::Kind;
use serde::Serialize;
use serde_json::Value;

use super::{AROUND_BYTES, ConfigError, Layer, MAX_ESCAPED, Secret, Section, Settings, Sources, files, sections};

/// The secret settings. Each can also be given by a file, with the setting of the same name and `_file`.
pub const SECRETS: [&str; 2] = ["admin.token", "curve.key"];

/// Folders where orchestrators mount secrets.
const MOUNTED: [&str; 2] = ["/run/secrets/", "/var/run/secrets/"];

/// The settings of this process, each with its origin.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings, checked.
    pub settings: Settings,
    /// The profile in use.
    pub profile: &'static str,
    effective: Vec<Effective>,
}

/// One effective setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Dotted name.
    pub key: String,
    /// Value as text: "none" if it has none, "(hidden)" for a secret.
    pub value: String,
    /// "default", a file, "built-in profile swarm", an environment variable, or a flag.
    pub source: String,
}

impl Config {
    /// Loads and checks the settings. Reads the files of the config folder, and the files of secrets.
    ///
    /// # Errors
    /// The first error, with its origin and what to do.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let sections = sections();
        let profile = sources.profile()?;
        let folder = sources.folder()?;
        let mut layers = Vec::from(files(&folder, profile)?);
        layers.extend(sources.variables(&sections)?);
        layers.extend(sources.flags(&sections)?);

        let merged = layers.into_iter().fold(Figment::new(), Figment::merge);
        let loader = Loader { merged, sections };
        let settings = loader.extract()?;
        loader.check(&settings)?;
        let [token, key] = SECRETS;
        let loader = loader.with_file(token, settings.admin.token_file.as_deref())?;
        let loader = loader.with_file(key, settings.curve.key_file.as_deref())?;
        let settings = Settings { folder, ..loader.extract()? };
        Ok(Self { effective: loader.effective(&settings), settings, profile: profile.0 })
    }

    /// Setting and file of each secret that every user of this machine may read. Excludes files that an orchestrator mounts:
    /// Docker makes secrets readable for all users of a container.
    #[must_use]
    pub fn exposed(&self) -> Vec<(&str, &str)> {
        let secrets = self.effective.iter().filter(|setting| SECRETS.contains(&&*setting.key));
        let by_all = |path: &&str| {
            !MOUNTED.iter().any(|folder| path.starts_with(folder))
                && std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o004 != 0)
        };
        let exposed = secrets.map(|setting| (&*setting.key, &*setting.source));
        exposed.filter(|(_, source)| by_all(source)).collect()
    }

    /// Every setting, in the order of the reference.
    #[must_use]
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }
}

struct Loader {
    merged: Figment,
    sections: Vec<Section>,
}

impl Loader {
    fn extract(&self) -> Result<Settings, ConfigError> {
        let settings = self.merged.extract::<Settings>().map_err(|error| {
            let key = error.path.join(".");
            match error.kind {
                Kind::UnknownField(..) => {
                    let origin = error.metadata.map_or_else(|| "default".to_owned(), |metadata| metadata.name.into());
                    ConfigError::unknown_key(&key, &origin, &self.sections)
                }
                _ => self.invalid(&key),
            }
        })?;
        // figment would accept a number as the index of an enum's choice.
        let mut entries = self.sections.iter().flat_map(|section| &section.entries);
        let is_number = |key: &str| self.merged.find_value(key).is_ok_and(|value| value.to_num().is_some());
        match entries.find(|entry| entry.default.is_string() && is_number(&entry.key)) {
            Some(entry) => Err(self.invalid(&entry.key)),
            None => Ok(settings),
        }
    }

    fn invalid(&self, key: &str) -> ConfigError {
        let entry = self.sections.iter().flat_map(|section| &section.entries).find(|entry| entry.key == key);
        let found = self.merged.find_value(key).ok().and_then(|value| serde_json::to_string(&value).ok());
        let value = if entry.is_some_and(|entry| entry.secret) { Some("(hidden)".to_owned()) } else { found };
        let section = || format!("a section, written as [{key}] with its settings below");
        ConfigError::Invalid {
            key: key.to_owned(),
            value: value.unwrap_or_default(),
            origin: self.origin(key),
            allowed: entry.map_or_else(section, |entry| entry.allowed.clone()),
        }
    }

    fn origin(&self, key: &str) -> String {
        self.merged.find_metadata(key).map_or("default".into(), |metadata| metadata.name.clone()).into_owned()
    }

    /// Checks the rules between settings.
    fn check(&self, settings: &Settings) -> Result<(), ConfigError> {
        let Settings { web, requester, task, supervision, discovery, curve, admin, broker, .. } = settings;
        let largest_message = requester.max_message_bytes.get();
        let rules = [
            (
                task.delay.min > task.delay.max,
                ["task.delay.min", "task.delay.max"],
                "the shortest delay must not be above the longest",
            ),
            (
                supervision.backoff_min > supervision.backoff_max,
                ["supervision.backoff_min", "supervision.backoff_max"],
                "the first wait must not be above the longest",
            ),
            (
                discovery.heartbeat.get() >= discovery.heartbeat_timeout.get(),
                ["discovery.heartbeat", "discovery.heartbeat_timeout"],
                "the timeout must be above the time between two heartbeats",
            ),
            (
                admin.token.is_some() && admin.token_file.is_some(),
                ["admin.token", "admin.token_file"],
                "set only one of them",
            ),
            (curve.key.is_some() && curve.key_file.is_some(), ["curve.key", "curve.key_file"], "set only one of them"),
            (
                task.max_file_bytes.get() * MAX_ESCAPED + AROUND_BYTES > largest_message,
                ["task.max_file_bytes", "requester.max_message_bytes"],
                "a byte of a file can take six bytes in its reply, which has 1024 further bytes: lower the first, or raise \
                 the second on every instance",
            ),
            (
                web.max_body_bytes.get() + AROUND_BYTES > largest_message,
                ["web.max_body_bytes", "requester.max_message_bytes"],
                "a message has 1024 bytes besides the request's body: lower the first, or raise the second on every \
                 instance",
            ),
            (
                web.max_body_bytes.get() * 16 > web.keep_bytes.get(),
                ["web.max_body_bytes", "web.keep_bytes"],
                "a request may use a fourth of the memory, and is kept once for each requester: lower the first, or raise the \
                 second to at least 16 times the first",
            ),
            (
                broker.queue_bytes.get() < 2 * largest_message,
                ["broker.queue_bytes", "requester.max_message_bytes"],
                "the broker needs room for two of the largest messages: raise the first, or lower the second",
            ),
            (
                largest_message * 8 > requester.max_memory_bytes.get(),
                ["requester.max_message_bytes", "requester.max_memory_bytes"],
                "the memory must have room for 8 of the largest messages",
            ),
        ];
        let Some((_, keys, rule)) = rules.into_iter().find(|(broken, ..)| *broken) else {
            return Ok(());
        };
        let [first, second] = keys.map(|key| {
            let value = value_of(settings, key);
            format!("{key} = {value} (from {})", self.origin(key))
        });
        Err(ConfigError::Conflict { first, second, rule })
    }

    /// Adds a layer with the secret `key` from the file `path`, the value of `<key>_file`.
    fn with_file(self, key: &str, path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(self) };
        let text = match std::fs::read_to_string(path) {
            Ok(text) if Secret::cleaned(&text).is_empty() => Err("the file is empty".to_owned()),
            Ok(text) => Ok(text),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err("it is not UTF-8 text: save it as UTF-8".to_owned())
            }
            Err(error) => Err(error.to_string()),
        };
        let setting = format!("{key}_file");
        let text = text.map_err(|problem| ConfigError::SecretFile {
            path: path.to_owned(),
            origin: self.origin(&setting),
            setting,
            problem,
        })?;
        let merged = self.merged.merge(Layer::value(key, &text, &path.display().to_string()));
        Ok(Self { merged, ..self })
    }

    fn effective(&self, settings: &Settings) -> Vec<Effective> {
        let entries = self.sections.iter().flat_map(|section| &section.entries);
        let effective =
            |key: &str| Effective { key: key.to_owned(), value: value_of(settings, key), source: self.origin(key) };
        entries.map(|entry| effective(&entry.key)).collect()
    }
}

/// The value at the dotted `key`, as text; secrets hide themselves.
fn value_of(settings: &Settings, key: &str) -> String {
    let all = serde_json::to_value(settings).unwrap_or_default();
    match all.pointer(&format!("/{}", key.replace('.', "/"))) {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
