//! `swarmq`, `swarmq web`, ...: runs tiers until the process is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use slog::{crit, info, warn};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{Addresses, App};
use crate::config::{Config, Role};
use crate::runtime::logging;

/// Exit status of a process that was interrupted a second time while it was shutting down: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// How long the banner waits until the tiers of this process have found each other.
const STARTING: Duration = Duration::from_secs(2);

/// Runs a role to its end.
pub fn run(config: Config, role: Role) -> Result<ExitCode> {
    let (log, guard) = logging::init(&config.settings.log, role.name())?;
    let ended = actix_rt::System::new().block_on(async {
        // First of all: from its first line on, the process ends in order.
        let stop = wait_for_signal()?;
        if guard.json {
            info!(log, "swarmq"; "version" => env!("CARGO_PKG_VERSION"), "profile" => &config.profile);
        }
        for (setting, file) in config.exposed() {
            warn!(log, "every user of this machine can read this secret: chmod o-r, or have it in a file of its own";
                "setting" => setting, "file" => file);
        }
        let app = App::build(config.settings, role, log.clone())?;
        if guard.json {
            app.addresses.log(&log);
        } else {
            if role == Role::All {
                // What the banner proposes works from then on.
                app.ready(STARTING).await;
            }
            logging::banner(&log, &welcome(role, &app.addresses));
        }
        tokio::select! {
            ended = app.run_until_stopped(stop.first) => ended.map(|()| ExitCode::SUCCESS),
            () = stop.second => Ok(ExitCode::from(INTERRUPTED)),
        }
    });
    match ended {
        // Where the log is for people, the plain error on stderr is enough.
        Err(error) if guard.json => {
            crit!(log, "ended"; "reason" => format!("{error:#}"));
            Ok(ExitCode::FAILURE)
        }
        ended => ended,
    }
}

/// Futures of the first signal to stop, and of the second.
struct Stop<A, B> {
    first: A,
    second: B,
}

/// Listens for SIGTERM and Ctrl-C. The first asks for an orderly end, the second for an end at once.
fn wait_for_signal() -> Result<Stop<impl Future<Output = ()>, impl Future<Output = ()>>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (told, tell) = tokio::sync::oneshot::channel();
    let first = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Nobody waits for the second when the process is ending already.
        let _ = told.send((terminate, interrupt));
    };
    let second = async move {
        let Ok((mut terminate, mut interrupt)) = tell.await else { return std::future::pending().await };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(Stop { first, second })
}

/// Where it is, and what to do next, for whoever started it by hand.
fn welcome(role: Role, addresses: &Addresses) -> String {
    // As it was called: `cargo run` puts nothing on the path.
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
