//! Names the instances of this process.

use std::net::SocketAddr;

use nix::unistd::gethostname;

use crate::config::{Role, Settings};
use crate::wire::{Instance, Tier, now_ms};

/// The identity of one tier's instance in this process.
pub fn instance(settings: &Settings, role: Role, tier: Tier, admin: Option<SocketAddr>) -> Instance {
    let configured = &settings.instance;
    let own = role.name() == tier.name();
    let id = match &configured.id {
        Some(id) if own => id.clone(),
        Some(id) => format!("{id}-{}", tier.name()),
        None => format!("{}-{:08x}", tier.name(), rand::random::<u32>()),
    };
    Instance {
        id,
        tier,
        node: configured.node.clone().unwrap_or_else(host_name),
        service: configured.service.clone().unwrap_or_else(|| tier.name().to_owned()),
        slot: configured.slot.clone(),
        version: configured.version.clone().unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
        pid: std::process::id(),
        started_at: now_ms(),
        admin,
    }
}

/// The first `responderId` of an instance: 32 random bits, then 16 bits for the worker's index. Ids are unique across the
/// deployment and below 2^53, the limit of exact integers in JavaScript.
pub fn first_responder_id() -> i64 {
    i64::from(rand::random::<u32>()) << 16
}

fn host_name() -> String {
    gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "localhost".to_owned())
}
