//! Limits the telemetry of each host, in bytes per second. Reports above the limit are dropped before they are parsed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A host that was silent may send the bytes of this time at once.
const BURST: Duration = Duration::from_secs(2);

/// Minimum bytes that a report counts as: short reports take time too.
const MIN_BYTES: usize = 1 << 10;

/// Maximum hosts whose use is tracked. When there are as many, those that may send a whole burst are removed.
const MAX_HOSTS: usize = 4_096;

/// The limits of all hosts (the generic cell rate algorithm).
pub struct Allowance {
    per_second: f64,
    /// The time until which each host has used its limit; at most [`BURST`] in the future.
    used_until: HashMap<IpAddr, Instant>,
}

impl Allowance {
    /// `per_second`: bytes per second of each host; 0 counts as 1.
    pub fn new(per_second: u64) -> Self {
        Self { per_second: per_second.max(1) as f64, used_until: HashMap::new() }
    }

    /// Counts a report of `bytes` bytes. False, and not counted, if it exceeds its host's limit, or too many hosts are tracked.
    pub fn take(&mut self, host: IpAddr, bytes: usize, now: Instant) -> bool {
        if self.used_until.len() >= MAX_HOSTS && !self.used_until.contains_key(&host) {
            self.used_until.retain(|_, until| *until > now);
            if self.used_until.len() >= MAX_HOSTS {
                return false;
            }
        }
        let cost = Duration::from_secs_f64(bytes.max(MIN_BYTES) as f64 / self.per_second);
        let until = self.used_until.entry(host).or_insert(now);
        let after = (*until).max(now) + cost;
        let has_room = after <= now + BURST;
        if has_room {
            *until = after;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn host(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn a_host_may_send_a_burst_and_then_its_rate_whatever_others_send() {
        let (mut allowance, now) = (Allowance::new(100 << 10), Instant::now());
        let mut taken = |host, bytes, now| (0..1_000).filter(|_| allowance.take(host, bytes, now)).count();
        assert_eq!(taken(host(1), 10 << 10, now), 20);
        assert_eq!(taken(host(1), 10 << 10, now + SECOND), 10);
        assert_eq!(taken(host(2), 10 << 10, now + SECOND), 20);
        assert_eq!(taken(host(1), 10 << 10, now + 60 * SECOND), 20, "a longer silence allows no more");
        assert_eq!(taken(host(3), 1, now), 200, "a report of one byte counts as MIN_BYTES");
    }

    #[test]
    fn hosts_are_removed_when_they_may_send_a_burst_again() {
        let (mut allowance, now) = (Allowance::new(1 << 20), Instant::now());
        assert!((0..MAX_HOSTS as u32).all(|number| allowance.take(host(number), 1 << 20, now)));
        assert!(!allowance.take(host(MAX_HOSTS as u32), 1, now), "too many hosts are tracked");
        assert!(allowance.take(host(0), 1, now), "a tracked host may send");
        assert!(allowance.take(host(MAX_HOSTS as u32), 1, now + SECOND));
        assert_eq!(allowance.used_until.len(), 2);
    }
}
