//! Runs a host's first process, which mounts and then reaps processes, and starts the host's services.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, thread};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{pivot_root, sethostname};
use serde::{Deserialize, Serialize};

use crate::command::{Cancel, Output, require, run};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::state::{self, Dir, Spec};
use crate::{cluster, ganeti, network, remote};

/// The actions of a host at a boot, in a file on its own disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Boot {
    /// The time in s before the services start.
    pub(crate) delay: u64,
    /// Whether corosync and Pacemaker start.
    pub(crate) pacemaker: bool,
    /// Whether it is a remote node: `pacemaker-remoted` runs in their place.
    #[serde(default)]
    pub(crate) remote: bool,
}

/// The file with [`Boot`] on a host's disk; without it a host starts only sshd.
pub(crate) const BOOT_FILE: &str = "/etc/gnt-ha-lab.json";
/// The file with the progress of a boot; in `/run`, so that it is lost with the power.
pub(crate) const STAGE_FILE: &str = "/run/lab-stage";
const STAGE_SSHD: &str = "sshd";
pub(crate) const STAGE_UP: &str = "up";
/// The environment of all programs on a host.
pub(crate) const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"), ("LANG", "C.UTF-8")];
/// A program that runs at every boot before the host is on the network, if it exists and is executable.
const RC_NETWORK: &str = "/etc/rc.network";
/// A program that runs last at every boot, if it exists and is executable.
const RC_LOCAL: &str = "/etc/rc.local";
/// The file with the id of a boot (`proc_sys_kernel(5)`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

fn attach(source: &str, target: &str, kind: Option<&str>, flags: MsFlags, data: Option<&str>) -> Result<()> {
    mount(Some(source), target, kind, flags, data).map_err(Error::system(format!("mount {target}")))
}

/// Runs as the PID 1 of a host; returns only if it cannot become one.
pub fn main(lab: &str, host: &str) -> Result<()> {
    let dir = Dir::of(lab)?;
    // Daemons that inherit blocked signals cannot be stopped by their scripts.
    SigSet::empty().thread_set_mask().map_err(Error::system("unblock signals"))?;
    let me = Process::current()?;
    let spec: Spec = state::load(&dir.spec())?.ok_or_else(|| Error::Absent(lab.into()))?;
    let index = network::index(host).unwrap_or_default();
    let (lower, disk) = (spec.root(index).display(), dir.disk(host));
    let overlay = format!("lowerdir={lower},upperdir={0}/upper,workdir={0}/work", disk.display());
    let root = dir.disk(host).join("root");
    let root = root.to_string_lossy();
    attach("overlay", &root, Some("overlay"), MsFlags::empty(), Some(&overlay))?;
    sethostname(spec.uname(index)).map_err(Error::system("set the host's name"))?;
    state::save(&dir.init(host), &me)?;

    env::set_current_dir(&*root).map_err(Error::system("enter the new root"))?;
    pivot_root(".", ".").map_err(Error::system("change the root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(Error::system("leave the old root"))?;
    env::set_current_dir("/").map_err(Error::system("enter the new root"))?;
    file_systems()?;
    masks()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(Error::system("forbid core files"))?;
    // corosync and Ganeti lock their memory if they may; a machine that forbids it loses little by that.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    Command::new("/proc/self/exe").args(["services", host]).spawn().map_err(Error::system("start the services"))?;
    loop {
        if waitpid(None, None) == Err(Errno::ECHILD) {
            thread::sleep(Duration::from_millis(200));
        }
    }
}

fn file_systems() -> Result<()> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    attach("proc", "/proc", Some("proc"), quiet | MsFlags::MS_NOEXEC, None)?;
    attach("sysfs", "/sys", Some("sysfs"), quiet | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY, None)?;
    devices()?;
    for (path, mode) in [("/run", "mode=0755"), ("/tmp", "mode=1777")] {
        attach("tmpfs", path, Some("tmpfs"), quiet, Some(mode))?;
    }
    for dir in ["/run/lock", "/run/sshd"] {
        fs::create_dir_all(dir).map_err(Error::file("create directory", Path::new(dir)))?;
    }
    Ok(())
}

/// Only harmless devices: neither the machine's disks nor its watchdog are in a host.
fn devices() -> Result<()> {
    attach("tmpfs", "/dev", Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=0755"))?;
    let before = umask(Mode::empty());
    let numbers = [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    for (name, major, minor) in numbers {
        let path = format!("/dev/{name}");
        mknod(path.as_str(), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(major, minor))
            .map_err(Error::system(format!("make {path}")))?;
    }
    umask(before);
    let links =
        [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx")];
    for (name, target) in links {
        symlink(target, format!("/dev/{name}")).map_err(Error::system(format!("link /dev/{name}")))?;
    }
    for (path, kind, options) in
        [("/dev/shm", "tmpfs", "mode=1777"), ("/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620")]
    {
        fs::create_dir(path).map_err(Error::file("create directory", Path::new(path)))?;
        attach(kind, path, Some(kind), MsFlags::MS_NOSUID, Some(options))?;
    }
    Ok(())
}

/// Hides everything that would affect the machine itself: its kernel's settings, SysRq, and the programs that end it.
/// (The system call `reboot` ends only the process namespace in which it is called.)
fn masks() -> Result<()> {
    attach("/proc/sys/net", "/proc/sys/net", None, MsFlags::MS_BIND, None)?;
    attach("/proc/sys", "/proc/sys", None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?;
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    attach(
        "/proc/sys",
        "/proc/sys",
        None,
        read_only | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        None,
    )?;
    boot_id(read_only)?;
    let programs = ["reboot", "halt", "poweroff", "shutdown", "kexec", "telinit"];
    let programs = programs.iter().map(|name| format!("/sbin/{name}"));
    let paths = programs.chain(std::iter::once("/proc/sysrq-trigger".into()));
    // Several of the names may be links to one program.
    let targets: BTreeSet<_> = paths.filter_map(|path| fs::canonicalize(path).ok()).collect();
    for target in targets {
        attach("/dev/null", &target.to_string_lossy(), None, MsFlags::MS_BIND, None)?;
    }
    Ok(())
}

/// Makes a boot id for each boot of a host: the kernel's is the machine's.
fn boot_id(read_only: MsFlags) -> Result<()> {
    let (source, copy) = (Path::new("/proc/sys/kernel/random/uuid"), Path::new("/run/lab-boot-id"));
    let id = fs::read(source).map_err(Error::file("read", source))?;
    state::write(copy, &id, 0o444)?;
    attach("/run/lab-boot-id", BOOT_ID, None, MsFlags::MS_BIND, None)?;
    attach("/run/lab-boot-id", BOOT_ID, None, read_only, None)?;
    fs::remove_file(copy).map_err(Error::file("remove", copy))
}

fn local(words: &[&str]) -> Result<Output> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Error::Answer { what: "a service's start".into(), detail: "no command".into() });
    };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(ENVIRONMENT);
    run(&mut command, b"", Duration::from_secs(120), &Cancel::default())
}

fn stage(text: &str) {
    if let Err(error) = fs::write(STAGE_FILE, text) {
        eprintln!("{STAGE_FILE}: {error}");
    }
}

/// Starts the services of a host, as its boot scripts would.
pub fn services(host: &str) -> Result<()> {
    let boot: Option<Boot> = state::load(Path::new(BOOT_FILE))?;
    script(RC_NETWORK)?;
    if let Some(index) = network::index(host) {
        network::raise(index)?;
    }
    require("start sshd", "sshd", local(&["/usr/sbin/sshd"])?)?;
    let Some(boot) = boot else {
        stage(STAGE_UP);
        return Ok(());
    };
    stage(STAGE_SSHD);
    thread::sleep(Duration::from_secs(boot.delay));
    let (cluster, ganeti) = thread::scope(|scope| {
        let cluster = scope.spawn(|| match (boot.pacemaker, network::index(host)) {
            (false, _) => Ok(()),
            (true, Some(index)) if boot.remote => remote::start(&local, index),
            (true, _) => cluster::start(&local),
        });
        let ganeti = ganeti::start(&local);
        (cluster.join(), ganeti)
    });
    for failure in [cluster.unwrap_or(Ok(())).err(), ganeti.err()].into_iter().flatten() {
        eprintln!("{failure}");
    }
    script(RC_LOCAL)?;
    stage(STAGE_UP);
    Ok(())
}

/// Runs a script of the host, if it exists; the boot goes on with any exit code.
fn script(path: &str) -> Result<()> {
    if fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o111 != 0) {
        let output = local(&[path])?;
        eprintln!("{path} ended with {}: {}", output.code, output.text());
    }
    Ok(())
}
