//! The disk templates of instances: where an instance can run when its primary node is lost. Pure.

use std::fmt;

/// The kind of an instance's disks (`DISK_TEMPLATES` in `src/Ganeti/Constants.hs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskTemplate {
    /// Disks on two nodes, mirrored by DRBD.
    Drbd,
    /// The instance has no disk, or brings it from the network.
    Diskless,
    /// Files in a file system that all nodes share.
    SharedFile,
    /// Block devices of a Ceph cluster.
    Rbd,
    /// Disks of an external storage provider.
    Ext,
    /// Files on volumes of GlusterFS, which all nodes reach.
    Gluster,
    /// Block devices that the administrator provides.
    Blockdev,
    /// Logical volumes of one node.
    Plain,
    /// Files of one node.
    File,
    /// A template that this program does not support, or disks of several templates (`mixed`).
    Other(String),
}

/// Where an instance can run besides its primary node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mobility {
    /// Only on its secondary node (`DTS_INT_MIRROR`).
    Secondary,
    /// On every node of its group (`DTS_EXT_MIRROR`): the storage, if there is one, is outside the cluster.
    Anywhere,
    /// Nowhere: its disks are on the primary node alone.
    Fixed,
    /// It is unknown whether other hosts reach the disks.
    Unknown,
}

/// Ganeti's name of each known template.
const WORDS: [(&str, DiskTemplate); 9] = [
    ("drbd", DiskTemplate::Drbd),
    ("diskless", DiskTemplate::Diskless),
    ("sharedfile", DiskTemplate::SharedFile),
    ("rbd", DiskTemplate::Rbd),
    ("ext", DiskTemplate::Ext),
    ("gluster", DiskTemplate::Gluster),
    ("blockdev", DiskTemplate::Blockdev),
    ("plain", DiskTemplate::Plain),
    ("file", DiskTemplate::File),
];

impl DiskTemplate {
    /// Parses the name of a template in Ganeti's configuration.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        let found = WORDS.into_iter().find(|(known, _)| *known == word);
        found.map_or_else(|| Self::Other(word.to_owned()), |(_, template)| template)
    }

    /// Returns the name that Ganeti has for the template.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Drbd => "drbd",
            Self::Diskless => "diskless",
            Self::SharedFile => "sharedfile",
            Self::Rbd => "rbd",
            Self::Ext => "ext",
            Self::Gluster => "gluster",
            Self::Blockdev => "blockdev",
            Self::Plain => "plain",
            Self::File => "file",
            Self::Other(word) => word,
        }
    }

    /// Returns where an instance of this template can run besides its primary node.
    #[must_use]
    pub const fn mobility(&self) -> Mobility {
        match self {
            Self::Drbd => Mobility::Secondary,
            Self::Diskless | Self::SharedFile | Self::Rbd | Self::Ext | Self::Gluster | Self::Blockdev => {
                Mobility::Anywhere
            }
            Self::Plain | Self::File => Mobility::Fixed,
            Self::Other(_) => Mobility::Unknown,
        }
    }
}

impl fmt::Display for DiskTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&crate::core::text::printable(self.word()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_read_back_from_its_word() {
        for (word, template) in WORDS {
            assert_eq!((DiskTemplate::parse(word), template.word()), (template.clone(), word));
        }
    }

    /// The sets are those of Ganeti 3.0 (`DTS_INT_MIRROR`, `DTS_EXT_MIRROR`).
    #[test]
    fn only_disks_of_one_node_stay_there() {
        let of = |mobility: Mobility| -> Vec<&str> {
            WORDS.iter().filter(|(_, template)| template.mobility() == mobility).map(|(word, _)| *word).collect()
        };
        assert_eq!(of(Mobility::Secondary), ["drbd"]);
        assert_eq!(of(Mobility::Anywhere), ["diskless", "sharedfile", "rbd", "ext", "gluster", "blockdev"]);
        assert_eq!(of(Mobility::Fixed), ["plain", "file"]);
        assert_eq!(DiskTemplate::parse("mixed").mobility(), Mobility::Unknown);
    }
}
