//! Deadlines between processes. The processes of one host share its monotonic clock, containers included; a message from
//! another host carries the time left when it was sent.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::wire::DeliveryFrame;

/// This host's id, the same until it reboots. If the kernel reports none, a random number: then deadlines of other processes
/// are taken from the time left, never from their clock.
static HOST: LazyLock<u64> = LazyLock::new(|| match std::fs::read("/proc/sys/kernel/random/boot_id") {
    Ok(id) => Sha256::digest(id).iter().take(8).fold(0, |host, byte| host << 8 | u64::from(*byte)),
    Err(_) => RandomState::new().hash_one(std::process::id()),
});

/// Microseconds of the host's monotonic clock.
fn now_us() -> u64 {
    // Linux always has this clock. 0 would make the deadlines of other processes later, never earlier.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| Duration::from(now).as_micros() as u64)
}

/// The frame that carries a message's delivery id and deadline to another process.
pub fn delivery_frame(delivery_id: Uuid, deadline: Instant) -> DeliveryFrame {
    let left = deadline.saturating_duration_since(Instant::now());
    DeliveryFrame {
        delivery_id,
        host: *HOST,
        deadline_us: now_us() + left.as_micros() as u64,
        left_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
    }
}

/// The deadline in a frame, by this process's clock.
pub fn deadline_of(frame: &DeliveryFrame) -> Instant {
    let left = match frame.host == *HOST {
        true => Duration::from_micros(frame.deadline_us.saturating_sub(now_us())),
        false => Duration::from_millis(frame.left_ms.into()),
    };
    // Limited to the longest timeout, an hour: adding a larger time could overflow the clock.
    Instant::now() + left.min(Duration::from_millis(crate::wire::MAX_TIMEOUT_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_is_exact_on_this_host_and_becomes_the_time_left_on_another() {
        let deadline = Instant::now() + Duration::from_secs(5);
        let frame = delivery_frame(Uuid::nil(), deadline);
        let again = deadline_of(&frame);
        assert!(again.max(deadline) - again.min(deadline) < Duration::from_secs(1));
        let elsewhere = DeliveryFrame { host: frame.host ^ 1, deadline_us: 0, left_ms: 60_000, ..frame };
        assert!(deadline_of(&elsewhere) > deadline);
        let passed = DeliveryFrame { deadline_us: 0, ..frame };
        assert!(deadline_of(&passed) <= Instant::now());
        let endless = DeliveryFrame { deadline_us: u64::MAX, ..frame };
        assert!(deadline_of(&endless) > deadline);
    }
}
