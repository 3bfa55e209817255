//! Links: a TCP connection to each requester instance. Begin with `links.rs`, the actor that starts them, and `link.rs`.

mod connection;
mod link;
mod link_requests;
mod links;
mod queue;
mod table;

pub use connection::ConnectOptions;
use connection::{Came, Connection, NotOpen};
use link::{Link, Phase, Requested};
use links::Wanted;
pub use links::{KeptLinks, Links, LinksContext};
use queue::Pending;
pub use queue::{LinkQueue, QueuedRequest};
use table::LinkGoal;
pub use table::{ConnectFailure, LINK_ENDED, LinkTable};
