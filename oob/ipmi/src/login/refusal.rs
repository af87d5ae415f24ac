//! What follows from a refusal: another cipher suite, a pause, or the reason why the login fails.

use std::time::{Duration, Instant};

use super::{ALIVE, Login};
use crate::handshake::{Attempt, Stage};
use crate::status::{Refusal, classify, describe};
use crate::timers::{SESSION_GONE_PAUSE, slot_pause};
use crate::{CipherSuite, Error};

impl Login<'_> {
    pub(super) fn refused(&mut self, index: usize, stage: Stage, status: u8) -> Result<(), Error> {
        let (peer, suite) = (self.transport.peer(), self.suite_of(index));
        match (classify(status), stage) {
            // Some BMCs refuse a suite that they do not compute with "no session": each suite is tried before a pause.
            (Refusal::NoSlot, Stage::OpenSession) if self.has_next(suite) => {
                self.slots_refused += 1;
                self.refusal = Some((stage, status));
                if self.suite_index(suite) == self.suite {
                    self.suite += 1;
                    self.start_attempt()?;
                }
            }
            (Refusal::NoSlot, _) => {
                self.slots_refused += 1;
                // The BMC has computed the suite with which the password was proven.
                if stage == Stage::OpenSession && !self.proof_sent {
                    self.suite = 0;
                }
                self.start_over(index, stage, status, slot_pause(self.slots_refused));
            }
            (Refusal::SessionGone, Stage::Rakp1 | Stage::Rakp3) => {
                self.start_over(index, stage, status, SESSION_GONE_PAUSE);
            }
            (Refusal::CipherSuite, Stage::OpenSession) => {
                self.next_suite(index, Error::CipherSuiteRefused { peer, suite, status })?;
            }
            // Open Session names no user: its refusal is not one of a login, with any status.
            (_, Stage::OpenSession) => {
                self.next_suite(index, Error::HandshakeRefused { peer, asked: stage.asked(), status })?;
            }
            // BMCs whose firmware accepts suite 17 and does not compute it refuse the role or the name.
            (kind @ (Refusal::Role | Refusal::Username), Stage::Rakp1) => {
                let failure = self.refusal(kind, stage, status);
                self.next_suite(index, failure)?;
            }
            (kind, _) => {
                let failure = self.refusal(kind, stage, status);
                self.fail(failure);
            }
        }
        Ok(())
    }

    /// Whether a worse suite is allowed, and may be tried: not after a proof of the password was sent.
    fn has_next(&self, suite: CipherSuite) -> bool {
        !self.proof_sent && self.suite_index(suite).saturating_add(1) < self.suites().len()
    }

    /// Tries the next suite after a refusal of this one, which any host may have sent: an answer with a better suite
    /// still leads. Without a next suite the login fails, for the most specific reason.
    pub(super) fn next_suite(&mut self, index: usize, failure: Error) -> Result<(), Error> {
        let suite = self.suite_of(index);
        if self.has_next(suite) {
            // Otherwise the refused suite is not the present one any more.
            if self.suite_index(suite) == self.suite {
                if !matches!(failure, Error::CipherSuiteRefused { .. }) {
                    self.earlier.get_or_insert(failure);
                }
                self.suite += 1;
                self.start_attempt()?;
            }
            return Ok(());
        }
        // A BMC may have answered with a worse suite than the one that is proposed.
        if self.suite_index(suite) >= self.suite {
            let explains_more = self.earlier.take().filter(|_| matches!(failure, Error::CipherSuiteRefused { .. }));
            self.fail(explains_more.unwrap_or(failure));
        }
        Ok(())
    }

    fn start_over(&mut self, index: usize, stage: Stage, status: u8, pause: Duration) {
        self.refusal = Some((stage, status));
        if index + 1 == self.attempts.len() {
            self.pausing = true;
            self.timer = Instant::now() + pause;
        }
    }

    pub(super) fn mismatch(&self, stage: Stage) -> Error {
        let (peer, username) = (self.transport.peer(), self.target.username().to_owned());
        if stage == Stage::Rakp3 {
            Error::WrongKg { peer, username, kg_given: self.target.has_kg() }
        } else {
            Error::WrongPassword { peer, username, message: 2 }
        }
    }

    fn refusal(&self, kind: Refusal, stage: Stage, status: u8) -> Error {
        let (peer, username) = (self.transport.peer(), self.target.username().to_owned());
        match kind {
            Refusal::Username => Error::UserRefused { peer, username, status },
            Refusal::Password => {
                Error::WrongPassword { peer, username, message: if stage == Stage::Rakp3 { 4 } else { 2 } }
            }
            Refusal::Privilege | Refusal::Role => {
                let reason = format!("status {status:02X}h, {}", describe(status));
                Error::PrivilegeRefused {
                    peer,
                    username,
                    privilege: self.target.privilege(),
                    reason,
                    in_session: false,
                }
            }
            _ => Error::HandshakeRefused { peer, asked: stage.asked(), status },
        }
    }

    pub(super) fn out_of_time(&mut self) -> Error {
        let peer = self.transport.peer();
        if let Some(earlier) = self.earlier.take() {
            return earlier;
        }
        match self.refusal {
            Some((_, status)) if self.slots_refused > 0 => {
                Error::NoSessionSlot { peer, tries: self.slots_refused, status }
            }
            Some((stage, status)) => Error::HandshakeRefused { peer, asked: stage.asked(), status },
            None => {
                let stage = self.attempts.last().map_or(Stage::OpenSession, Attempt::stage);
                let asked = match stage {
                    Stage::OpenSession if self.answered => ALIVE,
                    stage => stage.asked(),
                };
                self.silence(asked, self.sent_total)
            }
        }
    }

    pub(super) fn silence(&self, asked: &'static str, sent: u32) -> Error {
        let peer = self.transport.peer();
        if sent == 0 {
            return Error::DeadlinePassed { peer, asked };
        }
        Error::NoAnswer { peer, asked, sent, waited: self.started.elapsed(), ignored: self.ignored }
    }
}
