//! The library of all programs of gnt-ha, which connects Ganeti and Pacemaker: fence agent, OOB program, OCF agents and
//! administration tool. It works on the nodes of a Ganeti cluster and is not meant for other programs.
//!
//! One rule: a node is recorded offline in Ganeti only on proof that it can do no more harm. A state counts when it was
//! read back. A timeout, a parse error, a missing answer or a denial is "unknown", and "unknown" is never a success.
//!
//! # Layers
//!
//! Decisions are pure functions, and each adapter touches one thing. So decisions are tested without a cluster. The
//! model checker of shunning (`tests/model`) runs the same functions as the programs.
//!
//! | module | contents | what it may touch |
//! |---|---|---|
//! | [`core`] | decisions, values, text formats, the model of `/etc/gnt-ha/config.toml` | nothing: no clock, no I/O, no process |
//! | [`sys`] | thin adapters to the world | processes, files, sockets, clocks |
//! | [`power`] | devices, levels, power commands, proof by reading back | devices, and what `sys` touches |
//! | [`service`] | what is long-lived or orders steps: the reconciler, the self-fence daemon, shunning, recorded power actions | what `power` touches |
//! | [`cli`] | what the command lines share | stdout and stderr |
//! | [`commands`] | the commands of `gnt-ha` | what each of them is for |
//!
//! The programs (`fence_ganeti`, `ganeti-oob`, `gnt-ha`, the OCF agents) use them: they parse, call and print.
//!
//! # Modules
//!
//! | question | module |
//! |---|---|
//! | How strong is a proof, and what does evidence prove? | [`crate::core::grade`], [`crate::core::evidence`] |
//! | Is a host off, by its devices? | [`crate::core::power`], [`crate::core::power_change`] |
//! | What was done to a node, and what proved it? | [`crate::core::receipt`], [`crate::sys::receipt_log`] |
//! | Which nodes are recorded offline? | [`crate::core::reconcile`], [`crate::service::reconciler`] |
//! | Which instances of a dead host start where? | [`crate::core::recovery`], [`crate::service::recovery`] |
//! | What stops recording when too many nodes are lost at once? | [`crate::core::breaker`] |
//! | What does shunning prove? | [`crate::core::shun`], [`crate::service::shun`], [`crate::sys::nft`] |
//! | When does a node reset itself? | [`crate::core::shun::lease`], [`crate::service::self_fence`], [`crate::sys::watchdog`] |
//! | What do Ganeti and Pacemaker report? | [`crate::core::ganeti`], [`crate::core::pacemaker`], [`crate::sys::ganeti`], [`crate::sys::pacemaker`] |
//! | What would a failure of a node cause? | [`crate::core::rehearsal`], [`crate::core::budget`] |
//! | Is the cluster configured correctly? | [`crate::core::check`], [`crate::core::setup`] |
//! | What does an administrator see? | [`crate::core::status`], [`crate::core::report`] |
//! | Which device switches which node? | [`crate::core::config`] |
//!
//! The wait time after which a shunned node has reset itself, with the default times:
//!
//! ```
//! use std::time::Duration;
//!
//! use gnt_ha::core::shun::lease_times::LeaseTimes;
//!
//! let times = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 };
//! assert_eq!(times.wait_time(), Duration::from_millis(25_455));
//! ```
//!
//! # Documents
//!
//! `ARCHITECTURE.md` follows a fencing, a record and a device through the code. `docs/design.md` has what must stay
//! true, and `docs/shunning.md` and `docs/self-fencing.md` the argument for shunning and self-fencing.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod commands;
pub mod core;
pub mod power;
pub mod service;
pub mod sys;
