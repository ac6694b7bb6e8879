//! What the system says about processes. Linux alone; elsewhere everything is 0.

use std::fs::read_to_string;

/// Ticks a second in `/proc`.
const TICKS: f64 = 100.0;

/// Seconds of CPU, user and system, that a process has used so far.
pub(super) fn cpu_seconds(pid: u32) -> f64 {
    times(&pid.to_string())[..2].iter().sum()
}

/// Seconds of CPU that this process and those of its children that have ended have used.
pub(super) fn own_cpu_seconds() -> f64 {
    times("self").iter().sum()
}

/// utime, stime, cutime and cstime in seconds.
fn times(pid: &str) -> [f64; 4] {
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The command's name stands in brackets and may hold anything, so it is counted from behind it.
    let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
    let mut found = [0.0; 4];
    for (time, text) in found.iter_mut().zip(behind.split(' ').skip(11)) {
        *time = text.parse::<f64>().unwrap_or(0.0) / TICKS;
    }
    found
}

/// Resident memory of a process in bytes.
pub(super) fn resident(pid: u32) -> f64 {
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0
}

/// Seconds of CPU that the whole machine has spent on processes.
pub(super) fn machine_cpu_seconds() -> f64 {
    let stat = read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    // User, nice, system.
    let busy = first.split_whitespace().skip(1).take(3).filter_map(|text| text.parse::<f64>().ok());
    busy.sum::<f64>() / TICKS
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        assert!(resident(std::process::id()) > 100_000.0);
        let start = cpu_seconds(std::process::id());
        let mut sum = 0_u64;
        while cpu_seconds(std::process::id()) < start + 0.05 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(own_cpu_seconds() >= start + 0.05 && machine_cpu_seconds() > 0.0);
    }
}
