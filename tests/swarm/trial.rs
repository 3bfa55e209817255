//! One event at a time: the ledgers before it, the load through it, the ledgers after it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use swarmq::wire::{Ledger, Tier};

use crate::load::{Asked, End, Load, RATE};
use crate::report::{Row, millis};
use crate::stack::{Stack, wait_for};
use crate::watch::{Watch, ledgers};

/// What an event may cost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// No request may fail, and every message that was sent is accounted for.
    Nothing,
    /// Something dies without a word: what only it held is lost, and nothing that is asked for once all is whole again.
    WhatDiedHeld,
}

/// What an event says of itself while it goes on.
#[derive(Default)]
pub struct Notes {
    lines: RefCell<Vec<String>>,
    /// Nodes that were killed or cut off: their last figures never came.
    lost: RefCell<BTreeSet<String>>,
    /// When the replicas were all there again, if not at the event's end.
    settled: RefCell<Option<Instant>>,
}

impl Notes {
    pub fn line(&self, text: impl Into<String>) {
        let text = text.into();
        println!("         {text}");
        self.lines.borrow_mut().push(text);
    }

    /// Notes how long something took. It is no fault, however long: the machine may be busy.
    pub fn time(&self, what: &str, took: Duration) {
        self.line(format!("{what}: {:.1} s", took.as_secs_f64()));
    }

    pub fn lost(&self, node: &str) {
        self.lost.borrow_mut().insert(node.to_owned());
    }

    pub fn settled(&self) {
        self.settled.borrow_mut().get_or_insert(Instant::now());
    }
}

/// The deployment under trial.
pub struct Trial<'a> {
    pub stack: Stack<'a>,
    pub watch: Watch,
    /// `host:port` of the nodes that may run a web instance.
    pub webs: Vec<String>,
    pub rows: Vec<Row>,
}

impl Trial<'_> {
    /// Runs an event under load and reports it. An error means that the event itself never came to its end.
    pub fn event(&mut self, name: &str, cost: Cost, act: impl FnOnce(&Self, &Notes) -> Result<()>) -> Result<()> {
        println!("{name}");
        let (begun, notes) = (Instant::now(), Notes::default());
        let before = ledgers(&self.watch);
        let load = Load::start(self.webs.clone());
        good_requests(&load, 2 * RATE as usize)?;
        let disturbed = Instant::now();
        let acted = act(self, &notes);
        let settled = notes.settled.borrow().unwrap_or_else(Instant::now);
        let again = acted.and_then(|()| good_requests(&load, 3 * RATE as usize));
        let asked = load.stop()?;
        let mut row =
            Row { event: name.to_owned(), settled_ms: millis(settled.duration_since(disturbed)), ..Row::default() };
        row.count(&asked, disturbed);
        notes.lost.borrow().iter().for_each(|node| self.watch.write_off(node));
        let balanced = wait_for("every ledger balanced, with nothing in flight", Duration::from_secs(30), || {
            Ok(self.watch.unsettled().is_empty())
        });
        if balanced.is_err() {
            row.faults.push(format!("ledgers: {}", self.watch.unsettled().join("; ")));
        }
        row.faults.extend(outcomes(&asked));
        row.faults.extend(self.judge(cost, &row, &asked, settled, before["requester"]));
        let after = ledgers(&self.watch);
        row.ledgers = after.iter().map(|(tier, after)| (*tier, after.since(&before[tier]))).collect();
        let requesters = row.ledgers["requester"];
        (row.retries, row.duplicates, row.late) = (requesters.retries, requesters.duplicates, requesters.late);
        row.nodes = answering(&asked);
        row.notes = notes.lines.into_inner();
        row.seconds = begun.elapsed().as_secs();
        println!(
            "{:5} s  {} requests, {} failed, {} in part, none after {} ms, slowest {} ms, quick again after {} ms, replicas after {} ms",
            row.seconds,
            row.sent,
            row.failed,
            row.in_part,
            row.failing_ms,
            row.slowest_ms,
            row.recovered_ms,
            row.settled_ms
        );
        row.problems.iter().for_each(|(problem, count)| println!("         {count} x {problem}"));
        row.faults.iter().for_each(|fault| println!("         FAULT: {fault}"));
        self.rows.push(row);
        again
    }

    /// What is not as it should be.
    fn judge(&self, cost: Cost, row: &Row, asked: &[Asked], settled: Instant, before: Ledger) -> Vec<String> {
        let mut faults = Vec::new();
        match cost {
            Cost::Nothing => {
                if row.failed + row.in_part > 0 {
                    faults.push(format!("{} requests failed, {} in part", row.failed, row.in_part));
                }
                // The requesters' books against the clients': the same messages, with the same ends.
                let clients = messages(asked);
                let agreed = wait_for("the clients' count in the requesters' ledger", Duration::from_secs(10), || {
                    Ok(ends(&self.watch.ledger(Tier::Requester).since(&before)) == ends(&clients))
                });
                if agreed.is_err() {
                    let requesters = self.watch.ledger(Tier::Requester).since(&before);
                    faults.push(format!("the clients count {clients:?}, the requesters {requesters:?}"));
                }
            }
            Cost::WhatDiedHeld => {
                let after = asked.iter().filter(|asked| asked.due > settled).filter_map(Asked::problem);
                faults.extend(after.map(|problem| format!("a request failed after all was whole again: {problem}")));
            }
        }
        faults
    }
}

/// Waits until so many more requests have ended well.
fn good_requests(load: &Load, count: usize) -> Result<()> {
    let begin = load.so_far().1;
    wait_for("requests that end well", Duration::from_secs(60), || Ok(load.so_far().1 >= begin + count)).map(drop)
}

/// Requests of which a message has no outcome, or several.
fn outcomes(asked: &[Asked]) -> Vec<String> {
    let views = asked.iter().filter_map(|asked| match &asked.end {
        End::Ended(view) => Some(view),
        _ => None,
    });
    let wrong = views.filter(|view| {
        view.counts.total() != view.messages.len() as u64
            || view.messages.iter().any(|message| {
                let replies = view.replies.iter().filter(|reply| reply.message_id == message.message_id).count();
                replies + usize::from(message.lost.is_some()) != 1
            })
    });
    wrong.map(|view| format!("not one outcome for each message: {view:?}")).collect()
}

/// The nodes that replies came from.
fn answering(asked: &[Asked]) -> BTreeSet<String> {
    let views = asked.iter().filter_map(|asked| match &asked.end {
        End::Ended(view) => Some(view),
        _ => None,
    });
    views.flat_map(|view| &view.replies).filter_map(|reply| reply.node.clone()).collect()
}

/// The messages of all requests that ended, by outcome.
fn messages(asked: &[Asked]) -> Ledger {
    let mut sum = Ledger::default();
    for asked in asked {
        let End::Ended(view) = &asked.end else { continue };
        sum.sent += view.messages.len() as u64;
        sum.responses += view.counts.responses;
        sum.errors += view.counts.errors;
        sum.timeouts += view.counts.timeouts;
    }
    sum
}

fn ends(ledger: &Ledger) -> [u64; 4] {
    [ledger.sent, ledger.responses, ledger.errors, ledger.timeouts]
}
