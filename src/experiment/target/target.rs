//! How targets start or change the deployment of a trial, and end it.

use std::time::Duration;

use anyhow::{Context, Result};
use humantime::format_duration;

use super::Deployment;
use crate::config::{Config, Override, Settings, Socket, Sources};
use crate::experiment::load::MAX_UNDER_WAY;
use crate::experiment::plan::{MAX_PAYLOAD, Plan, Setup, Trial};

/// Maximum wait until a deployment that was started here is ready.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts or changes the deployments of a plan's trials, and ends them.
#[expect(async_fn_in_trait, reason = "its futures stay on the thread that runs the plan")]
pub trait TargetDriver {
    /// Starts or changes the deployment of a trial. Returns when every tier is ready.
    async fn set_up(&mut self, plan: &Plan, trial: &Trial) -> Result<Deployment>;

    /// Ends the deployment of a trial. Called after every trial; does nothing if the deployment continues to run.
    async fn clear(&mut self) -> Result<()>;

    /// Restores the state before the first trial. Called once, after the last trial.
    async fn leave(&mut self) -> Result<()>;

    /// True if the load generator is in the process of the deployment, so that its CPU time counts there too.
    fn shares_process(&self) -> bool {
        false
    }
}

/// The settings of a deployment with this setup, overridden by the plan's own settings.
pub fn settings_of(plan: &Plan, setup: &Setup, seed: u64) -> Vec<(String, String)> {
    let time = |time: Duration| format_duration(time).to_string();
    let millis = |ms: u64| time(Duration::from_millis(ms));
    let delay = &setup.delay;
    let socket = match setup.socket {
        Socket::Req => "req",
        Socket::Dealer => "dealer",
    };
    let mut settings: Vec<(String, String)> = [
        ("requester.workers", setup.requesters.to_string()),
        ("responder.workers", setup.responders.to_string()),
        ("requester.socket", socket.to_owned()),
        ("requester.window", setup.window.to_string()),
        ("broker.dispatch", setup.dispatch.name().to_owned()),
        ("task.name", setup.task.to_string()),
        ("task.max_cpu_rounds", setup.rounds.to_string()),
        ("task.delay.kind", delay.kind.name().to_owned()),
        ("task.delay.min", time(delay.min)),
        ("task.delay.max", time(delay.max)),
        ("task.delay.mean", time(delay.mean)),
        ("task.delay.cap", time(delay.cap())),
        ("task.delay.sigma", delay.sigma.to_string()),
        ("task.delay.seed", seed.to_string()),
        // No retries and no refusals, so that long waits in queues can be measured.
        ("requester.timeout", millis(plan.timeout_ms)),
        ("requester.retry_after", millis(plan.timeout_ms)),
        ("requester.queue", "1000000".to_owned()),
        ("broker.queue", "1000000".to_owned()),
        ("broker.queue_bytes", (64_u64 << 30).to_string()),
        ("broker.forget_after", millis(plan.timeout_ms.max(1_000))),
        ("web.max_in_flight", "100000".to_owned()),
        ("requester.max_in_flight", "100000".to_owned()),
        ("requester.max_memory_bytes", (16u64 << 30).to_string()),
        // More than the load generator's requests in flight, which may all end at once.
        ("web.max_connections", (MAX_UNDER_WAY + 2_000).to_string()),
        ("web.keep_requests", (MAX_UNDER_WAY + 2_000).to_string()),
        ("web.keep_bytes", (16_u64 << 30).to_string()),
        // The maximum payload of a plan, with room for the other fields.
        ("web.max_body_bytes", (2 * MAX_PAYLOAD).to_string()),
        ("requester.max_message_bytes", (3 * MAX_PAYLOAD).to_string()),
        ("shutdown.deadline", "5s".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec();
    settings.extend(plan.settings.iter().map(|(key, value)| (key.clone(), value.clone())));
    settings
}

/// Loads the settings of a process on this machine, with any free ports, overridden by `settings`.
///
/// # Errors
/// A setting is invalid.
pub fn load_settings(settings: &[(String, String)]) -> Result<Settings> {
    let any_port = ["web.port", "requester.port", "broker.port", "telemetry.port", "admin.port"];
    let any_port = any_port.map(|key| (key.to_owned(), "0".to_owned()));
    let all = any_port.iter().chain(settings);
    let overrides =
        all.map(|(key, value)| Override { key: key.clone(), value: value.clone(), flag: "[settings]".to_owned() });
    let sources = Sources { overrides: overrides.collect(), ..Sources::default() };
    Ok(Config::load(&sources)?.settings)
}

/// Checks the settings of every cell's deployment.
///
/// # Errors
/// The settings of a cell are invalid.
pub fn check(plan: &Plan) -> Result<()> {
    for (index, cell) in plan.cells.iter().enumerate() {
        let settings = settings_of(plan, &cell.setup, plan.seed);
        load_settings(&settings).with_context(|| format!("combination {} of the plan {}", index + 1, plan.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan_of;

    /// Trials measure queues, not limits: none of the load generator's requests in flight is refused, dropped before its client
    /// reads it, or sent again.
    #[test]
    fn limits_of_a_trials_deployment_are_above_the_generators_requests_in_flight() {
        let plan = plan_of("timeout = \"90s\"\n[fixed]\nload = \"constant 9000/s\"");
        let settings = load_settings(&settings_of(&plan, &plan.cells[0].setup, 1)).unwrap();
        let (web, requester) = (&settings.web, &settings.requester);
        let limits = [
            web.max_in_flight.usize(),
            web.keep_requests.usize(),
            web.max_connections.usize(),
            requester.max_in_flight.usize(),
            requester.queue.usize(),
            settings.broker.queue.usize(),
        ];
        assert!(limits.iter().all(|limit| *limit > MAX_UNDER_WAY), "{limits:?}");
        let payloads = MAX_UNDER_WAY as u64 * u64::from(MAX_PAYLOAD);
        assert!(web.keep_bytes.get() > payloads && requester.max_memory_bytes.get() > payloads);
        assert_eq!(requester.retry_after.get(), requester.timeout.get());
    }
}
