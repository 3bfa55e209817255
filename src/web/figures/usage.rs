//! CPU and memory by node.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

use super::Rates;
use crate::wire::{Instance, InstanceState, NodeFigures, Topology};

/// What is the same for all instances of one process, and for no others: its admin server, node and process id.
pub type Process<'a> = (Option<SocketAddr>, &'a str, u32);

/// The process of an instance.
pub fn process_of(instance: &Instance) -> Process<'_> {
    (instance.admin, &instance.node, instance.pid)
}

/// The usage of the living instances, summed by node. The instances of one process have one usage.
pub fn usage_by_node(topology: &Topology, rates: &Rates) -> Vec<NodeFigures> {
    let mut nodes = BTreeMap::<&str, NodeFigures>::new();
    let mut seen = HashSet::new();
    let living = topology.instances.values().filter(|view| view.snapshot.state != InstanceState::Gone);
    for snapshot in living.map(|view| &view.snapshot) {
        let instance = &snapshot.instance;
        let node = nodes.entry(&instance.node).or_insert_with(|| NodeFigures {
            node: instance.node.clone(),
            instances: 0,
            cpus: None,
            resident_bytes: None,
        });
        node.instances += 1;
        if !seen.insert(process_of(instance)) {
            continue;
        }
        if let Some(cpus) = rates.cpus(&instance.id) {
            node.cpus = Some(node.cpus.unwrap_or_default() + cpus);
        }
        if let Some(usage) = snapshot.usage {
            node.resident_bytes = Some(node.resident_bytes.unwrap_or_default().saturating_add(usage.resident_bytes));
        }
    }
    nodes.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Event, Tier, Usage, snapshot};

    #[test]
    fn processes_add_up_and_the_instances_of_one_count_once() {
        let (mut topology, mut rates) = (Topology::default(), Rates::default());
        let instances = [("a", "pi-1", 9000), ("b", "pi-1", 9000), ("c", "pi-1", 9001), ("d", "pi-2", 9000)];
        for uptime_ms in [0, 1_000] {
            for (id, node, port) in instances {
                let mut snapshot = snapshot(id, Tier::Broker);
                let admin = SocketAddr::from(([10, 0, 0, 1], port));
                (snapshot.instance.node, snapshot.instance.admin) = (node.into(), Some(admin));
                snapshot.uptime_ms = Some(uptime_ms);
                snapshot.usage = Some(Usage { cpu_us: uptime_ms * 500, resident_bytes: 100 });
                rates.take(&snapshot);
                topology.apply(&Event::Instance { snapshot: Box::new(snapshot) }, 0);
            }
        }
        topology.apply(&Event::Instance { snapshot: Box::new(unknown()) }, 0);
        let of = |node: &str, instances, cpus, resident_bytes| NodeFigures {
            node: node.into(),
            instances,
            cpus,
            resident_bytes,
        };
        let expected =
            [of("pi-1", 3, Some(1.0), Some(200)), of("pi-2", 1, Some(0.5), Some(100)), of("pi-3", 1, None, None)];
        assert_eq!(usage_by_node(&topology, &rates), expected);
    }

    fn unknown() -> crate::wire::Snapshot {
        let mut snapshot = snapshot("e", Tier::Broker);
        snapshot.instance.node = "pi-3".into();
        snapshot
    }
}
