//! The packets of a login whose answers may still come, and what the answers measure. Has no clock.

use std::time::Instant;

use crate::handshake::Stage;
use crate::timers::Pace;

/// The number of packets whose answers are distinguished: far more than are sent before the oldest one is given up.
const PACKETS_MOST: usize = 64;

/// The question of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The authentication capabilities.
    Capabilities,
    /// A message of an attempt.
    Handshake(Stage),
}

impl Question {
    /// Whether the answer needs no arithmetic, so that its time is that of the way.
    fn is_answered_at_once(self) -> bool {
        matches!(self, Self::Capabilities | Self::Handshake(Stage::OpenSession))
    }
}

/// The packets without an answer, in the order in which they were sent. Each copy has a tag of its own.
pub(crate) struct Flight {
    next_tag: u8,
    sent: Vec<(u8, Question, Instant)>,
    /// What the answers have measured.
    pub(crate) pace: Pace,
    /// Whether a later copy was answered before an earlier one.
    pub(crate) loss_seen: bool,
}

impl Flight {
    /// Begins with this tag. It is random: a sender that does not see our packets does not know it.
    pub(crate) fn new(first_tag: u8) -> Self {
        Self { next_tag: first_tag, sent: Vec::new(), pace: Pace::default(), loss_seen: false }
    }

    /// Returns the tag of a packet that is sent at `now`.
    pub(crate) fn begin(&mut self, question: Question, now: Instant) -> u8 {
        let tag = self.next_tag;
        self.next_tag = tag.wrapping_add(1);
        if self.sent.len() >= PACKETS_MOST {
            self.sent.remove(0);
        }
        self.sent.push((tag, question, now));
        tag
    }

    /// Whether a packet with this tag waits for its answer.
    pub(crate) fn has(&self, tag: u8) -> bool {
        self.sent.iter().any(|(sent, ..)| *sent == tag)
    }

    /// Measures by the answer, at `now`, to the packet with this tag. What was sent before it is answered or lost.
    pub(crate) fn end(&mut self, tag: u8, now: Instant) {
        let Some(place) = self.sent.iter().position(|(sent, ..)| *sent == tag) else { return };
        let behind = u32::try_from(self.sent.len() - place - 1).unwrap_or(u32::MAX);
        let mut ended: Vec<_> = self.sent.drain(..=place).collect();
        let Some((_, question, sent)) = ended.pop() else { return };
        self.loss_seen |= question.is_answered_at_once() && ended.iter().any(|(_, skipped, _)| *skipped == question);
        if question.is_answered_at_once() {
            self.pace.measured(now.saturating_duration_since(sent), behind);
        } else {
            self.pace.computed(behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_measures_the_very_packet_that_it_answers() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let open = Question::Handshake(Stage::OpenSession);
        let mut flight = Flight::new(255);
        let first = flight.begin(open, at(0));
        let asked = flight.begin(Question::Capabilities, at(950));
        assert_eq!((first, asked, flight.has(0), flight.has(1)), (255, 0, true, false));
        flight.end(first, at(1000));
        // One packet more is in the BMC's queue: its next answer comes after that one's.
        assert_eq!(flight.pace.exchange_wait(1), Duration::from_millis(4000));
        assert!(!flight.loss_seen && !flight.has(first));
        flight.end(asked, at(2000));
        assert_eq!(flight.pace.exchange_wait(1), Duration::from_millis(2000));
        flight.begin(open, at(2000));
        let copy = flight.begin(open, at(2100));
        flight.end(copy, at(2101));
        assert!(flight.loss_seen);
    }
}
