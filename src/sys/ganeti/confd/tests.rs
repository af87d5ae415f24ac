use super::*;
use proptest::prelude::*;

fn with_key(key: &[u8]) -> Confd {
    Confd { key: Hmac::new_from_slice(key).unwrap() }
}

fn confd() -> Confd {
    with_key(b"secret\n")
}

/// A datagram counts as an answer only if a confd with the cluster's key signed it, and only for its own request.
#[test]
fn no_hostile_datagram_is_an_answer() {
    const ALL: usize = 20_000;
    let from = SocketAddr::from(([192, 0, 2, 1], CONFD_PORT));
    let (ours, salts) = (confd(), Salts::new().unwrap());
    let body = |answer: Value, serial: u64| json!({"protocol": 1, "status": 0, "answer": answer, "serial": serial});
    let old = Salts::new().unwrap();
    let signed: Vec<(String, Value)> =
        [(salts.of(from.ip()), 9), (old.of(from.ip()), 8), (salts.of([192, 0, 2, 2].into()), 7)]
            .into_iter()
            .map(|(salt, serial)| (salt, body(json!("n1.lab"), serial)))
            .collect();
    let mut valid: Vec<Vec<u8>> = signed.iter().map(|(salt, body)| ours.answer(salt, body)).collect();
    // Signed with another key, and with an empty one.
    valid.extend(
        [with_key(b"other\n"), with_key(b"")]
            .map(|foreign| foreign.answer(&salts.of(from.ip()), &body(json!("n3.lab"), u64::MAX))),
    );
    let valid: Vec<&[u8]> = valid.iter().map(Vec::as_slice).collect();
    let mut dice = program_test::hostile::Dice::new(3);
    for number in 0..ALL {
        let bytes = program_test::hostile::mutated(&mut dice, &valid);
        let Some((reply, salt)) = ours.reply(&bytes) else { continue };
        // The datagrams that are left are unchanged answers of a confd.
        let sent = signed.iter().find(|(known, body)| *known == salt && body["serial"] == reply.cluster_serial);
        assert!(sent.is_some_and(|(_, body)| body["answer"] == reply.answer), "{number}");
        assert_eq!(salts.is_answer(&salt, from), salt == signed[0].0, "{number}");
    }
}

/// The signature of `DumpSignedJson` of Ganeti 3.0.2 for the same key, salt and message.
#[test]
fn the_signature_is_ganetis() {
    let mac = confd().sign("1700000000", "[1]");
    assert_eq!(hex(&mac.finalize().into_bytes()), "7875c89cc7f6e456db1fcc9306b3d94abbcdeb65");
}

#[test]
fn only_what_is_signed_with_the_key_is_an_answer() {
    let ours = confd();
    let body = json!({"protocol": 1, "status": 0, "answer": "n1.lab", "serial": 9});
    let datagram = ours.answer("s", &body);
    let (reply, salt) = ours.reply(&datagram).unwrap();
    assert_eq!((reply.cluster_serial, salt.as_str()), (9, "s"));
    assert!(with_key(b"other\n").reply(&datagram).is_none());
    let refused = json!({"protocol": 1, "status": 1, "answer": 1, "serial": 9});
    assert!(ours.reply(&ours.answer("s", &refused)).is_none());
    for end in 0..datagram.len() {
        assert!(ours.reply(&datagram[..end]).is_none(), "cut at {end}");
    }
}

/// An empty key protects nothing: every sender could sign. The same holds for a key file that was cut short.
#[test]
fn a_key_that_is_empty_or_cut_short_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let made = |key: &str| {
        std::fs::write(dir.path().join("hmac.key"), key).unwrap();
        Confd::new(dir.path()).err().map(|error| error.to_string())
    };
    for (key, length) in
        [("", 0), ("\n", 0), ("                                        \n", 0), ("0123456789abcde\n", 15)]
    {
        let error = made(key).unwrap();
        assert!(error.contains(&format!("hmac.key is not a valid key: {length} bytes")), "{error}");
        assert!(error.contains("gnt-cluster redist-conf") && !error.contains("0123"), "{error}");
    }
    assert_eq!(made("0123456789abcdef\n"), None);
    assert_eq!(made(&format!("{}\n", "0".repeat(40))), None, "as Ganeti makes it");
    std::fs::remove_file(dir.path().join("hmac.key")).unwrap();
    assert!(matches!(Confd::new(dir.path()), Err(ConfdError::Key { .. })));
}

/// A candidate at `at`, which calls `answer` with the kind, the query and the salt of each request.
fn candidate(at: IpAddr, answer: impl Fn(u64, &Value, &str) -> Vec<Vec<u8>> + Send + 'static) {
    let socket = UdpSocket::bind((at, CONFD_PORT)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let signed: Signed = serde_json::from_slice(buffer[..length].strip_prefix(MAGIC).unwrap()).unwrap();
            let asked: Value = serde_json::from_str(&signed.msg).unwrap();
            let (kind, salt) = (asked["type"].as_u64().unwrap(), asked["rsalt"].as_str().unwrap());
            for datagram in answer(kind, &asked["query"], salt) {
                socket.send_to(&datagram, from).unwrap();
            }
        }
    });
}

/// The answer of confd 3.0.2 for a configuration with serial number 7627, whose cluster object has 3189.
fn as_ganeti(master: &str, kind: u64, query: &Value, salt: &str) -> Vec<u8> {
    let answer = match (kind, query.as_str()) {
        (3, None) => json!(master),
        (10, Some("/serial_no")) => json!(7627),
        _ => panic!("{kind} {query}"),
    };
    confd().answer(salt, &json!({"protocol": 1, "status": 0, "answer": answer, "serial": 3189}))
}

/// Each change increments the `serial_no` of `config.data`, and a node compares its own copy by it. The serial
/// number in confd's answers is a different one.
#[test]
fn a_claim_has_the_serial_number_of_the_configuration() {
    let at = IpAddr::from([127, 14, 21, 1]);
    candidate(at, |kind, query, salt| vec![as_ganeti("n1.lab", kind, query, salt)]);
    let answers = confd().masters(&[at], Deadline::after(Duration::from_secs(2))).unwrap();
    assert_eq!(answers, [MasterAnswer { from: at, master: "n1.lab".to_owned(), serial: 7627 }]);
}

/// A signed answer of one candidate, forwarded from the address of another, counts for the first candidate only.
#[test]
fn one_candidates_answer_is_never_anothers() {
    let [honest, relay] = [1, 2].map(|host| IpAddr::from([127, 14, 20, host]));
    candidate(honest, |kind, query, salt| vec![as_ganeti("n1.lab", kind, query, salt)]);
    // The relay knows the other candidate's request and answers it.
    candidate(relay, |kind, query, salt| {
        let of_the_other = salt.replace("-127.14.20.2", "-127.14.20.1");
        assert_ne!(of_the_other, salt, "each question has its address");
        vec![as_ganeti("n1.lab", kind, query, &of_the_other)]
    });
    let answers = confd().masters(&[honest, relay], Deadline::after(Duration::from_millis(400))).unwrap();
    assert_eq!(answers.iter().map(|answer| answer.from).collect::<Vec<_>>(), [honest]);
}

/// Two answers from two configurations make no claim.
#[test]
fn a_master_and_a_serial_number_of_different_times_are_no_claim() {
    let at = IpAddr::from([127, 14, 22, 1]);
    candidate(at, |kind, _, salt| {
        let answer = if kind == 3 { json!("n1.lab") } else { json!(7628) };
        let body = json!({"protocol": 1, "status": 0, "answer": answer, "serial": if kind == 3 { 1 } else { 2 }});
        vec![confd().answer(salt, &body)]
    });
    assert_eq!(confd().masters(&[at], Deadline::after(Duration::from_millis(400))).unwrap(), []);
}

#[test]
fn a_confd_that_is_not_there_is_no_answer_within_the_deadline() {
    let unused_address = "127.99.99.99".parse().unwrap();
    let begun = std::time::Instant::now();
    assert!(!confd().answers(unused_address, Deadline::after(Duration::from_millis(60))).unwrap());
    assert!(begun.elapsed() < Duration::from_secs(2));
}

proptest! {
    #[test]
    fn no_datagram_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
        let _ = confd().reply(&bytes);
        let _ = confd().reply(&[MAGIC, text.as_bytes()].concat());
        let _ = unhex(&text);
    }
}
