//! The ledger: every message sent has exactly one outcome: response, error or timeout.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Outcome;

/// One tier's counts since its instance started.
///
/// Requester, broker and responder count messages; the web tier counts a request once for each link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    pub sent: u64,
    pub responses: u64,
    pub errors: u64,
    pub timeouts: u64,
    pub in_flight: u64,
    /// Second and further replies to one message.
    pub duplicates: u64,
    /// Replies to messages that had ended without one.
    pub late: u64,
    /// Messages sent again.
    pub retries: u64,
    /// Messages whose deadline passed in a queue, at the broker, or before the end of their delay and task; also counted in
    /// `timeouts`.
    pub expired: u64,
}

impl Ledger {
    /// True if sent = responses + errors + timeouts + in flight.
    pub fn is_balanced(&self) -> bool {
        let ended = self.responses.saturating_add(self.errors).saturating_add(self.timeouts);
        self.sent == ended.saturating_add(self.in_flight)
    }

    /// True if no count is lower in `later`, as in a later state of the same instance's ledger. In flight is no count.
    pub fn grows_to(&self, later: &Self) -> bool {
        let counts = |ledger: &Self| {
            let Self { sent, responses, errors, timeouts, duplicates, late, retries, expired, in_flight: _ } = *ledger;
            [sent, responses, errors, timeouts, duplicates, late, retries, expired]
        };
        counts(self).iter().zip(counts(later)).all(|(before, after)| *before <= after)
    }

    /// The counts since an earlier state of the same instance's ledger.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            responses: self.responses.saturating_sub(earlier.responses),
            errors: self.errors.saturating_sub(earlier.errors),
            timeouts: self.timeouts.saturating_sub(earlier.timeouts),
            in_flight: self.in_flight.saturating_sub(earlier.in_flight),
            duplicates: self.duplicates.saturating_sub(earlier.duplicates),
            late: self.late.saturating_sub(earlier.late),
            retries: self.retries.saturating_sub(earlier.retries),
            expired: self.expired.saturating_sub(earlier.expired),
        }
    }

    /// Adds another instance's counts to these.
    pub fn add(&mut self, other: &Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.responses = self.responses.saturating_add(other.responses);
        self.errors = self.errors.saturating_add(other.errors);
        self.timeouts = self.timeouts.saturating_add(other.timeouts);
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        self.late = self.late.saturating_add(other.late);
        self.retries = self.retries.saturating_add(other.retries);
        self.expired = self.expired.saturating_add(other.expired);
    }
}

/// The ledger that an instance's workers write to. One lock guards all counts, so that it balances whenever it is read.
#[derive(Debug, Default)]
pub struct LedgerCounters(Mutex<Ledger>);

impl LedgerCounters {
    /// Counts an accepted message.
    pub fn sent(&self) {
        let mut ledger = self.0.lock();
        ledger.sent += 1;
        ledger.in_flight += 1;
    }

    /// Counts the outcome of an accepted message.
    pub fn ended(&self, outcome: Outcome) {
        let mut ledger = self.0.lock();
        match outcome {
            Outcome::Response => ledger.responses += 1,
            Outcome::Error => ledger.errors += 1,
            Outcome::Timeout => ledger.timeouts += 1,
        }
        ledger.in_flight = ledger.in_flight.saturating_sub(1);
    }

    pub fn duplicate(&self) {
        self.0.lock().duplicates += 1;
    }

    pub fn late(&self) {
        self.0.lock().late += 1;
    }

    /// Counts an accepted message that expired.
    pub fn expired(&self) {
        let mut ledger = self.0.lock();
        ledger.timeouts += 1;
        ledger.expired += 1;
        ledger.in_flight = ledger.in_flight.saturating_sub(1);
    }

    pub fn retry(&self) {
        self.0.lock().retries += 1;
    }

    pub fn read(&self) -> Ledger {
        *self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_balances_after_every_step_but_not_with_an_outcome_too_many() {
        let counters = LedgerCounters::default();
        for outcome in [Outcome::Response, Outcome::Error, Outcome::Timeout] {
            counters.sent();
            counters.sent();
            assert!(counters.read().is_balanced());
            counters.ended(outcome);
            counters.late();
            counters.duplicate();
            assert!(counters.read().is_balanced());
        }
        let mut ledger = counters.read();
        assert_eq!((ledger.sent, ledger.in_flight, ledger.late), (6, 3, 3));
        ledger.add(&ledger.clone());
        assert!(ledger.is_balanced());
        ledger.responses += 1;
        assert!(!ledger.is_balanced());
    }

    #[test]
    fn an_outcome_counted_twice_unbalances_it() {
        let counters = LedgerCounters::default();
        counters.sent();
        counters.ended(Outcome::Response);
        counters.ended(Outcome::Timeout);
        assert!(!counters.read().is_balanced());
    }
}
