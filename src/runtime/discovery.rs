//! Resolves the host names of an upstream periodically. Every address of every host is a peer.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use slog::{Logger, debug, info, warn};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::supervision::{Slot, WorkError};
use crate::config::Upstream;
use crate::wire::WorkerState;

/// Every address of a host. IPv6 addresses are used only if there is no IPv4 address: a peer with both, such as `localhost`,
/// would count twice.
async fn resolve(host: &str, port: u16, limit: Duration) -> Result<BTreeSet<SocketAddr>, String> {
    let found: Vec<SocketAddr> = match timeout(limit, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("the resolver did not answer within {limit:?} (discovery.connect_timeout)")),
    };
    let any_v4 = found.iter().any(SocketAddr::is_ipv4);
    Ok(found.into_iter().filter(|address| address.is_ipv4() == any_v4).collect())
}

/// A host name and the addresses of the last successful look-up.
struct Name<'a> {
    host: &'a str,
    port: u16,
    addresses: BTreeSet<SocketAddr>,
    failing: bool,
}

impl Name<'_> {
    async fn look_up(&mut self, limit: Duration, log: &Logger) {
        match resolve(self.host, self.port, limit).await {
            Ok(found) => (self.addresses, self.failing) = (found, false),
            Err(reason) if self.failing => {
                debug!(log, "look-up still fails"; "upstream" => self.host, "reason" => reason)
            }
            Err(reason) => {
                self.failing = true;
                warn!(log, "look-up failed, keeping the last addresses"; "upstream" => self.host, "reason" => reason);
            }
        }
    }
}

/// The addresses without that of this process itself.
fn without_own(mut addresses: BTreeSet<SocketAddr>, own: Option<SocketAddr>) -> BTreeSet<SocketAddr> {
    if let Some(own) = own {
        // Only an address of this host can be bound.
        addresses.retain(|address| address.port() != own.port() || UdpSocket::bind((address.ip(), 0)).is_err());
    }
    addresses
}

/// What is looked up, and how.
#[derive(Clone)]
pub struct LookUps {
    pub upstream: Upstream,
    /// The address where this process listens, if it is one of the peers itself: it does not follow itself.
    pub own: Option<SocketAddr>,
    pub every: Duration,
    /// The longest time for one.
    pub limit: Duration,
}

/// Publishes the upstream's current addresses until it is drained.
pub async fn run_discovery(
    slot: Slot,
    look_ups: LookUps,
    addresses: Arc<watch::Sender<BTreeSet<SocketAddr>>>,
) -> Result<(), WorkError> {
    slot.status.set(WorkerState::Idle, None);
    slot.drain.run_until_cancelled(follow(look_ups, &addresses, &slot.log)).await;
    Ok(())
}

/// Publishes the upstream's current addresses, for ever. A failed look-up keeps the addresses of the last successful one: a
/// swarm's DNS does not know a service while none of its tasks is healthy.
async fn follow(look_ups: LookUps, addresses: &watch::Sender<BTreeSet<SocketAddr>>, log: &Logger) {
    let LookUps { upstream, own, every, limit } = look_ups;
    let (mut fixed, mut names) = (BTreeSet::new(), vec![]);
    for (host, port) in upstream.endpoints() {
        match host.parse::<IpAddr>() {
            Ok(address) => drop(fixed.insert(SocketAddr::new(address, port))),
            Err(_) => names.push(Name { host, port, addresses: BTreeSet::new(), failing: false }),
        }
    }
    let fixed = without_own(fixed, own);
    if names.is_empty() {
        addresses.send_replace(fixed);
        return std::future::pending().await;
    }
    // A run before this one may have found more.
    addresses.send_modify(|known| known.extend(&fixed));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut found = fixed.clone();
        for name in &mut names {
            name.look_up(limit, log).await;
            found.extend(&name.addresses);
        }
        let found = without_own(found, own);
        let changed = addresses.send_if_modified(|known| {
            let changed = *known != found;
            *known = found.clone();
            changed
        });
        if changed {
            info!(log, "addresses changed"; "upstream" => upstream.as_str(), "addresses" => format!("{found:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn first(upstream: &str, count: usize) -> BTreeSet<SocketAddr> {
        let (sender, mut receiver) = watch::channel(BTreeSet::new());
        let upstream = Upstream::new(upstream).unwrap();
        let log = Logger::root(slog::Discard, slog::o!());
        let (every, limit) = (Duration::from_millis(10), Duration::from_secs(5));
        tokio::select! {
            () = follow(LookUps { upstream, own: None, every, limit }, &sender, &log) => panic!("it ended"),
            found = receiver.wait_for(|addresses| addresses.len() >= count) => found.unwrap().clone(),
        }
    }

    #[tokio::test]
    async fn names_and_addresses_become_addresses_once_each() {
        assert_eq!(first("127.0.0.1:80", 1).await, BTreeSet::from(["127.0.0.1:80".parse().unwrap()]));
        assert_eq!(first("localhost:80", 1).await.len(), 1);
        let several = first("127.0.0.1:80, localhost:81, no-such-host.invalid:82", 2).await;
        assert_eq!(several.iter().map(SocketAddr::port).collect::<Vec<_>>(), [80, 81]);
    }

    #[test]
    fn a_peer_does_not_follow_itself() {
        let [own, here, other, there] =
            ["0.0.0.0:80", "127.0.0.1:80", "127.0.0.1:81", "192.0.2.1:80"].map(|text| text.parse().unwrap());
        let all = BTreeSet::from([here, other, there]);
        assert_eq!(without_own(all.clone(), Some(own)), BTreeSet::from([other, there]));
        assert_eq!(without_own(all.clone(), None), all);
    }
}
