//! One attack: what is looked at while it lasts, and what has to hold.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use swarmq::wire::Topology;

use crate::client::{Asked, Client, End};
use crate::deployment::{Deployment, Instance, Memory, Site};
use crate::http::get;
use crate::limits::Means;
use crate::net::wait_for;
use crate::report::{Row, Use};
use crate::{Attack, Expect};

/// Between two looks at the instances.
const LOOK: Duration = Duration::from_millis(100);

/// After an attack, everything is as it was within so long.
const RECOVERY: Duration = Duration::from_secs(20);

/// Attacks of at least so long must have stopped filling memory: what has a bound may still be on its way there before.
const LONG: Duration = Duration::from_secs(100);

/// The share of its limit that an instance's memory may still grow by in the last third of a long attack, beyond what it
/// was in the second.
const GROWTH: f64 = 0.05;

/// Carries an attack out on a deployment of its own.
pub fn run(attack: &Attack, means: &Means, each: Duration, folder: &Path) -> Result<Row> {
    let mut deployment = Deployment::start(attack, means)?;
    let before: Vec<_> = deployment.instances.iter().map(|one| one.memory().unwrap_or_default().now).collect();
    let client = Client::start(deployment.site.web);
    let begun = Instant::now();
    let (did, samples, mut faults) = watch(attack, &mut deployment, begun + each);
    let ended = Instant::now();
    let lasted = ended - begun;
    let again = match faults.is_empty() {
        true => {
            let well = |asked: &Asked| asked.begun > ended && asked.end == End::Served;
            let again = wait_for(RECOVERY, || client.asked().into_iter().find(well));
            faults.extend(deployment.instances.iter_mut().filter_map(Instance::end));
            again
        }
        // Who has died serves nobody.
        false => None,
    };
    let did = did.unwrap_or_else(|error| {
        faults.push(format!("{error:#}"));
        "see the result".to_owned()
    });
    let asked: Vec<_> = client.stop()?.into_iter().filter(|asked| asked.begun < ended).collect();
    faults.extend(unserved(attack.expect, &asked, begun));
    faults.extend(growth(&deployment.instances, &samples, lasted));
    match again {
        Some(_) => faults.extend(unbalanced(&deployment.site)),
        None => faults.push(format!("no request was served within {} s after it", RECOVERY.as_secs())),
    }
    if !faults.is_empty() {
        for instance in &deployment.instances {
            fs::write(folder.join(format!("{}-{}.log", attack.name, instance.tier)), instance.log())?;
        }
    }
    let last = samples.last().cloned().unwrap_or_default();
    let count = |wanted: fn(&End) -> bool| asked.iter().filter(|asked| wanted(&asked.end)).count();
    Ok(Row {
        attack: attack.name,
        did,
        lasted,
        uses: deployment
            .instances
            .iter()
            .zip(before.into_iter().zip(last))
            .map(|(one, (before, last))| Use { tier: one.tier, before, last, limit: one.limit })
            .collect(),
        served: count(|end| *end == End::Served),
        refused: count(|end| *end == End::Refused),
        failed: count(|end| matches!(end, End::Failed(_))),
        slowest: asked.iter().map(|asked| asked.took).max().unwrap_or_default(),
        well_after: again.map(|asked| asked.begun + asked.took - ended),
        faults,
    })
}

/// Each instance's memory at each look.
type Samples = Vec<Vec<Memory>>;

/// Attacks, and looks at the instances meanwhile: what the attacker did, their memory, and how those ended that did. Of
/// these the last known memory stays.
fn watch(attack: &Attack, deployment: &mut Deployment, until: Instant) -> (Result<String>, Samples, Vec<String>) {
    let (site, instances) = (&deployment.site, &mut deployment.instances);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let (mut samples, mut ends): (Samples, _) = (vec![], vec![None; instances.len()]);
            let mut last = vec![Memory::default(); instances.len()];
            while !over.load(Ordering::Relaxed) {
                for ((instance, last), end) in instances.iter_mut().zip(&mut last).zip(&mut ends) {
                    *last = instance.memory().unwrap_or(*last);
                    *end = end.take().or_else(|| instance.end());
                }
                samples.push(last.clone());
                thread::sleep(LOOK);
            }
            (samples, ends.into_iter().flatten().collect())
        });
        let did = (attack.run)(site, until);
        over.store(true, Ordering::Relaxed);
        match looking.join() {
            Ok((samples, ends)) => (did, samples, ends),
            Err(_) => (Err(anyhow!("the watch has panicked")), vec![], vec![]),
        }
    })
}

/// The honest client's requests that were not answered as they should have been.
fn unserved(expect: Expect, asked: &[Asked], begun: Instant) -> Vec<String> {
    let from = match expect {
        Expect::ServedWithin(seconds) => begun + Duration::from_secs(seconds),
        Expect::Served | Expect::ServedOrRefused => begun,
    };
    let is_allowed = |end: &End| *end == End::Served || (*end == End::Refused && expect == Expect::ServedOrRefused);
    let others: Vec<_> = asked.iter().filter(|asked| asked.begun >= from && !is_allowed(&asked.end)).collect();
    let first = others.first().map(|asked| format!("{:?}", asked.end));
    first
        .map(|first| format!("{} of {} honest requests were not served, first: {first}", others.len(), asked.len()))
        .into_iter()
        .collect()
}

/// Instances that have outgrown their limit, or were still growing.
fn growth(instances: &[Instance], samples: &Samples, lasted: Duration) -> Vec<String> {
    let third = samples.len() / 3;
    let most = |number: usize, samples: &[Vec<Memory>]| {
        samples.iter().map(|memories| memories[number].now).max().unwrap_or_default() as f64
    };
    let mut faults = Vec::new();
    for (number, instance) in instances.iter().enumerate() {
        let (tier, limit) = (instance.tier, instance.limit as f64);
        let peak = samples.last().map_or(0, |memories| memories[number].peak);
        if peak > instance.limit {
            faults.push(format!("{tier} held {} MB, its limit is {}", peak >> 20, instance.limit >> 20));
        }
        let grown = most(number, &samples[2 * third..]) - most(number, &samples[third..2 * third]);
        if lasted >= LONG && grown > GROWTH * limit {
            faults.push(format!("{tier} grew by {:.0} MB in the last third", grown / f64::from(1 << 20)));
        }
    }
    faults
}

/// The deployment's instances whose ledger does not come to balance with nothing in flight.
fn unbalanced(site: &Site) -> Option<String> {
    let mut told = String::new();
    let look = || {
        let answer = get(site.web, "/api/v1/topology").ok()?;
        let topology: Topology = serde_json::from_slice(&answer.body).ok()?;
        // Those of the deployment, not what an attacker has told of.
        let own = topology.instances.iter().filter(|(id, _)| id.starts_with("attacked-"));
        let own: Vec<_> = own.map(|(id, view)| (id, view.snapshot.ledger)).collect();
        told = format!("{own:?}");
        let settled = own.iter().all(|(_, ledger)| ledger.is_balanced() && ledger.in_flight == 0);
        (own.len() == 4 && settled).then_some(())
    };
    match wait_for(RECOVERY, look) {
        Some(()) => None,
        None => Some(format!("the ledgers do not settle: {told}")),
    }
}
