//! Links: a TCP connection to each requester instance. Begin with `link.rs`.

mod link;
mod links;

pub use link::{LinkContext, run_links};
pub use links::{ConnectFailure, LinkHandle, Links, QueuedRequest};
