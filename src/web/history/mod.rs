//! What has happened in the deployment, for the last hour: the event log. Begin with `history.rs`.

pub mod api;
mod differences;
mod event_log;
mod history;
mod logged_event;
mod pending;

pub use differences::{differences, experiment_news, lost};
pub use event_log::EventLog;
use event_log::EventPage;
pub use history::History;
pub use logged_event::{By, EXPERIMENT, EventKind, LoggedEvent};
use pending::Pending;
