//! Apps in this process.

use std::ops::Deref;

use slog::{Discard, Logger, o};
use swarmq::app::App;
use swarmq::config::Role;
use swarmq::config::{Config, Override, Settings, Sources};
use swarmq::runtime::InstanceStatus;
use swarmq::wire::{Ledger, Tier, WorkerState, WorkerView};

use super::{PATIENT, Web, eventually, in_time, is_ready, is_settled};

/// The test profile's settings, but patient, and with some changed, as flags would.
fn settings(changes: &[(&str, &str)]) -> Settings {
    let change = |(key, value): &(&str, &str)| Override {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
        flag: "--set".to_owned(),
    };
    let overrides = PATIENT.iter().chain(changes).map(change).collect();
    let sources = Sources { profile: Some("test".to_owned()), overrides, ..Sources::default() };
    Config::load(&sources).unwrap_or_else(|error| panic!("{error}")).settings
}

/// An app that runs in this process. Stop it by [`Running::stop`].
pub struct Running(App);

/// Starts the tiers of a role; the peers it needs need not be there.
pub fn start(role: Role, changes: &[(&str, &str)]) -> Running {
    Running(App::build(settings(changes), role, Logger::root(Discard, o!())).unwrap())
}

impl Running {
    /// Starts every tier, and waits until each would do work and the web tier has heard of it: what is told before its
    /// telemetry is connected is lost.
    pub async fn all(changes: &[(&str, &str)]) -> Self {
        let app = start(Role::All, changes);
        app.ready().await;
        let web = app.web();
        eventually("telemetry of every instance", async || {
            let topology = web.topology().await;
            app.instances().iter().all(|status| topology.instances.contains_key(&status.instance.id)).then_some(())
        })
        .await;
        app
    }

    /// Waits until every instance would do work.
    pub async fn ready(&self) {
        eventually("every instance ready", async || {
            self.instances().iter().all(|status| is_ready(status.state().0)).then_some(())
        })
        .await;
    }

    /// The web tier's API.
    pub fn web(&self) -> Web {
        Web::at(self.addresses.web.unwrap())
    }

    /// The admin server.
    pub fn admin(&self) -> Web {
        Web::at(self.addresses.admin.unwrap())
    }

    pub fn status(&self, tier: Tier) -> &InstanceStatus {
        self.instances().iter().find(|status| status.instance.tier == tier).unwrap()
    }

    pub fn ledger(&self, tier: Tier) -> Ledger {
        self.status(tier).ledger.read()
    }

    pub fn workers(&self, tier: Tier) -> Vec<WorkerView> {
        self.status(tier).snapshot().workers
    }

    /// Waits until so many workers of a tier have something in hand.
    pub async fn busy(&self, tier: Tier, count: usize) {
        self.until(&format!("{count} busy {tier:?} workers"), || self.status(tier).snapshot().busy_workers() == count)
            .await;
    }

    /// Waits until a worker has died so often and is at work on something again.
    pub async fn busy_after(&self, tier: Tier, restarts: u32) {
        let back = |worker: &WorkerView| worker.restarts == restarts && worker.state == WorkerState::Busy;
        self.until(&format!("busy after {restarts} restarts"), || self.workers(tier).iter().any(back)).await;
    }

    /// Waits for something to become true.
    pub async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        eventually(what, async || is_so().then_some(())).await;
    }

    /// Waits until no tier has a message without an outcome.
    pub async fn settle(&self) {
        for status in self.instances() {
            let what = format!("{:?} ledger that balances with nothing in flight", status.instance.tier);
            self.until(&what, || is_settled(&status.ledger.read())).await;
        }
    }

    /// Shuts down when every ledger balances with nothing in flight.
    pub async fn stop(self) {
        self.settle().await;
        self.end().await;
    }

    /// Shuts down whatever is in flight.
    pub async fn end(self) {
        in_time("the end of the app", self.0.run_until_stopped(async {})).await.unwrap();
    }

    /// The app itself, to be run by the test.
    pub fn into_app(self) -> App {
        self.0
    }
}

impl Deref for Running {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}
