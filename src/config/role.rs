//! Which tiers a process runs.

/// What one process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Every tier.
    All,
    Web,
    Requester,
    /// A broker and its workers, or, with `responder.backend`, workers of a broker elsewhere.
    Responder,
    /// A broker alone.
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

    /// The admin server's port where none is configured: one for each, so that all can run on one host.
    pub fn admin_port(self) -> u16 {
        match self {
            Self::All | Self::Web => 9090,
            Self::Requester => 9091,
            Self::Responder => 9092,
            Self::Broker => 9093,
        }
    }
}
