//! Reader of Ganeti's ssconf files: the facts about the cluster that every node has which is not offline, one item a line.
//!
//! Source: `lib/ssconf.py` (`SimpleStore`; the limit is its `_MAX_SIZE`), `src/Ganeti/WConfd/Ssconf.hs`. A file shows
//! what this node received last, which may be old: a node that was offline or dead keeps its old files.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::core::ganeti::ssconf;
use crate::core::node::{BadNodeName, NodeName};

/// The most bytes that one of these files may have.
pub const MAX_BYTES: u64 = 128 * 1024;

/// The ssconf files of one data directory.
#[derive(Clone, Debug)]
pub struct Ssconf {
    data_dir: PathBuf,
}

/// The reason why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum SsconfError {
    /// The file does not exist: this host is not a node of a Ganeti cluster.
    #[error("there is no {}: this host is not a node of a Ganeti cluster (or set data_dir)", .0.display())]
    Absent(PathBuf),
    /// The file exists and cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// The file is larger than Ganeti's limit, is not UTF-8 text, or has a value that is not valid.
    #[error("{} is not a valid ssconf file: {reason}", path.display())]
    Bad {
        /// The path of the file.
        path: PathBuf,
        /// The fault, as a clause.
        reason: String,
    },
}

impl Ssconf {
    /// The files in Ganeti's data directory; reads nothing yet.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// Reads the lines of the file `ssconf_<key>`, without empty lines.
    ///
    /// # Errors
    /// [`SsconfError`] if the file does not exist, cannot be read, is too large, or is not UTF-8 text.
    pub fn lines(&self, key: &str) -> Result<Vec<String>, SsconfError> {
        let path = self.data_dir.join(format!("ssconf_{key}"));
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SsconfError::Absent(path)),
            Err(error) => return Err(SsconfError::Unreadable { path, error }),
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Err(SsconfError::Bad { path, reason: format!("it has more than {MAX_BYTES} bytes") });
        }
        ssconf::lines(&bytes).ok_or_else(|| SsconfError::Bad { path, reason: "it is not UTF-8 text".to_owned() })
    }

    /// Reads the first line of the file `ssconf_<key>`; `None` if the file has no line.
    ///
    /// # Errors
    /// [`SsconfError`], as [`Ssconf::lines`].
    pub fn line(&self, key: &str) -> Result<Option<String>, SsconfError> {
        Ok(self.lines(key)?.into_iter().next())
    }

    /// Reads the name of the master that this node received last; `None` if Ganeti has no master.
    ///
    /// # Errors
    /// [`SsconfError`], as [`Ssconf::lines`]; [`SsconfError::Bad`] if the name is not valid.
    pub fn master(&self) -> Result<Option<NodeName>, SsconfError> {
        const KEY: &str = "master_node";
        self.checked(KEY, ssconf::master(&self.lines(KEY)?))
    }

    /// Reads the node names in the file `ssconf_<key>` (`node_list`, `online_nodes`, `master_candidates`...).
    ///
    /// # Errors
    /// [`SsconfError`], as [`Ssconf::lines`]; [`SsconfError::Bad`] if a name is not valid.
    pub fn names(&self, key: &str) -> Result<Vec<NodeName>, SsconfError> {
        self.checked(key, ssconf::names(&self.lines(key)?))
    }

    /// Reads the addresses in `ssconf_<key>` (`master_candidates_ips`). Skips lines without an address.
    ///
    /// # Errors
    /// [`SsconfError`], as [`Ssconf::lines`].
    pub fn addresses(&self, key: &str) -> Result<Vec<IpAddr>, SsconfError> {
        Ok(ssconf::addresses(&self.lines(key)?))
    }

    /// Reads the lines `name ip` of `ssconf_<key>` (`node_primary_ips`, `node_secondary_ips`).
    ///
    /// # Errors
    /// [`SsconfError`], as [`Ssconf::lines`].
    pub fn name_addresses(&self, key: &str) -> Result<Vec<(NodeName, IpAddr)>, SsconfError> {
        Ok(ssconf::name_addresses(&self.lines(key)?))
    }

    /// Reads the SSH port of each node (`ssconf_ssh_ports`: the node parameter `ssh_port`).
    ///
    /// # Errors
    /// [`SsconfError`], as [`Ssconf::lines`].
    pub fn ssh_ports(&self) -> Result<Vec<(NodeName, u16)>, SsconfError> {
        Ok(ssconf::ports(&self.lines("ssh_ports")?))
    }

    /// Reads the tags of the cluster.
    ///
    /// # Errors
    /// [`SsconfError`], as [`Ssconf::lines`].
    pub fn cluster_tags(&self) -> Result<Vec<String>, SsconfError> {
        self.lines("cluster_tags")
    }

    fn checked<T>(&self, key: &str, read: Result<T, BadNodeName>) -> Result<T, SsconfError> {
        let path = || self.data_dir.join(format!("ssconf_{key}"));
        read.map_err(|error| SsconfError::Bad { path: path(), reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ssconf(key: &str, text: &[u8]) -> (tempfile::TempDir, Ssconf) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(format!("ssconf_{key}")), text).unwrap();
        let ssconf = Ssconf::new(dir.path());
        (dir, ssconf)
    }

    #[test]
    fn names_and_addresses_are_read() {
        let (_dir, ssconf) = ssconf("node_primary_ips", b"n1.lab 192.0.2.1\nn2.lab 2001:db8::2\n");
        let pairs = ssconf.name_addresses("node_primary_ips").unwrap();
        assert_eq!(pairs.len(), 2);
        assert_eq!(pairs[1].1.to_string(), "2001:db8::2");
        assert!(matches!(ssconf.master(), Err(SsconfError::Absent(_))));
    }

    #[test]
    fn a_port_is_one_of_a_nodes_name() {
        let (_dir, ssconf) = ssconf("ssh_ports", b"n1.lab=22\nn2.lab=2222\nn3.lab=0\nn4.lab=99999\n$(x)=22\nn5.lab\n");
        let ports = ssconf.ssh_ports().unwrap();
        assert_eq!(ports.iter().map(|(_, port)| *port).collect::<Vec<_>>(), [22, 2222]);
    }

    #[test]
    fn no_master_is_no_node() {
        let (_dir, no_master) = ssconf("master_node", b"NO MASTER\n");
        assert_eq!(no_master.master().unwrap(), None);
        let (_dir, hostile) = ssconf("master_node", b"$(reboot)\n");
        assert!(matches!(hostile.master(), Err(SsconfError::Bad { .. })));
    }

    #[test]
    fn what_is_too_large_is_refused_not_cut() {
        let (_dir, ssconf) = ssconf("cluster_tags", &vec![b'x'; 128 * 1024 + 1]);
        assert!(matches!(ssconf.cluster_tags(), Err(SsconfError::Bad { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (_dir, ssconf) = ssconf("master_node", &bytes);
            let _ = ssconf.master();
            let _ = ssconf.addresses("master_node");
            let _ = ssconf.name_addresses("master_node");
        }

        #[test]
        fn what_ganeti_writes_is_read_back(items in proptest::collection::vec("[!-~][ -~]{0,20}", 0..20)) {
            let text: String = items.iter().map(|item| format!("{item}\n")).collect();
            let (_dir, ssconf) = ssconf("cluster_tags", text.as_bytes());
            prop_assert_eq!(ssconf.cluster_tags().unwrap(), items);
        }
    }
}
