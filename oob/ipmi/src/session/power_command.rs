//! Power commands: a copy is sent only when the BMC cannot be at work on the one before.

use std::thread;
use std::time::Instant;

use ipmi_rs::connection::Message;

use super::{Session, accept};
use crate::Error;
use crate::command::{ChassisControl, GetChassisStatus, name};
use crate::ignored::IgnoredTally;
use crate::lan_message::LanReply;
use crate::timers::{Pace, busy_pause};

/// How often a power command is sent that is not answered itself, though later questions are.
const COMMAND_SENDS: u32 = 6;

/// Marks that a question behind a power command was answered.
const ANSWERED_MARK: u32 = u32::MAX;

impl Session {
    /// Turns power on or off (Chassis Control). Success means that the BMC accepted the command.
    ///
    /// Some BMCs need seconds for the command, and would carry out each copy of it again. So it is sent again only after
    /// the BMC has answered a question that was sent after it: until then it may still be at work on it.
    ///
    /// A request that was sent twice may reach the BMC late, as long as the session lasts: use another session for the
    /// opposite command.
    ///
    /// # Errors
    /// See [`Error`]. The command may have had its effect all the same: read the status.
    pub fn chassis_control(&mut self, control: ChassisControl) -> Result<(), Error> {
        let message = Message::from(control);
        let mut odd = 0;
        for times in 1.. {
            let reply = self.command(&message)?;
            let pause = busy_pause(times);
            if reply.completion_code == 0 {
                return Ok(());
            }
            if !self.is_worth_repeating(reply.completion_code, &mut odd) || Instant::now() + pause >= self.deadline {
                return Err(self.completion_error(&reply));
            }
            thread::sleep(pause);
        }
        Err(Error::Misuse { peer: self.peer(), what: "a command was sent without end" })
    }

    /// Sends a power command until its own answer comes. After each copy, asks for the chassis status until that is
    /// answered: its contents do not matter, but the BMC has come as far. Then the copy is lost, or its answer is near.
    fn command(&mut self, message: &Message) -> Result<LanReply, Error> {
        let command = self.request(message, 0);
        let started = Instant::now();
        let (peer, asked) = (self.peer(), name(command.net_fn, command.command));
        let mut ignored = IgnoredTally::default();
        let mut packets = 0;
        for copy in 1..=COMMAND_SENDS {
            if Instant::now() >= self.deadline {
                break;
            }
            let question = self.request(&Message::from(GetChassisStatus), 0);
            self.transmit(&command)?;
            packets += 1;
            let mut until = self.timer(self.pace.command_wait(1));
            let mut questions = 0;
            loop {
                let Some(datagram) = self.transport.receive(until)? else {
                    if questions == ANSWERED_MARK || Instant::now() >= self.deadline {
                        break;
                    }
                    self.transmit(&question)?;
                    packets += 1;
                    questions += 1;
                    until = self.timer(self.pace.command_wait(questions + 1));
                    continue;
                };
                match accept(
                    &self.keys,
                    self.console_session_id,
                    &mut self.last_accepted,
                    &[&command, &question],
                    datagram,
                ) {
                    Ok((0, reply)) => {
                        self.pace.computed(packets - 1);
                        return Ok(reply);
                    }
                    Ok(_) => {
                        if questions != ANSWERED_MARK {
                            self.pace.computed(questions.saturating_sub(1));
                        }
                        questions = ANSWERED_MARK;
                        until = self.timer(Pace::command_pause(copy));
                    }
                    Err(reason) => ignored.add(reason),
                }
            }
        }
        if packets == 0 {
            return Err(Error::DeadlinePassed { peer, asked });
        }
        Err(Error::NoAnswer { peer, asked, sent: packets, waited: started.elapsed(), ignored })
    }
}
