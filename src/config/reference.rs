//! The list of all settings, from the schema of `Settings`: for error messages and `docs/configuration.md`.

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{ENV_PREFIX, Settings};

/// A section of the settings, such as `[task.delay]`.
#[derive(Debug, Clone)]
pub struct Section {
    /// Dotted name.
    pub key: String,
    /// Its description.
    pub meaning: String,
    /// Its settings, without the settings of its subsections.
    pub entries: Vec<Entry>,
}

/// One setting.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Dotted name, such as `task.delay.min`.
    pub key: String,
    /// Default value; null: none.
    pub default: Value,
    /// Description of the range, choices or form.
    pub allowed: String,
    /// Its description.
    pub meaning: String,
    /// True if its value is never shown.
    pub secret: bool,
}

impl Entry {
    fn new(key: String, schema: &Value) -> Self {
        Self {
            key,
            default: schema["default"].clone(),
            allowed: allowed(schema),
            meaning: meaning(schema),
            secret: schema["writeOnly"] == true,
        }
    }

    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(&self.key)
    }
}

/// The environment variable of a dotted key.
pub fn variable(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// Every section, in the order in which the settings declare them.
#[must_use]
pub fn sections() -> Vec<Section> {
    let schema = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<Settings>();
    let mut sections = Vec::new();
    walk("", schema.as_value(), &mut sections);
    sections
}

fn walk(key: &str, schema: &Value, sections: &mut Vec<Section>) {
    let mut section = Section { key: key.to_owned(), meaning: meaning(schema), entries: Vec::new() };
    let mut inner = Vec::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        if field.get("properties").is_some() {
            inner.push((key, field));
        } else {
            section.entries.push(Entry::new(key, field));
        }
    }
    if !section.entries.is_empty() {
        sections.push(section);
    }
    for (key, field) in inner {
        walk(&key, field, sections);
    }
}

fn meaning(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

fn allowed(schema: &Value) -> String {
    if let Some(words) = schema["x-allowed"].as_str() {
        return words.to_owned();
    }
    if let Some(choices) = schema["enum"].as_array() {
        let choices: Vec<_> = choices.iter().filter_map(Value::as_str).collect();
        return format!("one of {}", choices.join(", "));
    }
    match schema["format"].as_str() {
        Some("ip") => "an IP address, such as 127.0.0.1 or 0.0.0.0".to_owned(),
        _ => "text".to_owned(),
    }
}

const INTRODUCTION: &str = "# Configuration

Every setting has a default; `swarmq` runs without any configuration. A setting comes from the last of these that has it:

1. the default in the table below,
2. `config/default.toml`, for every profile,
3. `config/<profile>.toml`, the profile being `local` (the default), `bridge`, `swarm` or `test`; choose it with
   `--profile` or `SWARMQ_PROFILE`,
4. the environment variable in the table below; an empty one counts as not set,
5. a flag, such as `--set requester.workers=8`.

These files are built into the program. A file of the same name in the folder `config`, or in the folder that
`--config-dir` or `SWARMQ_CONFIG_DIR` names, replaces the built-in one. `swarmq config` shows each setting's value and
where it came from:

    $ SWARMQ_RESPONDER__WORKERS=4 swarmq config --set requester.workers=8 | grep workers
    requester.workers            8               --set
    responder.workers            4               SWARMQ_RESPONDER__WORKERS

A value out of range, or a name that is not in these tables, stops the program at start:

<!-- fails: the page says so -->

    $ swarmq --set web.prt=3001
    swarmq: unknown setting web.prt (from --set): did you mean web.port? Correct or remove it
";

/// The text of `docs/configuration.md`: one table per section.
#[must_use]
pub fn render() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in sections() {
        let Section { key, meaning, entries } = section;
        let _ = write!(text, "\n## `[{key}]`\n\n{meaning}\n\n");
        text.push_str(
            "| key | default | allowed | environment variable | meaning |\n| --- | --- | --- | --- | --- |\n",
        );
        for entry in entries {
            let name = entry.key.rsplit('.').next().unwrap_or_default();
            let default = if entry.default.is_null() { "none".to_owned() } else { format!("`{}`", entry.default) };
            let _ = writeln!(
                text,
                "| `{name}` | {default} | {} | `{}` | {} |",
                entry.allowed,
                entry.variable(),
                entry.meaning
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Entry, sections};

    fn entry(key: &str) -> Entry {
        sections().into_iter().flat_map(|section| section.entries).find(|entry| entry.key == key).unwrap()
    }

    #[test]
    fn an_entry_has_its_variable_default_and_range() {
        let min = entry("task.delay.min");
        assert_eq!(min.variable(), "SWARMQ_TASK__DELAY__MIN");
        assert_eq!(min.default, "1s");
        assert!(min.allowed.starts_with("a time with its unit, from 0s to 10m"), "{}", min.allowed);
        assert_eq!(entry("broker.dispatch").allowed, "one of round-robin, least-busy");
        assert!(entry("responder.backend").default.is_null());
        assert!(entry("admin.token").secret && !entry("admin.token_file").secret);
    }

    #[test]
    fn every_setting_and_every_section_has_a_description() {
        for section in sections() {
            assert!(!section.meaning.is_empty(), "[{}]", section.key);
            for entry in section.entries {
                assert!(!entry.meaning.is_empty(), "{}", entry.key);
                assert!(!entry.meaning.contains('|') && !entry.allowed.contains('|'), "{}", entry.key);
            }
        }
    }
}
