//! The admin server of a process: health, readiness, metrics, and controls. Begin with `server.rs`.

mod control;
mod deployment_metrics;
mod metrics;
mod server;

use control::ControlError;
pub use control::{Control, Workers};
use deployment_metrics::DeploymentMetrics;
pub use server::{CONNECTIONS, Instances, admin_routes, serve_admin};
