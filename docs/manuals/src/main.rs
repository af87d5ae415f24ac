//! Writes the manual pages and shell completions into a directory, from the definitions that the programs parse with, so
//! that help, manual and completion cannot disagree. The pages of files and agents come from the tables that the code uses.

mod agents;
mod alert;
mod configuration;
mod page;
mod tags;

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use page::Page;

/// A section that does not come from clap's definitions: its title and paragraphs.
type Section = (&'static str, &'static [&'static str]);

const RECEIPTS: Section = (
    "FILES",
    &[
        "/etc/gnt-ha/config.toml: devices and nodes; see gnt-ha.toml(5).",
        "/var/lib/gnt-ha/receipts.jsonl: an intent before and a receipt after every action; gnt-ha history prints them.",
    ],
);

const FENCE: &[Section] = &[
    (
        "STDIN",
        &[
            "Without an option on the command line, the program reads the options from stdin, as Pacemaker sends them: one \
             key=value on each line. The keys are the long options with _ for -. Unknown keys are ignored. port is the old \
             name of plug, option that of action.",
        ],
    ),
    (
        "EXIT STATUS",
        &[
            "0: success; for status, the node is on.",
            "2: for status, the node is off, with a proof of minimum_grade or better.",
            "1: failure, or the state is unknown. An unknown state is never a success.",
        ],
    ),
    RECEIPTS,
    ("SEE ALSO", &["ganeti-oob(8), gnt-ha(8), gnt-node(8), stonith_admin(8)"]),
];

const OOB: &[Section] = &[
    (
        "EXIT STATUS",
        &[
            "0: the state was read, or the change was read back. For power-off: the power was read as off, because Ganeti then \
             records powered=no; with GNT_HA_PARENT_RECEIPT also an off of grade bounded or isolated.",
            "1: failure, or the state is unknown.",
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            "GNT_HA_DEADLINE: seconds that the caller has left; the shorter of this time and the configured deadline applies.",
            "GNT_HA_PARENT_RECEIPT: the id of the receipt that this call is a part of; its caller reads the grade of an off.",
        ],
    ),
    RECEIPTS,
    ("SEE ALSO", &["gnt-ha.toml(5), fence_ganeti(8), gnt-ha(8), gnt-node(8), gnt-cluster(8)"]),
];

const GNT_HA: &[Section] = &[
    (
        "EXIT STATUS",
        &[
            "0: success; for status, no node needs attention.",
            "1: failure; for status, a change is blocked or a node needs attention.",
            "2: the command line is not valid; for status, a state is unknown.",
        ],
    ),
    RECEIPTS,
    (
        "SEE ALSO",
        &[
            "gnt-ha.toml(5), gnt-ha-alert(7), gnt-ha-tags(7), fence_ganeti(8), ganeti-oob(8), ocf_ganeti_ganeti-master-role(7), \
             ocf_ganeti_ganeti-node-role(7)",
        ],
    ),
];

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("usage: manuals DIR");
        return ExitCode::FAILURE;
    };
    match write_all(Path::new(&dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manuals: {}: {error}", Path::new(&dir).display());
            ExitCode::FAILURE
        }
    }
}

fn write_all(dir: &Path) -> io::Result<()> {
    let programs: [(Command, &[Section]); 3] = [
        (fence_ganeti::input::command(), FENCE),
        (ganeti_oob::cli::command(), OOB),
        (gnt_ha::commands::Cli::command(), GNT_HA),
    ];
    let completions = dir.join("completions");
    let pages = dir.join("man8");
    fs::create_dir_all(&completions)?;
    fs::create_dir_all(&pages)?;
    for (mut command, sections) in programs {
        let name = command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            generate_to(shell, &mut command, &name, &completions)?;
        }
        fs::write(pages.join(format!("{name}.8")), page(command, sections)?)?;
    }
    let others = [agents::master_role(), agents::node_role(), alert::page(), tags::page(), configuration::page()];
    others.iter().try_for_each(|page| write(page, dir))
}

fn write(page: &Page, dir: &Path) -> io::Result<()> {
    let file = dir.join(page.file());
    file.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(file, page.text())
}

fn page(command: Command, sections: &[Section]) -> io::Result<Vec<u8>> {
    let mut command = command.disable_help_subcommand(true);
    // After this each subcommand has its full name.
    command.build();
    let page = Man::new(command.clone()).section("8").date(page::NO_DATE).source("gnt-ha").manual("gnt-ha");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    let mut roff = Roff::new();
    if command.has_subcommands() {
        roff.control("SH", ["COMMANDS"]);
        command.get_subcommands().for_each(|command| describe(command, &mut roff));
    }
    for (title, paragraphs) in sections {
        roff.control("SH", [*title]);
        for (index, paragraph) in paragraphs.iter().enumerate() {
            if index > 0 {
                roff.control("PP", []);
            }
            roff.text([roman(*paragraph)]);
        }
    }
    text.extend(roff.render().into_bytes());
    Ok(text)
}

/// Adds a command with its arguments and options, and its subcommands.
fn describe(command: &Command, roff: &mut Roff) {
    // A command with subcommands may also work without one.
    if !command.has_subcommands() || command.is_subcommand_negates_reqs_set() {
        describe_itself(command, roff);
    }
    command.get_subcommands().for_each(|command| describe(command, roff));
}

fn describe_itself(command: &Command, roff: &mut Roff) {
    let usage = command.clone().render_usage().to_string();
    roff.control("SS", [usage.trim_start_matches("Usage: ").lines().next().unwrap_or_default()]);
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string);
    for (index, paragraph) in about.unwrap_or_default().split("\n\n").enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(paragraph)]);
    }
    // What every command takes stands among the options of the program.
    let is_its_own =
        |argument: &&clap::Arg| !argument.is_global_set() && !argument.is_hide_set() && argument.get_id() != "help";
    for argument in command.get_arguments().filter(is_its_own) {
        roff.control("TP", []);
        roff.text([bold(argument.to_string())]);
        let help = argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string);
        roff.text([roman(help.unwrap_or_default().replace("\n\n", ". "))]);
    }
}
