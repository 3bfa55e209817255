//! What an experiment's figures were measured on.

use std::collections::BTreeSet;

use procfs::Current;

use super::Environment;
use crate::wire::Topology;

/// This machine, as far as it tells.
pub fn environment() -> Environment {
    let system = nix::sys::utsname::uname();
    let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
    let processor = procfs::CpuInfo::current().ok();
    Environment {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: system.as_ref().map(|system| text(system.nodename())).unwrap_or_default(),
        system: system
            .as_ref()
            .map(|system| format!("{} {}", text(system.sysname()), text(system.release())))
            .unwrap_or_default(),
        architecture: system.as_ref().map(|system| text(system.machine())).unwrap_or_default(),
        processor: processor.and_then(|info| info.model_name(0).map(str::to_owned)).unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(0, Into::into),
        memory_bytes: procfs::Meminfo::current().map_or(0, |memory| memory.mem_total),
        load_average: procfs::LoadAverage::current().map_or(0.0, |load| f64::from(load.one)),
        nodes: vec![],
    }
}

impl Environment {
    /// What of this environment another one differs in, so far that figures of both can't be compared; none where they can.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let facts = [
            ("version", &self.version, &other.version),
            ("host", &self.host, &other.host),
            ("processor", &self.processor, &other.processor),
        ];
        let different = facts.into_iter().find(|(_, one, another)| one != another);
        different.map(|(what, one, another)| format!("the {what} {one}, and this is {another}"))
    }
}

/// The hosts of a deployment.
pub fn nodes(topology: &Topology) -> Vec<String> {
    let nodes: BTreeSet<_> = topology.instances.values().map(|view| view.snapshot.instance.node.clone()).collect();
    nodes.into_iter().collect()
}
