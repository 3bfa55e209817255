//! What trials run against: how a deployment is made what a setup says, and ended.

use std::time::Duration;

use anyhow::{Context, Result};
use humantime::format_duration;

use super::Deployment;
use crate::config::{Config, Override, Settings, Socket, Sources};
use crate::experiment::load::MAX_UNDER_WAY;
use crate::experiment::plan::{MAX_PAYLOAD, Plan, Setup, Trial};

/// Longest wait for a deployment that was started here.
pub const STARTING: Duration = Duration::from_secs(30);

/// Makes and ends the deployments of a plan's trials.
#[expect(async_fn_in_trait, reason = "its futures stay on the thread that runs the plan")]
pub trait TargetDriver {
    /// Makes the deployment of a trial; every tier is ready when it returns.
    async fn set_up(&mut self, plan: &Plan, trial: &Trial) -> Result<Deployment>;

    /// Ends what was set up for a trial. Is called after every one, and does nothing where nothing is to be done.
    async fn clear(&mut self) -> Result<()>;

    /// Leaves everything as it was found. Is called once, at the end.
    async fn leave(&mut self) -> Result<()>;

    /// Whether the load generator's processor time is in the deployment's own.
    fn shares_process(&self) -> bool {
        false
    }
}

/// The settings by which a deployment becomes what a setup says; a plan's own go over them.
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
        // What waits for long is slow, not lost: it is neither sent again nor refused, so that a queue can be measured.
        ("requester.timeout", millis(plan.timeout_ms)),
        ("requester.retry_after", millis(plan.timeout_ms)),
        ("requester.queue", "1000000".to_owned()),
        ("broker.queue", "1000000".to_owned()),
        ("broker.queue_bytes", (64_u64 << 30).to_string()),
        ("broker.forget_after", millis(plan.timeout_ms.max(1_000))),
        ("web.max_in_flight", "100000".to_owned()),
        ("requester.max_in_flight", "100000".to_owned()),
        ("requester.max_memory_bytes", (16u64 << 30).to_string()),
        // More than the load generator has under way, all of which may end at once.
        ("web.max_connections", (MAX_UNDER_WAY + 2_000).to_string()),
        ("web.keep_requests", (MAX_UNDER_WAY + 2_000).to_string()),
        ("web.keep_bytes", (16_u64 << 30).to_string()),
        // The largest payload of a plan, and room for what is around it.
        ("web.max_body_bytes", (2 * MAX_PAYLOAD).to_string()),
        ("requester.max_message_bytes", (3 * MAX_PAYLOAD).to_string()),
        ("shutdown.deadline", "5s".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec();
    settings.extend(plan.settings.iter().map(|(key, value)| (key.clone(), value.clone())));
    settings
}

/// The settings of a process on this machine, any port free, with more of them on top.
pub fn load_settings(settings: &[(String, String)]) -> Result<Settings> {
    let any_port = ["web.port", "requester.port", "broker.port", "telemetry.port", "admin.port"];
    let any_port = any_port.map(|key| (key.to_owned(), "0".to_owned()));
    let all = any_port.iter().chain(settings);
    let overrides =
        all.map(|(key, value)| Override { key: key.clone(), value: value.clone(), flag: "[settings]".to_owned() });
    let sources = Sources { overrides: overrides.collect(), ..Sources::default() };
    Ok(Config::load(&sources)?.settings)
}

/// Checks that a deployment of every cell could be configured.
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

    /// What a trial measures are queues, not limits: of all that the load generator can have under way, nothing is refused,
    /// forgotten before its client read it, or sent again.
    #[test]
    fn no_limit_of_a_trials_deployment_is_below_what_the_generator_has_under_way() {
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
