//! `swarmq keygen`: makes the deployment's CURVE key.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::process::CurveKey;
use crate::process::output;

/// Writes a new key to a file that only its owner can read, or to stdout; what to do with it to stderr.
pub fn keygen(file: Option<&Path>) -> Result<ExitCode> {
    let Some(key) = CurveKey::generate() else {
        bail!(
            "this program is built without CURVE: use the image, or run cargo in the folder of its source \
             (.cargo/config.toml)"
        );
    };
    let Some(path) = file else {
        output::whole(key.expose())?;
        eprintln!(
            "The public and the secret key of a deployment. To keep them as a Docker secret:\n\n    \
             swarmq keygen | docker secret create swarmq_curve_key_1 -\n\n\
             and set curve.key_file (SWARMQ_CURVE__KEY_FILE) on every instance; docs/swarm.md shows how."
        );
        return Ok(ExitCode::SUCCESS);
    };
    let mut created = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already, and a key that is in use must not be lost: name another file", path.display())
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
