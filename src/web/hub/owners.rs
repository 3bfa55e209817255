//! Which host tells of which instance: while an instance is alive, no other may speak in its name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::wire::{Event, InstanceState, Topology};

/// The hosts that tell of the instances known.
#[derive(Default)]
pub struct Owners {
    hosts: BTreeMap<String, IpAddr>,
    /// The instances of this process, of which no other may tell.
    own: BTreeSet<String>,
}

impl Owners {
    /// An instance is of this process.
    pub fn claim(&mut self, id: &str) {
        if !self.own.contains(id) {
            self.own.insert(id.to_owned());
        }
    }

    /// Whether an event told by `peer` is to be believed. The first host to tell of an instance is the one that may.
    pub fn admit(&mut self, event: &Event, peer: IpAddr, topology: &Topology) -> bool {
        let id = match event {
            Event::Instance { snapshot } => &snapshot.instance.id,
            Event::InstanceGone { id, .. } => id,
            Event::Worker { instance, .. } => instance,
            _ => return true,
        };
        let alive =
            |id: &String| topology.instances.get(id).is_some_and(|view| view.snapshot.state != InstanceState::Gone);
        if self.own.contains(id) {
            return false;
        }
        match self.hosts.get(id) {
            Some(owner) if *owner == peer => true,
            Some(_) if alive(id) => false,
            _ => {
                if matches!(event, Event::Instance { .. }) {
                    self.hosts.retain(|id, _| topology.instances.contains_key(id));
                    self.hosts.insert(id.clone(), peer);
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::status;

    #[test]
    fn an_instance_is_not_taken_over_while_it_is_alive() {
        let (mut owners, mut topology) = (Owners::default(), Topology::default());
        let (first, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let told = Event::Instance { snapshot: Box::new(status().snapshot()) };
        let id = status().instance.id.clone();
        let gone = |reason: &str| Event::InstanceGone { id: id.clone(), at: 1, reason: reason.into() };
        assert!(owners.admit(&told, first, &topology));
        topology.apply(&told, 1);
        for event in [&told, &gone("forged")] {
            assert!(!owners.admit(event, other, &topology), "{event:?}");
            assert!(owners.admit(event, first, &topology));
        }
        topology.apply(&gone("silent"), 2);
        assert!(owners.admit(&told, other, &topology), "it is back elsewhere");
        topology.apply(&told, 3);
        assert!(!owners.admit(&told, first, &topology));
        owners.claim(&id);
        assert!(!owners.admit(&told, other, &topology), "it is of this process");
    }
}
