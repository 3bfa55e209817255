//! Floor 2: how bytes move, and what every HTTP server of ours answers alike. ZeroMQ sockets in async tasks, JSON objects over a TCP stream, names into addresses, and
//! the one-way telemetry.

mod allowance;
mod connections;
mod context;
mod curve;
mod discovery;
mod guard;
mod http_error;
mod http_limits;
mod json_stream;
mod log_limit;
mod memory;
mod object_reader;
mod peers;
mod permission;
mod proof;
mod renewal;
mod socket;
mod tcp;
mod telemetry;
mod unfinished;
mod web_url;

use allowance::Allowance;
pub use connections::PeerNews;
use connections::{CONNECTIONS, Connections, Told, monitor, watch};
pub use context::{Contexts, SocketOptions};
use curve::{FRAME_OVERHEAD, REFUSALS, RefusalLog, bind_with, connect_with, refusal, start_doorman};
pub use discovery::follow;
pub use guard::{Access, Guard, Route, guard};
pub use http_error::ApiError;
pub use http_limits::HttpLimits;
pub use json_stream::{JsonStream, StreamError};
pub use log_limit::LogLimit;
pub use memory::{Memory, Room, pieces};
pub use object_reader::{ObjectReader, room};
pub use peers::{Peers, follow_up, peers_news};
pub use permission::Permission;
pub use proof::Proof;
pub use renewal::{Renewal, RenewalPolicy, renew};
use socket::set_tcp_user_timeout;
pub use socket::{Events, Frames, Routed, Socket, frames_of, memory};
pub use tcp::keep_alive;
pub use telemetry::{LARGEST_REPORT, Publisher, Report, Subscriber, TelemetryError};
use unfinished::bound_unfinished;
use unfinished::{Weight, forget, tell_closed, weigh};
pub use web_url::{json_answer, web_url};
