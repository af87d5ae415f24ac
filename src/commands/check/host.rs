//! What is on this host: programs, left-over files, what holds the record back.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::places::Places;
use crate::core::check::view::{Host, Installed};
use crate::sys::clock::now;
use crate::sys::ganeti::daemon_util::Daemons;
use crate::sys::shun::keeper;
use crate::sys::simulate;

/// Where Pacemaker looks for agents (`OCF_ROOT_DIR`, `PCMK__FENCE_BINDIR` of Debian's build).
const AGENTS: &str = "/usr/lib/ocf/resource.d/ganeti";
const FENCE_AGENT: &str = "/usr/sbin/fence_ganeti";

/// Where Debian's Ganeti takes options of its daemons from.
const DEFAULTS: &str = "/etc/default/ganeti";

/// The watcher's line for cron (Debian's package `ganeti`).
const WATCHER: &str = "/etc/cron.d/ganeti";

/// Ganeti's run-time folder.
const RUN_DIR: &str = "/var/run/ganeti";

pub(super) fn look(places: &Places) -> Host {
    let agents = ["ganeti-master-role", "ganeti-node-role"];
    let folder = places.state_dir.join(simulate::FOLDER);
    let recorder = places.recorder();
    let memory = recorder.memory().ok();
    let stale = Daemons::new(Path::new("/usr/lib/ganeti"), Path::new(RUN_DIR)).stale_pidfiles();
    Host {
        agents: agents.map(|name| (name, installed(&Path::new(AGENTS).join(name)))).into(),
        fence_agent: installed(Path::new(FENCE_AGENT)),
        no_voting: [DEFAULTS].into_iter().filter(|file| gives_no_voting(file)).map(PathBuf::from).collect(),
        stale_pidfiles: stale.into_iter().map(|(_, file)| file).collect(),
        watcher_absent: (!Path::new(WATCHER).exists()).then(|| PathBuf::from(WATCHER)),
        watcher_paused: paused_until(&places.data_dir).filter(|until| *until > now().wall_ms / 1_000),
        simulated: simulate::present(&folder),
        simulates_nothing: simulate::unknown(&folder),
        pause: recorder.pause().ok().flatten(),
        breaker: memory.and_then(|memory| memory.breaker.latch().cloned()),
        shunned: keeper::register(&places.state_dir)
            .unwrap_or_default()
            .shunned()
            .map(|(node, entry)| (node.clone(), entry.by.clone()))
            .collect(),
    }
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

fn gives_no_voting(file: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::trim).any(|line| !line.starts_with('#') && line.contains("--no-voting"))
}

/// `watcher.pause` holds seconds since 1970 (`lib/backend.py`, `SetWatcherPause`).
fn paused_until(data_dir: &Path) -> Option<u64> {
    let text = fs::read_to_string(data_dir.join("watcher.pause")).ok()?;
    text.trim().split('.').next()?.parse().ok()
}
