//! The requests that this web instance has accepted. Begin with `store.rs`.

mod active_request;
mod calls;
mod ended_request;
mod shown;
mod store;

pub use active_request::NewRequest;
use active_request::{ActiveRequest, RequestProgress};
use ended_request::{Ended, KeptRequests};
pub use ended_request::{News, PartOutcome};
pub use shown::Shown;
use store::RequestStore;
pub use store::Requests;
