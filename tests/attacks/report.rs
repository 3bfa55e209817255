//! What each attack cost, as a table.

use std::time::Duration;

use crate::deployment::Memory;
use crate::net::megabytes;

/// A tier's memory in bytes: before the attack, at most, at the end of it, and the limit.
pub struct Use {
    pub tier: &'static str,
    pub before: u64,
    pub last: Memory,
    pub limit: u64,
}

/// One attack.
pub struct Row {
    pub attack: &'static str,
    /// What the attacker did.
    pub did: String,
    pub lasted: Duration,
    pub uses: Vec<Use>,
    /// Requests of the honest client during the attack, and the longest that one took.
    pub served: usize,
    pub refused: usize,
    pub failed: usize,
    pub slowest: Duration,
    /// From the end of the attack to the answer of the first request that was sent after it and was served.
    pub well_after: Option<Duration>,
    /// Why it did harm.
    pub faults: Vec<String>,
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let memory = self.uses.iter().map(|one| {
            let [before, peak, end] = [one.before, one.last.peak, one.last.now].map(megabytes);
            format!("{before} / {peak} / {end} of {}", one.limit >> 20)
        });
        let mut cells = vec![self.attack.to_owned(), self.did.clone(), seconds(self.lasted)];
        cells.extend(memory);
        cells.push(format!("{} / {} / {}", self.served, self.refused, self.failed));
        cells.push(seconds(self.slowest));
        cells.push(self.well_after.map_or("never".to_owned(), seconds));
        cells.push(if self.faults.is_empty() { "held".to_owned() } else { self.faults.join("; ") });
        cells
    }
}

/// The rows as a table in Markdown. Memory is resident, in MB.
pub fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let tiers = first.uses.iter().map(|one| format!("{}: MB before / peak / end", one.tier));
    let mut head = ["attack", "what was done", "lasted"].map(str::to_owned).to_vec();
    head.extend(tiers);
    let rest = ["honest requests served / refused / failed", "slowest", "served again after", "result"];
    head.extend(rest.map(str::to_owned));
    let rule = vec!["---".to_owned(); head.len()];
    let lines = [head, rule].into_iter().chain(rows.iter().map(Row::cells));
    lines.map(|cells| format!("| {} |\n", cells.join(" | "))).collect()
}
