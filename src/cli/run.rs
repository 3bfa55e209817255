//! `swarmq`, `swarmq web`, ...: runs tiers until SIGTERM or Ctrl-C.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use slog::{crit, info, warn};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{Addresses, App};
use crate::config::{Config, Role};
use crate::runtime::logging;

/// Exit status after a second signal during shutdown: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Maximum time that the banner waits for the tiers of this process to connect to one another.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a role until it has shut down.
pub fn run(config: Config, role: Role) -> Result<ExitCode> {
    let (log, guard) = logging::init(&config.settings.log, role.name())?;
    let ended = actix_rt::System::new().block_on(async {
        // Before anything else, so that a signal during the start causes an orderly shutdown.
        let stop = wait_for_signal()?;
        if guard.json {
            info!(log, "swarmq"; "version" => env!("CARGO_PKG_VERSION"), "profile" => &config.profile);
        }
        for (setting, file) in config.exposed() {
            warn!(log, "every user of this machine can read this secret: run chmod o-r on its file, or move it to another file";
                "setting" => setting, "file" => file);
        }
        let app = App::build(config.settings, role, log.clone())?;
        if guard.json {
            app.addresses.log(&log);
        } else {
            if role == Role::All {
                // The commands that the banner suggests work only then.
                app.ready(READY_TIMEOUT).await;
            }
            logging::banner(&log, &welcome(role, &app.addresses));
        }
        tokio::select! {
            ended = app.run_until_stopped(stop.first) => ended.map(|()| ExitCode::SUCCESS),
            () = stop.second => Ok(ExitCode::from(INTERRUPTED)),
        }
    });
    match ended {
        // In terminal format, the error on stderr is enough.
        Err(error) if guard.json => {
            crit!(log, "ended with an error"; "reason" => format!("{error:#}"));
            Ok(ExitCode::FAILURE)
        }
        ended => ended,
    }
}

/// Futures that resolve at the first and at the second stop signal.
struct Stop<A, B> {
    first: A,
    second: B,
}

/// Listens for SIGTERM and SIGINT. The first starts an orderly shutdown, the second ends the process at once.
fn wait_for_signal() -> Result<Stop<impl Future<Output = ()>, impl Future<Output = ()>>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (signals, signals_after_first) = tokio::sync::oneshot::channel();
    let first = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // An error means that the process is ending already.
        let _ = signals.send((terminate, interrupt));
    };
    let second = async move {
        let Ok((mut terminate, mut interrupt)) = signals_after_first.await else { return std::future::pending().await };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(Stop { first, second })
}

/// The banner: the addresses of this process, and commands to try.
fn welcome(role: Role, addresses: &Addresses) -> String {
    // The path it was started by: with `cargo run` the program is not in PATH.
    let program = std::env::args().next().unwrap_or_else(|| "swarmq".to_owned());
    let mut lines = vec![];
    if let Some(web) = addresses.web {
        lines.push(format!("swarmq is running: http://{web}"));
        lines.push(format!("  send a request    {program} request --url http://{web}"));
        lines.push(format!("  its API           http://{web}/api/v1/openapi.json"));
    }
    if let Some(requester) = addresses.requester.filter(|_| role == Role::Requester) {
        lines.push(format!("swarmq requester is running: web tiers connect to {requester}"));
    }
    if let Some(broker) = addresses.broker.filter(|_| role != Role::All) {
        lines.push(format!("swarmq {} is running: requesters connect to {broker}", role.name()));
    }
    if let Some(backend) = addresses.backend {
        lines.push(format!("  workers connect   {program} responder --backend tcp://{backend}"));
    }
    if let Some(telemetry) = addresses.telemetry.filter(|_| role == Role::Web) {
        lines.push(format!("  telemetry to      {telemetry}"));
    }
    if let Some(admin) = addresses.admin {
        lines.push(format!("  health, metrics   http://{admin}/readyz http://{admin}/metrics"));
    }
    lines.push("  stop              Ctrl-C".to_owned());
    lines.join("\n")
}
