//! Thin adapters to the world. Each file touches one thing, named by the file.

pub mod addresses;
pub mod clock;
pub mod connections;
pub mod detached;
pub mod every_node;
pub mod ganeti;
mod guard;
pub mod guarded_file;
pub mod identity;
pub mod leash;
pub mod ledger;
pub mod lock;
pub mod log;
pub mod nft;
pub mod oob_program;
pub mod pacemaker;
pub mod process;
pub mod processes;
pub mod program;
pub mod reachable;
pub mod record;
pub mod road;
pub mod shun;
pub mod simulate;
pub mod start;
pub mod state_file;
pub mod terminal;
