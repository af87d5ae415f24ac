//! Checks this host: programs, left-over files, and what blocks the record.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::paths::Paths;
use crate::core::check::input::{Host, Installed};
use crate::core::config::SelfFenceConfig;
use crate::core::ganeti::hooks::{DIRS, FILE, ROOT};
use crate::core::node::NodeName;
use crate::service::self_fence::arming::test_echoes;
use crate::service::self_fence::state::desired;
use crate::service::shun::applier;
use crate::sys::clock::{Deadline, now};
use crate::sys::ganeti::daemon_util::Daemons;
use crate::sys::{newer_config, simulate, systemd};

/// The directory of the OCF agents (`OCF_ROOT_DIR` of Debian's build); `FENCE_AGENT` is in `PCMK__FENCE_BINDIR`.
const AGENTS: &str = "/usr/lib/ocf/resource.d/ganeti";
const FENCE_AGENT: &str = "/usr/sbin/fence_ganeti";

/// The file with the options of Ganeti's daemons on Debian.
const DEFAULTS: &str = "/etc/default/ganeti";

/// The cron file of the watcher (Debian's package `ganeti`).
const WATCHER: &str = "/etc/cron.d/ganeti";

/// The files and directories from which cron and systemd run programs.
const SCHEDULES: [&str; 7] = [
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/systemd/system",
    "/var/spool/cron/crontabs",
];

/// The run-time directory of Ganeti.
const RUN_DIR: &str = "/var/run/ganeti";

/// The time limit for systemd's answer.
const SYSTEMD_TIMEOUT: Duration = Duration::from_secs(2);

/// The time limit for asking the master candidates for what a lease needs.
const ECHO_TEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Collects the state of this host. `self_fence` is the configuration of self-fencing; `shuns` is true if a fencing may
/// shun a node.
pub(super) fn collect(paths: &Paths, node: Option<NodeName>, self_fence: &SelfFenceConfig, shuns: bool) -> Host {
    let agents = ["ganeti-master-role", "ganeti-node-role"];
    let dir = paths.state_dir.join(simulate::DIR);
    let view = paths.view();
    let mut unreadable = Vec::new();
    let pause = or_unreadable(view.pause(), &mut unreadable).flatten();
    let memory = or_unreadable(view.memory(), &mut unreadable);
    let _ = or_unreadable(view.last_recovery(), &mut unreadable);
    let shun_list = or_unreadable(applier::shun_list(&paths.state_dir), &mut unreadable).unwrap_or_default();
    // If the desired state cannot be read, self-fencing counts as armed.
    let is_armed = desired(&paths.state_dir).map_or(true, |wanted| wanted.armed);
    let (systemd_watchdogs, not_enabled) =
        of_systemd(is_armed, shuns || !shun_list.0.is_empty(), &self_fence.watchdog_device);
    let lease_lacks =
        is_armed.then(|| test_echoes(&paths.data_dir, self_fence.port, Deadline::after(ECHO_TEST_TIMEOUT)));
    let stale = Daemons::new(Path::new("/usr/lib/ganeti"), Path::new(RUN_DIR)).stale_pidfiles();
    Host {
        node,
        hooks: hooks(Path::new(ROOT)),
        agents: agents.map(|name| (name, installed(&Path::new(AGENTS).join(name)))).into(),
        fence_agent: installed(Path::new(FENCE_AGENT)),
        no_voting: [DEFAULTS].into_iter().filter(|file| gives_no_voting(file)).map(PathBuf::from).collect(),
        harep: SCHEDULES.iter().flat_map(|path| harep_in(Path::new(path))).collect(),
        stale_pidfiles: stale.into_iter().map(|(_, file)| file).collect(),
        watcher_absent: (!Path::new(WATCHER).exists()).then(|| PathBuf::from(WATCHER)),
        watcher_paused: paused_until(&paths.data_dir).filter(|until| *until > now().wall_ms / 1_000),
        simulated: simulate::present(&dir),
        simulates_nothing: simulate::unknown(&dir),
        pause,
        breaker: memory.and_then(|memory| memory.breaker.open_state().cloned()),
        shunned: shun_list.shunned().map(|(node, entry)| (node.clone(), entry.by.clone())).collect(),
        unreadable,
        newer_config: newer_config::read(&paths.state_dir).map_err(|error| error.to_string()),
        systemd_watchdogs,
        not_enabled,
        lease_lacks: lease_lacks
            .and_then(|test| test.map_or_else(|error| Some(error.to_string()), |test| test.objection())),
    }
}

/// Returns the settings by which systemd opens the watchdog that self-fencing needs, and the needed units that it does
/// not start at boot. Both are empty if systemd does not run or answer.
fn of_systemd(is_armed: bool, shuns: bool, watchdog: &Path) -> (Vec<String>, Vec<String>) {
    if !systemd::is_here() || !(is_armed || shuns) {
        return Default::default();
    }
    let deadline = Deadline::after(SYSTEMD_TIMEOUT);
    let watchdogs = if is_armed { systemd::watchdogs(watchdog, deadline).unwrap_or_default() } else { Vec::new() };
    // An armed node relies on the others' echoes, and they rely on its echoes: the rules must be applied before the
    // network is up.
    let mut units = vec!["gnt-ha-shun.service", "gnt-ha-shun-sync.timer"];
    units.extend(is_armed.then_some("gnt-ha-self-fence.service"));
    (watchdogs, systemd::not_enabled(&units, deadline).unwrap_or_default())
}

/// Returns the value, or adds the error to `unreadable`: an unknown value does not count as absent.
fn or_unreadable<T, E: ToString>(read: Result<T, E>, unreadable: &mut Vec<String>) -> Option<T> {
    read.map_err(|error| unreadable.push(error.to_string())).ok()
}

fn installed(path: &Path) -> Installed {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    const ANY_EXECUTE: u32 = 0o111;
    let can_run =
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & ANY_EXECUTE != 0);
    if !can_run {
        return Installed::Missing;
    }
    let mut start = [0; 2];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    if read.is_ok() && &start == b"#!" { Installed::Script } else { Installed::Program }
}

/// Returns the hooks that Ganeti does not run, each with the reason.
fn hooks(dirs: &Path) -> BTreeMap<PathBuf, String> {
    let missing = |name: &str| {
        let dir = dirs.join(name);
        let path = dir.join(FILE);
        let dotted = || {
            let names = fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
            names.filter_map(|name| name.into_string().ok()).find(|name| name.starts_with(&format!("{FILE}.")))
        };
        let why = match (installed(&path), path.exists()) {
            (Installed::Program | Installed::Script, _) => return None,
            (Installed::Missing, true) => "it is not an executable file".to_owned(),
            (Installed::Missing, false) => match dotted() {
                Some(name) => format!("its name is {name}: Ganeti ignores a name with a dot"),
                None => "there is no such file".to_owned(),
            },
        };
        Some((Path::new(name).join(FILE), why))
    };
    DIRS.into_iter().filter_map(missing).collect()
}

fn gives_no_voting(file: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::trim).any(|line| !line.starts_with('#') && line.contains("--no-voting"))
}

/// Returns the file, or the files in the directory, that run Ganeti's harep in a line that is not a comment.
fn harep_in(path: &Path) -> Vec<PathBuf> {
    let runs = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let names_harep = |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "harep");
        text.lines().map(str::trim).any(|line| !line.starts_with('#') && names_harep(line))
    };
    let files = match fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => vec![path.to_owned()],
    };
    let mut found: Vec<PathBuf> = files.into_iter().filter(|path| path.is_file() && runs(path)).collect();
    found.sort();
    found
}

/// Reads `watcher.pause`, which has seconds since 1970 (`lib/backend.py`, `SetWatcherPause`).
fn paused_until(data_dir: &Path) -> Option<u64> {
    let text = fs::read_to_string(data_dir.join("watcher.pause")).ok()?;
    text.trim().split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_runs_harep_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("b", "*/5 * * * * root harep -L\n");
        write("a", "# harep is not run any more\n*/5 * * * * root sharepoint\n");
        fs::create_dir(dir.path().join("harep.d")).unwrap();
        assert_eq!(harep_in(dir.path()), [dir.path().join("b")]);
        assert_eq!(harep_in(&dir.path().join("b")), [dir.path().join("b")]);
        assert_eq!(harep_in(&dir.path().join("none")), Vec::<PathBuf>::new());
    }

    /// The rules are Ganeti's `EXT_PLUGIN_MASK` and `RunParts`.
    #[test]
    fn a_hook_that_ganeti_does_not_run_is_reported_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(hooks(dir.path()).len(), DIRS.len());
        for name in DIRS {
            let path = dir.path().join(name).join(FILE);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(hooks(dir.path()), BTreeMap::new());
        let own = Path::new(DIRS[0]).join(FILE);
        let path = dir.path().join(&own);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(hooks(dir.path()), [(own.clone(), "it is not an executable file".to_owned())].into());
        fs::rename(&path, path.with_extension("sh")).unwrap();
        assert!(hooks(dir.path())[&own].contains("gnt-ha.sh"), "{:?}", hooks(dir.path()));
    }
}
