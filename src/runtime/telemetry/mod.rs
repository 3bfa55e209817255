//! Telemetry: each instance publishes events and snapshots to every web instance. Begin with `sockets.rs`.

mod allowance;
mod proof;
mod publisher;
mod sockets;

use allowance::Allowance;
pub use proof::Proof;
pub use publisher::{Monitor, Teller, run_monitor};
pub use sockets::{LARGEST_REPORT, Publisher, Report, Subscriber, TelemetryError};
