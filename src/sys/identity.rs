//! The identity of this host, its boot, its programs and their callers. Only reads.

use std::io::Read;
use std::path::Path;

use hmac::digest::Digest;
use nix::unistd::{SysconfVar, gethostname, getppid, getuid, sysconf};
use sha1::Sha1;

use crate::core::config::Config;
use crate::core::ganeti::oob::REQUEST_VARIABLE;
use crate::core::host_identity::HostIdentity;
use crate::core::node::NodeName;
use crate::core::receipt::Caller;
use crate::core::shun::messages::Program;
use crate::sys::clock::now;

/// The kernel's directory with the identity of the host by its firmware.
const DMI: &str = "/sys/class/dmi/id";

/// The most that is read of a file there, in bytes.
const IDENTITY_MOST: u64 = 1_024;

/// Returns this host's name from the kernel; `"unknown"` if it has none.
#[must_use]
pub fn host() -> String {
    gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "unknown".to_owned())
}

/// Returns this host's name in Ganeti's form, if it is one of `names`.
#[must_use]
pub fn node_among<'a>(names: impl IntoIterator<Item = &'a NodeName>) -> Option<NodeName> {
    let host = NodeName::new(&host()).ok()?;
    crate::core::node::find(&host, names).ok().cloned()
}

/// Returns the id of this boot (`proc_sys_kernel(5)`), which differs in every boot; `"unknown"` if it cannot be read.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// Returns an id of this run of the host: the boot and the start time of the first process. A container shares the boot
/// id of its host.
#[must_use]
pub fn incarnation() -> String {
    match first_process_began() {
        Some(ticks) => format!("{}+{ticks}", boot_id()),
        None => boot_id(),
    }
}

/// Returns the time in ms since this host's first process started, by the boot clock.
#[must_use]
pub fn uptime_ms() -> Option<u64> {
    let hertz = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let began_ms = first_process_began()?.checked_mul(1_000)?.checked_div(hertz)?;
    Some(super::clock::now().boottime_ms.saturating_sub(began_ms))
}

/// Returns the start time of process 1 in ticks since boot (`proc_pid_stat(5)`, `starttime`).
fn first_process_began() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/1/stat").ok()?;
    // The process name in brackets may contain any character.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Returns the program version, the configuration at `config`, the wall clock and the key fingerprint behind this
/// host's answers.
#[must_use]
pub fn program(config: &Path) -> Program {
    let bytes = std::fs::read(config).ok();
    let decides = |bytes: &Vec<u8>| Some(Config::parse(std::str::from_utf8(bytes).ok()?, config).ok()?.digest());
    Program {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: bytes.as_ref().map(|bytes| Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()),
        digest: bytes.as_ref().and_then(decides).map(|digest| digest.to_string()),
        wall_ms: now().wall_ms,
        remote_key: super::remote_key::fingerprint(),
        host: Some(host_identity(Path::new(DMI))),
    }
}

/// Returns the identity of this host as its firmware has it, from the kernel's directory (`sysfs-firmware-dmi-tables`). Both
/// files are readable by root only. A host without SMBIOS has neither.
fn host_identity(dmi: &Path) -> HostIdentity {
    let read = |name: &str| {
        let file = std::fs::File::open(dmi.join(name)).ok()?;
        let mut text = Vec::new();
        file.take(IDENTITY_MOST).read_to_end(&mut text).ok()?;
        String::from_utf8(text).ok()
    };
    HostIdentity { uuid: read("product_uuid"), serial_number: read("product_serial") }.bounded()
}

/// Returns the caller of this program: the parent process and the user.
#[must_use]
pub fn asker() -> Caller {
    let parent = getppid().as_raw();
    Caller {
        program: program_of(parent),
        pid: u32::try_from(parent).unwrap_or_default(),
        user: user(),
        request: request(),
    }
}

/// Returns the id of the caller's receipt. Returns `None` for a caller without receipts, such as Ganeti or an
/// administrator's shell.
#[must_use]
pub fn request() -> Option<String> {
    std::env::var(REQUEST_VARIABLE).ok().filter(|id| is_id(id))
}

/// Returns the name of a process. The kernel's name, which for a script is the script's, has at most 15 bytes. If it
/// was cut, the function returns the file name in the command line.
fn program_of(pid: i32) -> String {
    const KERNEL_KEEPS: usize = 15;
    let dir = Path::new("/proc").join(pid.to_string());
    let Ok(name) = std::fs::read_to_string(dir.join("comm")) else { return "unknown".to_owned() };
    let name = name.trim().to_owned();
    if name.len() < KERNEL_KEEPS {
        return name;
    }
    let words = std::fs::read(dir.join("cmdline")).unwrap_or_default();
    let started = words.split(|byte| *byte == 0).take(2).map(String::from_utf8_lossy);
    let mut files = started.map(|word| word.rsplit('/').next().unwrap_or_default().to_owned());
    files.find(|file| file.starts_with(&name)).unwrap_or(name)
}

/// Returns true under Pacemaker's fencer, which sets this variable for its children (`lib/common/logging.c`).
#[must_use]
pub fn under_pacemaker() -> bool {
    std::env::var_os("PCMK_service").is_some()
}

fn user() -> String {
    let before_sudo = std::env::var("SUDO_USER").ok();
    before_sudo.filter(|name| NodeName::new(name).is_ok()).unwrap_or_else(|| match getuid().as_raw() {
        0 => "root".to_owned(),
        number => number.to_string(),
    })
}

/// Returns a new id for an intent: the wall clock in ms, so that ids sort, and 32 random bits.
#[must_use]
pub fn new_id(wall_ms: u64) -> String {
    let mut random = [0; 4];
    // Without random numbers, the process id still distinguishes ids of one moment.
    if getrandom::fill(&mut random).is_err() {
        random = std::process::id().to_be_bytes();
    }
    format!("{wall_ms:012x}-{:08x}", u32::from_be_bytes(random))
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 40 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_up_for_some_time_of_one_boot() {
        assert!(uptime_ms().unwrap() <= super::super::clock::now().boottime_ms);
        assert!(incarnation().starts_with(&boot_id()) && incarnation().len() > boot_id().len());
    }

    /// A comment changes the file and not its effect. For a file that is not a valid configuration, the effect is
    /// unknown.
    #[test]
    fn a_host_reports_its_file_and_what_it_decides() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let Program { config, digest, .. } = program(&path);
            (config.unwrap(), digest)
        };
        let text = "minimum_grade = \"bounded\"\n";
        let (file, digest) = of(text);
        let (commented, same) = of(&format!("# A comment.\n{text}"));
        assert!(file != commented && digest == same && digest.is_some_and(|digest| digest.len() == 32));
        assert_ne!(of("minimum_grade = \"off\"\n").1, same);
        assert_eq!(of("[defalut]\n").1, None);
        std::fs::remove_file(&path).unwrap();
        let Program { config, digest, .. } = program(&path);
        assert_eq!((config, digest), (None, None));
    }

    #[test]
    fn the_firmware_of_a_host_has_its_identity() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(host_identity(dir.path()), HostIdentity::default());
        std::fs::write(dir.path().join("product_uuid"), "4c4c4544-0042-3310-8052-b7c04f4d4b32\n").unwrap();
        std::fs::write(dir.path().join("product_serial"), "2B3CMK2\n").unwrap();
        let HostIdentity { uuid, serial_number } = host_identity(dir.path());
        assert_eq!(uuid.as_deref(), Some("4c4c4544-0042-3310-8052-b7c04f4d4b32"));
        assert_eq!(serial_number.as_deref(), Some("2B3CMK2"));
    }

    #[test]
    fn ids_are_read_back_and_nothing_else_is() {
        assert!(is_id(&new_id(1_790_000_000_000)));
        assert!(new_id(1) < new_id(2));
        assert!(!is_id("../x") && !is_id("") && !is_id(&"a".repeat(41)));
    }
}
