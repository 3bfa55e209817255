//! CPU time and memory of this process.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use procfs::process::Process;

use crate::wire::Usage;

/// CPU time and resident memory of this process; `None` if the system does not report them.
pub fn usage() -> Option<Usage> {
    let times = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let cpu_us = times.user_time().num_microseconds() + times.system_time().num_microseconds();
    let pages = Process::myself().and_then(|own| own.statm()).ok()?.resident;
    let page_size = procfs::page_size();
    Some(Usage { cpu_us: cpu_us as u64, resident_bytes: pages * page_size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_grows_and_memory_is_plausible() {
        let before = usage().unwrap();
        let mut sum = 0_u64;
        let after = loop {
            sum = std::hint::black_box(sum.wrapping_add(1));
            if sum.is_multiple_of(1_000_000) && usage().unwrap().cpu_us > before.cpu_us {
                break usage().unwrap();
            }
        };
        assert!(after.cpu_us > before.cpu_us);
        assert!((100_000..1 << 40).contains(&after.resident_bytes), "{after:?}");
    }
}
