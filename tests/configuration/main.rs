//! The configuration as its users meet it: precedence, origins, and what each mistake is told.

mod logs;
mod mistakes;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use swarmq::config::{Config, LogFormat, LogLevel, Override, Settings, Sources, render};
use swarmq::wire::TaskName;
use tempfile::TempDir;

/// Sources that see no file of this repository, and the folder they see instead.
struct Setup {
    folder: TempDir,
    sources: Sources,
}

impl Setup {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let sources = Sources { config_dir: Some(folder.path().to_owned()), ..Sources::default() };
        Self { folder, sources }
    }

    fn profile(mut self, name: &str) -> Self {
        self.sources.profile = Some(name.to_owned());
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, flag: &str, key: &str, value: &str) -> Self {
        let [flag, key, value] = [flag, key, value].map(str::to_owned);
        self.sources.overrides.push(Override { key, value, flag });
        self
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn load(&self) -> Config {
        Config::load(&self.sources).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Loading fails, and the message holds all of `words`.
    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let message = Config::load(&self.sources).expect_err("loads").to_string();
        for word in words {
            assert!(message.contains(word), "no {word:?} in: {message}");
        }
    }
}

fn effective<'a>(config: &'a Config, key: &str) -> (&'a str, &'a str) {
    let found = config.effective().iter().find(|setting| setting.key == key).unwrap();
    (&found.value, &found.source)
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

#[test]
fn each_layer_is_over_the_one_before_it() {
    let key = "requester.workers";
    let setup = Setup::new();
    assert_eq!(effective(&setup.load(), key), ("3", "default"));
    let setup = setup.file("default.toml", "[requester]\nworkers = 4\nqueue = 40");
    assert_eq!(effective(&setup.load(), key), ("4", &*setup.path("default.toml")));
    let setup = setup.file("local.toml", "[requester]\nworkers = 5");
    assert_eq!(effective(&setup.load(), key), ("5", &*setup.path("local.toml")));
    let setup = setup.env("SWARMQ_REQUESTER__WORKERS", "6");
    assert_eq!(effective(&setup.load(), key), ("6", "SWARMQ_REQUESTER__WORKERS"));
    let setup = setup.flag("--set requester.workers=7", key, "7");
    assert_eq!(effective(&setup.load(), key), ("7", "--set"));
    let setup = setup.flag("--workers", key, "8");
    let config = setup.load();
    assert_eq!(effective(&config, key), ("8", "--workers"));
    assert_eq!(config.settings.requester.workers.usize(), 8);
    assert_eq!(config.settings.requester.queue.get(), 40, "a layer leaves what it does not name");
}

#[test]
fn the_profile_comes_from_the_flag_then_the_variable_then_is_local() {
    let setup = Setup::new();
    assert_eq!(setup.load().profile, "local");
    let setup = setup.env("SWARMQ_PROFILE", "swarm");
    let config = setup.load();
    assert_eq!(config.profile, "swarm");
    assert_eq!(effective(&config, "web.bind"), ("0.0.0.0", "built-in profile swarm"));
    assert_eq!(setup.profile("bridge").load().profile, "bridge");
}

#[test]
fn every_shipped_profile_is_the_built_in_one_and_loads() {
    for profile in ["local", "bridge", "swarm", "test"] {
        let mut setup = Setup::new().profile(profile);
        let built_in = setup.load().settings;
        setup.sources.config_dir = Some(shipped());
        let on_disk = Settings { folder: built_in.folder.clone(), ..setup.load().settings };
        assert_eq!(format!("{built_in:?}"), format!("{on_disk:?}"), "{profile}");
    }
}

#[test]
fn the_profiles_say_what_they_are_for() {
    let swarm = Setup::new().profile("swarm").load().settings;
    assert_eq!(swarm.web.requester.as_str(), "tasks.requester:5678");
    assert_eq!(swarm.requester.responder.as_str(), "tasks.responder:5432");
    assert_eq!(swarm.telemetry.web.as_str(), "tasks.web:5680");
    assert_eq!(swarm.log.format, LogFormat::Json);
    assert_eq!(swarm.shutdown.deadline.get(), Duration::from_secs(25));
    assert!(swarm.admin.bind.is_unspecified());
    let bridge = Setup::new().profile("bridge").load().settings;
    assert_eq!(bridge.requester.responder.as_str(), "responder:5432");
    let test = Setup::new().profile("test").load().settings;
    let ports = [test.web.port, test.requester.port, test.broker.port, test.telemetry.port];
    assert!(ports.iter().chain(&test.admin.port).all(|port| port.port() == 0) && test.admin.port.is_some());
}

#[test]
fn text_that_looks_like_something_else_stays_text() {
    let setup = Setup::new()
        .env("SWARMQ_INSTANCE__SLOT", "1")
        .env("SWARMQ_INSTANCE__ID", "true")
        .env("SWARMQ_INSTANCE__NODE", "[0, 1]")
        .env("SWARMQ_ADMIN__TOKEN", "007")
        .env("SWARMQ_TASK__ROOT", "1.50")
        .flag("--service", "instance.service", "12");
    let settings = setup.load().settings;
    assert_eq!(settings.instance.slot.as_deref(), Some("1"));
    assert_eq!(settings.instance.id.as_deref(), Some("true"));
    assert_eq!(settings.instance.node.as_deref(), Some("[0, 1]"));
    assert_eq!(settings.instance.service.as_deref(), Some("12"));
    assert_eq!(settings.admin.token.unwrap().expose(), "007");
    assert_eq!(settings.task.root, Path::new("1.50"));
}

#[test]
fn every_kind_of_setting_is_read_from_the_environment() {
    let setup = Setup::new()
        .env("SWARMQ_TASK__DELAY__MIN", "0s")
        .env("SWARMQ_TASK__DELAY__SIGMA", "1.25")
        .env("SWARMQ_TASK__DELAY__SEED", "18446744073709551615")
        .env("SWARMQ_TASK__NAME", "echo")
        .env("SWARMQ_ADMIN__BIND", "::1")
        .env("SWARMQ_RESPONDER__BACKEND", "tcp://broker:5433")
        .env("SWARMQ_LOG__LEVEL", "critical");
    let settings = setup.load().settings;
    assert_eq!(settings.task.delay.min.get(), Duration::ZERO);
    assert_eq!(settings.task.delay.sigma.get(), 1.25);
    assert_eq!(settings.task.delay.seed.unwrap().get(), u64::MAX);
    assert_eq!(settings.task.name, TaskName::Echo);
    assert!(settings.admin.bind.is_ipv6());
    assert_eq!(settings.responder.backend.unwrap().as_str(), "tcp://broker:5433");
    assert_eq!(settings.log.level, LogLevel::Critical);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let setup = Setup::new().env("SWARMQ_ADMIN__TOKEN", "").env("SWARMQ_PROFILE", "").env("SWARMQ_CONFIG_DIR", "");
    assert!(setup.load().settings.admin.token.is_none());
}

#[test]
fn other_programs_variables_are_left_alone() {
    Setup::new().env("PATH", "/bin").env("XSWARMQ_A", "1").load();
}

#[test]
fn the_config_folder_may_come_from_the_environment() {
    let setup = Setup::new().file("local.toml", "[web]\nport = 1");
    let folder = setup.path("");
    let mut setup = setup.env("SWARMQ_CONFIG_DIR", &folder);
    setup.sources.config_dir = None;
    assert_eq!(setup.load().settings.web.port.port(), 1);
}

#[test]
fn the_token_is_read_from_its_file_and_never_shown() {
    let setup = Setup::new().file("token", "  123\n");
    let path = setup.path("token");
    let config = setup.env("SWARMQ_ADMIN__TOKEN_FILE", &path).load();
    assert_eq!(config.settings.admin.token.as_ref().unwrap().expose(), "123");
    assert_eq!(effective(&config, "admin.token"), ("(hidden)", &*path));
    assert_eq!(effective(&config, "admin.token_file"), (&*path, "SWARMQ_ADMIN__TOKEN_FILE"));
    assert!(!format!("{config:?}").contains("123\""));
}

#[test]
fn a_token_is_the_same_from_every_source() {
    for text in ["s3cret", "s3cret\r\n", "\u{feff}s3cret\n", "\"s3cret\"", " 's3cret' "] {
        let setup = Setup::new().file("token", text);
        let path = setup.path("token");
        let token = |setup: Setup| setup.load().settings.admin.token.unwrap().expose().to_owned();
        assert_eq!(token(setup.env("SWARMQ_ADMIN__TOKEN_FILE", &path)), "s3cret", "{text:?}");
        assert_eq!(token(Setup::new().env("SWARMQ_ADMIN__TOKEN", text)), "s3cret", "{text:?}");
        assert_eq!(token(Setup::new().flag("--set", "admin.token", text)), "s3cret", "{text:?}");
    }
    let setup = Setup::new().file("local.toml", "[admin]\ntoken = ' \"s3cret\" '");
    assert_eq!(setup.load().settings.admin.token.unwrap().expose(), "s3cret");
}

#[test]
fn secrets_in_files_that_everyone_can_read_are_found() {
    let setup = Setup::new().file("local.toml", "[admin]\ntoken = 's3cret'");
    let path = setup.path("local.toml");
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for (bits, exposed) in
        [(0o644, vec![("admin.token", &*path)]), (0o640, vec![]), (0o604, vec![("admin.token", &*path)])]
    {
        mode(bits);
        assert_eq!(setup.load().exposed(), exposed, "{bits:o}");
    }
    assert!(Setup::new().env("SWARMQ_ADMIN__TOKEN", "s3cret").load().exposed().is_empty());
}

#[test]
fn the_reference_in_docs_is_the_one_the_program_renders() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, render()).unwrap();
    }
    let same = fs::read_to_string(&path).is_ok_and(|text| text == render());
    assert!(same, "docs/configuration.md is out of date; run: UPDATE_DOCS=1 cargo test --test configuration");
}
