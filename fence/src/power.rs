//! Changes the power of one node through its OOB program, and proves the change by reading the power back.

use std::time::{Duration, Instant};

use gnt_ha::core::budget::fence as budget;
use gnt_ha::core::ganeti::oob::{OobCommand, OobStatus};
use gnt_ha::core::grade::Grade;
use gnt_ha::core::power::Power;
use gnt_ha::core::power_change::{PowerChange, PowerChangeStep, ReadFailure, Rules};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::oob_program::OobError;
use gnt_ha::sys::recorded_action::RecordedAction;

use crate::options::Options;
use crate::target::FenceTarget;

/// The time after the command during which a reading may fail: a BMC on a shared port does not answer for seconds. It
/// is not longer, as Pacemaker asks other peers only if this agent fails before it is killed.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// A power change whose result is not proven. The text is the last reading, answer or failure, without the node's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotProven {
    why: String,
}

/// A state that is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateProof {
    /// Whether the node had this state before the action.
    pub already: bool,
    /// The grade of an off; `unknown` for an on.
    pub grade: Grade,
    /// The program on which the proof rests.
    pub proven_by: String,
    /// Whether the program's own power-off has succeeded.
    pub is_commanded: bool,
}

/// Changes the power to `want` and reads it back, until it is proven or the time is over. If the power is `known`, it
/// is not read first.
///
/// # Errors
/// [`NotProven`] if the state is not proven.
pub fn change_power(
    target: &FenceTarget,
    want: Power,
    known: Option<Power>,
    options: &Options,
    deadline: Deadline,
    action: &mut RecordedAction,
) -> Result<StateProof, NotProven> {
    let begun = Instant::now();
    let limit = options.power_timeout.unwrap_or(Duration::MAX).min(deadline.left());
    let sends = match want {
        Power::On => options.retry_on.saturating_add(1),
        Power::Off => 2,
    };
    let rules = Rules {
        // A foreign program may have read a moment without power; our program reads twice itself (see below).
        readings: 2,
        confirm_pause: options.status_sleep,
        poll_pause: options.status_sleep,
        settle: options.power_wait,
        limit,
        sends,
        silence_limit: SILENCE_LIMIT,
        lag: None,
        soonest: Duration::ZERO,
    };
    let mut change = PowerChange::new(want, rules);
    let mut next = match known {
        Some(power) => change.read(Ok(power), Duration::ZERO),
        None => PowerChangeStep::Read(Duration::ZERO),
    };
    let mut seen: Option<OobStatus> = None;
    // Why the program itself has not proven the state; `None` after its own command.
    let mut unproven = Some("no power-off was sent".to_owned());
    loop {
        next = match next {
            PowerChangeStep::Read(pause) => {
                deadline.sleep(pause);
                if deadline.passed() {
                    return Err(NotProven { why: change.give_up(begun.elapsed()) });
                }
                let answer = target.program.status(&target.node, deadline.at_most(budget::reading(deadline.left())));
                let reading = evaluate(&answer, options.minimum_grade);
                note(action, target, OobCommand::PowerStatus, &describe(&answer));
                seen = answer.ok();
                // The current answer decides: a grade in an earlier answer does not count for it.
                let graded = seen.as_ref().is_some_and(|status| status.grade.is_some());
                change.require_readings(if want == Power::On || graded { 1 } else { 2 });
                // A power-on may be pending at the BMC. The program's own power-off waits for it, in the time that is left.
                if want == Power::Off && may_lag(seen.as_ref()) {
                    change.require_command();
                }
                change.read(reading, begun.elapsed())
            }
            PowerChangeStep::Send { .. } => {
                let word = OobCommand::to(want);
                let answer =
                    target.program.act(word, &target.node, deadline.earlier(budget::read_back(deadline.left())));
                note(action, target, word, &answer.as_ref().map_or_else(ToString::to_string, |()| "done".into()));
                unproven = answer.as_ref().err().map(ToString::to_string);
                change.sent(answer.map_err(unread), begun.elapsed())
            }
            PowerChangeStep::Reached { already, .. } => {
                if let Some(why) = unproven.as_ref().filter(|_| want == Power::Off && may_lag(seen.as_ref())) {
                    return Err(NotProven {
                        why: format!(
                            "its off may be an old state, and no power-off proved it: {why}; when you have seen \
                             that the host has no power: gnt-ha confirm-off {} --reason TEXT",
                            target.node
                        ),
                    });
                }
                return Ok(StateProof { is_commanded: unproven.is_none(), ..proof(already, seen.as_ref(), target) });
            }
            PowerChangeStep::Failed(why) => return Err(NotProven { why }),
        };
        if deadline.passed() && !matches!(next, PowerChangeStep::Reached { .. } | PowerChangeStep::Failed(_)) {
            return Err(NotProven { why: change.give_up(begun.elapsed()) });
        }
    }
}

/// Shuns a target that was off before the action. `ganeti-oob` shuns only after an off that it has caused. The target
/// may return like any other, so it is shunned, too. A failure is only noted. The call also commands a device whose "off"
/// may lag behind its host by a second.
pub fn shun_target(target: &FenceTarget, deadline: Deadline, action: &mut RecordedAction) {
    let answer = target.program.act(OobCommand::PowerOff, &target.node, deadline.at_most(budget::READ_LIMIT));
    note(action, target, OobCommand::PowerOff, &answer.as_ref().map_or_else(ToString::to_string, |()| "done".into()));
}

/// Evaluates a status for this agent: an off below the least grade does not count as off.
///
/// # Errors
/// [`ReadFailure`] with the reason, if the power is unknown or its grade is too weak.
pub fn evaluate(answer: &Result<OobStatus, OobError>, least: Grade) -> Result<Power, ReadFailure> {
    match answer {
        Ok(status) if status.power == Power::Off && status.proves() < least => Err(ReadFailure {
            why: format!("its off is only {}, and minimum_grade is {least}", status.proves()),
            is_final: false,
        }),
        Ok(status) => Ok(status.power),
        Err(error) => Err(ReadFailure { why: error.to_string(), is_final: error.is_final() }),
    }
}

fn may_lag(seen: Option<&OobStatus>) -> bool {
    seen.is_some_and(|status| status.power == Power::Off && status.may_lag)
}

fn unread(error: OobError) -> ReadFailure {
    ReadFailure { why: error.to_string(), is_final: error.is_final() }
}

fn proof(already: bool, seen: Option<&OobStatus>, target: &FenceTarget) -> StateProof {
    let program = target.program.path().display();
    match seen {
        Some(OobStatus { power: Power::Off, grade: Some(grade), .. }) => {
            StateProof { already, grade: *grade, proven_by: program.to_string(), is_commanded: false }
        }
        Some(status @ OobStatus { power: Power::Off, grade: None, .. }) => StateProof {
            already,
            grade: status.proves(),
            proven_by: format!("{program}, which reports no grade"),
            is_commanded: false,
        },
        _ => StateProof { already, grade: Grade::Unknown, proven_by: program.to_string(), is_commanded: false },
    }
}

fn describe(answer: &Result<OobStatus, OobError>) -> String {
    match answer {
        Ok(OobStatus { power: Power::Off, grade: Some(grade), .. }) => format!("off, grade {grade}"),
        Ok(status) => status.power.to_string(),
        Err(error) => error.to_string(),
    }
}

fn note(action: &mut RecordedAction, target: &FenceTarget, command: OobCommand, response: &str) {
    action.step(&target.program.path().display().to_string(), command.word(), response);
}
