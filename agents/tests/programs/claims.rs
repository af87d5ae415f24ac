//! The master claims of the candidates' confd, and the agents' reaction: real datagrams, signed as Ganeti signs them.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use gnt_ha::core::ganeti::CONFD_PORT;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::common::{MASTER, Scene};

const RECURRING: (&str, &str) = ("OCF_RESKEY_CRM_meta_interval", "10000");
const CLONE: (&str, &str) = ("OCF_RESKEY_CRM_meta_promoted_max", "1");
const KEY: &str = "0123456789abcdef0123456789abcdef01234567\n";

/// The master that a candidate's configuration names, and its serial number.
type Claim = Arc<Mutex<(&'static str, u64)>>;

/// Candidates n1, n2, n3, of which those with a claim answer; the programs run as n1.
struct Cluster {
    scene: Scene,
    addresses: Vec<Ipv4Addr>,
    claims: Vec<Claim>,
}

impl Cluster {
    fn new(claims: &[(&'static str, u64)]) -> Self {
        let scene = Scene::new("n1.lab");
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let net = [(nanos >> 8) as u8, (nanos >> 16) as u8 ^ std::process::id() as u8];
        let addresses: Vec<Ipv4Addr> =
            (1..=3).map(|host| Ipv4Addr::new(127, 100 + net[0] % 100, net[1], host)).collect();
        scene.file("hmac.key", KEY);
        let nodes = || addresses.iter().enumerate().map(|(n, address)| (format!("n{}.lab", n + 1), *address));
        let lines =
            |line: &dyn Fn((String, Ipv4Addr)) -> String| nodes().map(|node| line(node) + "\n").collect::<String>();
        scene.file("ssconf_node_primary_ips", &lines(&|(name, address)| format!("{name} {address}")));
        scene.file("ssconf_master_candidates_ips", &lines(&|(_, address)| address.to_string()));
        for file in ["node_list", "online_nodes", "master_candidates"] {
            scene.file(&format!("ssconf_{file}"), &lines(&|(name, _)| name));
        }
        let claims: Vec<Claim> = claims.iter().map(|claim| Arc::new(Mutex::new(*claim))).collect();
        for (address, claim) in addresses.iter().zip(&claims) {
            let (socket, claim) = (UdpSocket::bind((*address, CONFD_PORT)).unwrap(), Arc::clone(claim));
            std::thread::spawn(move || confd(&socket, &claim));
        }
        Self { scene, addresses, claims }
    }

    /// The role is served here, and all checks of full mode but that of the claims succeed.
    fn serves_in_full_mode(&self) {
        self.scene.file("ssconf_cluster_tags", "ocf:master-role:full\n");
        self.scene.file("ssconf_master_ip", "127.0.0.1\n");
        self.scene.file("ssconf_master_netdev", "lo\n");
        self.scene.serve("ganeti-query", |method, _| match method {
            "QueryClusterInfo" => Some(json!({"master": "n1.lab"})),
            "QueryConfigValues" => Some(json!([false])),
            _ => Some(json!({"data": []})),
        });
        self.scene.serve("ganeti-wconfd", |_, arguments| Some(arguments[0].clone()));
    }

    fn claim(&self, candidate: usize, claim: (&'static str, u64)) {
        *self.claims[candidate - 1].lock().unwrap() = claim;
    }

    fn shun(&self, candidate: usize) {
        let entry = json!({"epoch": 1, "addresses": [self.addresses[candidate - 1]], "scope": "tcp", "grade": "off",
                           "boot_id": null, "since_ms": 1, "by": "fence_ganeti"});
        self.scene.state("shun-list.json", &json!({(format!("n{candidate}.lab")): entry}).to_string());
    }

    fn monitor(&self) -> (i32, String) {
        let ended = self.scene.run(MASTER, "monitor", &[CLONE, RECURRING]);
        let reason = ended.stderr.lines().find_map(|line| line.strip_prefix("ocf-exit-reason:"));
        (ended.code, reason.unwrap_or_default().to_owned())
    }
}

/// The answer of confd 3.0.2; the serial number of the cluster object, which every answer has, is not that of the
/// configuration.
fn confd(socket: &UdpSocket, claim: &Claim) {
    let sign = |salt: &str, message: &str| {
        let mut mac = Hmac::<Sha1>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(salt.as_bytes());
        mac.update(message.as_bytes());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let signed: Value = serde_json::from_slice(&buffer[4..length]).unwrap();
        let asked: Value = serde_json::from_str(signed["msg"].as_str().unwrap()).unwrap();
        let (master, serial) = *claim.lock().unwrap();
        let answer = if asked["type"] == 3 { json!(master) } else { json!(serial) };
        let message = json!({"protocol": 1, "status": 0, "answer": answer, "serial": 7}).to_string();
        let salt = asked["rsalt"].as_str().unwrap();
        let reply = json!({"msg": message, "salt": salt, "hmac": sign(salt, &message)}).to_string();
        socket.send_to(&[b"plj0", reply.as_bytes()].concat(), from).unwrap();
    }
}

/// A returned master names itself in an older configuration, and the third candidate does not answer: the real master
/// keeps its role in full mode. A newer configuration is a disagreement, unless it comes from a node that is shunned
/// here.
#[test]
fn a_returned_masters_old_claim_demotes_no_node() {
    let cluster = Cluster::new(&[("n1.lab", 150), ("n2.lab", 100)]);
    cluster.serves_in_full_mode();
    assert_eq!(cluster.monitor(), (8, String::new()));
    cluster.claim(2, ("n2.lab", 160));
    let (code, stderr) = cluster.monitor();
    assert_eq!(code, 9, "{stderr}");
    assert!(
        stderr.contains("1 of 1 candidates name n2.lab in a newer configuration (serial 160, here 150)"),
        "{stderr}"
    );
    cluster.shun(2);
    let (code, stderr) = cluster.monitor();
    assert_eq!(code, 8, "{stderr}");
    assert!(stderr.contains("n2.lab: shunned here, ignored: n2.lab names n2.lab (serial 160)"), "{stderr}");
}

/// After a pause the real master takes its role again, whatever a returned one claims. The returned one does not: its
/// reason names the newer configuration's master.
#[test]
fn the_newest_configuration_takes_the_role_again() {
    let newest = Cluster::new(&[("n1.lab", 150), ("n2.lab", 100)]);
    let returned = Cluster::new(&[("n1.lab", 100), ("n2.lab", 150)]);
    for (cluster, expected) in [(&newest, "can vote"), (&returned, "its peers name n2.lab")] {
        let ended = cluster.scene.run_or_kill(MASTER, "start", 6);
        assert_eq!(ended.code, 1);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}
