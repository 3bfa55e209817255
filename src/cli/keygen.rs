//! `swarmq keygen`: makes the deployment's CURVE key.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::cli::output;
use crate::config::CurveKey;

/// Instructions for a key that was written to stdout. `exposed`: stdout is a file that other users can read.
fn instructions(is_terminal: bool, exposed: bool) -> String {
    let first = match (is_terminal, exposed) {
        (true, _) => {
            "The public and the secret key of a deployment. They were not saved: `swarmq keygen FILE` writes a key to a \
             file,\nand `swarmq keygen | docker secret create swarmq_curve_key_1 -` makes one a Docker secret."
        }
        (false, true) => {
            "The key was written to a file that other users of this machine can read: run chmod 600 on it, or use \
             `swarmq keygen FILE`."
        }
        (false, false) => "The deployment's key was written to stdout.",
    };
    format!("{first}\nSet curve.key_file (SWARMQ_CURVE__KEY_FILE) on every instance; see docs/swarm.md.")
}

/// True if stdout is redirected to a file that users other than its owner can read.
fn exposed() -> bool {
    let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    stdout.is_ok_and(|file| file.is_file() && file.mode() & 0o077 != 0)
}

/// Writes a new key to a file that only its owner can read, or to stdout. Instructions go to stderr.
pub fn keygen(file: Option<&Path>) -> Result<ExitCode> {
    let Some(key) = CurveKey::generate() else {
        bail!(
            "this program is built without CURVE: use the image, or build it in its source folder, where cargo finds \
             .cargo/config.toml"
        );
    };
    let Some(path) = file else {
        output::whole(key.expose())?;
        eprintln!("{}", instructions(io::stdout().is_terminal(), exposed()));
        return Ok(ExitCode::SUCCESS);
    };
    let mut created = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} exists already, and overwriting it would lose its key: give another file name", path.display())
        }
        created => created.with_context(|| format!("can't write {}", path.display()))?,
    };
    created.write_all(key.expose().as_bytes()).with_context(|| format!("can't write {}", path.display()))?;
    eprintln!(
        "{path} has the public and the secret key of a deployment; only you can read it. Start every instance with\n\n    \
         --set curve.key_file={path}      (or SWARMQ_CURVE__KEY_FILE={path})\n\n\
         or make it a Docker secret, and set the variable to /run/secrets/curve_key; docs/swarm.md shows how:\n\n    \
         docker secret create swarmq_curve_key_1 {path}",
        path = path.display()
    );
    Ok(ExitCode::SUCCESS)
}
