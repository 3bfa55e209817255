//! Floor 2: how bytes move, and what every HTTP server of ours answers alike. ZeroMQ sockets in async tasks, JSON objects over a TCP stream, names into addresses, and
//! the one-way telemetry.

mod connections;
mod context;
mod curve;
mod discovery;
mod http_error;
mod http_limits;
mod json_stream;
mod memory;
mod peers;
mod permission;
mod socket;
mod tcp;
mod telemetry;

use connections::{CONNECTIONS, Told, follow_connections, watch};
pub use context::{Contexts, SocketOptions};
use curve::{FRAME_OVERHEAD, REFUSALS, bind_with, connect_with, start_doorman, tell_refusals};
pub use discovery::follow;
pub use http_error::ApiError;
pub use http_limits::HttpLimits;
pub use json_stream::{JsonStream, StreamError};
pub use memory::{Memory, Room, pieces};
pub use peers::Peers;
pub use permission::Permission;
pub use socket::{Events, Frames, Socket, frames_of};
pub use tcp::keep_alive;
pub use telemetry::{LARGEST_REPORT, Publisher, Subscriber};
