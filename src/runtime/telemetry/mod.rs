//! Telemetry: each instance publishes events and snapshots to every web instance. Begin with `sockets.rs`.

mod allowance;
mod proof;
mod publisher;
mod sockets;

use allowance::Allowance;
pub use proof::Proof;
pub use publisher::{EventSink, TelemetryContext, run_telemetry_publisher};
pub use sockets::{MAX_REPORT, Publisher, Report, Subscriber, TelemetryError, place};
