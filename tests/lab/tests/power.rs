//! Tests a whole lab: needs root and the packages that `lab up` asks for. Run with `cargo test -p lab -- --ignored`.

use std::time::Duration;

use lab::{Lab, Network, Options, Power};

#[test]
#[ignore = "builds a lab: root, 2 minutes"]
fn a_dead_host_is_fenced_and_comes_back() {
    let name = "test-power";
    let options = || Options {
        name: name.into(),
        fencing: true,
        boot_delay: Duration::from_secs(5),
        replace: true,
        progress: Box::new(|line| println!("{line}")),
        ..Options::default()
    };
    {
        let lab = Lab::up(options()).unwrap();
        let (n1, n3) = (lab.host("n1").unwrap(), lab.host("n3.lab").unwrap());
        n3.write_file("/etc/kept", b"disk", 0o640).unwrap();
        n3.write_file("/run/lost", b"memory", 0o600).unwrap();
        assert_eq!(n1.run(&["sh", "-c", "exit 7"]).unwrap().code, 7);
        n1.run_within(&["sleep", "9"], Duration::from_secs(1)).unwrap_err();

        n3.power_off().unwrap();
        assert_eq!(n3.power_status(), Power::Off);
        n3.run(&["true"]).unwrap_err();
        let fenced = lab
            .wait_until("n3 is fenced", Duration::from_secs(60), || {
                Ok(lab.fence_history()?.iter().any(|e| e.target == "n3.lab" && e.status == "success"))
            })
            .unwrap();
        println!("fenced after {fenced:?}");
        lab.wait_until("n3 is back", Duration::from_secs(90), || Ok(lab.crm_mon()?.is_online("n3"))).unwrap();
        assert_eq!(n3.read_file("/etc/kept").unwrap(), "disk");
        assert_eq!(n3.run(&["cat", "/run/lost"]).unwrap().code, 1);
        assert!(lab.crm_mon().unwrap().fencing.iter().any(|e| e.target == "n3.lab"));

        n1.cut(Network::Secondary).unwrap();
        let connect = ["timeout", "1", "bash", "-c", ": </dev/tcp/198.51.100.1/22"];
        assert!(!n3.run(&connect).unwrap().success());
        n1.heal(Network::Secondary).unwrap();
        lab.wait_until("n1 is reached again", Duration::from_secs(10), || Ok(n3.run(&connect)?.success())).unwrap();
        // A second lab of this name is rejected and does no harm.
        Lab::up(Options { name: name.into(), ..Options::default() }).unwrap_err();
    }
    assert!(!lab::names().contains(&name.to_owned()));
    assert!(!Lab::down(name).unwrap());
}
