//! The admin server of a process: health, readiness, metrics, and controls. Begin with `server.rs`.

mod control;
mod metrics;
mod server;

use control::ControlError;
pub use control::{Control, Workers};
pub use server::{CONNECTIONS, Instances, admin_routes, serve_admin};
