//! Memory limits: what stack.yml says, and how the kernel is made to enforce it.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

use anyhow::{Context, Result};

use crate::root;

/// The memory limit that stack.yml gives a service, in bytes.
pub fn memory_limit(service: &str) -> Result<u64> {
    let text = fs::read_to_string(root().join("stack.yml")).context("stack.yml")?;
    let find = || {
        let (_, own) = text.split_once(&format!("\n  {service}:\n"))?;
        let limits = own.lines().take_while(|line| line.starts_with("    ")).find(|line| line.contains("limits:"))?;
        let megabytes = limits.split_once("memory: ")?.1.split_once('M')?.0;
        Some(megabytes.parse::<u64>().ok()? << 20)
    };
    find().with_context(|| format!("stack.yml has no memory limit in M for {service}"))
}

/// How instances are limited.
pub enum Means {
    /// Processes in control groups, as an engine would make them for containers.
    Groups,
    /// Containers of this image.
    Containers(String),
    /// Not at all, for this reason.
    Nothing(io::Error),
}

impl Means {
    /// Containers where IMAGE says of what; else groups, where they can be made.
    pub fn find() -> Self {
        match env::var("IMAGE") {
            Ok(image) => Self::Containers(image),
            Err(_) => match Group::new("probe", 64 << 20) {
                Ok(_) => Self::Groups,
                Err(error) => Self::Nothing(error),
            },
        }
    }
}

impl Display for Means {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Groups => write!(f, "Processes with stack.yml's memory limits, by control groups"),
            Self::Containers(image) => write!(f, "Containers of {image} with stack.yml's memory limits"),
            Self::Nothing(error) => write!(
                f,
                "NO MEMORY LIMITS: no control group can be made ({error}); resident memory is held against them"
            ),
        }
    }
}

/// A control group with a memory limit and without swap; removed at the end.
pub struct Group(PathBuf);

impl Group {
    pub fn new(name: &str, limit: u64) -> io::Result<Self> {
        let (first, second) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let is_first = first.is_dir();
        let parent = if is_first { first } else { second };
        if !is_first {
            fs::write(second.join("cgroup.subtree_control"), "+memory")?;
        }
        let group = Self(parent.join(format!("swarmq-attacks-{}-{name}", process::id())));
        fs::create_dir(&group.0)?;
        let (memory, swap, swapped) = match is_first {
            true => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", limit),
            false => ("memory.max", "memory.swap.max", 0),
        };
        fs::write(group.0.join(memory), limit.to_string())?;
        // Some kernels don't count swap.
        let _ = fs::write(group.0.join(swap), swapped.to_string());
        Ok(group)
    }

    /// Where a process writes its id to become a member.
    pub fn members(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("{} can't be removed: {error}", self.0.display());
        }
    }
}
