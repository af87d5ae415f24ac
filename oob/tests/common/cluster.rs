//! A cluster of four nodes for `ganeti-oob` on the first of them: the others answer by SSH, from files.

use serde_json::{Value, json};

use super::{PROGRAM, Site, install};

/// A configuration whose only device is the driver `shun`.
pub(crate) const SHUN: &str = "[default]\nlevels = [[\"fabric\"]]\n[devices.fabric]\ndriver = \"shun\"\n";

/// A node of this cluster that answers by SSH, as its noded does not answer, in a network and a mount namespace of its
/// own. n1 is this host, n1 and n2 are master candidates, n3 and n4 are not.
pub(crate) fn in_cluster(answers: &[(u8, Value)], script: &str) -> Option<String> {
    with_config(SHUN, answers, script)
}

/// The same with another configuration. The script calls `ganeti-oob` as `oob`, and this library as `library`: the test
/// crate has an ignored test of that name.
pub(crate) fn with_config(config: &str, answers: &[(u8, Value)], script: &str) -> Option<String> {
    let is_root = std::process::Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !is_root || !std::path::Path::new("/usr/sbin/nft").exists() {
        eprintln!("not tested: it needs root and nft");
        return None;
    }
    let site = Site::new(config);
    site.script("dev", "");
    site.set_power("dev", "on");
    for dir in ["ganeti", "answers", "bin"] {
        std::fs::create_dir(site.path(dir)).unwrap();
    }
    let node = |n: u8| {
        json!({"name": format!("n{n}.lab"), "primary_ip": format!("192.0.2.{n}"), "secondary_ip": format!("192.0.2.{n}"),
               "master_candidate": n < 3, "offline": false})
    };
    let nodes: serde_json::Map<_, _> = (1..=4).map(|n| (format!("u{n}"), node(n))).collect();
    let ganeti = json!({"cluster": {"cluster_name": "c.lab", "master_node": "u1"}, "nodes": nodes, "disks": {}});
    site.write("ganeti/config.data", &ganeti.to_string(), 0o600);
    let lines = |line: fn(u8) -> String, of: std::ops::RangeInclusive<u8>| of.map(line).collect::<String>();
    for (key, text) in [
        ("node_list", lines(|n| format!("n{n}.lab\n"), 1..=4)),
        ("node_primary_ips", lines(|n| format!("n{n}.lab 192.0.2.{n}\n"), 1..=4)),
        ("master_candidates", lines(|n| format!("n{n}.lab\n"), 1..=2)),
    ] {
        site.write(&format!("ganeti/ssconf_{key}"), &text, 0o600);
    }
    for key in ["client.pem", "server.pem"] {
        site.write(&format!("ganeti/{key}"), "none\n", 0o600);
    }
    for (n, answer) in answers {
        site.write(&format!("answers/root@192.0.2.{n}"), &answer.to_string(), 0o600);
    }
    let dir = site.path("").display().to_string();
    let ssh = format!(
        "#!/bin/sh\ncat >> {dir}asked\necho >> {dir}asked\nfor word; do case $word in root@*) exec cat {dir}answers/$word;; esac; done\n"
    );
    install(&site.path("bin/ssh"), &ssh);
    let script = format!(
        "set -e\ndir={dir}\nmount --make-rprivate /\nmount --bind {dir}ganeti /var/lib/ganeti\nhostname n1.lab\nip link set lo up\n\
         oob() {{ c=$1; shift; {} $c \"$@\" --config {dir}config.toml 2>&1 || echo \"exit $?\"; }}\n\
         library() {{ LIBRARY_CALL=\"$*\" LIBRARY_CONFIG={dir}config.toml {} --ignored --exact library --nocapture 2>&1 > /dev/null; }}\n\
         kept() {{ cat {dir}state/shun-list.json 2> /dev/null || echo none; }}\n{script}",
        PROGRAM,
        std::env::current_exe().unwrap().display()
    );
    let mut command = std::process::Command::new("timeout");
    site.write("script", &script, 0o600);
    command.args(["-s", "KILL", "60", "unshare", "--mount", "--net", "--uts", "sh"]).arg(site.path("script"));
    command.env("PATH", format!("{dir}bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    Some(String::from_utf8(done.stdout).unwrap())
}

pub(crate) fn answer(n: u8, shun_list: Value) -> (u8, Value) {
    let shunned: serde_json::Map<_, _> = shun_list
        .as_object()
        .unwrap()
        .iter()
        .map(|(node, entry): (&String, &Value)| (node.clone(), entry["epoch"].clone()))
        .collect();
    let answer = json!({"version": 1, "node": format!("n{n}.lab"), "boot_id": format!("b{n}"), "uptime_ms": 1, "shunned": shunned,
                        "shun_list": shun_list, "ruleset_id": format!("b{n} 1"), "instances": 0, "drbd_primaries": 0});
    (n, answer)
}

pub(crate) fn lie(epoch: u64, address: &str) -> Value {
    json!({"epoch": epoch, "addresses": [address], "scope": "all", "grade": "bounded", "boot_id": null, "since_ms": 1, "by": "x"})
}

pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
