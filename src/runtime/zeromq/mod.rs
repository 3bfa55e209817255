//! ZeroMQ in async tasks. Begin with `socket.rs`, whose rules are at its top.

mod connections;
mod context;
mod curve;
mod endpoint;
mod max_sockets;
mod peer_events;
mod peers;
mod renewal;
mod shared_dealer;
mod socket;
mod unfinished;

pub use connections::ConnectionChange;
use connections::{CONNECTIONS, Connections, Told, monitor, watch};
pub use context::{Contexts, SocketOptions};
use curve::{FRAME_OVERHEAD, REFUSALS, RefusalLog, bind_with, connect_with, refusal, start_authenticator};
pub use endpoint::endpoint;
pub use endpoint::{bind, connect};
use max_sockets::context_for;
pub use peer_events::{PeerEvent, poll_peer};
pub use peers::{Peers, follow_up};
use renewal::RenewalPolicy;
pub use renewal::{Renewal, renew};
pub use shared_dealer::SharedDealer;
use socket::set_tcp_user_timeout;
pub use socket::{Frames, Routed, Socket, frames_of, memory};
use unfinished::{Weight, bound_unfinished, forget, log_closed, weigh};
