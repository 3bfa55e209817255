//! `swarmq healthcheck`: for images without a shell or curl.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::app::Role;
use crate::process::Settings;

/// Longest wait for the answer; Docker's own default for a health check is 30 s.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks `/healthz` or `/readyz`; the exit status is the answer, 0 or 1.
pub fn probe(settings: &Settings, ready: bool, address: Option<String>) -> Result<ExitCode> {
    let port = settings.admin.port.map_or(Role::All.admin_port(), |port| port.port());
    let address = address.unwrap_or_else(|| match settings.admin.bind.is_unspecified() {
        true => format!("127.0.0.1:{port}"),
        false => format!("{}:{port}", settings.admin.bind),
    });
    let url = format!("http://{address}/{}", if ready { "readyz" } else { "healthz" });
    actix_rt::System::new().block_on(async {
        match awc::Client::builder().timeout(PATIENCE).finish().get(&url).send().await {
            Ok(mut response) => {
                let body = response.body().await.unwrap_or_default();
                println!("{}", String::from_utf8_lossy(&body));
                Ok(if response.status().is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Err(error) => anyhow::bail!("no answer from {url}: {error}; is it running, and is this its admin server?"),
        }
    })
}
