//! Tests of the time budgets as they are printed, and of what does and does not fit.

use std::path::Path;
use std::time::Duration;

use super::detection::{Detection, Totem};
use super::*;
use crate::core::node::NodeName;
use crate::core::power::walk::Task;
use crate::core::shun::lease_times::LeaseTimes;

const DEVICES: &str = "[devices.bmc]\ndriver = \"ipmi\"\naddress = \"{short}-bmc\"\nusername = \"u\"\npassword_file = \"/p\"\n\
                       [devices.pdu]\ndriver = \"agent\"\nagent = \"fence_apc\"\noptions = { ip = \"{short}-pdu\" }\n\
                       [devices.shun]\ndriver = \"shun\"\n";

fn config(levels: &str, more: &str) -> Config {
    let text = format!("{more}\n{DEVICES}\n[default]\nlevels = {levels}\n");
    Config::parse(&text, Path::new("/etc/gnt-ha/config.toml")).unwrap()
}

fn ganeti() -> GanetiConfig {
    let node = |name: &str| serde_json::json!({"name": name, "group": "g", "master_candidate": true});
    let text = serde_json::json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1"}, "nodegroups": {"g": {}},
        "nodes": {"u1": node("n1.lab"), "u2": node("n2.lab"), "u3": node("n3.lab")}});
    GanetiConfig::parse(text.to_string().as_bytes()).unwrap()
}

fn resources(properties: &str, parameters: &str) -> Resources {
    let pairs = |text: &str| -> String {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap();
            format!("<nvpair id=\"{name}\" name=\"{name}\" value=\"{value}\"/>")
        };
        text.split_whitespace().map(pair).collect()
    };
    Resources::parse(&format!(
        "<cib><configuration><crm_config><cluster_property_set id=\"p\">{}</cluster_property_set></crm_config><resources>\
         <primitive id=\"fence\" class=\"stonith\" type=\"fence_ganeti\"><instance_attributes id=\"i\">{}</instance_attributes>\
         </primitive></resources></configuration></cib>",
        pairs(properties),
        pairs(parameters)
    ))
    .unwrap()
}

fn shown(resources: &Resources, config: Option<&Config>) -> String {
    shown_with(resources, config, &AdvertisedTimes::new())
}

fn shown_with(resources: &Resources, config: Option<&Config>, advertised: &AdvertisedTimes) -> String {
    let ganeti = ganeti();
    shortfalls(&Figures { resources, config, ganeti: Some(&ganeti), advertised }).iter().map(TimeBudget::text).collect()
}

#[test]
fn what_the_first_does_not_use_is_left_to_the_next() {
    let total = Duration::from_secs(50);
    assert_eq!(share(total, 2), Duration::from_secs(25));
    let after_a_fast_failure = total - Duration::from_secs(1);
    assert_eq!(share(after_a_fast_failure, 1), Duration::from_secs(49));
}

/// A level over Redfish that got 13 s of three shares could prove no host off that was off before: the readings come 10 s
/// after the command.
#[test]
fn a_bmc_over_redfish_gets_what_it_needs_and_check_lists_it() {
    let by_redfish = |levels: &str| {
        let text = DEVICES.replace("\"ipmi\"", "\"redfish\"") + &format!("[default]\nlevels = {levels}\n");
        Config::parse(&text, Path::new("/etc/gnt-ha/config.toml")).unwrap()
    };
    let three = by_redfish("[[\"bmc\"], [\"pdu\"], [\"shun\"]]");
    let levels = three.levels_of(&NodeName::new("n1.lab").unwrap()).unwrap();
    assert_eq!(levels::level_share(Duration::from_secs(42), &levels, Task::Off), Duration::from_secs(25));
    assert_eq!(levels::level_share(Duration::from_secs(13), &levels, Task::Read), Duration::from_secs(6));
    assert_eq!(levels::level_share(Duration::from_secs(9), &levels, Task::Off), Duration::from_secs(9));
    assert_eq!(levels::level_share(Duration::from_secs(42), &levels[1..], Task::Off), Duration::from_secs(21));
    // A power-on waits for no lag: a BMC that takes it and does nothing leaves the others their time.
    assert_eq!(levels::level_share(Duration::from_secs(30), &levels, Task::On), Duration::from_secs(10));
    let enough = resources("stonith-timeout=72s", "");
    assert_eq!(shown(&enough, Some(&by_redfish("[[\"bmc\"], [\"pdu\"]]"))), "");
    let short = shown(&resources("stonith-timeout=72s", "deadline=30"), Some(&by_redfish("[[\"bmc\"]]")));
    assert!(
        short.contains("+    10 s  until a power-on that is pending would be seen (Redfish)\n")
            || short.contains("10 s  until a power-on"),
        "{short}"
    );
    assert!(short.contains("=    25 s  is needed\n"), "{short}");
}

#[test]
fn nothing_to_try_gets_nothing() {
    assert_eq!(share(Duration::from_secs(50), 0), Duration::ZERO);
}

/// Timeouts that do not fit together are rejected, with the calculation.
#[test]
fn an_own_stonith_timeout_that_is_too_short_is_shown_with_its_time_budget() {
    assert_eq!(
        shown(&resources("stonith-timeout=20s", ""), None),
        "fence: reboot has too little time\n\
         \x20      55 s  fence_ganeti's own deadline (its default)\n\
         \x20 +     5 s  to start, to notify Ganeti and to end, on a host that is busy\n\
         \x20 =    60 s  is needed\n\
         \x20      20 s  until Pacemaker kills it (property stonith-timeout); all attempts together (pcmk_reboot_retries 2, its default)\n\
         \x20 =    20 s  is available\n\
         \x20 fix: crm_attribute --name stonith-timeout --update 72s\n"
    );
    assert_eq!(
        sums(&Figures {
            resources: &resources("stonith-timeout=20s", ""),
            config: None,
            ganeti: None,
            advertised: &AdvertisedTimes::new()
        })[0]
            .line(),
        "reboot needs 60 s (55 s fence_ganeti's own deadline (its default) + 5 s to start, to notify Ganeti and to end, on a host \
         that is busy), and has 20 s (until Pacemaker kills it (property stonith-timeout); all attempts together \
         (pcmk_reboot_retries 2, its default))"
    );
}

#[test]
fn what_the_device_says_itself_counts_before_the_property() {
    for (parameters, change) in [
        ("pcmk_reboot_timeout=10s", "crm_resource --resource fence --delete-parameter pcmk_reboot_timeout"),
        ("pcmk_off_timeout=59", "crm_resource --resource fence --delete-parameter pcmk_off_timeout"),
    ] {
        let text = shown(&resources("stonith-timeout=72s", parameters), None);
        assert!(text.ends_with(&format!("  fix: {change}\n")), "{text}");
    }
    let later = shown(&resources("fencing-timeout=20s", ""), None);
    assert!(later.ends_with("  fix: crm_attribute --name fencing-timeout --update 72s\n"), "{later}");
    // If both names are set, the name of the version counts, and is the one to change.
    let of = |feature_set: &str| {
        let both = resources("stonith-timeout=72s fencing-timeout=20s", "");
        shown(&Resources { feature_set: Some(feature_set.to_owned()), ..both }, None)
    };
    assert!(of("3.20.5").ends_with("  fix: crm_attribute --name fencing-timeout --update 72s\n"), "{}", of("3.20.5"));
    assert_eq!(of("3.16.1"), "");
    for (properties, parameters) in [
        ("", ""),
        ("stonith-timeout=72s", ""),
        ("stonith-timeout=20s", "pcmk_off_timeout=60s pcmk_reboot_timeout=60s"),
        ("stonith-timeout=20s", "deadline=15"),
        ("stonith-enabled=false stonith-timeout=20s", ""),
    ] {
        assert_eq!(shown(&resources(properties, parameters), None), "", "{properties} {parameters}");
    }
}

/// The figures: Ganeti's 60 s, the factor 1.2, retries, the number of nodes to ask, the wait time. A BMC loses its
/// power with its host.
#[test]
fn a_self_fence_has_to_have_run_out_before_fence_ganeti_gives_up() {
    let resources = resources("stonith-timeout=72s", "");
    let slow = "[self_fence]\nlease = 20\nwatchdog_timeout = 9\n";
    for levels in [r#"[["shun"]]"#, r#"[["bmc"], ["shun"]]"#, r#"[["bmc"], ["pdu"], ["shun"]]"#, r#"[["bmc", "pdu"]]"#]
    {
        assert_eq!(shown(&resources, Some(&config(levels, ""))), "", "{levels}, with the times that come with it");
    }
    assert_eq!(
        shown(&resources, Some(&config(r#"[["bmc"], ["shun"]]"#, slow))),
        "n1.lab and 2 more: level 2 (shun) has too little time\n\
         \x20       5 s  until every other node shuns it, though one noded hangs\n\
         \x20 +  43.8 s  until its lease ends (lease 20 s + 2 x watchdog 9 s, clocks wrong by 10000 ppm, stop 5 s)\n\
         \x20 =  48.8 s  is needed\n\
         \x20      55 s  fence_ganeti's deadline (its default)\n\
         \x20 -     2 s  for its receipt\n\
         \x20 -   6.5 s  for its first reading, while the levels before do not answer\n\
         \x20 -     5 s  to read the power after the command\n\
         \x20 -   4.6 s  so that ganeti-oob ends by itself (its own deadline, SIGTERM)\n\
         \x20 -   6.1 s  for the command, while the levels before do not answer\n\
         \x20 =  30.7 s  is available\n\
         \x20 fix: /etc/gnt-ha/config.toml: shorten lease, watchdog_timeout or stop_time in [self_fence], on every node, or the login_timeout of a BMC in \
         a level before it\n"
    );
    let isolated = format!("minimum_grade = \"isolated\"\n{slow}");
    assert_eq!(
        shown(&resources, Some(&config(r#"[["bmc"], ["shun"]]"#, &isolated))),
        "",
        "no level waits for the self-fencing"
    );
    let alone = shown(&resources, Some(&config(r#"[["shun"]]"#, "deadline = 20")));
    assert!(alone.contains("  =    20 s  is available\n") && alone.contains("lengthen deadline"), "{alone}");
}

/// A host may reset later than the configuration has it, because of its watchdog. It is waited for longer, and the
/// fencing must have that time.
#[test]
fn the_slowest_self_fencing_that_a_node_reports_counts() {
    let resources = resources("stonith-timeout=72s", "");
    let config = config(r#"[["bmc"], ["shun"]]"#, "");
    let own = config.self_fence.lease_times();
    let name = |name: &str| NodeName::new(name).unwrap();
    let late = |watchdog_ms| {
        AdvertisedTimes::from([(name("n1.lab"), own), (name("n2.lab"), LeaseTimes { watchdog_ms, ..own })])
    };
    assert_eq!(shown_with(&resources, Some(&config), &late(4_000)), "", "a faster one shortens nothing");
    let text = shown_with(&resources, Some(&config), &late(10_000));
    assert!(
        text.contains(
            "+  35.6 s  until the lease of n2.lab ends, by its own report (lease 10 s + 2 x watchdog 10 s, clocks wrong by"
        ),
        "{text}"
    );
    let foreign = AdvertisedTimes::from([(name("n9.lab"), LeaseTimes { watchdog_ms: 60_000, ..own })]);
    assert_eq!(shown_with(&resources, Some(&config), &foreign), "");
}

/// With a shorter deadline of `fence_ganeti` its levels have less time.
#[test]
fn a_short_deadline_of_the_device_counts_for_the_levels() {
    let quick = resources("stonith-timeout=20s", "deadline=15");
    let text = shown(&quick, Some(&config(r#"[["shun"]]"#, "")));
    assert!(text.starts_with("n1.lab and 2 more: level 1 (shun)") && text.contains("deadline of fence)"), "{text}");
    assert_eq!(shown(&quick, Some(&config(r#"[["bmc"]]"#, ""))), "");
}

/// `TIMEOUT_MULTIPLY_FACTOR` of Pacemaker's fencer.
#[test]
fn the_caller_of_a_fencing_waits_longer_than_it_is_given() {
    let seconds = Duration::from_secs;
    assert_eq!(pacemaker::waited(seconds(120), Duration::ZERO), seconds(144));
    assert_eq!(pacemaker::waited(seconds(60), seconds(10)), seconds(84));
}

/// Pacemaker Explained, `priority-fencing-delay`: "significantly greater than (safely twice) the maximum delay from
/// those parameters".
#[test]
fn a_delay_by_chance_must_not_outweigh_the_one_on_purpose() {
    let both = |delay: &str| shown(&resources("priority-fencing-delay=10s stonith-timeout=72s", delay), None);
    assert_eq!(both("pcmk_delay_max=5s"), "");
    assert_eq!(both("pcmk_delay_base=n1:0s;n2:5s"), "");
    let text = both("pcmk_delay_base=2s pcmk_delay_max=6s");
    assert!(text.starts_with("fence: priority-fencing-delay has too little time\n"), "{text}");
    assert!(text.contains("crm_resource --resource fence --delete-parameter pcmk_delay_max"), "{text}");
    assert_eq!(shown(&resources("stonith-timeout=72s", "pcmk_delay_max=60s"), None), "", "no node is preferred");
}

/// corosync.conf(5); measured with token 1000 on three hosts: a death is seen after 3.6 s.
#[test]
fn the_detection_time_is_token_plus_consensus() {
    let node = "node {\n  ring0_addr: 192.0.2.1\n}\n";
    let conf =
        |totem: &str, nodes: usize| format!("# x\ntotem {{\n {totem}\n}}\nnodelist {{\n{}}}\n", node.repeat(nodes));
    let read = |totem: &str, nodes| Totem::of_conf(&conf(totem, nodes)).unwrap();
    let three = Totem { token_ms: 1_650, consensus_ms: 1_980 };
    assert_eq!(read("token: 1000", 3), three);
    assert_eq!(read("token: 1000", 2), Totem { token_ms: 1_000, consensus_ms: 1_200 });
    assert_eq!(read("version: 2", 2).token_ms, 3_000);
    assert_eq!(
        read("token: 1000\n token_coefficient: 0\n consensus: 5000", 9),
        Totem { token_ms: 1_000, consensus_ms: 5_000 }
    );
    for bad in ["", "totem {", "totem {\n token: soon\n}", "}\n"] {
        assert_eq!(Totem::of_conf(bad), None, "{bad}");
    }
    let cmap = "runtime.config.totem.block_unlisted_ips (u32) = 1\nruntime.config.totem.consensus (u32) = 1980\n\
                runtime.config.totem.token (u32) = 1650\nruntime.config.totem.token_retransmit (u32) = 392\n";
    assert_eq!(Totem::of_cmap(cmap), Some(three));
    assert_eq!(Totem::of_cmap("runtime.config.totem.token (u32) = 1650\n"), None);
    let seen = Detection::by_corosync(three);
    assert_eq!((seen.after.as_millis(), seen.how.as_str()), (3_630, "token 1650 ms + consensus 1980 ms"));
}

/// Measured with Pacemaker 2.1.5 and 5 s for both: 5.5 s and 9 s after two deaths.
#[test]
fn a_remote_node_dies_between_two_monitors_of_its_connection() {
    let seen = Detection::by_monitor(5_000, 5_000);
    assert_eq!((seen.after.as_millis(), seen.latest.as_millis()), (7_500, 10_000));
}

/// Corosync waits for a device that votes: its vote comes 4 to 12 s after a death, and the wait is at most 30 s.
#[test]
fn a_quorum_device_that_votes_is_waited_for() {
    use crate::core::quorum::Quorum;
    use crate::core::quorum::tests::{CMAP, TOOL};
    let two = Totem { token_ms: 1_000, consensus_ms: 1_200 };
    let of = |cmap: &str, tool: &str| Detection::by_votes(two, &Quorum::parse(cmap, tool).unwrap(), Some(1));
    let seen = of(CMAP, TOOL);
    assert_eq!((seen.after.as_millis(), seen.latest.as_millis()), (8_000, 32_200));
    let how = "token 1000 ms + consensus 1200 ms, and the vote of qnetd on 192.0.2.200 4 s to 12 s after a death, at most 32.2 s";
    assert_eq!(seen.how, how);
    // Only the dead node had the vote.
    assert_eq!(of(CMAP, &TOOL.replace("A,V,NMW n2", "A,NV,NMW n2")), Detection::by_corosync(two));
    assert_eq!(of("quorum.provider (str) = corosync_votequorum\n", TOOL), Detection::by_corosync(two));
    let times = step_times::StepTimes::of(Some(seen), &resources("", ""), None, false, false);
    assert_eq!((times.begins().as_secs(), times.begun().as_secs()), (8, 32));
    assert_eq!(times.latest_proof(), times.begun() + times.deadline);
}

#[test]
fn each_level_has_its_time_and_its_grade() {
    use crate::core::grade::Grade;
    use crate::core::node::NodeName;
    let config = config(r#"[["bmc"], ["pdu"], ["shun"]]"#, "");
    let levels = config.levels_of(&NodeName::new("n1.lab").unwrap()).unwrap();
    let of = |is_armed| {
        step_times::StepTimes::of(None, &resources("", "pcmk_delay_max=2s"), Some((&levels, &config)), true, is_armed)
    };
    let times = of(true);
    let seconds: Vec<u64> = times.levels.iter().map(|(end, _)| end.as_secs()).collect();
    assert!(seconds.is_sorted() && *seconds.last().unwrap() < 55, "{seconds:?}");
    assert_eq!(
        times.levels.iter().map(|(_, grade)| *grade).collect::<Vec<_>>(),
        [Grade::Off, Grade::Off, Grade::Bounded]
    );
    assert_eq!(of(false).levels[2].1, Grade::Isolated);
    assert_eq!((times.begins().as_secs(), times.put_off.as_str()), (2, "pcmk_delay_max 2 s"));
    assert_eq!((times.latest_proof().as_secs(), times.fenced_within().as_secs()), (57, 62));
}

/// A BMC over Redfish that takes commands and does nothing is read for 25 s. Two outlets behind it had the time of one.
#[test]
fn what_a_bmc_before_takes_is_counted_for_each_device_of_a_level() {
    let by_redfish = |levels: &str| {
        let text = DEVICES.replace("\"ipmi\"", "\"redfish\"")
            + "[devices.pdu2]\ndriver = \"agent\"\nagent = \"fence_apc\"\noptions = { ip = \"{short}-pdu2\" }\n"
            + &format!("[default]\nlevels = {levels}\n");
        Config::parse(&text, Path::new("/etc/gnt-ha/config.toml")).unwrap()
    };
    let of =
        |levels: &str, deadline: &str| shown(&resources("stonith-timeout=90s", deadline), Some(&by_redfish(levels)));
    assert_eq!(of(r#"[["bmc"], ["pdu", "pdu2"]]"#, ""), "");
    let short = of(r#"[["bmc"], ["pdu", "pdu2"]]"#, "deadline=45");
    assert!(
        short
            .contains("level 2 (pdu, pdu2), if the BMC before it takes commands and does nothing, has too little time")
            && short.contains("10 s  a command and two readings, for each of 2 devices"),
        "{short}"
    );
    let levels = by_redfish(r#"[["bmc"], ["pdu", "pdu2"]]"#);
    let levels = levels.levels_of(&NodeName::new("n1.lab").unwrap()).unwrap();
    let slow =
        |seconds: u64| levels::slow_level(&levels, 1, Duration::from_secs(55), &[Duration::from_secs(seconds); 2]);
    assert_eq!(slow(1), None);
    let why = slow(6).unwrap();
    assert!(
        why.starts_with("a power-off needs about 60 s here") && why.contains("a second fencing may be needed"),
        "{why}"
    );
}
