//! What is done to the swarm, and what has to hold while it is.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use swarmq::wire::Tier;

use crate::experiment::{TOKEN, experiment as measured};
use crate::lab::{BROKEN, FIRST, MANAGER, NODES, SECOND, root, run};
use crate::report::Row;
use crate::stack::wait_for;
use crate::trial::{Cost, Notes, Trial};

/// Longest wait for what a swarm does: it takes 15 s to see that a node is down, and starts tasks one at a time.
const PATIENCE: Duration = Duration::from_secs(150);

/// The secret's first and second value.
const TOKENS: [&str; 2] = ["the-first-token", "the-second-token"];

const REPLICAS: [(&str, usize); 3] = [("web", 2), ("requester", 3), ("responder", 3)];
const INSTANCES: [(Tier, usize); 4] = [(Tier::Web, 2), (Tier::Requester, 3), (Tier::Broker, 3), (Tier::Responder, 3)];

/// An event by its name on the command line.
pub type Event = (&'static str, fn(&mut Trial) -> Result<()>);

/// In this order: each leaves a swarm that the next can begin with.
pub const CORE: [Event; 7] = [
    ("steady", steady),
    ("dashboard", dashboard),
    ("scale", scale),
    ("kill", kill),
    ("update", update),
    ("rollback", rollback),
    ("experiment", experiment),
];

/// What takes longer than the gate has time for.
pub const MORE: [Event; 6] = [
    ("drain", drain),
    ("secret", secret),
    ("partition", partition),
    ("manager", manager),
    ("web", web),
    ("broker", broker),
];

impl Trial<'_> {
    /// Waits until the swarm runs what it shall, and the deployment's own picture says the same.
    fn is_whole(&self) -> Result<()> {
        wait_for("every replica running", PATIENCE, || self.stack.runs(&REPLICAS))?;
        self.watch.wait_for(&INSTANCES, PATIENCE)
    }

    /// Sees to it that a node has work: a swarm that got a node back leaves it empty.
    fn has_work(&self, node: &str) -> Result<()> {
        for service in ["requester", "responder"] {
            if !self.stack.services_on(node)?.contains(service) {
                let ids = self.stack.ids()?;
                self.stack.update(service, &["--force"])?;
                let moved = || Ok(self.stack.services_on(node)?.contains(service) && self.stack.runs(&REPLICAS)?);
                wait_for(&format!("{service} on {node}"), PATIENCE, moved)?;
                let done = || Ok(self.stack.update_state(service)? == "completed");
                wait_for(&format!("the end of the update of {service} from {ids:?}"), PATIENCE, done)?;
            }
        }
        self.is_whole()
    }

    /// The addresses of the containers on a node.
    fn hosts(&self, node: &str) -> BTreeSet<IpAddr> {
        let seen = self.watch.seen().into_iter().filter(|seen| !seen.gone && seen.node() == node);
        seen.filter_map(|seen| seen.ip()).collect()
    }

    /// Does something that takes a node away without a word, and measures until its connections are given up.
    fn lose(&self, node: &str, how: &str, notes: &Notes) -> Result<()> {
        let hosts = self.hosts(node);
        ensure!(!hosts.is_empty(), "nothing is known to run on {node}");
        notes.lost(node);
        self.stack.lab.call(&[how, node])?;
        let given_up = wait_for("connections given up", PATIENCE, || Ok(self.watch.gave_up(&hosts)))?;
        notes.time("connections to it given up after", given_up);
        Ok(())
    }
}

/// Deploys the stack on an empty swarm and waits until it would do work.
pub fn deploy(trial: &Trial) -> Result<()> {
    trial.stack.deploy(FIRST, &[], &[])?;
    trial.is_whole()
}

/// Nothing happens; the replies come from every node.
fn steady(trial: &mut Trial) -> Result<()> {
    trial.event("nothing happens", Cost::Nothing, |_, _| Ok(()))?;
    let nodes = trial.rows.last().map(|row| row.nodes.clone()).unwrap_or_default();
    ensure!(nodes.iter().eq(NODES), "replies come from {nodes:?} only");
    Ok(())
}

/// The page of the real stack in a browser: nodes, slots and versions are on it.
fn dashboard(trial: &mut Trial) -> Result<()> {
    let web = format!("http://{}", trial.webs[0]);
    trial.event("dashboard opened in a browser", Cost::Nothing, |_, _| {
        let script = root().join("tests/swarm/dashboard.mjs");
        run(Command::new("node").arg(script).arg(&web).current_dir(root().join("web")), "").map(drop)
    })
}

/// From three responders to six and back.
fn scale(trial: &mut Trial) -> Result<()> {
    let instances = |count| [INSTANCES[0], INSTANCES[1], (Tier::Broker, count), (Tier::Responder, count)];
    trial.event("responders scaled from 1 to 6", Cost::Nothing, |trial, notes| {
        trial.stack.scale("responder", 1)?;
        trial.watch.wait_for(&instances(1), PATIENCE)?;
        let known: BTreeSet<_> = trial.watch.seen().into_iter().map(|seen| seen.view.snapshot.instance.id).collect();
        trial.stack.scale("responder", 6)?;
        trial.watch.wait_for(&instances(6), PATIENCE)?;
        let is_new = |id: &String| !known.contains(id);
        let at_work = || {
            let mut new = trial.watch.ready(Tier::Responder);
            new.retain(|seen| is_new(&seen.view.snapshot.instance.id));
            Ok(new.len() == 5 && new.iter().all(|seen| seen.working_at.is_some()))
        };
        wait_for("work for each of them", PATIENCE, at_work)?;
        let healthy = trial.stack.running_since("responder")?;
        let (mut shown, mut working) = (0, 0);
        for seen in trial.watch.ready(Tier::Responder) {
            let instance = &seen.view.snapshot.instance;
            if known.contains(&instance.id) {
                continue;
            }
            let since = healthy.iter().find(|(slot, _)| Some(slot) == instance.slot.as_ref());
            let (_, since) = since.with_context(|| format!("no running task for {}", instance.id))?;
            shown = shown.max(seen.first_at.saturating_sub(instance.started_at));
            working = working.max(seen.working_at.unwrap_or_default().saturating_sub(*since));
        }
        notes.time("shown after their start", Duration::from_millis(shown));
        notes.time("at work after they were healthy", Duration::from_millis(working));
        Ok(())
    })?;
    trial.event("responders scaled from 6 to 3", Cost::Nothing, |trial, _| {
        trial.stack.scale("responder", 3)?;
        trial.is_whole()
    })
}

/// A node loses its power, its tasks are replaced, and it comes back.
fn kill(trial: &mut Trial) -> Result<()> {
    trial.has_work("node3")?;
    trial.event("node3 loses its power", Cost::WhatDiedHeld, |trial, notes| {
        trial.lose("node3", "kill", notes)?;
        let down = wait_for("the node known to be down", PATIENCE, || trial.stack.node_is("node3", "down"))?;
        notes.line(format!("down for the swarm {:.0} s later", down.as_secs_f64()));
        trial.is_whole()?;
        notes.settled();
        trial.stack.lab.call(&["start", "node3"])?;
        wait_for("the node back", PATIENCE, || trial.stack.node_is("node3", "ready"))?;
        trial.is_whole()
    })
}

/// Every tier gets a second version, by one deploy.
fn update(trial: &mut Trial) -> Result<()> {
    trial.event("every tier updated to another image", Cost::Nothing, |trial, _| {
        trial.stack.deploy(SECOND, &[], &[])?;
        wait_for("the second image everywhere", PATIENCE, || trial.stack.runs_image(SECOND))?;
        trial.is_whole()?;
        let seen = trial.watch.seen().into_iter().filter(|seen| !seen.gone);
        let old: Vec<_> = seen.map(|seen| seen.view.snapshot.instance).filter(|it| it.version != "second").collect();
        ensure!(old.is_empty(), "the dashboard shows another version: {old:?}");
        Ok(())
    })
}

/// An image that never is healthy is taken back, in each tier.
fn rollback(trial: &mut Trial) -> Result<()> {
    trial.event("an update that is never healthy rolls back", Cost::Nothing, |trial, _| {
        let services = ["requester", "responder"];
        for service in services {
            trial.stack.update(service, &["--image", BROKEN])?;
        }
        for service in services {
            let back = || Ok(trial.stack.update_state(service)? == "rollback_completed");
            wait_for(&format!("{service} rolled back"), PATIENCE, back)?;
        }
        let gone = || Ok(trial.stack.tasks()?.iter().all(|task| task.image != BROKEN));
        wait_for("no task with the broken image", PATIENCE, gone)?;
        trial.is_whole()
    })
}

/// A node is emptied, and may have work again.
fn drain(trial: &mut Trial) -> Result<()> {
    trial.has_work("node3")?;
    trial.event("node3 drained, and active again", Cost::Nothing, |trial, _| {
        trial.stack.set_availability("node3", "drain")?;
        wait_for("nothing left on it", PATIENCE, || Ok(trial.stack.services_on("node3")?.is_empty()))?;
        trial.is_whole()?;
        trial.stack.set_availability("node3", "active")
    })
}

/// The stack is scaled and measured by an experiment, without other load, and is what it was before.
fn experiment(trial: &mut Trial) -> Result<()> {
    let ids = trial.stack.ids()?;
    trial.stack.deploy(SECOND, &[], &[("ADMIN_TOKEN", TOKEN)])?;
    wait_for("every task with the token", PATIENCE, || trial.stack.replaced(&ids))?;
    wait_for("the end of those without", PATIENCE, || trial.stack.no_leftovers())?;
    trial.is_whole()?;
    let notes = measured(&trial.stack.lab.docker_host()?, &trial.webs[0])?;
    trial.is_whole().context("not what it was before the experiment")?;
    notes.iter().for_each(|line| println!("         {line}"));
    trial.rows.push(Row { event: "experiment by Docker's API".to_owned(), notes, ..Row::default() });
    Ok(())
}

/// With token and key in secrets, the token is followed by another.
fn secret(trial: &mut Trial) -> Result<()> {
    let create = |trial: &Trial, name: &str, value: &str| -> Result<()> {
        trial.stack.lab.docker_with(MANAGER, &["secret", "create", name, "-"], &[], value).map(drop)
    };
    let deploy = |trial: &Trial, number: &str| -> Result<()> {
        let ids = trial.stack.ids()?;
        trial.stack.deploy(SECOND, &["docker/stack.secrets.yml"], &[("TOKEN", number)])?;
        wait_for("every task with the secret", PATIENCE, || trial.stack.replaced(&ids))?;
        wait_for("the end of those without", PATIENCE, || trial.stack.no_leftovers())?;
        trial.is_whole()
    };
    let key = run(Command::new("docker").args(["run", "--rm", SECOND, "keygen"]), "")?;
    create(trial, "swarmq_curve_key_1", &key)?;
    create(trial, "swarmq_admin_token_1", TOKENS[0])?;
    // Those with the key and those without don't talk to each other: no load goes through this.
    deploy(trial, "1")?;
    ensure!(may_control(trial, TOKENS[0])? && !may_control(trial, TOKENS[1])?, "the token does not hold");
    trial.event("the token's secret rotated", Cost::Nothing, |trial, _| {
        create(trial, "swarmq_admin_token_2", TOKENS[1])?;
        deploy(trial, "2")?;
        ensure!(may_control(trial, TOKENS[1])? && !may_control(trial, TOKENS[0])?, "the old token still holds");
        trial.stack.docker(&["secret", "rm", "swarmq_admin_token_1"]).map(drop)
    })
}

/// Whether a control call with this token is carried out, by every responder.
fn may_control(trial: &Trial, token: &str) -> Result<bool> {
    let url = format!("http://{}/api/v1/control/faults", trial.webs[0]);
    let call = async { awc::Client::new().delete(&url).bearer_auth(token).send().await.map(|answer| answer.status()) };
    let status = actix_rt::System::new().block_on(call).map_err(|error| anyhow!("{error}"))?;
    match status.as_u16() {
        200 => Ok(true),
        401 | 403 => Ok(false),
        other => bail!("the control call is answered with {other}"),
    }
}

/// A node's cable is pulled, its tasks are replaced, and it is plugged in again with all that still runs on it.
fn partition(trial: &mut Trial) -> Result<()> {
    trial.has_work("node3")?;
    trial.event("node3 cut off, and healed", Cost::WhatDiedHeld, |trial, notes| {
        trial.lose("node3", "cut", notes)?;
        wait_for("the node known to be down", PATIENCE, || trial.stack.node_is("node3", "down"))?;
        trial.is_whole()?;
        notes.settled();
        trial.stack.lab.call(&["heal", "node3"])?;
        wait_for("the node back", PATIENCE, || trial.stack.node_is("node3", "ready"))?;
        trial.is_whole()
    })
}

/// The only manager loses its power, with the tasks on it, and is started again.
fn manager(trial: &mut Trial) -> Result<()> {
    trial.has_work("node1")?;
    // Back, it moves tasks about: it counts the nodes as down that it has not heard of yet.
    trial.event("the manager restarted", Cost::WhatDiedHeld, |trial, notes| {
        trial.lose("node1", "kill", notes)?;
        trial.stack.lab.call(&["start", "node1"])?;
        wait_for("the manager back", PATIENCE, || trial.stack.node_is("node1", "ready"))?;
        trial.is_whole()
    })
}

/// A node with a web instance loses its power: its clients lose their connections.
fn web(trial: &mut Trial) -> Result<()> {
    trial.event("a node with web loses its power", Cost::WhatDiedHeld, |trial, notes| {
        trial.lose("node2", "kill", notes)?;
        trial.stack.lab.call(&["start", "node2"])?;
        wait_for("the node back", PATIENCE, || trial.stack.node_is("node2", "ready"))?;
        trial.is_whole()
    })
}

/// The broker apart: its workers are scaled, and it is replaced itself.
fn broker(trial: &mut Trial) -> Result<()> {
    let replicas = |workers| [("web", 2), ("requester", 3), ("broker", 1), ("responder", workers)];
    let instances = |workers| [(Tier::Web, 2), (Tier::Requester, 3), (Tier::Broker, 1), (Tier::Responder, workers)];
    let is_whole = |trial: &Trial, workers| -> Result<()> {
        wait_for("every replica running", PATIENCE, || trial.stack.runs(&replicas(workers)))?;
        trial.watch.wait_for(&instances(workers), PATIENCE)
    };
    let ids = trial.stack.ids()?;
    trial.stack.deploy(SECOND, &["docker/stack.broker.yml"], &[])?;
    wait_for("every task with a broker apart", PATIENCE, || {
        let tasks = trial.stack.tasks()?;
        let follows = |service: &str| tasks.iter().all(|task| task.service() != service || !ids.contains(&task.id));
        Ok(follows("requester") && follows("responder"))
    })?;
    // Requesters that still look for brokers in every responder find none.
    wait_for("the end of the tasks before", PATIENCE, || trial.stack.no_leftovers())?;
    is_whole(trial, 3)?;
    trial.event("bare workers scaled from 3 to 6", Cost::Nothing, |trial, _| {
        trial.stack.scale("responder", 6)?;
        is_whole(trial, 6)
    })?;
    trial.event("bare workers scaled from 6 to 3", Cost::Nothing, |trial, _| {
        trial.stack.scale("responder", 3)?;
        is_whole(trial, 3)
    })?;
    trial.event("the broker replaced", Cost::Nothing, |trial, _| {
        let ids = trial.stack.ids()?;
        trial.stack.update("broker", &["--force"])?;
        let replaced = || {
            let tasks = trial.stack.tasks()?;
            Ok(tasks.iter().all(|task| task.service() != "broker" || (task.is_running() && !ids.contains(&task.id))))
        };
        wait_for("another broker", PATIENCE, replaced)?;
        is_whole(trial, 3)
    })
}
