//! Only a host with the key of the cluster's `server.pem` may answer as a node; the system's trusted certificates do
//! not count. A host that is trusted here answers for every node, about every power state.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::noded::{CLUSTER, Identity, Noded, Pki};
use crate::{Bench, lines, run, run_text};

/// libcurl's errors for a chain that does not end in the given certificate, and for a key that is not the pinned one.
fn assert_refused(bench: &Bench, environment: &[(&str, &str)]) -> String {
    let answers = lines(&run(&bench.request(&[1]), environment), &[1]);
    let why = answers[0].clone().unwrap_err();
    assert!(why.contains("noded cannot be asked"), "{why}");
    assert_eq!(bench.noded.received(), 0, "it received a request");
    why
}

#[test]
fn a_certificate_that_the_systems_store_trusts_is_refused() {
    let ca = Identity::new("A Public CA", None);
    no_store_is_asked(&Bench::showing(Pki::new(), &Identity::new("n1.lab", Some(&ca))), &ca);
    // No other certificate proves the cluster's own key either.
    let pki = Pki::new();
    let shown = pki.cluster().again("n1.lab", Some(&ca));
    no_store_is_asked(&Bench::showing(pki, &shown), &ca);
}

fn no_store_is_asked(bench: &Bench, ca: &Identity) {
    let store = tempfile::tempdir().unwrap();
    ca.as_store(store.path());
    let dir = store.path().to_str().unwrap();
    let file = format!("{dir}/ca-certificates.crt");
    for environment in [
        vec![],
        vec![("SSL_CERT_DIR", dir)],
        vec![("SSL_CERT_FILE", file.as_str())],
        vec![("SSL_CERT_DIR", dir), ("SSL_CERT_FILE", &file), ("CURL_CA_BUNDLE", &file)],
    ] {
        assert_refused(bench, &environment);
    }
    in_place_of_the_systems_store(bench, store.path());
}

/// The same with a store at libcurl's own default path: it needs a mount namespace.
fn in_place_of_the_systems_store(bench: &Bench, store: &Path) {
    let script = "mount --bind \"$1\" /etc/ssl/certs && exec \"$2\"";
    let own = env!("CARGO_BIN_EXE_noded-call");
    let is_able = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).status();
    if !is_able.is_ok_and(|status| status.success()) || !Path::new("/etc/ssl/certs").is_dir() {
        eprintln!("SKIPPED: no namespaces, or no /etc/ssl/certs: the default store is not tried");
        return;
    }
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .args([store, Path::new(own)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = crate::feed(child, bench.request(&[1]).to_string().as_bytes());
    let why = lines(&output, &[1])[0].clone().unwrap_err();
    assert!(why.contains("noded cannot be asked"), "{why}");
    assert_eq!(bench.noded.received(), 0);
}

/// All clusters' certificates have one subject, so the name proves nothing.
#[test]
fn a_certificate_with_the_clusters_name_and_another_key_is_refused() {
    assert_refused(&Bench::showing(Pki::new(), &Identity::new(CLUSTER, None)), &[]);
}

/// Neither the key alone nor the certificate's chain alone is enough: both are checked.
#[test]
fn another_certificate_of_the_clusters_key_is_refused() {
    let pki = Pki::new();
    let other = pki.cluster().again("other.example.com", None);
    assert_refused(&Bench::showing(pki, &other), &[]);
}

/// A candidate's `client.pem` is signed by the cluster's key. It identifies a caller, and not a noded.
#[test]
fn what_the_clusters_key_has_signed_is_not_the_clusters_key() {
    let pki = Pki::new();
    let noded = Noded::shows(&pki.client(), &pki);
    assert_refused(&Bench { pki, noded }, &[]);
}

/// `gnt-cluster renew-crypto` stops all nodeds, writes the new `server.pem` on the master and copies it to the others by
/// SSH, and starts them (`lib/client/gnt_cluster.py`, `_RenewServerAndClientCerts`).
#[test]
fn a_renewed_certificate_is_believed_as_soon_as_it_is_in_the_file_and_the_old_no_longer() {
    let cluster = Bench::new();
    assert!(lines(&run(&cluster.request(&[1]), &[]), &[1])[0].is_ok());
    // Another node has the new files by now.
    let ahead = Pki::new();
    let bench = Bench { noded: Noded::start(&ahead), pki: cluster.pki };
    assert_refused(&bench, &[]);
    std::fs::copy(ahead.server(), bench.pki.server()).unwrap();
    std::fs::copy(ahead.client(), bench.pki.client()).unwrap();
    assert!(lines(&run(&bench.request(&[1]), &[]), &[1])[0].is_ok());
    let behind = Bench { noded: cluster.noded, pki: bench.pki };
    let before = behind.noded.received();
    assert!(lines(&run(&behind.request(&[1]), &[]), &[1])[0].is_err());
    assert_eq!(behind.noded.received(), before);
    // The cluster's own file, renewed in place.
    behind.pki.renew();
    let renewed = Bench { noded: Noded::start(&behind.pki), pki: behind.pki };
    assert!(lines(&run(&renewed.request(&[1]), &[]), &[1])[0].is_ok());
}

/// While it is copied the file may be empty or short. Then no node is asked: without a key no host can be trusted.
#[test]
fn without_the_clusters_certificate_no_node_is_asked() {
    let bench = Bench::new();
    let whole = std::fs::read(bench.pki.server()).unwrap();
    let key_only = whole.len() / 2;
    for content in [&b""[..], &whole[..key_only], &whole[..whole.len() - 100], b"-----BEGIN CERTIFICATE-----\n"] {
        std::fs::write(bench.pki.server(), content).unwrap();
        let output = run(&bench.request(&[1]), &[]);
        assert_eq!(output.status.code(), Some(1));
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(printed.contains("server.pem") && output.stdout.is_empty(), "{printed}");
    }
    std::fs::remove_file(bench.pki.server()).unwrap();
    assert_eq!(run_text(bench.request(&[1]).to_string().as_bytes(), &[]).status.code(), Some(1));
    assert_eq!(bench.noded.received(), 0);
}

/// The environment of Pacemaker, noded or a login does not change the calls: no key is logged, and no other library or
/// configuration of OpenSSL is loaded.
#[test]
fn the_environment_changes_nothing() {
    let bench = Bench::new();
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let configuration = dir.path().join("openssl.cnf");
    // This configuration makes each TLS context fail.
    std::fs::write(&configuration, "openssl_conf=a\n[a]\nssl_conf=b\n[b]\nsystem_default=c\n[c]\nMinProtocol=TLSv1.3\nMaxProtocol=TLSv1.2\nCipherString=none\n").unwrap();
    let environment = [
        ("SSLKEYLOGFILE", keys.to_str().unwrap()),
        ("OPENSSL_CONF", configuration.to_str().unwrap()),
        ("HOME", dir.path().to_str().unwrap()),
        ("CURL_HOME", dir.path().to_str().unwrap()),
        ("CURL_SSL_BACKEND", "none"),
    ];
    let answers = lines(&run(&bench.request(&[1]), &environment), &[1]);
    assert_eq!(answers[0], Ok(json!(["a", 1])));
    assert_eq!(std::fs::read(&keys).unwrap_or_default(), b"", "no key of the session is written");
}
