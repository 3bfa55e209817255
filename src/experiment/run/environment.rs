//! What an experiment's figures were measured on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use procfs::Current;

use super::Environment;
use crate::config::SECRETS;
use crate::wire::Topology;

/// This machine, as far as it tells.
pub fn environment() -> Environment {
    let system = nix::sys::utsname::uname();
    let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
    let processor = procfs::CpuInfo::current().ok();
    let flags = processor.as_ref().and_then(|info| info.flags(0)).unwrap_or_default();
    Environment {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("SWARMQ_COMMIT").unwrap_or_default().to_owned(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        host: system.as_ref().map(|system| text(system.nodename())).unwrap_or_default(),
        system: system
            .as_ref()
            .map(|system| format!("{} {}", text(system.sysname()), text(system.release())))
            .unwrap_or_default(),
        architecture: system.as_ref().map(|system| text(system.machine())).unwrap_or_default(),
        is_virtual: flags.contains(&"hypervisor"),
        processor: processor.and_then(|info| info.model_name(0).map(str::to_owned)).unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(0, Into::into),
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").unwrap_or_default(),
        turbo: turbo(),
        command: command(std::env::args_os().map(|argument| argument.to_string_lossy().into_owned())),
        memory_bytes: procfs::Meminfo::current().map_or(0, |memory| memory.mem_total),
        cpu_limit: limit("cpu.max", cores),
        memory_limit_bytes: limit("memory.max", |text| text.parse().ok()),
        load_average: procfs::LoadAverage::current().map_or(0.0, |load| f64::from(load.one)),
        nodes: vec![],
    }
}

fn line(file: impl AsRef<Path>) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

/// Of Intel's driver, or of the others.
fn turbo() -> Option<bool> {
    let says = |file: &str, on: &str| line(Path::new("/sys/devices/system/cpu").join(file)).map(|text| text == on);
    says("intel_pstate/no_turbo", "0").or_else(|| says("cpufreq/boost", "1"))
}

/// Arguments without the values of secrets: `--token VALUE`, `--token=VALUE`, `--set admin.token=VALUE`.
fn command(arguments: impl Iterator<Item = String>) -> Vec<String> {
    const TOKEN: &str = "--token";
    let hidden = "(hidden)".to_owned();
    let mut is_value = false;
    let shown = |argument: String| {
        if std::mem::replace(&mut is_value, argument == TOKEN) {
            return hidden.clone();
        }
        let secret = SECRETS.into_iter().chain([TOKEN]).find_map(|name| {
            let (before, _) = argument.split_once(&format!("{name}="))?;
            Some(format!("{before}{name}={hidden}"))
        });
        secret.unwrap_or(argument)
    };
    arguments.map(shown).collect()
}

/// A limit of this process's cgroup (v2), the smallest of it and of those above it. None: without a limit.
fn limit<T: PartialOrd>(file: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let own = line("/proc/self/cgroup")?.lines().find_map(|line| Some(line.strip_prefix("0::/")?.to_owned()))?;
    let folder = Path::new("/sys/fs/cgroup").join(own);
    let limits = folder.ancestors().take_while(|folder| folder.starts_with("/sys/fs/cgroup"));
    limits
        .filter_map(|folder| read(&line(folder.join(file))?))
        .reduce(|one, other| if other < one { other } else { one })
}

/// Cores by `cpu.max`, the microseconds of each period: `150000 100000` are 1.5, `max 100000` has no limit.
fn cores(text: &str) -> Option<f64> {
    let (quota, period) = text.split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

impl Environment {
    /// What of this environment another one differs in, so far that figures of both can't be compared; empty where they can.
    /// What one of them does not know is no difference.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
        let facts = |of: &Self| {
            [
                ("version", of.version.clone()),
                ("commit", of.commit.clone()),
                ("build", of.build.clone()),
                ("host", of.host.clone()),
                ("system", of.system.clone()),
                ("processor", of.processor.clone()),
                ("cores", number(Some(of.cores as f64).filter(|cores| *cores > 0.0))),
                ("governor", of.governor.clone()),
                ("turbo", of.turbo.map(|is_on| is_on.to_string()).unwrap_or_default()),
                ("limit of cores", number(of.cpu_limit)),
                ("limit of memory", number(of.memory_limit_bytes.map(|bytes| bytes as f64))),
            ]
        };
        let both = facts(self).into_iter().zip(facts(other));
        let different =
            both.filter(|((_, one), (_, another))| !one.is_empty() && !another.is_empty() && one != another);
        different.map(|((what, one), (_, another))| format!("{what}: {one} against {another}")).collect()
    }
}

/// The hosts of a deployment.
pub fn nodes(topology: &Topology) -> Vec<String> {
    let nodes: BTreeSet<_> = topology.instances.values().map(|view| view.snapshot.instance.node.clone()).collect();
    nodes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_know_can_differ() {
        let here = environment();
        assert_eq!(here.differences(&here), Vec::<String>::new());
        assert!(here.cores > 0 && here.build == "debug", "{here:?}");
        let there = Environment { governor: "powersave".into(), version: "9.9.9".into(), ..Environment::default() };
        let with_governor = Environment { governor: "performance".into(), ..here };
        let found = with_governor.differences(&there);
        let version = format!("version: {} against 9.9.9", with_governor.version);
        assert_eq!(found, [version.as_str(), "governor: performance against powersave"]);
    }

    #[test]
    fn a_command_line_is_kept_without_its_secrets() {
        let given = "swarmq experiment quick --token abc --url http://pi --token=abc --set admin.token=abc --set=curve.key=abc --set admin.token_file=/x";
        let kept = command(given.split(' ').map(str::to_owned)).join(" ");
        let hidden = "swarmq experiment quick --token (hidden) --url http://pi --token=(hidden) --set admin.token=(hidden) --set=curve.key=(hidden) --set admin.token_file=/x";
        assert_eq!(kept, hidden);
        assert!(!environment().command.is_empty());
    }

    #[test]
    fn a_limit_of_cores_is_quota_by_period() {
        assert_eq!((cores("150000 100000"), cores("max 100000"), cores("")), (Some(1.5), None, None));
    }
}
