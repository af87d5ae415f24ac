//! Reads the properties of this host on which its watchdog depends, from `/proc`.

use std::fs;

/// Returns whether the CPU has the flag `hypervisor` (`proc_cpuinfo(5)`; CPUID leaf 1, ECX bit 31): then a hypervisor
/// can pause this host with its watchdog. `None` if that cannot be read: the flag is one of x86.
#[must_use]
pub fn is_virtual() -> Option<bool> {
    is_virtual_by(&fs::read_to_string("/proc/cpuinfo").ok()?)
}

fn is_virtual_by(cpuinfo: &str) -> Option<bool> {
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.trim_start().strip_prefix(':'))?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_of_the_first_cpu_counts_and_none_is_unknown() {
        assert_eq!(is_virtual_by("processor\t: 0\nflags\t\t: fpu vme hypervisor lm\n"), Some(true));
        assert_eq!(is_virtual_by("processor\t: 0\nflags\t\t: fpu vme lm\nbugs\t: hypervisor\n"), Some(false));
        assert_eq!(is_virtual_by("processor\t: 0\nFeatures\t: fp asimd\n"), None);
    }
}
