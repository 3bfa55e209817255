//! The places of a socket master: who has one, and who gives it up when none is left.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// So long after its last request a connection keeps its place, though nothing is under way on it.
const KEEPS: Duration = Duration::from_secs(60);

/// A connection that has a place.
pub struct OpenConnection {
    /// One permit for each request that may be under way on it.
    pub requests: Arc<Semaphore>,
    limit: usize,
    /// The last request, where there was one.
    last: Mutex<Option<Instant>>,
    since: Instant,
    /// Its peer sends nothing more.
    ended: AtomicBool,
    /// Cancelled when another one needs its place.
    pub leave: CancellationToken,
}

/// A connection's place, given back when it is dropped.
pub struct Place {
    connections: Arc<OpenConnections>,
    connection: Arc<OpenConnection>,
}

impl Place {
    pub fn connection(&self) -> Arc<OpenConnection> {
        self.connection.clone()
    }
}

impl Deref for Place {
    type Target = OpenConnection;

    fn deref(&self) -> &OpenConnection {
        &self.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.connections.all).retain(|other| !Arc::ptr_eq(other, &self.connection));
    }
}

/// The connections that have a place. Their number is bounded.
pub struct OpenConnections {
    max: usize,
    /// In the order of their coming.
    all: Mutex<Vec<Arc<OpenConnection>>>,
}

impl OpenConnection {
    fn new(limit: usize) -> Self {
        let (requests, last, leave) = (Arc::new(Semaphore::new(limit)), Mutex::default(), CancellationToken::new());
        Self { requests, limit, last, since: Instant::now(), ended: AtomicBool::new(false), leave }
    }

    /// A request has come.
    pub fn asks(&self) {
        *lock(&self.last) = Some(Instant::now());
    }

    /// Nothing more will come: what is under way is no reason to keep a place that others need.
    pub fn ends(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        let asked_lately = lock(&self.last).is_some_and(|last| last.elapsed() < KEEPS);
        self.has_ended() || !asked_lately && self.requests.available_permits() == self.limit
    }

    /// Who has never asked for anything, or sends no more, goes before others, and who is silent for longer before who is not.
    fn rank(&self) -> (bool, Instant) {
        let last = *lock(&self.last);
        (last.is_some() && !self.has_ended(), last.unwrap_or(self.since))
    }
}

impl OpenConnections {
    /// Places for so many.
    pub fn new(max: usize) -> Self {
        Self { max, all: Mutex::default() }
    }

    /// A place for a connection on which up to `limit` requests may be under way. When none is left, the idlest
    /// connection gives up its own; none where all have something to do.
    pub fn admit(self: &Arc<Self>, limit: usize) -> Option<Place> {
        let mut all = lock(&self.all);
        if all.len() >= self.max {
            let idle = all.iter().enumerate().filter(|(_, connection)| connection.is_idle());
            let (idlest, _) = idle.min_by_key(|(_, connection)| connection.rank())?;
            all.remove(idlest).leave.cancel();
        }
        let connection = Arc::new(OpenConnection::new(limit));
        all.push(connection.clone());
        Some(Place { connections: self.clone(), connection })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_idlest_gives_its_place_to_who_comes_when_all_are_taken() {
        let open_connections = Arc::new(OpenConnections::new(3));
        let come = || open_connections.admit(5);
        let [first, second, third] = [come().unwrap(), come().unwrap(), come().unwrap()];
        first.asks();
        tokio::time::advance(KEEPS / 2).await;
        second.asks();
        let fourth = come().unwrap();
        let gone = |connection: &Place| connection.leave.is_cancelled();
        assert!(gone(&third) && !gone(&first) && !gone(&second), "the third had never asked");
        let under_way = fourth.requests.try_acquire().unwrap();
        assert!(come().is_none(), "one is at work, and two have asked not long ago");
        tokio::time::advance(KEEPS / 2).await;
        let fifth = come().unwrap();
        assert!(gone(&first) && !gone(&second), "the first is silent for longest");
        fifth.asks();
        assert!(come().is_none());
        drop(under_way);
        let sixth = come().unwrap();
        assert!(gone(&fourth) && !gone(&second));
        second.asks();
        let _under_way = second.requests.try_acquire().unwrap();
        second.ends();
        let seventh = come().unwrap();
        assert!(gone(&second), "it can ask for nothing more");
        drop(fifth);
        assert_eq!(lock(&open_connections.all).len(), 2);
        drop((sixth, seventh));
        assert!(lock(&open_connections.all).is_empty());
    }
}
