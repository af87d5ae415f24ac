//! Takes a lab down, from any state.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::state::{Dir, Lock, failure_logs, make_dir};
use crate::{disk, network, process};

/// Ends a lab under its lock. Its parts are found by its namespaces, so that a crash needs no records; returns true if
/// there was a part.
pub(crate) fn teardown(name: &str, _lock: &Lock) -> Result<bool> {
    let dir = Dir::of(name)?;
    let found = dir.path().exists() || !network::existing(name).is_empty();
    for _ in 0..10 {
        // Processes of a killed `up` may still make a namespace while others are deleted.
        let namespaces = network::existing(name);
        if namespaces.is_empty() {
            break;
        }
        end(&namespaces)?;
    }
    if dir.path().exists() {
        disk::unmount(&dir)?;
        fs::remove_dir_all(dir.path()).map_err(Error::file("remove", dir.path()))?;
    }
    Ok(found)
}

/// The switch is the first: it has the processes that turn hosts on.
fn end(namespaces: &[PathBuf]) -> Result<()> {
    for namespace in namespaces {
        if !process::kill_inside(namespace, Duration::from_secs(20)) {
            let what = format!("end of the processes in {}", namespace.display());
            return Err(Error::TimedOut { what, seconds: 20, last: String::new() });
        }
    }
    namespaces.iter().rev().try_for_each(|namespace| network::delete(namespace))
}

/// Does the same as [`teardown`], and takes the lock for it.
pub(crate) fn down(name: &str, limit: Duration) -> Result<bool> {
    let lock = Lock::of_lab(name, limit)?;
    let found = teardown(name, &lock)?;
    lock.remove();
    Ok(found)
}

/// Copies the logs of a lab's hosts to a directory that outlives the lab.
pub(crate) fn keep_logs(name: &str, hosts: u8) -> Result<PathBuf> {
    let dir = Dir::of(name)?;
    let target = failure_logs(name);
    if target.exists() {
        fs::remove_dir_all(&target).map_err(Error::file("remove", &target))?;
    }
    for i in 1..=hosts {
        let host = format!("n{i}");
        let own = target.join(&host);
        make_dir(&own, 0o700)?;
        for log in ["console.log", "bmc.log"] {
            let _ = fs::copy(dir.host(&host).join(log), own.join(log));
        }
        let logs = dir.disk(&host).join("upper/var/log");
        for service in ["corosync", "pacemaker", "ganeti"] {
            copy_files(&logs.join(service), &own.join(service));
        }
    }
    Ok(target)
}

fn copy_files(from: &Path, to: &Path) {
    let _ = fs::create_dir_all(to);
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::copy(entry.path(), to.join(entry.file_name()));
        }
    }
}

/// Waits for the end of a lab's owner and takes the lab down, unless the owner sent a byte before: for ends that leave
/// it no time, such as SIGKILL or an abort.
pub fn warden(name: &str) -> Result<()> {
    let mut word = Vec::new();
    io::stdin().read_to_end(&mut word).map_err(Error::system("wait for the owner"))?;
    if word.is_empty() {
        eprintln!("lab {name}: who built it is gone; taking it down");
        down(name, Duration::from_secs(60))?;
    }
    Ok(())
}
