//! A scene: Ganeti's directories of one node, with test programs in the place of Ganeti's.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

pub(crate) const MASTER: &str = env!("CARGO_BIN_EXE_ganeti-master-role");
pub(crate) const NODE: &str = env!("CARGO_BIN_EXE_ganeti-node-role");

/// A luxid that serves: it answers one request and goes on, as the process `ganeti-luxid`.
const LUXID: &str = r#"#!/usr/bin/env python3
import ctypes, json, os, socket, sys
if os.fork(): os._exit(0)
os.setsid()
for n in range(3): os.dup2(os.open(os.devnull, os.O_RDWR), n)
ctypes.CDLL(None).prctl(15, b"ganeti-luxid", 0, 0, 0)
run, here = sys.argv[1:3]
open(run + "/ganeti-luxid.pid", "w").write(str(os.getpid()))
path = run + "/socket/ganeti-query"
if os.path.exists(path): os.unlink(path)
s = socket.socket(socket.AF_UNIX)
s.bind(path)
s.listen(5)
s.settimeout(60)
while True:
    c, _ = s.accept()
    while (data := c.recv(65536)):
        method = json.loads(data[:-1])["method"]
        result = {"QueryClusterInfo": {"master": here}, "Query": {"data": []}}.get(method)
        c.sendall(json.dumps({"success": True, "result": result}).encode() + b"\x03")
"#;

/// The directories of one node of four: n1 is master, n2 and n3 are candidates, n4 is a regular node.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    here: String,
    _noded: Option<TcpListener>,
}

/// The exit code and the output of a program.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Scene {
    pub(crate) fn new(here: &str) -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap(), here: here.to_owned(), _noded: None };
        for dir in ["data", "run/socket", "programs", "state", "markers"] {
            fs::create_dir_all(scene.path(dir)).unwrap();
        }
        scene.file("ssconf_master_node", "n1.lab\n");
        scene.file("ssconf_master_candidates", "n1.lab\nn2.lab\nn3.lab\n");
        scene.file("ssconf_node_list", "n1.lab\nn2.lab\nn3.lab\nn4.lab\n");
        scene.file("ssconf_online_nodes", "n1.lab\nn2.lab\nn3.lab\nn4.lab\n");
        scene.file("ssconf_offline_nodes", "");
        scene.file("ssconf_cluster_tags", "");
        // No host has these addresses (RFC 5737), so none answers on them.
        scene.file("ssconf_master_candidates_ips", "127.3.9.1\n127.3.9.2\n127.3.9.3\n");
        scene.file(
            "ssconf_node_primary_ips",
            "n1.lab 127.3.9.1\nn2.lab 127.3.9.2\nn3.lab 127.3.9.3\nn4.lab 127.3.9.4\n",
        );
        scene.program("crm_mon", "exit 102");
        scene.program("crm_attribute", "exit 0");
        scene.program("gnt-cluster", "exit 1");
        fs::write(scene.path("programs/luxid"), LUXID).unwrap();
        executable(&scene.path("programs/luxid"));
        fs::write(
            scene.path("programs/gnt-cluster.luxid"),
            format!("#!/bin/sh\nexec $(dirname $0)/luxid {} {here}\n", scene.path("run").display()),
        )
        .unwrap();
        executable(&scene.path("programs/gnt-cluster.luxid"));
        scene.program(
            "daemon-util",
            "case $1 in start) [ $2 != ganeti-luxid ] || $0/../gnt-cluster.luxid;; stop-master) kill $(cat $RUN/ganeti-luxid.pid);; esac"
                .replace("$0/..", "$(dirname $0)")
                .as_str(),
        );
        scene
    }

    /// A cluster of this node alone, which needs no other node's vote.
    pub(crate) fn alone(self) -> Self {
        for file in ["node_list", "online_nodes", "master_candidates"] {
            self.file(&format!("ssconf_{file}"), &format!("{}\n", self.here));
        }
        self
    }

    /// Three nodes: n1 is dead and n3's noded accepts connections, so n3 and n2 are a majority.
    pub(crate) fn of_two_living(mut self) -> Self {
        // Each scene has an address of its own, as tests run in parallel.
        let n = std::process::id() % 200 + 20;
        let m = self.dir.path().to_string_lossy().bytes().map(u32::from).sum::<u32>() % 200 + 20;
        let address = format!("127.{n}.{m}.{}", rand());
        let listener = TcpListener::bind((address.as_str(), 1811)).unwrap();
        self._noded = Some(listener);
        self.file("ssconf_node_list", "n1.lab\nn2.lab\nn3.lab\n");
        self.file("ssconf_online_nodes", "n1.lab\nn2.lab\nn3.lab\n");
        self.file("ssconf_node_primary_ips", &format!("n1.lab 127.3.9.1\nn2.lab 127.3.9.2\nn3.lab {address}\n"));
        self
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        fs::write(self.data().join(name), text).unwrap();
    }

    /// Pacemaker's configuration: one fence device, and a copy of the OOB programs.
    pub(crate) fn cib(&self, agent: &str, programs: &str) {
        let text = format!(
            "<cib><configuration><crm_config><cluster_property_set id=\"s\"><nvpair id=\"p\" name=\"gnt-ha-oob-programs\" \
             value=\"{programs}\"/></cluster_property_set></crm_config><resources><primitive id=\"f\" class=\"stonith\" \
             type=\"{agent}\"/></resources></configuration></cib>"
        );
        fs::write(self.path("cib.xml"), text).unwrap();
    }

    /// The path of the OOB program, a program of the scene.
    pub(crate) fn oob(&self) -> String {
        self.path("programs/oob").display().to_string()
    }

    /// Writes the pidfile of a daemon that has ended.
    pub(crate) fn dead(&self, daemon: &str) {
        fs::write(self.path("run").join(format!("{daemon}.pid")), "999999\n").unwrap();
    }

    /// Writes a state file of gnt-ha.
    pub(crate) fn state(&self, name: &str, text: &str) {
        fs::write(self.path("state").join(name), text).unwrap();
    }

    pub(crate) fn simulate(&self, name: &str) {
        fs::create_dir_all(self.path("state/simulate")).unwrap();
        fs::write(self.path("state/simulate").join(name), "").unwrap();
    }

    /// Installs a program in the place of Ganeti's or Pacemaker's.
    pub(crate) fn program(&self, name: &str, body: &str) {
        let path = self.path("programs").join(name);
        let (data, run) = (self.data(), self.path("run"));
        let text = format!("#!/bin/sh\nDATA={}\nRUN={}\n{body}\n", data.display(), run.display());
        fs::write(&path, text).unwrap();
        executable(&path);
    }

    /// Makes the socket of a daemon that never accepts.
    pub(crate) fn listen(&self, name: &str) -> UnixListener {
        UnixListener::bind(self.path("run/socket").join(name)).unwrap()
    }

    /// Starts a daemon in this process; the closure returns its answer to a method and its arguments, framed as LUXI
    /// and wconfd frame it. Without an answer the connection stays open.
    pub(crate) fn serve(&self, name: &str, answer: impl Fn(&str, &Value) -> Option<Value> + Send + 'static) {
        let _ = fs::remove_file(self.path("run/socket").join(name));
        let listener = self.listen(name);
        std::thread::spawn(move || {
            let mut unanswered = Vec::new();
            while let Ok((mut stream, _)) = listener.accept() {
                while let Some(request) = request(&mut stream) {
                    let Some(result) = answer(request["method"].as_str().unwrap(), &request["args"]) else { break };
                    let answer = json!({"success": true, "result": result}).to_string();
                    stream.write_all(&[answer.as_bytes(), b"\x03"].concat()).unwrap();
                }
                unanswered.push(stream);
            }
        });
    }

    /// The path of a file that the agents keep over a boot.
    pub(crate) fn kept(&self, name: &str) -> PathBuf {
        self.path("state").join(name)
    }

    /// Writes the note that the role was served here since the host booted, as monitors and starts write it.
    pub(crate) fn has_served(&self) {
        fs::write(self.path("markers/master-role.ip"), "192.0.2.100").unwrap();
    }

    /// Removes the markers, as a boot does.
    pub(crate) fn boot(&self) {
        fs::remove_dir_all(self.path("markers")).unwrap();
    }

    /// Runs an agent in a network namespace of its own, with `address` on `lo`. Also returns the addresses of `lo`
    /// after it. Needs root.
    pub(crate) fn with_address(&self, address: &str, agent: &str, action: &str) -> Ended {
        let line = format!(
            "ip link set lo up; ip addr add {address} dev lo; {agent} {action}; code=$?; ip -o addr; exit $code"
        );
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", &line]);
        ended(self.dressed(&mut command).output().unwrap())
    }

    pub(crate) fn run(&self, agent: &str, action: &str, variables: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(agent);
        command.arg(action);
        ended(self.dressed(&mut command).envs(variables.iter().copied()).output().unwrap())
    }

    /// Runs the master's agent with an action and a variable that need not be text.
    pub(crate) fn run_strange(&self, action: &OsStr, (name, value): (&OsStr, &OsStr)) -> Ended {
        let mut command = Command::new(MASTER);
        command.arg(action);
        ended(self.dressed(&mut command).env(name, value).output().unwrap())
    }

    /// Runs an agent as Pacemaker does: gives it the timeout, and kills it when that is over (then the code is 137).
    pub(crate) fn run_or_kill(&self, agent: &str, action: &str, seconds: u32) -> Ended {
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", &seconds.to_string(), agent, action]);
        let timeout = format!("{seconds}000");
        ended(self.dressed(&mut command).env("OCF_RESKEY_CRM_meta_timeout", timeout).output().unwrap())
    }

    pub(crate) fn limited(&self, agent: &str, action: &str, limits: &[&str]) -> Ended {
        let mut command = Command::new("prlimit");
        command.args(limits).arg(agent).arg(action);
        ended(self.dressed(&mut command).output().unwrap())
    }

    /// Runs `ocf-tester`, which calls the agent as an unprivileged user, too: it needs a copy that all may run, also
    /// of sources below `/root`.
    pub(crate) fn ocf_tester(&self, agent: &str) -> Ended {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let directory = tempfile::Builder::new().permissions(mode).tempdir().unwrap();
        let copy = directory.path().join("agent");
        std::fs::copy(agent, &copy).unwrap();
        let mut command = Command::new("ocf-tester");
        command.args(["-n", "test"]);
        for (name, value) in self.parameters() {
            command.arg("-o").arg(format!("{name}={value}"));
        }
        command.arg(&copy);
        ended(self.dressed(&mut command).env("OCF_ROOT", "/usr/lib/ocf").output().unwrap())
    }

    fn dressed<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("programs").display());
        command.env_clear().env("PATH", path).env("OCF_RESOURCE_INSTANCE", "master");
        for (name, value) in self.parameters() {
            command.env(format!("OCF_RESKEY_{name}"), value);
        }
        command
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let dir = |name: &str| self.path(name).display().to_string();
        vec![
            ("data_dir", dir("data")),
            ("run_dir", dir("run")),
            ("program_dir", dir("programs")),
            ("state_dir", dir("state")),
            ("marker_dir", dir("markers")),
            ("cib", dir("cib.xml")),
            ("node_name", self.here.clone()),
        ]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.path("run/ganeti-luxid.pid")).unwrap_or_default();
        let name = fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
        if name.trim() == "ganeti-luxid" {
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}

fn request(stream: &mut UnixStream) -> Option<Value> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(1) if byte != [3] => bytes.extend(byte),
            Ok(1) => return serde_json::from_slice(&bytes).ok(),
            _ => return None,
        }
    }
}

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Returns a number that other scenes are unlikely to have.
fn rand() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) % 250 + 1
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
