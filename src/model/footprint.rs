//! How much memory what is kept takes: what limits in bytes are counted in. Estimates, which count every text and every
//! element, so that no input has more memory than its limit says.

use std::mem::size_of;

use serde_json::{Map, Value};

use super::{Accepted, Event, MessageView, PeerView, Reply, Request, Snapshot, WorkerView};

/// What a map or list of small things has around each of them.
const AROUND: usize = 32;

/// Something with a size in memory.
pub trait Footprint {
    /// About how many bytes of memory it takes, what it points to included.
    fn footprint(&self) -> usize;
}

impl Footprint for Value {
    fn footprint(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null | Self::Bool(_) | Self::Number(_) => 0,
                Self::String(text) => text.len(),
                Self::Array(values) => values.iter().map(Footprint::footprint).sum(),
                Self::Object(fields) => fields.footprint(),
            }
    }
}

impl Footprint for Map<String, Value> {
    fn footprint(&self) -> usize {
        self.iter().map(|(name, value)| AROUND + size_of::<String>() + name.len() + value.footprint()).sum()
    }
}

impl Footprint for Request {
    fn footprint(&self) -> usize {
        size_of::<Self>()
            + self.request_id.len()
            + texts([&self.filename, &self.task])
            + self.parameters.footprint()
            + self.extra.footprint()
    }
}

impl Footprint for Reply {
    fn footprint(&self) -> usize {
        size_of::<Self>()
            + self.requester_id.len()
            + escaped(&self.body)
            + self.request_id.len()
            + self.message_id.len()
            + texts([&self.filename, &self.detail, &self.task, &self.node, &self.service, &self.slot])
            + self.extra.footprint()
    }
}

impl Footprint for MessageView {
    fn footprint(&self) -> usize {
        // The id is held a second time, to find the message by it.
        size_of::<Self>()
            + AROUND
            + 2 * self.message_id.len()
            + self.requester_id.len()
            + self.instance.len()
            + texts([&self.lost])
    }
}

impl Footprint for WorkerView {
    fn footprint(&self) -> usize {
        size_of::<Self>() + self.id.len()
    }
}

impl Footprint for PeerView {
    fn footprint(&self) -> usize {
        size_of::<Self>() + self.address.len()
    }
}

impl Footprint for Snapshot {
    fn footprint(&self) -> usize {
        let instance = &self.instance;
        // It is known by its id, which is held a second time.
        size_of::<Self>()
            + AROUND
            + 2 * instance.id.len()
            + instance.node.len()
            + instance.service.len()
            + instance.version.len()
            + texts([&instance.slot, &instance.admin, &self.reason, &self.dispatch])
            + self.workers.iter().map(Footprint::footprint).sum::<usize>()
            + self.peers.iter().map(Footprint::footprint).sum::<usize>()
            + self.hops.values().map(|latency| AROUND + latency.footprint()).sum::<usize>()
            + self.stalled.len() * size_of::<usize>()
    }
}

impl Footprint for Accepted {
    /// Of the messages as a request's view holds them.
    fn footprint(&self) -> usize {
        let message = size_of::<MessageView>() + AROUND + self.instance.len();
        self.messages.iter().map(|promise| message + 2 * promise.message_id.len() + promise.requester_id.len()).sum()
    }
}

impl Footprint for Event {
    /// Of what the event adds to the view of its request.
    fn footprint(&self) -> usize {
        match self {
            Self::Request { request_id, task, .. } => 2 * request_id.len() + texts([task]),
            Self::Accepted { accepted, .. } => accepted.footprint(),
            Self::Dispatched { message_id, requester_id, instance, .. } => {
                size_of::<MessageView>() + AROUND + 2 * message_id.len() + requester_id.len() + instance.len()
            }
            Self::Reply { reply, .. } => reply.footprint() + AROUND + reply.message_id.len(),
            Self::Retry { reason, .. } | Self::Lost { reason, .. } => reason.len(),
            Self::Outcome { reason, .. } => texts([reason]),
            _ => 0,
        }
    }
}

/// The length of a text in JSON, where control characters take six bytes: it is answered as that.
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
    texts.into_iter().flatten().map(String::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_counts_and_not_only_the_texts() {
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
