//! The frames after a message's or reply's JSON, for requester workers, brokers and responder workers. The article's programs
//! ignore them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The broker's measurement of a message, in a frame after the reply's JSON, for requesters that sent a [`DeliveryFrame`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerStamp {
    /// Time from the arrival of the message's latest attempt at the broker to its reply's arrival, in microseconds.
    pub residence_us: u64,
}

impl BrokerStamp {
    pub fn parse(frame: &[u8]) -> Option<Self> {
        serde_json::from_slice(frame).ok()
    }
}

/// The id and deadline of a message, so that a broker parses no JSON. A requester worker sends it to the broker, and the broker
/// sends it, with its own host's clock, to the responder worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryFrame {
    pub delivery_id: Uuid,
    /// Id of the host whose monotonic clock `deadline_us` refers to.
    pub host: u64,
    /// Deadline, in microseconds of that clock.
    pub deadline_us: u64,
    /// Milliseconds left at sending, for other hosts, which can't read that clock.
    pub left_ms: u32,
}

impl DeliveryFrame {
    const TAG: &'static [u8] = b"swarmq-delivery";

    pub fn encode(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(Self::TAG.len() + 36);
        frame.extend_from_slice(Self::TAG);
        frame.extend_from_slice(self.delivery_id.as_bytes());
        frame.extend_from_slice(&self.host.to_be_bytes());
        frame.extend_from_slice(&self.deadline_us.to_be_bytes());
        frame.extend_from_slice(&self.left_ms.to_be_bytes());
        frame
    }

    /// `None` for any other frame.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let fields: &[u8; 36] = frame.strip_prefix(Self::TAG)?.try_into().ok()?;
        let (delivery_id, rest) = fields.split_first_chunk::<16>()?;
        let (host, rest) = rest.split_first_chunk::<8>()?;
        let (deadline_us, rest) = rest.split_first_chunk::<8>()?;
        Some(Self {
            delivery_id: Uuid::from_bytes(*delivery_id),
            host: u64::from_be_bytes(*host),
            deadline_us: u64::from_be_bytes(*deadline_us),
            left_ms: u32::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

/// The frame after a reply's JSON, an error with the code `timeout`, if the worker could not do the message before its deadline.
/// The broker counts the message as expired.
pub const EXPIRED: &[u8] = b"swarmq-expired";

/// The frame after a reply's JSON with which a worker that leaves a DEALER returns a message that it has not begun; the message's
/// own frames follow. A broker without support for it passes the reply on, an error with the code `draining`.
pub const RETURNED_MESSAGE: &[u8] = b"swarmq-return";

/// The only frame with which a worker announces itself to a least-busy broker, as ready for one message. libzmq sends it for each
/// new connection (ZMQ_PROBE_ROUTER). The broker's answer and the heartbeats of both sides are the same frame.
pub const READY: &[u8] = b"";

/// The only frame with which a worker leaves a least-busy broker. The broker confirms with the same frame, and sends no more
/// messages after it.
pub const LEAVE: &[u8] = b"swarmq-leave";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_frame_survives_encoding_and_no_other_frame_is_parsed() {
        let frame = DeliveryFrame { delivery_id: Uuid::from_u128(7), host: 1 << 40, deadline_us: u64::MAX, left_ms: 9 };
        let bytes = frame.encode();
        assert_eq!(DeliveryFrame::parse(&bytes), Some(frame));
        for other in [&bytes[1..], &bytes[..bytes.len() - 1], b"", b"swarmq-delivery", RETURNED_MESSAGE, EXPIRED] {
            assert_eq!(DeliveryFrame::parse(other), None, "{other:?}");
        }
    }
}
