//! Permits for open connections: bounds their number, and evicts an idle connection when a new one needs a permit.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A connection without requests under way counts as idle when its last request is older than this.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// A connection that has been admitted.
pub struct OpenConnection {
    /// One permit for each request that may be under way on the connection.
    pub requests: Arc<Semaphore>,
    limit: usize,
    /// Time of the last request; `None` if there was none.
    last_request: Mutex<Option<Instant>>,
    opened_at: Instant,
    /// Nothing more is read from the peer.
    input_ended: AtomicBool,
    /// Cancelled when a new connection takes the permit.
    pub evicted: CancellationToken,
}

/// The permit of an open connection, released on drop.
pub struct ConnectionPermit {
    connections: Arc<OpenConnections>,
    connection: Arc<OpenConnection>,
}

impl ConnectionPermit {
    pub fn connection(&self) -> Arc<OpenConnection> {
        self.connection.clone()
    }
}

impl Deref for ConnectionPermit {
    type Target = OpenConnection;

    fn deref(&self) -> &OpenConnection {
        &self.connection
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.all.lock().retain(|other| !Arc::ptr_eq(other, &self.connection));
    }
}

/// The open connections; their number is bounded.
pub struct OpenConnections {
    max: usize,
    /// Oldest first.
    all: Mutex<Vec<Arc<OpenConnection>>>,
}

impl OpenConnection {
    fn new(limit: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(limit)),
            limit,
            last_request: Mutex::default(),
            opened_at: Instant::now(),
            input_ended: AtomicBool::new(false),
            evicted: CancellationToken::new(),
        }
    }

    /// Records the time of a request.
    pub fn record_request(&self) {
        *self.last_request.lock() = Some(Instant::now());
    }

    /// Marks that nothing more is read: from now on the connection counts as idle, even with requests under way.
    pub fn set_input_ended(&self) {
        self.input_ended.store(true, Ordering::Relaxed);
    }

    fn has_input_ended(&self) -> bool {
        self.input_ended.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        let is_recent = self.last_request.lock().is_some_and(|last| last.elapsed() < IDLE_AFTER);
        self.has_input_ended() || !is_recent && self.requests.available_permits() == self.limit
    }

    /// The lowest rank is evicted first: connections without any request or with ended input, then by the oldest last request.
    fn eviction_rank(&self) -> (bool, Instant) {
        let last = *self.last_request.lock();
        (last.is_some() && !self.has_input_ended(), last.unwrap_or(self.opened_at))
    }
}

impl OpenConnections {
    /// Admits up to `max` connections at a time.
    pub fn new(max: usize) -> Self {
        Self { max, all: Mutex::default() }
    }

    /// A permit for a connection on which up to `limit` requests may be under way. If none is free, evicts the connection that
    /// has been idle for the longest time. `None` if no connection is idle.
    pub fn admit(self: &Arc<Self>, limit: usize) -> Option<ConnectionPermit> {
        let mut all = self.all.lock();
        if all.len() >= self.max {
            let idle = all.iter().enumerate().filter(|(_, connection)| connection.is_idle());
            let (idlest, _) = idle.min_by_key(|(_, connection)| connection.eviction_rank())?;
            all.remove(idlest).evicted.cancel();
        }
        let connection = Arc::new(OpenConnection::new(limit));
        all.push(connection.clone());
        Some(ConnectionPermit { connections: self.clone(), connection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_takes_the_permit_of_the_idlest_one() {
        let open_connections = Arc::new(OpenConnections::new(3));
        let admit = || open_connections.admit(5);
        let [first, second, third] = [admit().unwrap(), admit().unwrap(), admit().unwrap()];
        first.record_request();
        tokio::time::advance(IDLE_AFTER / 2).await;
        second.record_request();
        let fourth = admit().unwrap();
        let evicted = |connection: &ConnectionPermit| connection.evicted.is_cancelled();
        assert!(evicted(&third) && !evicted(&first) && !evicted(&second), "the third had no request");
        let under_way = fourth.requests.try_acquire().unwrap();
        assert!(admit().is_none(), "one has a request under way, and two had a request recently");
        tokio::time::advance(IDLE_AFTER / 2).await;
        let fifth = admit().unwrap();
        assert!(evicted(&first) && !evicted(&second), "the first has been silent for the longest time");
        fifth.record_request();
        assert!(admit().is_none());
        drop(under_way);
        let sixth = admit().unwrap();
        assert!(evicted(&fourth) && !evicted(&second));
        second.record_request();
        let _under_way = second.requests.try_acquire().unwrap();
        second.set_input_ended();
        let seventh = admit().unwrap();
        assert!(evicted(&second), "its input has ended");
        drop(fifth);
        assert_eq!(open_connections.all.lock().len(), 2);
        drop((sixth, seventh));
        assert!(open_connections.all.lock().is_empty());
    }
}
