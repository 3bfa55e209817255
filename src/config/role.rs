//! Which tiers a process runs.

/// The role of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Every tier.
    All,
    Web,
    Requester,
    /// A broker and its workers, or with `responder.backend` only workers, for a broker in another process.
    Responder,
    /// A broker without workers.
    Broker,
}

impl Role {
    /// The tier's name, or `all`.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Web => "web",
            Self::Requester => "requester",
            Self::Responder => "responder",
            Self::Broker => "broker",
        }
    }

    /// The default port of the admin server. Each role has its own, so that all can run on one host.
    pub fn admin_port(self) -> u16 {
        match self {
            Self::All | Self::Web => 9090,
            Self::Requester => 9091,
            Self::Responder => 9092,
            Self::Broker => 9093,
        }
    }
}
