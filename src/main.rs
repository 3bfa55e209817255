use std::process::ExitCode;

use clap::Parser;
use swarmq::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("swarmq: {error:#}");
            ExitCode::FAILURE
        }
    }
}
