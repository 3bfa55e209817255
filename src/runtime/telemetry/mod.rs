//! Telemetry: each instance publishes events and snapshots to every web instance. Begin with `sockets.rs`.

mod allowance;
mod event_sink;
mod proof;
mod publisher;
mod sockets;

use allowance::Allowance;
pub use event_sink::EventSink;
pub use proof::Proof;
pub use publisher::{TelemetryContext, TelemetryPublisher};
pub use sockets::{MAX_REPORT, Publisher, Report, Subscriber, TelemetryError, place};
