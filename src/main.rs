use std::process::ExitCode;

use clap::Parser;
use swarmq::cli::Cli;
use swarmq::cli::output::OutputError;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(status) => status,
        Err(error) if error.downcast_ref::<OutputError>().is_some_and(OutputError::is_reader_gone) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarmq: {error:#}");
            ExitCode::FAILURE
        }
    }
}
