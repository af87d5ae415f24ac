//! The systems of which hosts are made: the machine's own root, or a tree of another Debian below target, made once and
//! kept.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::command::{exit_code, tool};
use crate::error::{Error, Result};
use crate::state::{Lock, make_dir, write};

/// The trees that a lab knows how to make.
const TREES: [Tree; 4] = [
    Tree { name: "debian-12", suite: "bookworm", backports: false, more: "fence-agents,libcurl4,libssl3" },
    Tree { name: "debian-12-backports", suite: "bookworm", backports: true, more: "fence-agents,libcurl4,libssl3" },
    Tree { name: "debian-13", suite: "trixie", backports: false, more: "fence-agents-ipmilan,libcurl4t64,libssl3t64" },
    Tree { name: "debian-sid", suite: "sid", backports: false, more: "fence-agents-ipmilan,libcurl4t64,libssl3t64" },
];

struct Tree {
    name: &'static str,
    suite: &'static str,
    /// Whether Ganeti is taken from the suite's backports.
    backports: bool,
    /// The additional packages: the fence agents without those for clouds, where they are packages of their own, and
    /// the libraries of our programs.
    more: &'static str,
}

const PACKAGES: &str = "corosync,corosync-qdevice,crmsh,fping,ganeti,iproute2,iputils-ping,libxml2-utils,netbase,nftables,openssh-client,\
     openssh-server,pacemaker,pacemaker-cli-utils,pcs,procps,python3,resource-agents,util-linux";

/// The files that no test reads: without them a tree needs half of its space.
const LEFT_OUT: [&str; 7] = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/share/lintian/*",
    "/usr/lib/python3/dist-packages/botocore/data/*",
    "/usr/lib/python3/dist-packages/googleapiclient/discovery_cache/documents/*",
];

/// The variable with another directory for the trees than `lab-systems` in cargo's target directory.
const DIR: &str = "GNT_HA_LAB_SYSTEMS";
/// The directory if the program is not below a directory `target`.
const ELSEWHERE: &str = "/var/cache/gnt-ha-lab/systems";
/// The source of Debian, if the machine's apt does not configure another.
const MIRROR: &str = "http://deb.debian.org/debian/";
/// The number of apt's retries.
const RETRIES: u8 = 3;
/// The file in a tree with the options with which it was made.
const RECIPE: &str = "etc/gnt-ha-lab-system";
/// The most that another process may take to make a tree.
const TIME_LIMIT: Duration = Duration::from_secs(1200);

/// The system of one host, or of all, as written: `debian-13`, `/srv/tree`, `n2=debian-13`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish<'a> {
    /// `None` for all hosts without a system of their own.
    host: Option<u8>,
    system: &'a str,
}

impl<'a> Wish<'a> {
    fn parse(text: &'a str) -> Self {
        let own = text.split_once('=').and_then(|(host, system)| Some((crate::network::index(host)?, system)));
        match own {
            Some((index, system)) => Self { host: Some(index), system },
            None => Self { host: None, system: text },
        }
    }
}

/// Returns the root of each host, in order; a missing one is made. `program` is the program `lab`.
pub(crate) fn roots(wishes: &[String], hosts: u8, program: &Path, say: &dyn Fn(&str)) -> Result<Vec<PathBuf>> {
    let wishes: Vec<Wish<'_>> = wishes.iter().map(|text| Wish::parse(text)).collect();
    if let Some(stray) = wishes.iter().filter_map(|wish| wish.host).find(|host| !(1..=hosts).contains(host)) {
        return Err(Error::NoSystem { system: format!("n{stray}=..."), known: format!("n1 to n{hosts}") });
    }
    let mut roots = Vec::new();
    for index in 1..=hosts {
        let of = |host| wishes.iter().rfind(|wish| wish.host == host);
        roots.push(match of(Some(index)).or_else(|| of(None)) {
            None => PathBuf::from("/"),
            Some(wish) => root(wish.system, program, say)?,
        });
    }
    Ok(roots)
}

/// Returns an error if `program` needs a newer C library than the root has: a program that was built on Debian 13 does
/// not start on Debian 12. Each host would only be silent.
fn starts_in(root: &Path, program: &Path) -> Result<()> {
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let loader = libraries.join("ld-linux-x86-64.so.2");
    if !loader.is_file() {
        return Ok(());
    }
    let words = [loader.as_path(), Path::new("--library-path"), &libraries, Path::new("--list"), program];
    let words = words.map(|word| word.display().to_string());
    let output = tool("ask for the libraries of a program", &words.each_ref().map(String::as_str), "")?.text();
    match output.lines().find(|line| line.contains("GLIBC_") && line.contains("not found")) {
        None => Ok(()),
        Some(line) => Err(Error::TooOld { system: root.display().to_string(), why: line.trim().to_owned() }),
    }
}

/// Says of each tree among these roots when it was made, and which Pacemaker it has.
pub(crate) fn say_made(roots: &[PathBuf], say: &dyn Fn(&str)) {
    let trees: BTreeSet<&PathBuf> = roots.iter().filter(|root| root.join(RECIPE).exists()).collect();
    trees.into_iter().for_each(|tree| say(&made(tree)));
}

/// Returns one line about a tree: `debian-13: made on 2026-11-30, with Pacemaker 3.0.0-5`.
pub(crate) fn made(tree: &Path) -> String {
    let name = tree.file_name().unwrap_or_default().to_string_lossy();
    let answer = |words: &[&str]| {
        tool("ask for the age of a tree", words, "")
            .map_or_else(|_| "?".into(), |answer| answer.stdout.trim().to_owned())
    };
    let (recipe, packages) = (tree.join(RECIPE), tree.join("var/lib/dpkg"));
    let date = answer(&["date", "--utc", "--reference", &recipe.display().to_string(), "+%F"]);
    let of_packages = format!("--admindir={}", packages.display());
    let version = answer(&["dpkg-query", &of_packages, "--show", "--showformat", "${Version}", "pacemaker"]);
    format!("{name}: made on {date}, with Pacemaker {version}")
}

/// Returns the root of one system, by its name or its directory; made if it is missing.
pub(crate) fn root(system: &str, program: &Path, say: &dyn Fn(&str)) -> Result<PathBuf> {
    if let Some(tree) = TREES.iter().find(|tree| tree.name == system) {
        let made = tree.root(program, say)?;
        return starts_in(&made, program).map(|()| made);
    }
    let dir = Path::new(system);
    // A misspelt name does not count as a directory.
    if system.contains('/') && dir.join("usr/bin").is_dir() {
        let found = fs::canonicalize(dir).map_err(Error::file("find", dir))?;
        return starts_in(&found, program).map(|()| found);
    }
    let known = TREES.map(|tree| tree.name).join(", ");
    Err(Error::NoSystem { system: system.into(), known: format!("{known}, or a directory with a root in it") })
}

/// Returns `NAME` in cargo's target directory, where the program `lab` was built.
pub(crate) fn beside(program: &Path, name: &str, elsewhere: &str) -> Result<PathBuf> {
    let program = fs::canonicalize(program).map_err(Error::file("find", program))?;
    let target = program.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "target"));
    Ok(target.map_or_else(|| PathBuf::from(elsewhere), |target| target.join(name)))
}

impl Tree {
    fn root(&self, program: &Path, say: &dyn Fn(&str)) -> Result<PathBuf> {
        let base = match std::env::var_os(DIR) {
            Some(dir) => PathBuf::from(dir),
            None => beside(program, "lab-systems", ELSEWHERE)?,
        };
        make_dir(&base, 0o755)?;
        let (root, new) = (base.join(self.name), base.join(format!("{}.new", self.name)));
        let recipe = format!("{} {PACKAGES},{} without {}\n", self.suite, self.more, LEFT_OUT.join(" "));
        let is_there = || fs::read_to_string(root.join(RECIPE)).is_ok_and(|made| made == recipe);
        if is_there() {
            return Ok(root);
        }
        say(&format!(
            "there is no tree of {} yet: it is made below {}, which takes minutes",
            self.name,
            base.display()
        ));
        let lock = Lock::of_file(&base.join(format!("{}.lock", self.name)), self.name, TIME_LIMIT)?;
        for half in [&new, &root].into_iter().filter(|_| !is_there()) {
            if half.exists() {
                fs::remove_dir_all(half).map_err(Error::file("remove", half))?;
            }
        }
        let made = if is_there() { Ok(()) } else { self.make(&new, &root, &recipe, say) };
        if made.is_err() {
            let _ = fs::remove_dir_all(&new);
        }
        lock.remove();
        made.map(|()| root)
    }

    fn make(&self, new: &Path, root: &Path, recipe: &str, say: &dyn Fn(&str)) -> Result<()> {
        let mirror = mirror();
        let mut words: Vec<String> = vec!["--variant=minbase".into(), format!("--include={PACKAGES},{}", self.more)];
        // A mirror may be out of date; its signature is checked all the same.
        words.push("--aptopt=Acquire::Check-Valid-Until \"false\"".into());
        words.push(format!("--aptopt=Acquire::Retries \"{RETRIES}\""));
        words.extend(LEFT_OUT.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
        words.extend([self.suite.into(), new.display().to_string(), format!("deb {mirror} {} main", self.suite)]);
        if self.backports {
            let backports = format!("{}-backports", self.suite);
            words.push(format!("deb {mirror} {backports} main"));
            let pin = format!("Package: src:ganeti\\nPin: release n={backports}\\nPin-Priority: 990\\n");
            let file = "\"$1\"/etc/apt/preferences.d/ganeti";
            words.insert(0, format!("--setup-hook=mkdir -p \"$1\"/etc/apt/preferences.d && printf '{pin}' >{file}"));
        }
        // Its mounts are in a namespace of their own, and end with it; it ends with the process that needs the tree.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "unshare", "--mount", "--propagation", "private", "mmdebstrap"]);
        command.args(&words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Error::system("start mmdebstrap"))?;
        let mut last = Vec::new();
        for text in child.stderr.take().into_iter().flat_map(|output| BufReader::new(output).lines()) {
            let text = text.map_err(Error::system("read what mmdebstrap says"))?;
            match text.strip_prefix("I: ") {
                Some(step) => say(&format!("{}: {step}", self.name)),
                None => last.push(text),
            }
        }
        let status = child.wait().map_err(Error::system("wait for mmdebstrap"))?;
        if !status.success() {
            return Err(Error::NoTree {
                system: self.name.into(),
                mirror,
                why: failure_text(&last, exit_code(status)),
            });
        }
        write(&new.join(RECIPE), recipe.as_bytes(), 0o644)?;
        fs::rename(new, root).map_err(Error::file("rename", new))
    }
}

/// Returns the relevant output of mmdebstrap and apt: their errors, or else the end.
fn failure_text(output: &[String], code: i32) -> String {
    let errors: Vec<&str> = output.iter().filter_map(|line| line.strip_prefix("E: ")).collect();
    let end = || output.iter().rev().take(3).rev().map(String::as_str).collect();
    let lines: Vec<&str> = if errors.is_empty() { end() } else { errors.into_iter().take(5).collect() };
    format!("mmdebstrap ended with {code}: {}", lines.join("; "))
}

/// Returns the source from which this machine's apt has Debian.
fn mirror() -> String {
    let format = "$(ORIGIN) $(REPO_URI)";
    let answer =
        tool("ask apt for its mirror", &["apt-get", "indextargets", "--format", format, "Created-By: Packages"], "");
    let debian = |line: &str| {
        let uri = line.strip_prefix("Debian ")?;
        // Security and other archives have other paths.
        uri.trim_end_matches('/').ends_with("/debian").then(|| uri.to_owned())
    };
    answer.ok().and_then(|answer| answer.stdout.lines().find_map(debian)).unwrap_or_else(|| MIRROR.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

    use super::*;

    /// A host's own system prevails over that of all; an unknown name is not a directory.
    #[test]
    fn each_host_has_the_system_that_was_asked_for() {
        let tree = std::env::temp_dir().join(format!("lab-system-{}", std::process::id()));
        fs::create_dir_all(tree.join("usr/bin")).unwrap();
        let program = Path::new("/proc/self/exe");
        let roots = |wishes: &[&str]| {
            let wishes: Vec<String> = wishes.iter().map(|wish| (*wish).to_owned()).collect();
            roots(&wishes, 3, program, &|_| {})
        };
        let (own, other) = (PathBuf::from("/"), fs::canonicalize(&tree).unwrap());
        let text = other.to_str().unwrap();
        assert_eq!(roots(&[]).unwrap(), [own.clone(), own.clone(), own.clone()]);
        assert_eq!(roots(&[&format!("n2={text}")]).unwrap(), [own.clone(), other.clone(), own.clone()]);
        assert_eq!(roots(&["n1=/", text]).unwrap(), [own, other.clone(), other.clone()]);
        for wrong in ["debian-1", "debian", "n4=/", "", "/nowhere", "n1=", "n2=nowhere"] {
            roots(&[wrong]).unwrap_err();
        }
        fs::remove_dir_all(&tree).unwrap();
    }

    /// If an archive cannot be reached the error is reported, not the page before it.
    #[test]
    fn a_failed_build_is_reported_in_one_line() {
        let output = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let lines =
            output(&["Ign:1 http://x trixie InRelease", "E: Failed to fetch http://x", "E: apt-get update failed"]);
        assert_eq!(
            failure_text(&lines, 25),
            "mmdebstrap ended with 25: Failed to fetch http://x; apt-get update failed"
        );
        assert_eq!(failure_text(&output(&["a", "b", "c", "d"]), 1), "mmdebstrap ended with 1: b; c; d");
        assert_eq!(failure_text(&[], 127), "mmdebstrap ended with 127: ");
    }
}
