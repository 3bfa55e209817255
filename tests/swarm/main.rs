//! The stack on a real swarm of three nodes, under load, while all that happens to swarms happens to it.
//!
//!     IMAGE=swarmq tests/swarm/run core      what the gate runs
//!     IMAGE=swarmq tests/swarm/run all       everything
//!     IMAGE=swarmq tests/swarm/run kill web  some events, by name
//!
//! Needs root and Docker (`swarm-lab.md`). Without arguments, as in a plain `cargo test`, it does nothing. With KEEP=1 the
//! lab is left running. REPORT=FOLDER is where `swarm.md` and `swarm.json` go (target/swarm).

mod events;
mod experiment;
mod lab;
mod load;
mod report;
mod stack;
mod trial;
mod watch;

use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use events::{CORE, Event, MORE};
use lab::{Lab, NODES};
use report::{Row, millis};
use stack::Stack;
use trial::Trial;
use watch::Watch;

fn main() -> Result<()> {
    // Flags are for the test harness that this is not.
    let names: Vec<String> = env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    if names.is_empty() {
        println!("skipped: the swarm's tests need root and Docker; tests/swarm/run runs them");
        return Ok(());
    }
    let events = chosen(&names)?;
    let image = env::var("IMAGE").unwrap_or_else(|_| "swarmq".to_owned());
    let begun = Instant::now();
    let lab = Lab::up(&image)?;
    println!("{:5} s  a swarm of {} nodes with {image}", begun.elapsed().as_secs(), NODES.len());
    let rows = tried(&lab, &events)?;
    let folder = folder()?;
    report::write(&rows, &folder.join("swarm.json"))?;
    fs::write(folder.join("swarm.md"), report::table(&rows))?;
    println!("\n{}", report::table(&rows));
    println!("{} s in all; also in {}", begun.elapsed().as_secs(), folder.display());
    let faults: Vec<_> = rows.iter().flat_map(|row| row.faults.iter().map(|fault| (&row.event, fault))).collect();
    faults.iter().for_each(|(event, fault)| eprintln!("FAULT: {event}: {fault}"));
    ensure!(faults.is_empty(), "{} of it did not hold", faults.len());
    Ok(())
}

/// The events of these names.
fn chosen(names: &[String]) -> Result<Vec<Event>> {
    let all = || CORE.into_iter().chain(MORE);
    let mut events = Vec::new();
    for name in names {
        match name.as_str() {
            "core" => events.extend(CORE),
            "all" => events.extend(all()),
            name => match all().find(|(known, _)| *known == name) {
                Some(event) => events.push(event),
                None => {
                    let known: Vec<_> = all().map(|(known, _)| known).collect();
                    bail!("no event is called {name}: there are core, all, {}", known.join(", "));
                }
            },
        }
    }
    Ok(events)
}

/// Deploys, then runs the events in turn; an event that never ends is the last.
fn tried(lab: &Lab, events: &[Event]) -> Result<Vec<Row>> {
    let addresses: Vec<_> = NODES[..2].iter().map(|node| lab.address(node)).collect::<Result<_>>()?;
    let webs: Vec<_> = addresses.iter().map(|address| format!("{address}:3000")).collect();
    let watch = Watch::start(webs.clone());
    let mut trial = Trial { stack: Stack { lab }, watch, webs, rows: vec![] };
    let begun = Instant::now();
    events::deploy(&trial).context("deploy")?;
    println!("{:5} s  deployed, and every instance at work", begun.elapsed().as_secs());
    trial.rows.push(Row { event: "deploy".to_owned(), settled_ms: millis(begun.elapsed()), ..Row::default() });
    for (name, event) in events {
        let known = trial.rows.len();
        let ended = event(&mut trial);
        if let Err(error) = &ended {
            let fault = format!("{error:#}");
            println!("         FAULT: {fault}");
            trial.rows.push(Row { event: (*name).to_owned(), faults: vec![fault], ..Row::default() });
        }
        if trial.rows[known..].iter().any(|row| !row.faults.is_empty()) {
            keep_logs(&trial.stack, name)?;
        }
        if ended.is_err() {
            break;
        }
    }
    Ok(trial.rows)
}

/// Keeps what the swarm and the services have to say about an event.
fn keep_logs(stack: &Stack, event: &str) -> Result<()> {
    let folder = folder()?;
    let services = ["web", "requester", "responder"].map(|name| (name, stack.lab.log(&format!("swarmq_{name}"))));
    for (name, told) in services.into_iter().chain([("tasks", stack.docker(&["stack", "ps", "--no-trunc", "swarmq"]))])
    {
        let path = folder.join(format!("{event}-{name}.log"));
        fs::write(&path, told.unwrap_or_else(|error| format!("{error:#}")))?;
    }
    println!("         the logs are in {}", folder.display());
    Ok(())
}

/// Where reports and logs go.
fn folder() -> Result<PathBuf> {
    let folder = env::var_os("REPORT").map_or_else(|| lab::root().join("target/swarm"), PathBuf::from);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
