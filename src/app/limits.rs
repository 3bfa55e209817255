//! Checks the limits of the operating system and of libzmq before anything starts.

use anyhow::{Result, bail};
use slog::{Logger, debug};

use crate::admin::CONNECTIONS;
use crate::config::{Curve, Role, Settings};

/// File descriptors that every process needs, including the admin server's connections.
const BASE: u64 = 128 + CONNECTIONS as u64;

/// Descriptors of a requester worker: one for its socket, and two for its connection if both ends are in this process.
const PER_REQUESTER: u64 = 3;

/// Descriptors of a responder worker: one for its socket, one for the previous socket while the dispatch changes, and one for
/// the timer of its delay.
const PER_RESPONDER: u64 = 3;

/// The same if its broker is in another process: two sockets, each with a connection, while a broker is replaced, and the timer.
const PER_RESPONDER_ELSEWHERE: u64 = 5;

/// Raises the limit of open files to its maximum. Fails if that is too low for the configured workers and connections, or if
/// `web.max_in_flight` exceeds `requester.max_in_flight` in a process with both tiers.
pub fn raise(settings: &Settings, role: Role, log: &Logger) -> Result<()> {
    let requesters = settings.requester.workers.get();
    let responders = settings.responder.workers.get();
    let (asks, takes) = (settings.web.max_in_flight.get(), settings.requester.max_in_flight.get());
    if role == Role::All && asks > takes {
        bail!(
            "web.max_in_flight = {asks} is above requester.max_in_flight = {takes}: the requester would not read \
             the requests above its limit; raise the second, or lower the first"
        );
    }
    let needed = BASE
        + match role {
            Role::All => requesters * PER_REQUESTER + responders * PER_RESPONDER + settings.web.max_connections.get(),
            Role::Requester => requesters * PER_REQUESTER + settings.requester.max_connections.get(),
            Role::Responder if settings.responder.backend.is_some() => responders * PER_RESPONDER_ELSEWHERE,
            Role::Responder => responders * PER_RESPONDER,
            Role::Web => settings.web.max_connections.get(),
            Role::Broker => 0,
        };
    let allowed = rlimit::increase_nofile_limit(u64::MAX)?;
    if allowed < needed {
        bail!(
            "these workers and connections need {needed} open files, and {allowed} are allowed: raise the limit \
             (`ulimit -n`, systemd's LimitNOFILE, Docker's --ulimit nofile), or configure fewer workers or connections \
             (web.max_connections, requester.max_connections)"
        );
    }
    debug!(log, "open files"; "allowed" => allowed, "needed" => needed);
    Ok(())
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
    use crate::config::CurveKey;

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
