//! `make mutants`: builds each mutant in a copy of the sources below `target/mutants`, and runs the test that has to find it.
//!
//! The results are kept there with the sources for which they hold: a run that was interrupted, or whose time was over,
//! goes on where it was. Arguments: `SECONDS`, after which no other mutant is begun; then names of mutants, for a part
//! of them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mutants::list::all;
use mutants::tree::Tree;
use mutants::{Death, Mutant, workspace};

/// The result of a mutant.
enum End {
    Died,
    Lives,
    DoesNotBuild(String),
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    let only: Vec<String> = arguments.collect();
    match run(Duration::from_secs(seconds), &only) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all mutants were found.
fn run(limit: Duration, only: &[String]) -> io::Result<bool> {
    let begun = Instant::now();
    let dir = workspace().join("target/mutants");
    let results = dir.join("died");
    let tree = Tree::make(&dir)?;
    let text = fs::read_to_string(&results).unwrap_or_default();
    let mut died: BTreeMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, of)| Some((name, of.parse().ok()?)))
        .collect();
    // If the sources fail without a mutant, there are no results.
    for test in [
        Death::Unit("lease::tests::half_is_no_majority_and_one_denial_is_no_loss"),
        Death::Model("memory_of_one_that_was_readmitted"),
    ] {
        let output = tree.run(test, false)?;
        if !output.status.success() {
            return Err(io::Error::other(
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
            ));
        }
    }
    let (mut dead, mut lives, mut left) = (0, 0, 0);
    for mutant in all().filter(|mutant| only.is_empty() || only.iter().any(|name| name == mutant.name)) {
        let before = tree.read(mutant.file)?;
        tree.write(mutant.file, &mutant.apply(&before).map_err(io::Error::other)?)?;
        let digest = tree.digest()?;
        let is_known = died.get(mutant.name) == Some(&digest);
        let end = match is_known {
            true => Ok(End::Died),
            false if begun.elapsed() < limit => end_of(mutant, &tree),
            false => {
                left += 1;
                tree.write(mutant.file, &before)?;
                continue;
            }
        };
        tree.write(mutant.file, &before)?;
        match end? {
            End::Died => {
                dead += 1;
                died.insert(mutant.name, digest);
                let lines: String = died.iter().map(|(name, digest)| format!("{name} {digest}\n")).collect();
                fs::write(&results, lines)?;
                println!(
                    "died   {:42} {}{}",
                    mutant.name,
                    place(mutant.dies_in),
                    if is_known { ", before" } else { "" }
                );
            }
            End::Lives => {
                lives += 1;
                println!("LIVES  {:42} {}", mutant.name, place(mutant.dies_in));
            }
            End::DoesNotBuild(why) => {
                lives += 1;
                println!("BROKEN {:42} it does not build:\n{why}", mutant.name);
            }
        }
    }
    println!("{dead} mutants died, {lives} live, {left} are left; {:.0} s", begun.elapsed().as_secs_f64());
    Ok(lives == 0 && left == 0)
}

fn place(death: Death) -> String {
    match death {
        Death::Model(test) => format!("model, {test}"),
        Death::Unit(test) => format!("test {test}"),
    }
}

fn end_of(mutant: &Mutant, tree: &Tree) -> io::Result<End> {
    let built = tree.run(mutant.dies_in, true)?;
    if !built.status.success() {
        return Ok(End::DoesNotBuild(String::from_utf8_lossy(&built.stderr).into_owned()));
    }
    let output = tree.run(mutant.dies_in, false)?;
    // A test that did not run has found nothing.
    let has_failed = String::from_utf8_lossy(&output.stdout).contains("1 failed");
    Ok(if !output.status.success() && has_failed { End::Died } else { End::Lives })
}
