//! The SSH options for requests to a node whose noded cannot be asked: which host key is accepted.

use std::path::Path;

/// Returns Ganeti's own options (`lib/ssh.py`, `SshRunner`): the host key is the cluster's, from Ganeti's file and no
/// other. All nodes have that key: it proves that a node answers, but not which.
///
/// The options after them hold against any ssh_config(5) of this host: no other source of host keys, no existing shared
/// connection, and no forwarding from this host to the other.
pub(super) fn options(data_dir: &Path, cluster: &str) -> Vec<String> {
    let known_hosts = format!("-oGlobalKnownHostsFile={}", data_dir.join("known_hosts").display());
    let alias = format!("-oHostKeyAlias={cluster}");
    [
        "-q",
        "-oEscapeChar=none",
        "-oHashKnownHosts=no",
        &known_hosts,
        "-oUserKnownHostsFile=/dev/null",
        "-oCheckHostIp=no",
        "-oConnectTimeout=2",
        &alias,
        "-oBatchMode=yes",
        "-oStrictHostKeyChecking=yes",
        "-oKnownHostsCommand=none",
        "-oVerifyHostKeyDNS=no",
        "-oUpdateHostKeys=no",
        "-oControlPath=none",
        "-oClearAllForwardings=yes",
        "-oForwardAgent=no",
        "-oPermitLocalCommand=no",
    ]
    .map(str::to_owned)
    .into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

    use std::collections::BTreeMap;
    use std::path::Path;
    use std::process::Command;

    use super::options;

    /// A host that answers a request to a node must have the cluster's host key, whatever this host's ssh_config(5)
    /// contains. `ssh -G` prints the resulting options.
    #[test]
    fn no_configuration_of_ssh_brings_another_host_key() {
        let dir = tempfile::tempdir().unwrap();
        let hostile = dir.path().join("config");
        let text = "Host *\n\
            StrictHostKeyChecking no\n\
            UserKnownHostsFile /etc/others\n\
            GlobalKnownHostsFile /etc/others\n\
            KnownHostsCommand /usr/bin/others %H\n\
            VerifyHostKeyDNS yes\n\
            UpdateHostKeys yes\n\
            HostKeyAlias other\n\
            ControlMaster auto\n\
            ControlPath /tmp/others-%h\n\
            ForwardAgent yes\n\
            LocalForward 1234 localhost:22\n\
            PermitLocalCommand yes\n\
            LocalCommand touch /tmp/others\n";
        std::fs::write(&hostile, text).unwrap();
        let Ok(printed) = Command::new("ssh")
            .arg("-G")
            .arg("-F")
            .arg(&hostile)
            .args(options(Path::new("/var/lib/ganeti"), "cluster.lab"))
            .arg("root@192.0.2.1")
            .output()
        else {
            eprintln!("SKIPPED: there is no ssh here");
            return;
        };
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let printed = String::from_utf8(printed.stdout).unwrap();
        let set: BTreeMap<&str, &str> = printed.lines().filter_map(|line| line.split_once(' ')).collect();
        let of = |name: &str| set.get(name).copied().unwrap_or("none");
        assert_eq!(of("stricthostkeychecking"), "true");
        assert_eq!(of("globalknownhostsfile"), "/var/lib/ganeti/known_hosts");
        assert_eq!(of("userknownhostsfile"), "/dev/null");
        assert_eq!(of("hostkeyalias"), "cluster.lab");
        assert_eq!(of("batchmode"), "yes");
        for no in ["verifyhostkeydns", "updatehostkeys"] {
            assert_eq!(of(no), "false", "{no}");
        }
        for no in ["forwardagent", "permitlocalcommand"] {
            assert_eq!(of(no), "no", "{no}");
        }
        for no in ["knownhostscommand", "controlpath", "localforward"] {
            assert_eq!(of(no), "none", "{no}");
        }
    }
}
