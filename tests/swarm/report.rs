//! What each event cost, as a table and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use swarmq::wire::{Ledger, RequestView};

use crate::load::{Asked, End};

/// Requests that take longer count as disturbed: five times what they usually do.
const SLOW: Duration = Duration::from_secs(1);

/// One event.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub event: String,
    /// Requests of the load.
    pub sent: usize,
    /// Those that had no response at all, and those whose messages had not all one.
    pub failed: usize,
    pub in_part: usize,
    pub slowest_ms: u64,
    /// From the event to the end of the last request that failed or was slow; 0 when none was.
    pub recovered_ms: u64,
    /// From the event to the end of the last request that failed, whole or in part; 0 when none did.
    pub failing_ms: u64,
    /// From the event to all replicas at work.
    pub settled_ms: u64,
    /// Messages sent again by the requesters, second replies, and replies too late.
    pub retries: u64,
    pub duplicates: u64,
    pub late: u64,
    /// Where the replies came from.
    pub nodes: BTreeSet<String>,
    /// What went wrong, and how often.
    pub problems: BTreeMap<String, usize>,
    /// The requests that it went wrong for.
    pub disturbed: Vec<RequestView>,
    /// What else was measured.
    pub notes: Vec<String>,
    /// The ledgers of the tiers: what was added.
    pub ledgers: BTreeMap<&'static str, Ledger>,
    /// Why it does not count as passed.
    pub faults: Vec<String>,
    pub seconds: u64,
}

impl Row {
    /// Takes in what became of the requests; `disturbed` is when the event began.
    pub fn count(&mut self, asked: &[Asked], disturbed: Instant) {
        self.sent = asked.len();
        for asked in asked {
            let problem = asked.problem();
            match (&problem, &asked.end) {
                (None, _) => {}
                (Some(text), End::Ended(_)) if text.starts_with("in part") => self.in_part += 1,
                _ => self.failed += 1,
            }
            self.slowest_ms = self.slowest_ms.max(millis(asked.took()));
            let ended = millis(asked.ended.saturating_duration_since(disturbed));
            if problem.is_some() {
                self.failing_ms = self.failing_ms.max(ended);
            }
            if problem.is_some() || asked.took() > SLOW {
                self.recovered_ms = self.recovered_ms.max(ended);
            }
            if let (Some(_), End::Ended(view)) = (&problem, &asked.end) {
                self.disturbed.push((**view).clone());
            }
            if let Some(problem) = problem {
                *self.problems.entry(without_numbers(&problem)).or_default() += 1;
            }
        }
    }

    fn cells(&self) -> [String; 9] {
        let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
        [
            self.event.clone(),
            self.sent.to_string(),
            self.failed.to_string(),
            self.in_part.to_string(),
            seconds(self.slowest_ms),
            if self.recovered_ms == 0 { "at once".to_owned() } else { seconds(self.recovered_ms) },
            seconds(self.settled_ms),
            self.retries.to_string(),
            (self.duplicates + self.late).to_string(),
        ]
    }
}

pub fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// Addresses and ids would make each problem one of its own.
fn without_numbers(text: &str) -> String {
    let mut short = String::new();
    for part in text.split_inclusive([' ', ',', ';', '(', ')']) {
        let digits = part.chars().filter(char::is_ascii_digit).count();
        short.push_str(if digits > 3 { "… " } else { part });
    }
    short.trim_end().to_owned()
}

/// The rows as a table in Markdown.
pub fn table(rows: &[Row]) -> String {
    let head = [
        "event",
        "requests",
        "failed",
        "in part",
        "slowest",
        "quick again after",
        "all replicas after",
        "sent again",
        "late or twice",
    ];
    let mut lines = vec![head.map(str::to_owned), head.map(|_| "---".to_owned())];
    lines.extend(rows.iter().map(Row::cells));
    lines.iter().map(|cells| format!("| {} |\n", cells.join(" | "))).collect()
}

/// Writes the rows as JSON.
pub fn write(rows: &[Row], path: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(rows)?;
    std::fs::write(path, json + "\n").with_context(|| format!("can't write {}", path.display()))
}
