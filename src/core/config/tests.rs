use super::*;
use crate::core::power::reading::ReadingSubject;
use crate::core::reconcile::Settings;
use proptest::prelude::*;

const SAMPLE: &str = r#"
deadline = 45

[devices.bmc]
driver = "ipmi"
address = "{short}-bmc.example.com"
username = "fencing"
password_file = "/etc/gnt-ha/bmc.password"

[devices.pdu-a]
driver = "agent"
agent = "fence_apc_snmp"
options = { ip = "pdu-a.example.com", plug = "{outlet}", ssl = true }

[devices.script]
driver = "exec"
program = "/usr/local/sbin/our-oob"

[default]
levels = [["bmc"]]

[nodes."n1.example.com"]
levels = [["bmc"], ["pdu-a"]]
values = { outlet = "3" }

[nodes."old-*"]
levels = [["script"]]
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("config.toml"))
}

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn error_of(change: impl Fn(&str) -> String) -> String {
    parse(&change(SAMPLE)).unwrap_err().to_string()
}

#[test]
fn the_exact_name_wins_then_the_pattern_then_the_default() {
    let config = parse(SAMPLE).unwrap();
    let levels = config.levels_of(&node("n1.example.com")).unwrap();
    assert_eq!(levels.len(), 2);
    let Driver::Agent(pdu) = &levels[1][0].driver else { panic!() };
    assert_eq!(pdu.options["plug"].text(), "3");
    assert_eq!(pdu.options["ssl"].text(), "1");

    let levels = config.levels_of(&node("old-7")).unwrap();
    assert!(matches!(&levels[0][0].driver, Driver::Exec(_)));

    let levels = config.levels_of(&node("n2.example.com")).unwrap();
    let Driver::Ipmi(bmc) = &levels[0][0].driver else { panic!() };
    assert_eq!(bmc.address, "n2-bmc.example.com");
    assert_eq!((bmc.port, bmc.cipher_suites.as_slice()), (623, &[17, 3][..]));
}

/// Unknown keys are errors. drbd-reactor's `monitor_inverval` was silently replaced by a default.
#[test]
fn a_misspelt_key_names_its_line_and_the_right_one() {
    let error = error_of(|s| s.replace("username", "usrename"));
    assert!(error.starts_with("config.toml:7: "), "{error}");
    assert!(error.ends_with("did you mean \"username\"?"), "{error}");

    let error = error_of(|s| s.replace("deadline", "dedline"));
    assert!(error.starts_with("config.toml:2: ") && error.ends_with("did you mean \"deadline\"?"), "{error}");

    let error = error_of(|s| s.replace("[default]", "[defalt]"));
    assert!(error.ends_with("did you mean \"default\"?"), "{error}");
}

#[test]
fn a_missing_key_names_its_device_line() {
    let error = error_of(|s| s.replace("username = \"fencing\"\n", ""));
    assert!(error.starts_with("config.toml:4: ") && error.contains("username"), "{error}");
}

#[test]
fn a_level_must_name_a_device_that_there_is() {
    let error = error_of(|s| s.replace("[[\"script\"]]", "[[\"scirpt\"]]"));
    assert_eq!(error, "config.toml:27: no device \"scirpt\"; did you mean \"script\"?");
    assert!(error_of(|s| s.replace("[[\"script\"]]", "[[]]")).contains("must name devices"));
    let error = error_of(|s| s.replace("[[\"script\"]]", "[\"script\"]"));
    assert!(error.ends_with("a list of devices for each level, as in levels = [[\"bmc\"]]"), "{error}");
}

/// Many BMCs let the null user in, some of them without a password; no fencing may depend on that user.
#[test]
fn the_null_user_is_refused() {
    for null in ["", "\\u0000", "fence\\u0000"] {
        let error = error_of(|s| s.replace("username = \"fencing\"", &format!("username = \"{null}\"")));
        assert!(error.starts_with("config.toml:") && error.contains("username "), "{error}");
    }
}

/// Suite 0 has no authentication; 1, 2, 6, 7, 11, 15 and 16 protect too little for power control.
#[test]
fn weak_cipher_suites_are_refused() {
    for weak in ["0", "1", "2", "6", "7", "11", "15", "16"] {
        let suite = format!("driver = \"ipmi\"\ncipher_suites = [3, {weak}]");
        let error = error_of(|s| s.replace("driver = \"ipmi\"", &suite));
        assert!(error.contains("17 and 3 can be used"), "{error}");
    }
}

/// Secrets stay in their own files; more people can read the CIB and this file.
#[test]
fn a_password_in_the_file_is_refused() {
    let error = error_of(|s| s.replace("ssl = true", "passwd = \"x\""));
    assert!(error.contains("use password_file"), "{error}");
    assert!(!error.contains("\"x\""));
}

#[test]
fn a_template_that_cannot_be_filled_in_names_the_node() {
    let config = parse(&SAMPLE.replace("values = { outlet = \"3\" }", "")).unwrap();
    let error = config.levels_of(&node("n1.example.com")).unwrap_err().to_string();
    assert!(error.contains("n1.example.com") && error.contains("outlet"), "{error}");
}

#[test]
fn a_node_without_a_rule_and_one_with_two_are_errors() {
    let config = parse(&SAMPLE.replace("[default]\nlevels = [[\"bmc\"]]", "")).unwrap();
    let error = config.levels_of(&node("n9")).unwrap_err().to_string();
    assert!(error.contains("has no rule for node n9"), "{error}");

    let config = parse(&format!("{SAMPLE}\n[nodes.\"*-7\"]\nlevels = [[\"bmc\"]]\n")).unwrap();
    let error = config.levels_of(&node("old-7")).unwrap_err().to_string();
    assert!(error.contains("all match node old-7"), "{error}");
}

#[test]
fn an_address_cannot_smuggle() {
    let config = parse(&SAMPLE.replace("{short}-bmc.example.com", "{short};reboot")).unwrap();
    assert!(config.levels_of(&node("n2")).is_err());
}

/// The installed sample file must work as it is, and with every commented line enabled.
#[test]
fn the_sample_is_right_with_and_without_its_comments() {
    let sample = include_str!("../../../docs/config.toml");
    parse(sample).unwrap().levels_of(&node("node1.example.com")).unwrap();
    let uncommented: String = sample
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| rest.contains(" = ") || rest.starts_with('[')).unwrap_or(line))
        .flat_map(|line| [line.replace("\"pdu-a\", \"pdu-b\"", "\"pdu-a\""), "\n".to_owned()])
        .collect();
    let levels = parse(&uncommented).unwrap().levels_of(&node("node1.example.com")).unwrap();
    assert_eq!(levels.len(), 2);
}

/// Fencing n5 must never switch off the machine of another node.
#[test]
fn one_machine_is_never_two_nodes() {
    let error = error_of(|s| s.replace("{short}-bmc.example.com", "10.0.0.7"));
    assert!(error.contains("is one machine, and this rule is for many nodes"), "{error}");
    let twice = "[nodes.\"n1.west\"]\nlevels = [[\"bmc\"]]\n";
    let error = error_of(|s| format!("{s}{twice}"));
    let both = "n1.example.com (device bmc) and n1.west (device bmc) have one machine: the BMC at n1-bmc.example.com";
    assert!(error.contains(both), "{error}");
}

#[test]
fn a_rule_by_the_short_name_is_for_that_node() {
    let config = parse(&SAMPLE.replace("n1.example.com\"", "n1\"")).unwrap();
    assert_eq!(config.levels_of(&node("n1.example.com")).unwrap().len(), 2);
    let error = error_of(|s| format!("{s}[nodes.\"N1.EXAMPLE.COM\"]\n"));
    assert!(error.contains("is there twice"), "{error}");
    assert!(error_of(|s| s.replace("{ outlet =", "{ short =")).contains("cannot set short"));
}

/// Fabric agents cut a path, not the power: the host runs on.
#[test]
fn a_fabric_agents_off_is_only_isolated() {
    let grade = |text: &str| {
        let levels = parse(text).unwrap().levels_of(&node("n1.example.com")).unwrap();
        let Driver::Agent(agent) = &levels[1][0].driver else { panic!() };
        agent.grade()
    };
    assert_eq!(grade(SAMPLE), Grade::Off);
    assert_eq!(grade(&SAMPLE.replace("fence_apc_snmp", "fence_brocade")), Grade::Isolated);
}

/// An agent that takes something else for off has not read the power.
#[test]
fn options_that_make_an_agents_off_none_are_refused() {
    for option in
        ["missing_as_off = true", "missing-as-off = \"1\"", "network-fencing = 1", "network_fencing = \"yes\""]
    {
        let error = error_of(|s| s.replace("ssl = true", option));
        assert!(error.contains("would report as off"), "{error}");
    }
    parse(&SAMPLE.replace("ssl = true", "missing_as_off = false")).unwrap();
}

/// The "on" of an agent of an unknown kind contradicts an "off", though its own "off" proves little; unless its subject
/// is configured.
#[test]
fn an_unknown_agent_may_see_the_power() {
    let sees = |text: &str| parse(text).unwrap().levels_of(&node("n1.example.com")).unwrap()[1][0].driver.kind().sees;
    assert_eq!(sees(SAMPLE), ReadingSubject::Feed);
    let ours = SAMPLE.replace("fence_apc_snmp", "fence_ours");
    assert_eq!(sees(&ours), ReadingSubject::Unknown);
    assert_eq!(
        sees(&ours.replace("agent = \"fence_ours\"", "agent = \"fence_ours\"\nsees = \"access\"")),
        ReadingSubject::Access
    );
    assert_eq!(sees(&SAMPLE.replace("fence_apc_snmp", "fence_brocade")), ReadingSubject::Access);
}

#[test]
fn a_device_name_is_no_path() {
    let error = error_of(|s| s.replace("[devices.bmc]", "[devices.\"../bmc\"]"));
    assert!(error.contains("not a valid name for a device"), "{error}");
}

#[test]
fn times_have_limits() {
    assert!(error_of(|s| s.replace("deadline = 45", "deadline = 1")).contains("too short"));
    assert!(error_of(|s| s.replace("deadline = 45", "deadline = -3")).starts_with("config.toml:2"));
    assert_eq!(parse("deadline = 12.5").unwrap().deadline, Duration::from_millis(12_500));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    /// Each line of a valid configuration, damaged in one place, is accepted or rejected with a line that exists.
    #[test]
    fn damage_is_read_or_refused(at in 0usize..800, with in any::<char>()) {
        let mut text: Vec<char> = SAMPLE.chars().collect();
        let at = at % text.len();
        text[at] = with;
        let text: String = text.into_iter().collect();
        if let Err(ConfigError::Text { line, .. }) = parse(&text) {
            prop_assert!(line <= 1 + text.matches('\n').count());
        }
    }
}

/// The administrator sets the grace after a start, but it is never zero: a node that boots more slowly has not left.
#[test]
fn the_start_up_grace_can_be_set_and_not_taken_away() {
    let settings = |text: &str| parse(text).unwrap().record.set(Settings::default());
    assert_eq!(settings(""), Settings::default());
    let shorter = settings("[record]\nstart_up_grace = 60\n");
    assert_eq!(shorter, Settings { start_up_grace_ms: 60_000, ..Settings::default() });
    let error = parse("[record]\nstart_up_grace = 29\n").unwrap_err().to_string();
    assert!(error.contains("config.toml:1") && error.contains("start_up_grace is below 30 s"), "{error}");
    assert!(parse("[record]\nstart_up_grac = 60\n").unwrap_err().to_string().contains("start_up_grace"));
}

/// All nodes answer at this port. A port that the unit cannot have, or that confd has, would leave a host without echo.
#[test]
fn the_port_of_the_self_fence_is_one_that_it_can_have() {
    assert_eq!(parse("").unwrap().self_fence.port, 1817);
    assert_eq!(parse("[self_fence]\nport = 1818\n").unwrap().self_fence.port, 1818);
    for port in ["0", "1023", "1814"] {
        let error = parse(&format!("[self_fence]\nport = {port}\n")).unwrap_err().to_string();
        assert!(
            error.contains("config.toml:1") && error.contains(&format!("self_fence: port = {port} must be 1024")),
            "{error}"
        );
    }
    assert!(parse("[self_fence]\nport = 65536\n").is_err());
}
