//! What each mistake in a configuration is told.

use std::fs;
use std::path::PathBuf;

use swarmq::config::Config;

use super::Setup;

#[test]
fn a_number_out_of_range_names_key_value_origin_and_range() {
    let range = "a whole number from 0 to 10000";
    let setup = Setup::new().file("local.toml", "[requester]\nworkers = 10001");
    let path = setup.path("local.toml");
    setup.refused(&["requester.workers = 10001", &path, range, "Correct or remove"]);
    let setup = Setup::new().env("SWARMQ_REQUESTER__WORKERS", "-1");
    setup.refused(&["requester.workers = \"-1\"", "from SWARMQ_REQUESTER__WORKERS", range]);
    let setup = Setup::new().flag("--workers", "requester.workers", "many");
    setup.refused(&["requester.workers = \"many\"", "from --workers", range]);
    let setup = Setup::new().env("SWARMQ_WEB__PORT", "65536");
    setup.refused(&["web.port = \"65536\"", "from SWARMQ_WEB__PORT", "from 0 to 65535"]);
}

#[test]
fn malformed_values_name_the_form() {
    for (key, value, allowed) in [
        ("requester.timeout", "\"10\"", "a time with its unit, from 1ms to 1h"),
        ("requester.timeout", "10", "a time with its unit, from 1ms to 1h"),
        ("requester.timeout", "\"2h\"", "a time with its unit, from 1ms to 1h"),
        ("task.delay.sigma", "0", "above 0, at most 3"),
        ("task.delay.seed", "\"x\"", "a whole number from 0"),
        ("web.bind", "\"localhost\"", "an IP address"),
        ("web.bind", "1", "an IP address"),
        ("web.requester", "\"requester\"", "host:port"),
        ("web.requester", "\"requester:0\"", "a port from 1 to 65535"),
        ("broker.backend", "\"tcp://broker:5433\"", "tcp://IP:PORT or ipc://PATH"),
        ("responder.backend", "\"broker:5433\"", "tcp://HOST:PORT"),
        ("broker.dispatch", "\"random\"", "one of round-robin, least-busy"),
        ("log.level", "3", "one of trace, debug, info"),
        ("instance.slot", "1", "text"),
        ("web.port", "[3000]", "a whole number"),
    ] {
        let (section, name) = key.rsplit_once('.').unwrap();
        let setup = Setup::new().file("local.toml", &format!("[{section}]\n{name} = {value}"));
        setup.refused(&[&format!("{key} = {value}"), "local.toml", allowed]);
    }
}

#[test]
fn a_value_where_a_section_belongs_is_told() {
    Setup::new().file("local.toml", "web = 3000").refused(&["web = 3000", "local.toml", "written as [web]"]);
}

#[test]
fn unknown_keys_name_their_origin_and_the_nearest_key() {
    let setup = Setup::new().file("default.toml", "[requester]\nwrokers = 3");
    let path = setup.path("default.toml");
    setup.refused(&["unknown setting requester.wrokers", &path, "did you mean requester.workers?"]);
    let setup = Setup::new().file("local.toml", "[kafka]\ntopic = 1");
    setup.refused(&["unknown setting kafka", "local.toml", "the sections are instance, web"]);
    let setup = Setup::new().flag("--set log.colour=red", "log.colour", "red");
    setup.refused(&["unknown setting log.colour", "from --set)", "[log] has log.level, log.format"]);
    Setup::new().flag("--set", "requester", "5").refused(&["unknown setting requester", "requester.workers"]);
}

#[test]
fn unknown_variables_are_named() {
    let setup = Setup::new().env("SWARMQ_REQUESTER_WORKERS", "3");
    setup.refused(&["SWARMQ_REQUESTER_WORKERS", "did you mean SWARMQ_REQUESTER__WORKERS?", "two underscores"]);
    let setup = Setup::new().env("SWARMQ_LOG__COLOUR", "");
    setup.refused(&["SWARMQ_LOG__COLOUR", "SWARMQ_LOG__LEVEL, SWARMQ_LOG__FORMAT"]);
}

#[test]
fn an_unknown_profile_names_those_there_are() {
    let all = "choose one of local, bridge, swarm, test";
    Setup::new().profile("prod").refused(&["unknown profile \"prod\"", "from --profile", all]);
    Setup::new().env("SWARMQ_PROFILE", "../local").refused(&["\"../local\"", "from SWARMQ_PROFILE", all]);
}

#[test]
fn a_config_folder_that_was_named_must_exist() {
    let mut setup = Setup::new();
    let missing = setup.path("missing");
    setup.sources.config_dir = Some(PathBuf::from(&missing));
    setup.refused(&[&missing, "from --config-dir", "is not a folder"]);
    setup.sources.config_dir = None;
    let setup = setup.env("SWARMQ_CONFIG_DIR", &missing);
    setup.refused(&[&missing, "from SWARMQ_CONFIG_DIR", "is not a folder"]);
}

#[test]
fn a_file_that_is_no_toml_or_cannot_be_read_is_named() {
    let setup = Setup::new().file("local.toml", "[web]\nport = = 1");
    let path = setup.path("local.toml");
    setup.refused(&[&path, "is not valid TOML", "line 2"]);
    let setup = Setup::new();
    fs::create_dir(setup.path("local.toml")).unwrap();
    setup.refused(&["cannot read", &setup.path("local.toml"), "remove it"]);
}

#[test]
fn settings_that_do_not_go_together_are_both_named() {
    let setup = Setup::new().env("SWARMQ_TASK__DELAY__MIN", "5s");
    setup.refused(&[
        "task.delay.min = 5s (from SWARMQ_TASK__DELAY__MIN)",
        "task.delay.max = 3s (from default)",
        "must not be above",
        "Change or remove",
    ]);
    let setup = Setup::new().flag("--set", "supervision.backoff_min", "10s");
    setup.refused(&["supervision.backoff_min = 10s (from --set)", "supervision.backoff_max = 5s (from default)"]);
    let setup = Setup::new().env("SWARMQ_DISCOVERY__HEARTBEAT", "2s");
    setup.refused(&["discovery.heartbeat = 2s (from SWARMQ", "discovery.heartbeat_timeout = 2s (from default)"]);
    let setup = Setup::new().env("SWARMQ_ADMIN__TOKEN", "s3cret").env("SWARMQ_ADMIN__TOKEN_FILE", "/run/t");
    setup.refused(&["admin.token = (hidden) (from SWARMQ_ADMIN__TOKEN)", "admin.token_file = /run/t"]);
    let key = format!("{} {}", "0".repeat(40), "1".repeat(40));
    let setup = Setup::new().env("SWARMQ_CURVE__KEY", &key).env("SWARMQ_CURVE__KEY_FILE", "/run/k");
    setup.refused(&["curve.key = (hidden) (from SWARMQ_CURVE__KEY)", "curve.key_file = /run/k"]);
    let limit = "requester.max_message_bytes = 65536 (from --set)";
    let setup = Setup::new().flag("--set", "requester.max_message_bytes", "65536");
    setup.refused(&[
        "task.max_file_bytes = 163840 (from default)",
        limit,
        "six",
        "lower the first, or raise the second",
    ]);
    let setup = setup.flag("--set", "task.max_file_bytes", "10000");
    setup.refused(&["web.max_body_bytes = 65536 (from default)", limit, "lower the first, or raise the second"]);
    let setup = setup.flag("--set", "web.max_body_bytes", "60000").flag("--set", "broker.queue_bytes", "131071");
    setup.refused(&["broker.queue_bytes = 131071 (from --set)", limit, "two of the largest messages"]);
    let setup = Setup::new().flag("--set", "web.keep_bytes", "1048576").flag("--set", "web.max_body_bytes", "65537");
    setup.refused(&["web.max_body_bytes = 65537", "web.keep_bytes = 1048576", "16 times"]);
    Setup::new().env("SWARMQ_REQUESTER__MAX_MESSAGE_BYTES", "4095").refused(&["a whole number from 4096 to"]);
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_wherever_it_comes_from() {
    let words = ["admin.token = (hidden)", "HTTP header", "no umlauts"];
    for token in ["p\u{e4}ssword", "\u{20ac}", "a\tb", "\u{feff}"] {
        Setup::new().env("SWARMQ_ADMIN__TOKEN", token).refused(&[&words[..], &["from SWARMQ_ADMIN__TOKEN"]].concat());
        Setup::new().flag("--set", "admin.token", token).refused(&[&words[..], &["from --set"]].concat());
        let setup =
            Setup::new().file("local.toml", &format!("[admin]\ntoken = {token:?}").replace("\\u{feff}", "\\uFEFF"));
        setup.refused(&[&words[..], &["local.toml"]].concat());
    }
    let setup = Setup::new().file("token", "p\u{e4}ssword\n");
    let path = setup.path("token");
    setup.env("SWARMQ_ADMIN__TOKEN_FILE", &path).refused(&[&words[..], &[&path]].concat());
}

#[test]
fn a_secret_in_another_encoding_is_told() {
    let setup = Setup::new();
    let path = setup.path("token");
    fs::write(&path, b"\xff\xfes\x003\x00").unwrap();
    setup.env("SWARMQ_ADMIN__TOKEN_FILE", &path).refused(&["admin.token_file", &path, "UTF-8"]);
}

#[test]
fn a_file_that_gives_no_secret_is_named() {
    let missing = Setup::new();
    let path = missing.path("token");
    let missing = missing.env("SWARMQ_ADMIN__TOKEN_FILE", &path);
    missing.refused(&["admin.token_file", &path, "from SWARMQ_ADMIN__TOKEN_FILE", "No such file"]);
    let empty = Setup::new().file("token", " \n");
    let path = empty.path("token");
    empty.env("SWARMQ_ADMIN__TOKEN_FILE", &path).refused(&[&path, "the file is empty", "Write the secret"]);
    let wrong = Setup::new().file("key", "k3y");
    let path = wrong.path("key");
    wrong.env("SWARMQ_CURVE__KEY_FILE", &path).refused(&["curve.key = (hidden)", &path, "swarmq keygen"]);
}

#[test]
fn no_message_shows_a_secret() {
    let setup = Setup::new().file("local.toml", "[admin]\ntoken = 424242");
    setup.refused(&["admin.token = (hidden)", "local.toml"]);
    let setup = Setup::new().flag("--set admin.tokn=424242", "admin.tokn", "424242");
    assert!(!Config::load(&setup.sources).unwrap_err().to_string().contains("424242"));
}
