//! The frames that broker, requester workers and responder workers add to a message for one another.

use serde::{Deserialize, Serialize};

/// What the broker says about a message, in a frame after the reply's JSON, to a requester that asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerStamp {
    /// From the message's arrival at the broker to its reply's, in microseconds.
    pub residence_us: u64,
}

impl BrokerStamp {
    /// The frame after a message's JSON by which a requester asks for the stamp. The broker takes it off.
    pub const ASKED: &'static [u8] = b"swarmq-stamp";

    pub fn parse(frame: &[u8]) -> Option<Self> {
        serde_json::from_slice(frame).ok()
    }
}

/// The frame after a reply's JSON by which a worker that is being taken away returns a message: what follows is the
/// message's own frames. A broker that does not know it passes the reply on, an error that says `draining`.
pub const RETURNED: &[u8] = b"swarmq-return";
