//! Attacks by traffic, each on a deployment of its own: web, requester and responder in processes of their own with the
//! memory limits of stack.yml. While one lasts, an honest client goes on asking and must be served; no instance may die or
//! outgrow its limit; afterwards every ledger balances.
//!
//!     tests/attacks/run                     all, some seconds each: what the gate runs
//!     tests/attacks/run gzip-bombs flood    those whose names begin so
//!     EACH=120 tests/attacks/run            all, two minutes each; memory must have stopped growing
//!     IMAGE=swarmq tests/attacks/run        in containers of this image in place of processes of this machine
//!
//! Without arguments, as in a plain `cargo test`, it does nothing. Limits on processes need root and a writable
//! /sys/fs/cgroup; without, resident memory is held against the limit and the output says so. REPORT=FOLDER is where
//! `attacks.md` and the logs of instances go (target/attacks). All traffic stays on 127.0.0.1.

mod client;
mod deployment;
mod http;
mod limits;
mod net;
mod report;
mod requests;
mod tcp;
mod telemetry;
mod trial;
mod web;
mod websocket;
mod zeromq;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use deployment::Site;
use limits::Means;

/// How long an attack lasts in the gate, in seconds.
const EACH: u64 = 4;

/// What an honest client may expect while an attack lasts.
#[derive(Clone, Copy, PartialEq)]
pub enum Expect {
    /// Every request is answered as if there was no attack.
    Served,
    /// The attack is more work than there is room for: a request may be refused, with the advice to come back.
    ServedOrRefused,
    /// The attack comes before the service: all are answered from so many seconds on.
    ServedWithin(u64),
}

/// One attack.
pub struct Attack {
    pub name: &'static str,
    pub expect: Expect,
    /// Settings of every instance, beside those of any deployment here.
    pub settings: &'static [(&'static str, &'static str)],
    /// Attacks until a time, and ends all it began. Says what it did; an error is what an attacker must not reach.
    pub run: fn(&Site, Instant) -> Result<String>,
}

const NONE: &[(&str, &str)] = &[];

/// What operators show for their calls, where an attack needs that there is one.
pub const TOKEN: &str = "operators-token-7f3a";
const WITH_TOKEN: &[(&str, &str)] = &[("admin.token", TOKEN)];

const fn attack(
    name: &'static str,
    expect: Expect,
    settings: &'static [(&'static str, &'static str)],
    run: fn(&Site, Instant) -> Result<String>,
) -> Attack {
    Attack { name, expect, settings, run }
}

const ATTACKS: [Attack; 28] = [
    attack("replies-above-the-limit", Expect::Served, NONE, requests::replies_above_the_limit),
    attack("messages-at-the-limit", Expect::Served, NONE, requests::messages_at_the_limit),
    attack("reserved-fields", Expect::Served, NONE, requests::reserved_fields),
    attack("endless-timeouts", Expect::Served, NONE, requests::endless_timeouts),
    attack("kept-replies", Expect::Served, NONE, requests::kept_replies),
    attack("cpu-rounds", Expect::Served, NONE, requests::cpu_rounds),
    attack("secrets-by-default", Expect::Served, &[("task.root", "")], web::secrets),
    attack("secrets-in-the-root", Expect::Served, &[("task.root", "."), ("admin.token_file", "token")], web::secrets),
    attack("foreign-pages", Expect::Served, NONE, web::foreign_pages),
    attack("calls-without-permission", Expect::Served, WITH_TOKEN, web::calls_without_permission),
    attack("gzip-bombs", Expect::Served, NONE, web::gzip_bombs),
    attack("slow-bodies", Expect::Served, NONE, web::slow_bodies),
    attack("many-connections", Expect::Served, NONE, web::many_connections),
    attack("announced-frames", Expect::Served, NONE, websocket::announced_frames),
    attack("complete-frames", Expect::Served, NONE, websocket::complete_frames),
    attack("endless-fragments", Expect::Served, NONE, websocket::endless_fragments),
    attack("silent-dashboards", Expect::Served, NONE, websocket::silent_dashboards),
    attack("unread-replies", Expect::ServedOrRefused, NONE, tcp::unread_replies),
    attack("large-objects", Expect::ServedOrRefused, NONE, tcp::large_objects),
    attack("unfinished-objects", Expect::Served, NONE, tcp::unfinished_objects),
    attack("idle-connections", Expect::ServedWithin(20), &[("web.connect", "manual")], tcp::idle_connections),
    attack("deaf-dealers", Expect::ServedOrRefused, NONE, zeromq::deaf_dealers),
    attack("many-frames", Expect::ServedOrRefused, NONE, zeromq::many_frames),
    attack("forged-admin-servers", Expect::Served, WITH_TOKEN, telemetry::forged_admin_servers),
    attack("forged-instances", Expect::Served, NONE, telemetry::forged_instances),
    attack("leaving-peers", Expect::Served, NONE, telemetry::leaving_peers),
    attack("forged-links", Expect::Served, NONE, telemetry::forged_links),
    attack("forged-messages", Expect::Served, NONE, telemetry::forged_messages),
];

fn main() -> Result<()> {
    // Flags are for the test harness that this is not.
    let names: Vec<String> = env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    if names.is_empty() {
        println!("skipped: the attacks take minutes, and want memory limits; tests/attacks/run runs them");
        return Ok(());
    }
    let chosen = |attack: &&Attack| names.iter().any(|name| name == "all" || attack.name.starts_with(name));
    let attacks: Vec<_> = ATTACKS.iter().filter(chosen).collect();
    let known = || ATTACKS.iter().map(|attack| attack.name).collect::<Vec<_>>().join(", ");
    ensure!(!attacks.is_empty(), "no attack is called {}: there are {}", names.join(", "), known());
    let each = env::var("EACH").map_or(Ok(EACH), |each| each.parse()).context("EACH is a number of seconds")?;
    let each = Duration::from_secs(each);
    let folder = folder()?;
    let means = Means::find();
    println!("{means}; each attack lasts {} s", each.as_secs());
    rlimit::increase_nofile_limit(u64::MAX)?;

    let begun = Instant::now();
    let mut rows = Vec::new();
    for attack in attacks {
        println!("{:5} s  {}", begun.elapsed().as_secs(), attack.name);
        let row = trial::run(attack, &means, each, &folder)?;
        row.faults.iter().for_each(|fault| println!("         FAULT: {fault}"));
        rows.push(row);
        // After each: a long run that is ended early has told something.
        fs::write(folder.join("attacks.md"), report::table(&rows))?;
    }
    println!("\n{}", report::table(&rows));
    println!("{} s in all; also in {}", begun.elapsed().as_secs(), folder.display());
    let failed: Vec<_> = rows.iter().filter(|row| !row.faults.is_empty()).map(|row| row.attack).collect();
    ensure!(failed.is_empty(), "{} of {} attacks did harm: {}", failed.len(), rows.len(), failed.join(", "));
    Ok(())
}

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where reports and logs go.
fn folder() -> Result<PathBuf> {
    let folder = env::var_os("REPORT").map_or_else(|| root().join("target/attacks"), PathBuf::from);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
