//! Checks the limits of the operating system and of libzmq before anything starts.

use std::net::IpAddr;

use anyhow::{Result, bail};
use slog::{Logger, debug, warn};

use crate::admin::CONNECTIONS;
use crate::config::{Curve, Role, Settings, Upstream};

/// File descriptors that every process needs, including the admin server's connections.
const BASE: u64 = 128 + CONNECTIONS as u64;

/// Descriptors of a worker for each broker in another process: one for its socket, and one for its connection.
const PER_BROKER: u64 = 2;

/// Descriptors of a responder worker whose broker is in this process: one for its socket, one for the previous socket while the
/// dispatch changes, and one for the timer of its delay.
const PER_RESPONDER: u64 = 3;

/// Brokers that a host name may well stand for. How many it does is known when it is looked up, and changes.
const BROKERS_OF_A_NAME: u64 = 8;

/// Raises the limit of open files to its maximum. Fails if that is too low for the configured workers and connections, or if
/// `web.max_in_flight` exceeds `requester.max_in_flight` in a process with both tiers.
pub fn raise(settings: &Settings, role: Role, log: &Logger) -> Result<()> {
    let (asks, takes) = (settings.web.max_in_flight.get(), settings.requester.max_in_flight.get());
    if role == Role::All && asks > takes {
        bail!(
            "web.max_in_flight = {asks} is above requester.max_in_flight = {takes}: the requester would not read \
             the requests above its limit; raise the second, or lower the first"
        );
    }
    let needed = files_needed(settings, role, 1);
    let allowed = rlimit::increase_nofile_limit(u64::MAX)?;
    if allowed < needed {
        bail!(
            "these workers and connections need {needed} open files, and {allowed} are allowed: raise the limit \
             (`ulimit -n`, systemd's LimitNOFILE, Docker's --ulimit nofile), or configure fewer workers or connections \
             (web.max_connections, requester.max_connections)"
        );
    }
    debug!(log, "open files"; "allowed" => allowed, "needed" => needed);
    let likely = files_needed(settings, role, BROKERS_OF_A_NAME);
    if allowed < likely {
        warn!(log, "each worker connects to every broker that a host name stands for: too few open files are allowed for many \
            brokers; raise the limit, or configure fewer workers";
            "allowed" => allowed, "needed" => likely, "brokers" => BROKERS_OF_A_NAME);
    }
    Ok(())
}

/// File descriptors that the process needs. `brokers_of_a_name`: the number of brokers behind each host name.
fn files_needed(settings: &Settings, role: Role, brokers_of_a_name: u64) -> u64 {
    let brokers = |upstream: &Upstream| -> u64 {
        let count = |host: &str| if host.parse::<IpAddr>().is_ok() { 1 } else { brokers_of_a_name };
        upstream.endpoints().map(|(host, _)| count(host)).sum()
    };
    let (requesters, responders) = (settings.requester.workers.get(), settings.responder.workers.get());
    BASE + match role {
        // The only broker is in this process, and with it the other end of each connection.
        Role::All => requesters * (PER_BROKER + 1) + responders * PER_RESPONDER + settings.web.max_connections.get(),
        Role::Requester => {
            requesters * PER_BROKER * brokers(&settings.requester.responder) + settings.requester.max_connections.get()
        }
        Role::Responder => match &settings.responder.backend {
            None => responders * PER_RESPONDER,
            // One more while a broker is replaced, and the timer.
            Some(backend) => {
                let brokers = backend.upstream().map_or(1, |upstream| brokers(&upstream));
                responders * (PER_BROKER * (brokers + 1) + 1)
            }
        },
        Role::Web => settings.web.max_connections.get(),
        Role::Broker => 0,
    }
}

/// Fails if a key is set and libzmq has no CURVE: connections would not be encrypted.
pub fn check_curve(settings: &Curve, has_curve: bool) -> Result<()> {
    if settings.key.is_some() && !has_curve {
        bail!(
            "a key is set (curve.key, curve.key_file), but this program is built without CURVE: use the image, or \
             run cargo in the folder of its source (.cargo/config.toml), or remove the setting"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::config::CurveKey;

    #[test]
    fn a_requester_worker_needs_a_socket_and_a_connection_for_each_broker() {
        let with = |upstream: &str| {
            let mut settings = Settings::default();
            settings.requester.responder = Upstream::new(upstream).unwrap();
            settings
        };
        let workers = Settings::default().requester.workers.get();
        let none = BASE + Settings::default().requester.max_connections.get();
        for (upstream, brokers) in [
            ("10.0.0.1:1", 1),
            ("10.0.0.1:1, [::1]:2, 10.0.0.3:1", 3),
            ("tasks.responder:1", 8),
            ("tasks.responder:1,10.0.0.1:1", 9),
        ] {
            assert_eq!(files_needed(&with(upstream), Role::Requester, 8), none + workers * brokers * 2, "{upstream}");
        }
        let all = |upstream| files_needed(&with(upstream), Role::All, 8);
        assert_eq!(all("tasks.responder:1"), all("10.0.0.1:1"), "the broker is in the same process");
    }

    #[test]
    fn a_responder_worker_has_room_for_one_broker_more_while_one_is_replaced() {
        let mut settings = Settings::default();
        let workers = settings.responder.workers.get();
        assert_eq!(files_needed(&settings, Role::Responder, 8), BASE + workers * PER_RESPONDER);
        for (backend, brokers) in [("ipc:///run/workers", 1), ("tcp://10.0.0.1:1", 1), ("tcp://broker:1", 8)] {
            settings.responder.backend = serde_json::from_value(json!(backend)).unwrap();
            assert_eq!(
                files_needed(&settings, Role::Responder, 8),
                BASE + workers * (2 * (brokers + 1) + 1),
                "{backend}"
            );
        }
    }

    #[test]
    fn a_key_is_refused_in_a_build_without_curve() {
        let key = format!("{} {}", "0".repeat(40), "0".repeat(40));
        let keyed = Curve { key: Some(CurveKey::parse(&key).unwrap()), key_file: None };
        for (settings, has_curve, allowed) in
            [(&keyed, true, true), (&keyed, false, false), (&Curve::default(), false, true)]
        {
            assert_eq!(check_curve(settings, has_curve).is_ok(), allowed);
        }
        let error = check_curve(&keyed, false).unwrap_err().to_string();
        assert!(error.contains("without CURVE") && error.contains(".cargo/config.toml"), "{error}");
    }
}
