//! Hosts that are Pacemaker remote nodes: `pacemaker-remoted` in the place of corosync and pacemakerd.
//!
//! Debian has that program in a package that conflicts with `pacemaker`, on whose libraries both depend. Only the
//! program is taken out of it, once for each version, and kept below target.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Runner;
use crate::command::{Cancel, require, run, tool};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::state::{Spec, make_dir};
use crate::system::beside;

/// The path in the package and on the hosts.
pub(crate) const PROGRAM: &str = "usr/sbin/pacemaker-remoted";

/// The directory if the program is not below a directory `target`.
const ELSEWHERE: &str = "/var/cache/gnt-ha-lab/remote";

/// The most that apt may take.
const FETCH: Duration = Duration::from_secs(180);

/// `DEFAULT_REMOTE_PORT` of Pacemaker, in the form in which `/proc/net/tcp` has a listening socket.
const LISTENS: &str = "grep -q ':0C31 [0:]* 0A ' /proc/net/tcp /proc/net/tcp6 2>/dev/null";

/// The files that hosts need besides the packages: the program for the root of each remote node, and a key that the
/// whole lab shares.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    programs: BTreeMap<PathBuf, PathBuf>,
    /// The content of `/etc/pacemaker/authkey`.
    pub(crate) key: Vec<u8>,
}

impl Parts {
    /// Returns the program for hosts with this root.
    pub(crate) fn program(&self, root: &Path) -> Option<&Path> {
        self.programs.get(root).map(PathBuf::as_path)
    }
}

/// Collects the files, and downloads missing programs. `lab` is the path of the program `lab`.
pub(crate) fn parts(spec: &Spec, lab: &Path, say: &dyn Fn(&str)) -> Result<Parts> {
    let mut programs = BTreeMap::new();
    for index in (1..=spec.hosts).filter(|index| spec.is_remote(*index)) {
        let root = spec.root(index);
        if !programs.contains_key(root) {
            programs.insert(root.to_owned(), program(root, lab, say)?);
        }
    }
    let mut key = Vec::new();
    for _ in 0..8 {
        let uuid = Path::new("/proc/sys/kernel/random/uuid");
        key.extend(fs::read(uuid).map_err(Error::file("read", uuid))?);
    }
    Ok(Parts { programs, key })
}

/// Returns the program of the version of the libraries in `root`.
fn program(root: &Path, lab: &Path, say: &dyn Fn(&str)) -> Result<PathBuf> {
    let installed = root.join(PROGRAM);
    if installed.is_file() {
        return Ok(installed);
    }
    let packages = format!("--admindir={}", root.join("var/lib/dpkg").display());
    let words = ["dpkg-query", &packages, "--show", "--showformat", "${Version}", "pacemaker"];
    let version = tool("ask for Pacemaker's version", &words, "")?.stdout;
    let dir = beside(lab, "lab-remote", ELSEWHERE)?.join(version.replace([':', '/'], "_"));
    let kept = dir.join("pacemaker-remoted");
    if kept.is_file() {
        return Ok(kept);
    }
    say(&format!("fetching pacemaker-remote {version}"));
    let work = dir.join(format!("new{}", std::process::id()));
    let made = fetch(root, &version, &work).and_then(|found| {
        fs::rename(&found, &kept).map_err(Error::file("rename", &found))?;
        Ok(kept)
    });
    let _ = fs::remove_dir_all(&work);
    made
}

/// Downloads the package with the machine's apt and the sources of the root.
fn fetch(root: &Path, version: &str, work: &Path) -> Result<PathBuf> {
    for dir in ["state/lists/partial", "cache/archives/partial", "out"] {
        make_dir(&work.join(dir), 0o755)?;
    }
    let mut options: Vec<String> = ["-qq", "-o", "APT::Sandbox::User=root"].map(str::to_owned).into();
    if root != Path::new("/") {
        let settings = [
            format!("Dir::Etc={}", root.join("etc/apt").display()),
            // From Debian 13 on `trusted.gpg.d` is empty.
            format!("Dir::Etc::trustedparts={}", root.join("usr/share/keyrings").display()),
            format!("Dir::State={}", work.join("state").display()),
            format!("Dir::State::status={}", root.join("var/lib/dpkg/status").display()),
            format!("Dir::Cache={}", work.join("cache").display()),
            "Acquire::Check-Valid-Until=false".to_owned(),
        ];
        options.extend(settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]));
    }
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(&options).args(words).current_dir(work.join("out"));
        let output = run(&mut command, b"", FETCH, &Cancel::default())?;
        require("fetch pacemaker-remote", &format!("apt-get {}", words.join(" ")), output)
    };
    let wanted = format!("pacemaker-remote={version}");
    // The machine's package lists may exist and be recent enough.
    if root != Path::new("/") || apt(&["download", &wanted]).is_err() {
        apt(&["update"])?;
        apt(&["download", &wanted])?;
    }
    let out = work.join("out");
    let package = fs::read_dir(&out).map_err(Error::file("read directory", &out))?.flatten().next();
    let package = package.ok_or_else(|| Error::Answer { what: "apt-get download".into(), detail: "no file".into() })?;
    let (package, tree) = (package.path().to_string_lossy().into_owned(), work.join("tree"));
    tool("unpack pacemaker-remote", &["dpkg-deb", "-x", &package, &tree.to_string_lossy()], "")?;
    Ok(tree.join(PROGRAM))
}

/// Starts `pacemaker-remoted`, and returns when it accepts connections.
pub(crate) fn start(run: &Runner<'_>, index: u8) -> Result<()> {
    let dirs = "[ -d /var/lib/pacemaker/cib ] || systemd-tmpfiles --create --prefix=/var/lib/pacemaker \
                   --prefix=/var/log/pacemaker";
    require("prepare Pacemaker's directories", dirs, run(&["sh", "-c", dirs])?)?;
    let address = format!("PCMK_remote_address={}", Network::Primary.address(index));
    let log = "PCMK_logfile=/var/log/pacemaker/pacemaker.log";
    let words = ["setsid", "--fork", "env", log, &address, "pacemaker-remoted"];
    require("start pacemaker-remoted", "pacemaker-remoted", run(&words)?)?;
    let end = Instant::now() + Duration::from_secs(30);
    while !run(&["sh", "-c", LISTENS])?.success() {
        if Instant::now() > end {
            let what = "pacemaker-remoted to take connections".into();
            return Err(Error::TimedOut { what, seconds: 30, last: String::new() });
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
