//! The table of options, from which the command line, stdin and the metadata are made.

use gnt_ha::sys::ganeti::files;

/// Key of the node that Pacemaker wants fenced, by Pacemaker's name of it (`lib/fencing/st_actions.c`). It exists on
/// stdin only, not as an option.
pub const NODENAME: &str = "nodename";

/// The type of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// No value on the command line; 1/yes/on/true or 0/no/off/false on stdin.
    Flag,
    /// One of these words, on the command line, too.
    Truth,
    /// Any text, which is not interpreted.
    Text,
    /// A time in seconds.
    Second,
    /// A whole number that is not negative.
    Integer,
    /// One of the listed words.
    Select(&'static [&'static str]),
}

/// The definition of one option.
#[derive(Debug)]
pub struct Spec {
    /// The name on stdin and in the metadata; with `-` for `_` it is the long option.
    pub name: &'static str,
    /// The letter of the short option.
    pub short: Option<char>,
    /// The old name, which still works on stdin.
    pub old: Option<&'static str>,
    /// The type of the value.
    pub kind: OptionKind,
    /// The value of an option that is not given.
    pub default: Option<&'static str>,
    /// The placeholder of the value in the help.
    pub value: &'static str,
    /// The help text of the option.
    pub help: &'static str,
}

/// The grades that the option `minimum_grade` accepts, as in [`gnt_ha::core::grade::Grade::ACCEPTABLE`].
pub const GRADES: &[&str] = &["isolated", "bounded", "off"];

const fn spec(
    name: &'static str,
    short: Option<char>,
    kind: OptionKind,
    value: &'static str,
    help: &'static str,
) -> Spec {
    Spec { name, short, old: None, kind, default: None, value, help }
}

const fn with_default(spec: Spec, default: &'static str) -> Spec {
    Spec { default: Some(default), ..spec }
}

const fn formerly(spec: Spec, old: &'static str) -> Spec {
    Spec { old: Some(old), ..spec }
}

/// Every option. The first options have the names and meanings of fence-agents' library; those from `oob_program` on
/// are ours.
pub const OPTIONS: &[Spec] = &[
    with_default(
        formerly(
            spec(
                "action",
                Some('o'),
                OptionKind::Text,
                "action",
                "Fencing action: on, off, reboot, status, list, list-status, monitor, metadata, manpage or validate-all",
            ),
            "option",
        ),
        "reboot",
    ),
    formerly(
        spec(
            "plug",
            Some('n'),
            OptionKind::Text,
            "node",
            "Name of the node, full or short; several with the plug separator between them",
        ),
        "port",
    ),
    with_default(spec("plug_separator", None, OptionKind::Text, "char", "Separator of several plugs"), ","),
    with_default(
        spec("separator", Some('C'), OptionKind::Text, "char", "Separator in the output of list and list-status"),
        ",",
    ),
    with_default(
        spec("delay", None, OptionKind::Second, "seconds", "Wait before off and reboot; counts towards the deadline"),
        "0",
    ),
    with_default(
        spec(
            "power_timeout",
            None,
            OptionKind::Second,
            "seconds",
            "Time for the power to be on or off after the action began; 0: the deadline alone limits it",
        ),
        "20",
    ),
    with_default(
        spec(
            "power_wait",
            None,
            OptionKind::Second,
            "seconds",
            "Wait between a power command and the first reading of the power",
        ),
        "0",
    ),
    with_default(
        spec("stonith_status_sleep", None, OptionKind::Second, "seconds", "Wait between two readings of the power"),
        "1",
    ),
    with_default(
        spec(
            "retry_on",
            None,
            OptionKind::Integer,
            "attempts",
            "How often a power-on that had no effect is sent again",
        ),
        "1",
    ),
    spec(
        "missing_as_off",
        None,
        OptionKind::Flag,
        "",
        "Take a node that Ganeti does not have for off. Dangerous: a misspelt name is a node that Ganeti does not have",
    ),
    spec(
        "disable_timeout",
        None,
        OptionKind::Truth,
        "true|false",
        "Let the deadline alone limit the action, not power_timeout (default: true under Pacemaker)",
    ),
    spec("verbose", Some('v'), OptionKind::Flag, "", "Print each step on stderr"),
    spec("verbose_level", None, OptionKind::Integer, "level", "The same as verbose when above 0"),
    formerly(spec("debug_file", Some('D'), OptionKind::Text, "file", "Write each step to this file"), "debug"),
    spec("quiet", Some('q'), OptionKind::Flag, "", "Print no errors on stderr; only the exit code shows them"),
    spec(
        "oob_program",
        None,
        OptionKind::Text,
        "path",
        "OOB program for every node, instead of the one in Ganeti's configuration, or in the copy that gnt-ha setup keeps in Pacemaker's for hosts that are not master candidates",
    ),
    with_default(
        spec(
            "minimum_grade",
            None,
            OptionKind::Select(GRADES),
            "grade",
            "Least proof that counts as off: off (a power device reads off, or an administrator confirms it), bounded (the watchdog has reset the node), isolated (the other nodes shun it; it may still run and write to storage outside of the cluster)",
        ),
        "bounded",
    ),
    with_default(
        spec(
            "deadline",
            None,
            OptionKind::Second,
            "seconds",
            "Time for the whole action; must be below Pacemaker's timeout for it (stonith-timeout, pcmk_off_timeout and the like)",
        ),
        "55",
    ),
    spec(
        "deep",
        None,
        OptionKind::Flag,
        "",
        "Let monitor ask every node's device, and not only check the configuration and the programs",
    ),
    with_default(
        spec("fanout", None, OptionKind::Integer, "count", "How many nodes are asked at the same time"),
        "200",
    ),
    with_default(
        spec(
            "record",
            None,
            OptionKind::Truth,
            "true|false",
            "After a proven off, have Ganeti record the node as offline, where this host is the master and does not run the roles' agents, which record it themselves; a pause and the breaker prevent it",
        ),
        "true",
    ),
    with_default(
        spec("data_dir", None, OptionKind::Text, "directory", "Ganeti's data directory, with config.data"),
        files::DATA_DIR,
    ),
    with_default(
        spec("state_dir", None, OptionKind::Text, "directory", "Directory of the receipts"),
        gnt_ha::core::config::DEFAULT_STATE,
    ),
    with_default(
        spec(
            "cib",
            None,
            OptionKind::Text,
            "file",
            "Pacemaker's configuration on this host, which may hold a pause of the record, and holds a copy of the OOB programs",
        ),
        gnt_ha::sys::pacemaker::cib::FILE,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use gnt_ha::core::grade::Grade;

    #[test]
    fn the_grades_are_those_that_there_are() {
        assert_eq!(GRADES, Grade::ACCEPTABLE.map(Grade::word));
    }

    /// The time budget uses this value.
    #[test]
    fn the_deadline_is_the_one_that_the_budget_knows() {
        let deadline = OPTIONS.iter().find(|spec| spec.name == "deadline").unwrap();
        assert_eq!(deadline.default, Some(gnt_ha::core::budget::fence::DEADLINE.as_secs().to_string().as_str()));
    }

    #[test]
    fn every_option_of_the_table_has_one_name_and_a_help() {
        let mut names: Vec<_> = OPTIONS.iter().map(|spec| spec.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OPTIONS.len());
        assert!(OPTIONS.iter().all(|spec| !spec.help.is_empty()));
    }
}
