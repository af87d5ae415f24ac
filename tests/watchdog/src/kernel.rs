//! Unpacks Debian's kernel and its watchdog modules from the package. Nothing is installed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The package that depends on the kernel of this release.
const META: &str = "linux-image-amd64";

/// The modules, in the order in which they are loaded.
pub const MODULES: [&str; 2] = ["watchdog.ko", "i6300esb.ko"];

/// An unpacked kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The kernel image.
    pub image: PathBuf,
    /// The files of [`MODULES`], in the same order.
    pub modules: Vec<PathBuf>,
}

/// Returns the kernel of the package, which is downloaded into `dir` once.
///
/// # Errors
/// The error of apt, dpkg-deb or tar, or the file that the package does not have.
pub fn kernel(dir: &Path) -> io::Result<Kernel> {
    fs::create_dir_all(dir)?;
    let name = package()?;
    let unpacked = dir.join(&name);
    if let Ok(kernel) = find(&unpacked) {
        return Ok(kernel);
    }
    if packages(dir, &name)?.is_none() && download(dir, &name).is_err() {
        // The list of packages may be older than the archive.
        output_of("apt-get", Command::new("apt-get").args(["update", "-qq"]))?;
        download(dir, &name)?;
    }
    let package = packages(dir, &name)?.ok_or_else(|| missing(&format!("{name}_*.deb"), dir))?;
    // An interrupted download does not have this name.
    let partial = dir.join(format!("{name}.partial"));
    for left in [&partial, &unpacked] {
        if left.exists() {
            fs::remove_dir_all(left)?;
        }
    }
    unpack(&package, &partial)?;
    fs::rename(&partial, &unpacked)?;
    find(&unpacked)
}

fn download(dir: &Path, name: &str) -> io::Result<()> {
    output_of("apt-get", Command::new("apt-get").args(["download", "-qq", name]).current_dir(dir)).map(drop)
}

/// Returns the package on which the meta package depends now.
fn package() -> io::Result<String> {
    let text = output_of("apt-cache", Command::new("apt-cache").args(["depends", META]))?;
    let first = text.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    first.map(str::to_owned).ok_or_else(|| io::Error::other(format!("apt-cache depends {META}: {text}")))
}

fn packages(dir: &Path, name: &str) -> io::Result<Option<PathBuf>> {
    let start = format!("{name}_");
    Ok(files(dir)?.into_iter().find(|path| is(path, |file| file.starts_with(&start) && file.ends_with(".deb"))))
}

/// Unpacks only the needed files: the whole package has hundreds of megabytes.
fn unpack(package: &Path, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    let mut opened = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn()?;
    let tar = opened.stdout.take().ok_or_else(|| io::Error::other("dpkg-deb has no output"))?;
    let mut unpacking = Command::new("tar");
    unpacking.arg("-C").arg(into).args(["-x", "--wildcards", "./boot/vmlinuz-*"]);
    unpacking.args(MODULES.map(|module| format!("*/drivers/watchdog/{module}*")));
    let done = output_of("tar", unpacking.stdin(tar));
    let status = opened.wait()?;
    done?;
    if !status.success() {
        return Err(io::Error::other(format!("dpkg-deb {}: {status}", package.display())));
    }
    // The modules of Debian 13 are compressed; the guest loads them as they are.
    let mut modules = files(&modules_dir(into)?)?.into_iter().filter(|path| is(path, |file| file.ends_with(".ko.xz")));
    modules.try_for_each(|module| output_of("busybox", Command::new("busybox").arg("unxz").arg(module)).map(drop))
}

/// Returns the directory of the watchdog modules: below `/usr/lib` since Debian 13.
fn modules_dir(unpacked: &Path) -> io::Result<PathBuf> {
    let releases = ["usr/lib/modules", "lib/modules"].map(|dir| files(&unpacked.join(dir)).unwrap_or_default());
    let release = releases.into_iter().flatten().next().ok_or_else(|| missing("modules", unpacked))?;
    Ok(release.join("kernel/drivers/watchdog"))
}

fn find(unpacked: &Path) -> io::Result<Kernel> {
    let image = files(&unpacked.join("boot"))?.into_iter().find(|path| is(path, |file| file.starts_with("vmlinuz-")));
    let image = image.ok_or_else(|| missing("vmlinuz", unpacked))?;
    let dir = modules_dir(unpacked)?;
    let modules: Vec<PathBuf> = MODULES.iter().map(|module| dir.join(module)).collect();
    match modules.iter().find(|module| !module.is_file()) {
        Some(module) => Err(missing(&module.display().to_string(), unpacked)),
        None => Ok(Kernel { image, modules }),
    }
}

fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

fn is(path: &Path, wanted: impl Fn(&str) -> bool) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(wanted)
}

fn missing(what: &str, dir: &Path) -> io::Error {
    io::Error::other(format!("there is no {what} in {}", dir.display()))
}

/// Runs a program and returns its output, if it succeeded.
fn output_of(program: &str, command: &mut Command) -> io::Result<String> {
    let output = command.stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{program}: {}: {}", output.status, why.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
