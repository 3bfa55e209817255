//! The lab: a swarm of three nodes on this machine (`swarm-lab.md`), and the images on it.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The node that manages the swarm.
pub const MANAGER: &str = "node1";

pub const NODES: [&str; 3] = ["node1", "node2", "node3"];

/// The image under test, by tag: the first version, a second one, and one that never passes its health check.
pub const FIRST: &str = "swarmq-lab:1";
pub const SECOND: &str = "swarmq-lab:2";
pub const BROKEN: &str = "swarmq-lab:broken";

/// Runs a command to its end; what it said. The error has what it said on stderr.
pub fn run(command: &mut Command, input: &str) -> Result<String> {
    let what = format!("{command:?}");
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().with_context(|| format!("can't run {what}"))?;
    child.stdin.take().context("no stdin")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A running lab; taken down when it is dropped, unless KEEP is set.
pub struct Lab {
    script: PathBuf,
}

impl Lab {
    /// Starts the three nodes, and loads the images made of `image`.
    pub fn up(image: &str) -> Result<Self> {
        let lab = Self { script: root().join("tests/swarm/swarm-lab") };
        lab.call(&["up", "3"]).context("the lab does not start")?;
        let archive = env::temp_dir().join(format!("swarmq-lab-{}.tar", std::process::id()));
        make_images(image, &archive)?;
        let loaded = lab.call(&["load", &archive.display().to_string()]);
        std::fs::remove_file(&archive)?;
        loaded.map(|_| lab)
    }

    /// Runs a `swarm-lab` command.
    pub fn call(&self, args: &[&str]) -> Result<String> {
        run(Command::new(&self.script).args(args), "")
    }

    /// Runs the docker client against a node.
    pub fn docker(&self, node: &str, args: &[&str]) -> Result<String> {
        self.docker_with(node, args, &[], "")
    }

    /// The same, with environment variables and something to read.
    pub fn docker_with(&self, node: &str, args: &[&str], vars: &[(&str, &str)], input: &str) -> Result<String> {
        let mut command = Command::new(&self.script);
        run(command.args(["docker", node]).args(args).envs(vars.iter().copied()).current_dir(root()), input)
    }

    /// The end of a service's log. The client waits for ever for nodes that died: it is given ten seconds.
    pub fn log(&self, service: &str) -> Result<String> {
        let script = r#"timeout 10 "$0" docker node1 service logs --raw --tail 2000 "$1" 2>&1 || true"#;
        run(Command::new("sh").args(["-c", script]).arg(&self.script).arg(service), "")
    }

    /// A node's address in the lab's network.
    pub fn address(&self, node: &str) -> Result<String> {
        self.setting(&format!("SWARM_LAB_ADDR_{node}"))
    }

    /// The socket of the manager's engine, as a `DOCKER_HOST`.
    pub fn docker_host(&self) -> Result<String> {
        self.setting("DOCKER_HOST")
    }

    fn setting(&self, name: &str) -> Result<String> {
        let settings = self.call(&["env"])?;
        let value = settings.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
        Ok(value.with_context(|| format!("the lab says nothing of {name}"))?.to_owned())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if env::var_os("KEEP").is_some() {
            return println!("The lab is kept: tests/swarm/swarm-lab down ends it.");
        }
        if let Err(error) = self.call(&["down"]) {
            eprintln!("the lab can't be taken down: {error:#}");
        }
    }
}

/// Tags the three images on this machine's Docker and saves them in one archive.
fn make_images(image: &str, archive: &Path) -> Result<()> {
    let docker = |args: &[&str], input: &str| run(Command::new("docker").args(args), input);
    docker(&["image", "inspect", "--format", "{{.Id}}", image], "")
        .with_context(|| format!("this machine's Docker has no image {image}: set IMAGE to the one to be tried"))?;
    docker(&["tag", image, FIRST], "")?;
    let second = format!("FROM {image}\nENV SWARMQ_INSTANCE__VERSION=second\n");
    docker(&["build", "--quiet", "--tag", SECOND, "-"], &second)?;
    // Alive, but not where the health check asks.
    let entry = r#"ENTRYPOINT ["/swarmq", "--set", "admin.port=9191"]"#;
    let broken = format!("FROM {image}\nENV SWARMQ_INSTANCE__VERSION=broken\n{entry}\n");
    docker(&["build", "--quiet", "--tag", BROKEN, "-"], &broken)?;
    docker(&["save", "--output", &archive.display().to_string(), FIRST, SECOND, BROKEN], "")?;
    ensure!(archive.is_file(), "no archive was made of the images");
    Ok(())
}
