//! How much each host may send, in bytes a second. What is beyond it is left out before it costs anything.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What a host that was silent may send at once: what it may in so much time.
const BURST: Duration = Duration::from_secs(2);

/// The least that a report counts for, in bytes: a short one is work too.
const LEAST: usize = 1 << 10;

/// Hosts that are known at one time; one is forgotten when it may send a whole burst again.
const HOSTS: usize = 4_096;

/// What each host has sent lately.
pub struct Allowance {
    per_second: f64,
    /// Until when a host has used its allowance up; at most [`BURST`] ahead.
    used_until: HashMap<IpAddr, Instant>,
}

impl Allowance {
    /// So many bytes a second for each host, of which there is at least one.
    pub fn new(per_second: u64) -> Self {
        Self { per_second: per_second.max(1) as f64, used_until: HashMap::new() }
    }

    /// Counts a report of so many bytes; false, and not counted, where the host has no room for it.
    pub fn take(&mut self, host: IpAddr, bytes: usize, now: Instant) -> bool {
        if self.used_until.len() >= HOSTS && !self.used_until.contains_key(&host) {
            self.used_until.retain(|_, until| *until > now);
            if self.used_until.len() >= HOSTS {
                return false;
            }
        }
        let cost = Duration::from_secs_f64(bytes.max(LEAST) as f64 / self.per_second);
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
    fn a_host_may_send_a_burst_and_then_its_rate_and_takes_nothing_from_others() {
        let (mut allowance, now) = (Allowance::new(100 << 10), Instant::now());
        let mut taken = |host, bytes, now| (0..1_000).filter(|_| allowance.take(host, bytes, now)).count();
        assert_eq!(taken(host(1), 10 << 10, now), 20);
        assert_eq!(taken(host(1), 10 << 10, now + SECOND), 10);
        assert_eq!(taken(host(2), 10 << 10, now + SECOND), 20);
        assert_eq!(taken(host(1), 10 << 10, now + 60 * SECOND), 20, "no more is saved up");
        assert_eq!(taken(host(3), 1, now), 200, "a report of one byte is work too");
    }

    #[test]
    fn hosts_are_forgotten_when_they_have_paid() {
        let (mut allowance, now) = (Allowance::new(1 << 20), Instant::now());
        assert!((0..HOSTS as u32).all(|number| allowance.take(host(number), 1 << 20, now)));
        assert!(!allowance.take(host(HOSTS as u32), 1, now), "there are too many");
        assert!(allowance.take(host(0), 1, now), "one that is known goes on");
        assert!(allowance.take(host(HOSTS as u32), 1, now + SECOND));
        assert_eq!(allowance.used_until.len(), 2);
    }
}
