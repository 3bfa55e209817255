//! What the machine that makes the load did during a trial.

use std::fs;
use std::time::Instant;

use procfs::{Current, CurrentSI};
use serde::{Deserialize, Serialize};

/// The machine while a trial measured. Shares are from 0 to 1, of that time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Of the last minute, at the trial's end.
    pub load_average: f64,
    /// Share of all cores' time that any program used, this experiment's own among them.
    pub busy: f64,
    /// Share of all cores' time that the hypervisor gave to other machines.
    pub steal: f64,
    /// Share of the time in which some program waited for a core (PSI). None where the kernel does not tell it.
    pub cpu_pressure: Option<f64>,
    /// Share of the time in which some program waited for memory.
    pub memory_pressure: Option<f64>,
    /// Share of the time in which some program waited for a disk.
    pub io_pressure: Option<f64>,
    /// Mean frequency of the cores at the trial's end. None where the kernel does not tell it.
    pub mhz: Option<f64>,
}

/// The kernel's counters at a moment.
pub struct Counters {
    at: Instant,
    /// Ticks of all cores: any, not idle, stolen.
    ticks: Option<[u64; 3]>,
    /// Microseconds since boot.
    pressures: [Option<u64>; 3],
}

impl Counters {
    pub fn now() -> Self {
        let ticks = procfs::KernelStats::current().ok().map(|stats| {
            let cpu = stats.total;
            let steal = cpu.steal.unwrap_or_default();
            let idle = cpu.idle + cpu.iowait.unwrap_or_default();
            let used = cpu.user + cpu.nice + cpu.system + cpu.irq.unwrap_or_default() + cpu.softirq.unwrap_or_default();
            [idle + used + steal, used, steal]
        });
        let pressures = [
            procfs::CpuPressure::current().ok().map(|pressure| pressure.some.total),
            procfs::MemoryPressure::current().ok().map(|pressure| pressure.some.total),
            procfs::IoPressure::current().ok().map(|pressure| pressure.some.total),
        ];
        Self { at: Instant::now(), ticks, pressures }
    }

    /// What happened since then.
    pub fn until(&self, now: &Self) -> Machine {
        let [all, busy, steal] = match (self.ticks, now.ticks) {
            (Some(then), Some(now)) => [0, 1, 2].map(|at| now[at].saturating_sub(then[at]) as f64),
            _ => [0.0; 3],
        };
        let elapsed = now.at.saturating_duration_since(self.at).as_micros().max(1) as f64;
        let pressure = |at: usize| {
            let waited = now.pressures[at]?.saturating_sub(self.pressures[at]?);
            Some((waited as f64 / elapsed).min(1.0))
        };
        Machine {
            load_average: procfs::LoadAverage::current().map_or(0.0, |load| f64::from(load.one)),
            busy: busy / all.max(1.0),
            steal: steal / all.max(1.0),
            cpu_pressure: pressure(0),
            memory_pressure: pressure(1),
            io_pressure: pressure(2),
            mhz: mhz(),
        }
    }
}

fn mhz() -> Option<f64> {
    let of_core = |core: usize| {
        let file = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq");
        fs::read_to_string(file).ok()?.trim().parse::<f64>().ok()
    };
    let cores: Vec<f64> = (0..).map_while(of_core).collect();
    (!cores.is_empty()).then(|| cores.iter().sum::<f64>() / cores.len() as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_between_two_moments() {
        let before =
            Counters { at: Instant::now(), ticks: Some([1_000, 100, 10]), pressures: [Some(500), None, Some(0)] };
        let after = Counters {
            at: before.at + std::time::Duration::from_millis(10),
            ticks: Some([3_000, 1_100, 110]),
            pressures: [Some(5_500), Some(1), Some(20_000)],
        };
        let machine = before.until(&after);
        assert_eq!((machine.busy, machine.steal), (0.5, 0.05));
        assert_eq!((machine.cpu_pressure, machine.memory_pressure, machine.io_pressure), (Some(0.5), None, Some(1.0)));
    }
}
