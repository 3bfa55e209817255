//! Decides when a connection that stays down is replaced by a new one.
//!
//! libzmq reconnects after a lost connection, but never after a protocol error: a frame above the limit, a failed handshake,
//! another program at the port. The socket reports no difference, so a connection that stays down for longer than libzmq
//! needs to reconnect is disconnected and connected again.

use std::net::SocketAddr;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::{connect, endpoint};

/// How long a connection may stay down.
#[derive(Clone, Copy, Debug)]
pub struct RenewalPolicy {
    /// The first wait.
    pub first: Duration,
    /// The maximum wait; waits double up to it, with jitter. Must be long enough for a slow peer's handshake.
    pub longest: Duration,
}

impl RenewalPolicy {
    fn backoff(self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_jitter()
            .without_max_times()
            .build()
    }
}

/// The state of one connection, and the time of its next renewal.
#[derive(Debug)]
pub struct Renewal {
    policy: RenewalPolicy,
    backoff: ExponentialBackoff,
    state: State,
}

#[derive(Debug)]
enum State {
    Up { since: Instant },
    Down { due: Instant },
}

impl Renewal {
    /// For a connection that has just been started.
    pub fn new(policy: RenewalPolicy) -> Self {
        let mut backoff = policy.backoff();
        let due = Instant::now() + next(&mut backoff, policy);
        Self { policy, backoff, state: State::Down { due } }
    }

    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Sets whether the connection is up.
    pub fn set(&mut self, up: bool) {
        match (&self.state, up) {
            (State::Down { .. }, true) => self.state = State::Up { since: Instant::now() },
            (State::Up { since }, false) => {
                // Only a connection that lasted resets the backoff: one that ends at once each time must not be renewed in a
                // tight loop.
                if since.elapsed() >= self.policy.longest {
                    self.backoff = self.policy.backoff();
                }
                self.wait();
            }
            _ => {}
        }
    }

    /// The time of the next renewal; `None` while the connection is up.
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Up { .. } => None,
            State::Down { due } => Some(due),
        }
    }

    /// Returns true if the renewal is due, and starts the next wait.
    pub fn take_turn(&mut self) -> bool {
        let is_due = self.due().is_some_and(|due| due <= Instant::now());
        if is_due {
            self.wait();
        }
        is_due
    }

    fn wait(&mut self) {
        self.state = State::Down { due: Instant::now() + next(&mut self.backoff, self.policy) };
    }
}

fn next(backoff: &mut ExponentialBackoff, policy: RenewalPolicy) -> Duration {
    backoff.next().map_or(policy.longest, |wait| wait.min(policy.longest))
}

/// Disconnects a socket from an address and connects it again.
pub fn renew(socket: &zmq::Socket, address: SocketAddr) -> zmq::Result<()> {
    match socket.disconnect(&endpoint(address)) {
        // ENOENT: libzmq has dropped the connection already.
        Ok(()) | Err(zmq::Error::ENOENT) => connect(socket, address),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RenewalPolicy = RenewalPolicy { first: Duration::from_secs(1), longest: Duration::from_secs(8) };

    /// The current wait of a connection that is down, in seconds. Jitter at most doubles it.
    fn wait_s(renewal: &Renewal) -> f64 {
        (renewal.due().unwrap() - Instant::now()).as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_stays_down_is_renewed_at_growing_intervals() {
        let mut renewal = Renewal::new(POLICY);
        assert!(!renewal.take_turn());
        for at_least in [1.0, 2.0, 4.0, 8.0, 8.0] {
            assert!((at_least..=2.0 * at_least).contains(&wait_s(&renewal)), "{at_least}: {renewal:?}");
            tokio::time::advance(renewal.due().unwrap() - Instant::now()).await;
            assert!(renewal.take_turn() && !renewal.take_turn());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_lasted_starts_over_with_the_shortest_wait() {
        let mut renewal = Renewal::new(POLICY);
        renewal.set(true);
        assert!(renewal.due().is_none() && !renewal.take_turn());
        renewal.set(false);
        assert!(wait_s(&renewal) >= 2.0, "{renewal:?}");
        let due = renewal.due();
        renewal.set(false);
        assert_eq!(renewal.due(), due, "it is down already");
        renewal.set(true);
        tokio::time::advance(POLICY.longest).await;
        renewal.set(false);
        assert!((1.0..=2.0).contains(&wait_s(&renewal)), "{renewal:?}");
    }
}
