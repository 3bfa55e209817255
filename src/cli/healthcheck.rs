//! `swarmq healthcheck`: for images without a shell or curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::cli::output::line;
use crate::config::{Role, Settings};

/// Timeout of the HTTP request; Docker's default for a health check is 30 s.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Requests `/healthz` or `/readyz`. Exit status 0: healthy or ready; 1: not. Without an address and without `admin.port` it
/// tries the default port of each tier in turn.
pub fn probe(settings: &Settings, ready: bool, address: Option<String>) -> Result<ExitCode> {
    let addresses = address.map_or_else(|| own_addresses(settings), |address| vec![address]);
    actix_rt::System::new().block_on(async {
        let mut unanswered = vec![];
        for address in addresses {
            let url = format!("http://{address}/{}", if ready { "readyz" } else { "healthz" });
            match awc::Client::builder().timeout(RESPONSE_TIMEOUT).finish().get(&url).send().await {
                Ok(mut response) => {
                    let body = response.body().await.unwrap_or_default();
                    line(String::from_utf8_lossy(&body))?;
                    return Ok(if response.status().is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
                }
                Err(error) => unanswered.push(format!("{url}: {error}")),
            }
        }
        bail!(
            "no answer from {}; start the process, or give the address of its admin server (admin.port, --address)",
            unanswered.join(", ")
        )
    })
}

/// The possible addresses of this machine's admin server.
fn own_addresses(settings: &Settings) -> Vec<String> {
    let ip = match settings.admin.bind {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let ports = match settings.admin.port {
        Some(port) => vec![port.port()],
        None => [Role::All, Role::Requester, Role::Responder, Role::Broker].map(Role::admin_port).to_vec(),
    };
    ports.into_iter().map(|port| SocketAddr::new(ip, port).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Int;

    #[test]
    fn the_configured_port_is_tried_or_else_the_default_port_of_each_tier() {
        let mut settings = Settings::default();
        let tiers = ["127.0.0.1:9090", "127.0.0.1:9091", "127.0.0.1:9092", "127.0.0.1:9093"];
        assert_eq!(own_addresses(&settings), tiers);
        settings.admin.port = Some(Int::literal::<19_090>());
        for (bind, address) in [
            ("0.0.0.0", "127.0.0.1:19090"),
            ("10.0.0.7", "10.0.0.7:19090"),
            ("::", "[::1]:19090"),
            ("::1", "[::1]:19090"),
        ] {
            settings.admin.bind = bind.parse().unwrap();
            assert_eq!(own_addresses(&settings), [address]);
        }
    }
}
