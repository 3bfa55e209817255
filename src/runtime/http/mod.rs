//! Middleware, errors and limits that every HTTP server of the program uses. Begin with `guard.rs`.

mod answer;
mod error;
mod guard;
mod limits;
mod permission;
mod run;
mod web_url;

pub use answer::{answer, headers};
pub use error::{ApiError, ErrorAnswer};
pub use guard::guard;
pub use guard::{Access, Guard, Route};
pub use limits::HttpLimits;
pub use permission::Permission;
pub use run::http_server;
pub use web_url::json_answer;
pub use web_url::web_url;
