//! Estimates of memory use, for limits in bytes. They count every text and every element, so that no input uses more memory than
//! its limit.

use std::mem::size_of;

use serde_json::{Map, Value};

use super::{Accepted, Event, MessageView, PeerView, Reply, Request, Snapshot, WorkerView};

/// Overhead of a map or list per element, in bytes.
const OVERHEAD: usize = 32;

/// Something with a size in memory.
pub trait Footprint {
    /// Estimated bytes of memory, including everything it owns.
    fn footprint(&self) -> usize;
}

impl Footprint for Value {
    fn footprint(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null | Self::Bool(_) | Self::Number(_) => 0,
                Self::String(text) => escaped(text),
                Self::Array(values) => values.iter().map(Footprint::footprint).sum(),
                Self::Object(fields) => fields.footprint(),
            }
    }
}

impl Footprint for Map<String, Value> {
    fn footprint(&self) -> usize {
        self.iter().map(|(name, value)| OVERHEAD + size_of::<String>() + escaped(name) + value.footprint()).sum()
    }
}

impl Footprint for Request {
    fn footprint(&self) -> usize {
        size_of::<Self>()
            + escaped(&self.request_id)
            + texts([&self.filename, &self.task])
            + self.parameters.footprint()
            + self.extra.footprint()
    }
}

impl Footprint for Reply {
    fn footprint(&self) -> usize {
        size_of::<Self>()
            + escaped(&self.requester_id)
            + escaped(&self.body)
            + escaped(&self.request_id)
            + escaped(&self.message_id)
            + texts([&self.filename, &self.detail, &self.task, &self.node, &self.service, &self.slot])
            + self.extra.footprint()
    }
}

impl Footprint for WorkerView {
    fn footprint(&self) -> usize {
        size_of::<Self>() + escaped(&self.id)
    }
}

impl Footprint for PeerView {
    fn footprint(&self) -> usize {
        size_of::<Self>() + escaped(&self.address)
    }
}

impl Footprint for Snapshot {
    fn footprint(&self) -> usize {
        let instance = &self.instance;
        // The id is also stored as a map key.
        size_of::<Self>()
            + OVERHEAD
            + 2 * escaped(&instance.id)
            + escaped(&instance.node)
            + escaped(&instance.service)
            + escaped(&instance.version)
            + texts([&instance.slot, &self.reason])
            + self.workers.iter().map(Footprint::footprint).sum::<usize>()
            + self.peers.iter().map(Footprint::footprint).sum::<usize>()
            + self.hops.values().map(|latency| OVERHEAD + latency.footprint()).sum::<usize>()
            + self.stalled.len() * size_of::<usize>()
    }
}

impl Footprint for Accepted {
    /// Memory of the messages in a request's view.
    fn footprint(&self) -> usize {
        let message = size_of::<MessageView>() + OVERHEAD + escaped(&self.instance);
        self.messages.iter().map(|known| message + 2 * escaped(&known.message_id) + escaped(&known.requester_id)).sum()
    }
}

impl Footprint for Event {
    /// Memory that the event adds to its request's view.
    fn footprint(&self) -> usize {
        match self {
            Self::Request { request_id, task, .. } => 2 * escaped(request_id) + texts([task]),
            Self::Accepted { accepted, .. } => accepted.footprint(),
            Self::Dispatched { message_id, requester_id, instance, .. } => {
                size_of::<MessageView>()
                    + OVERHEAD
                    + 2 * escaped(message_id)
                    + escaped(requester_id)
                    + escaped(instance)
            }
            Self::Reply { reply, .. } => reply.footprint() + OVERHEAD + escaped(&reply.message_id),
            Self::Retry { reason, .. } | Self::Lost { reason, .. } => escaped(reason),
            Self::Outcome { reason, .. } => texts([reason]),
            _ => 0,
        }
    }
}

/// The length of a text as JSON, in which it is sent: a control character takes six bytes.
fn escaped(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' | b'\\' => 2,
            0..0x20 => 6,
            _ => 1,
        })
        .sum()
}

fn texts<const N: usize>(texts: [&Option<String>; N]) -> usize {
    texts.into_iter().flatten().map(|text| escaped(text)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_counts_not_only_texts() {
        let json = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(9_999));
        let value: Value = serde_json::from_str(&json).unwrap();
        assert!(value.footprint() >= 10_000 * size_of::<Value>(), "{} bytes for {}", value.footprint(), json.len());
        let mut request = Request::default();
        let empty = request.footprint();
        request.parameters.insert("a".into(), value.clone());
        request.extra.insert("b".into(), value.clone());
        assert!(request.footprint() - empty >= 2 * value.footprint());
    }
}
