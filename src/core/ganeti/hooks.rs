//! The hooks that are installed with the programs, into folders of Ganeti's (`/etc/ganeti/hooks`).

/// The name of each in its folder. Ganeti passes over a file whose name holds a dot (`lib/constants.py`, `EXT_PLUGIN_MASK`).
pub const FILE: &str = "gnt-ha";

/// One hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The folder that Ganeti looks into.
    pub folder: &'static str,
    /// Its file in `packaging/hooks`.
    pub source: &'static str,
}

/// Every hook.
pub const HOOKS: &[Hook] = &[
    Hook { folder: "cluster-verify-post.d", source: "cluster-verify" },
    Hook { folder: "config-update-post.d", source: "config-update" },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// What is installed is what is looked for.
    #[test]
    fn the_table_has_every_hook_and_make_install_puts_it_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(root.join("packaging/hooks")).unwrap();
        let files: BTreeSet<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "README")
            .collect();
        let table: BTreeSet<String> = HOOKS.iter().map(|hook| hook.source.to_owned()).collect();
        assert_eq!(files, table);
        let makefile = std::fs::read_to_string(root.join("Makefile")).unwrap();
        for Hook { folder, source } in HOOKS {
            let line = format!("packaging/hooks/{source} $(DESTDIR)/etc/ganeti/hooks/{folder}/{FILE}");
            assert!(makefile.contains(&line), "{line}");
        }
    }
}
