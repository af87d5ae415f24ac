//! Hostile packets of a sender that sees ours: none of them opens a session, and none in a session is accepted as the
//! BMC's answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use program_test::hostile::{Dice, mutated};

use crate::handshake::{Attempt, Choice, Stage, Step};
use crate::keys::Exchange;
use crate::lan_message::{LanReply, LanRequest};
use crate::open_session::{OpenSessionResponse, SessionOffer};
use crate::protect::protect;
use crate::rakp::{Rakp2, Rakp2Body, Rakp4};
use crate::rmcp::{PayloadType, decode_plain, encode_plain};
use crate::{CipherSuite, Datagram, Secret, Target, decode_datagram};

const CONSOLE: u32 = 0x0102_0304;
const MANAGED: u32 = 0x1112_1314;

/// The number of packets for each suite and stage: 20 000 in all.
const ROUNDS: usize = 2_500;

fn exchange(suite: CipherSuite) -> Exchange {
    Exchange {
        suite,
        console_session_id: CONSOLE,
        managed_session_id: MANAGED,
        console_random: [1; 16],
        managed_random: [2; 16],
        managed_guid: [3; 16],
        role: 0x13,
        username: b"admin".to_vec(),
    }
}

/// Returns the BMC's own answers to an attempt with the first tag 0, which an attacker without the password then
/// changes.
fn truth(suite: CipherSuite) -> [Vec<u8>; 3] {
    let offer = SessionOffer { max_privilege: 4, managed_session_id: MANAGED, algorithms: suite.algorithms() };
    let opened = OpenSessionResponse { message_tag: 0, console_session_id: Some(CONSOLE), outcome: Ok(offer) };
    let code = exchange(suite).rakp2_code(b"secret16").as_bytes().to_vec();
    let body = Rakp2Body { managed_random: [2; 16], managed_guid: [3; 16], code };
    let second = Rakp2 { message_tag: 1, console_session_id: Some(CONSOLE), outcome: Ok(body) };
    let value = exchange(suite).session_keys(b"secret16").rakp4_value().to_vec();
    let fourth = Rakp4 { message_tag: 2, console_session_id: Some(CONSOLE), outcome: Ok(value) };
    [
        encode_plain(PayloadType::OpenSessionResponse, &opened.encode()),
        encode_plain(PayloadType::Rakp2, &second.encode()),
        encode_plain(PayloadType::Rakp4, &fourth.encode()),
    ]
}

/// Returns what a datagram says, without what may follow its code.
fn content(suite: CipherSuite, datagram: &[u8]) -> Option<Datagram> {
    let mut content = decode_datagram(datagram, None).ok()?;
    match &mut content {
        Datagram::Rakp2(Rakp2 { outcome: Ok(body), .. }) => body.code.truncate(suite.code_len()),
        Datagram::Rakp4(Rakp4 { outcome: Ok(value), .. }) => value.truncate(suite.integrity_len()),
        _ => {}
    }
    Some(content)
}

fn take(attempt: &mut Attempt<'_>, datagram: &[u8]) -> Option<Step> {
    let (kind, payload) = decode_plain(datagram).ok()?;
    attempt.receive(kind, payload).ok()
}

#[test]
fn no_hostile_packet_opens_a_session() {
    let target = Target::new("192.0.2.1", "admin", Secret::new("secret16")).unwrap();
    let mut dice = Dice::new(5);
    for suite in CipherSuite::DEFAULT_ORDER {
        let truth = truth(suite);
        let valid: Vec<&[u8]> = truth.iter().map(Vec::as_slice).collect();
        for stage in 0..3 {
            let begun = || {
                let choice = Choice { console_session_id: CONSOLE, console_random: [1; 16] };
                let mut attempt = Attempt::new(&target, suite, choice);
                attempt.packet(0);
                for (tag, datagram) in (1..).zip(&truth[..stage]) {
                    assert!(matches!(take(&mut attempt, datagram), Some(Step::Next)));
                    attempt.packet(tag);
                }
                attempt
            };
            let mut attempt = begun();
            for number in 0..ROUNDS {
                let forged = mutated(&mut dice, &valid);
                let Some(step) = take(&mut attempt, &forged) else { continue };
                // The reserved bytes are left out of the comparison: no code covers them.
                let same = content(suite, &forged) == content(suite, &truth[stage]);
                match step {
                    Step::Done(_) => assert!(same && stage == 2, "{suite} {number}"),
                    // An offered session is not open yet: any host may offer one, and cannot prove the password then.
                    Step::Next if stage == 0 => attempt = begun(),
                    Step::Next => {
                        assert!(same && attempt.stage() == Stage::Rakp3, "{suite} {number}");
                        attempt = begun();
                    }
                    Step::Refused(_) => attempt = begun(),
                    Step::Mismatch | Step::NoCode | Step::SuiteChanged(_) => {}
                }
            }
            // After any such packets the BMC's own answer still counts.
            let answer = take(&mut attempt, &truth[stage]);
            assert!(matches!(answer, Some(Step::Next | Step::Done(_))), "{suite} {stage}");
        }
    }
}

/// An "off" of the BMC is the answer to one request. A reply that was changed on its way is not an answer.
#[test]
fn no_hostile_packet_in_a_session_is_taken_for_the_bmcs_answer() {
    let mut dice = Dice::new(6);
    for suite in CipherSuite::DEFAULT_ORDER {
        let keys = exchange(suite).session_keys(b"secret16");
        let foreign = exchange(suite).session_keys(b"other");
        let request = LanRequest { net_fn: 0, lun: 0, sequence: 9, command: 1, data: Vec::new() };
        let reply = |on: u8| request.reply(0, vec![on, 0, 0]);
        let genuine: Vec<(u32, LanReply)> = vec![(7, reply(1)), (8, reply(1))];
        let protected =
            |keys, sequence, reply: &LanReply| protect(keys, CONSOLE, sequence, [5; 16], &reply.encode()).unwrap();
        let mut valid: Vec<Vec<u8>> =
            genuine.iter().map(|(sequence, reply)| protected(&keys, *sequence, reply)).collect();
        valid.push(protected(&foreign, 9, &reply(0)));
        let valid: Vec<&[u8]> = valid.iter().map(Vec::as_slice).collect();
        for number in 0..ROUNDS {
            let forged = mutated(&mut dice, &valid);
            if let Ok(Datagram::Protected(sequence, reply)) = decode_datagram(&forged, Some((&keys, CONSOLE))) {
                assert!(genuine.contains(&(sequence, reply)), "{suite} {number}");
            }
        }
    }
}
