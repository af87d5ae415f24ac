//! Computes a digest of the part of the configuration that decides about nodes; touches nothing. A host that does not
//! hold Ganeti's configuration compares it to find out whether its file is that of the cluster. An older file may name
//! another machine for a node.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::Config;

/// The cluster property of Pacemaker that holds the digest of the file on Ganeti's master.
pub const DIGEST_PROPERTY: &str = "gnt-ha-config-digest";

/// The keys that are those of one host, or only decide about times or the setup of Pacemaker. Hosts that differ only in
/// them have the same machines for the same nodes, and accept the same proofs. All other keys count.
const OWN: [&str; 7] =
    ["power_cycle_interval", "deadline", "self_fence", "members", "record", "run_directory", "state_directory"];

/// The first 128 bits of a SHA-256 digest, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The error for a text that is not 32 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 32 hexadecimal digits")]
pub struct BadDigest;

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let digest = u128::from_str_radix(text, 16).map(Self).map_err(|_| BadDigest)?;
        // Only the written form is valid: no sign, no other case, no other length.
        if digest.to_string() == text { Ok(digest) } else { Err(BadDigest) }
    }
}

impl Config {
    /// Returns the digest of what decides which machine each node has and what its "off" proves. Comments, the order of
    /// keys and a host's own keys do not count.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let decides = toml::from_str::<toml::Table>(&self.text).ok().and_then(|mut table| {
            table.retain(|key, _| !OWN.contains(&key));
            serde_json::to_vec(&table).ok()
        });
        // A text that was read before can be parsed again; otherwise the whole text counts.
        let hash = Sha256::digest(decides.as_deref().unwrap_or(self.text.as_bytes()));
        Digest(hash.iter().take(16).fold(0, |all, byte| all << 8 | u128::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXT: &str = "minimum_grade = \"bounded\"\n[devices.bmc]\ndriver = \"ipmi\"\naddress = \"{short}-bmc\"\nusername = \"u\"\n\
                        password_file = \"/p\"\n[default]\nlevels = [[\"bmc\"]]\n[nodes.\"n1.lab\"]\nvalues = { outlet = \"3\" }\n";

    fn of(text: &str) -> Digest {
        Config::parse(text, Path::new("config.toml")).unwrap().digest()
    }

    /// A change of a node's machine, or of the proof that the node is off, changes the digest.
    #[test]
    fn what_names_machines_and_proofs_counts() {
        for (from, to) in [
            ("{short}-bmc", "{short}-ipmi"),
            ("outlet = \"3\"", "outlet = \"4\""),
            ("n1.lab", "n2.lab"),
            ("[[\"bmc\"]]", "[[\"bmc\"], [\"bmc\"]]"),
            ("username = \"u\"\n", "username = \"u\"\nport = 624\n"),
            ("\"bounded\"", "\"isolated\""),
            ("minimum_grade", "power_agents = [\"fence_ours\"]\nminimum_grade"),
        ] {
            let other = TEXT.replace(from, to);
            assert_ne!(other, TEXT, "{from}");
            assert_ne!(of(&other), of(TEXT), "{from} -> {to}");
        }
    }

    /// A comment, another order and a host's own keys do not change the digest.
    #[test]
    fn what_is_a_hosts_own_does_not_count() {
        let own = "deadline = 40\npower_cycle_interval = 3\nstate_directory = \"/s\"\nrun_directory = \"/r\"\n";
        let sections = "[self_fence]\nwatchdog_device = \"/dev/watchdog1\"\n[record]\nstart_up_grace = 60\n";
        let (first, rest) = TEXT.split_once("[devices.bmc]").unwrap();
        let (device, default) = rest.split_once("[default]").unwrap();
        let other = format!("# A comment.\n{own}{first}\n{sections}\n[default]{default}[devices.bmc]  # ours{device}");
        assert_eq!(of(&other), of(TEXT));
    }

    #[test]
    fn a_digest_is_read_only_as_it_is_written() {
        let digest = of(TEXT);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("00000000000000000000000000000001".parse(), Ok(Digest(1)));
        let upper = "0000000000000000000000000000000A";
        for text in ["", "1", upper, "+0000000000000000000000000000001", "000000000000000000000000000000001"] {
            assert_eq!(text.parse::<Digest>(), Err(BadDigest), "{text:?}");
        }
    }
}
