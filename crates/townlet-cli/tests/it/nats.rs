//! A town by way of `nats-server`, and collectors that share what comes of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use townlet_testkit::nats::NatsServer;
use townlet_testkit::nats_users::{Operator, keep_secret};

use crate::support::{command, signal, text, townlet, townlet_in, write};

/// A server under TLS, with what `townlet certs` has written; none where there is none.
pub(crate) fn secure(certs: &Path) -> Option<NatsServer> {
    if !NatsServer::is_there() {
        return None;
    }
    let (cert, key) = (certs.join("server.pem"), certs.join("server.key"));
    let tls = format!("tls {{ cert_file: \"{}\", key_file: \"{}\" }}", cert.display(), key.display());
    Some(NatsServer::start(&tls))
}

/// `townlet collect`, as one of two.
struct Member(Child);

impl Member {
    fn start(dir: &Path, number: u32, port: u16) -> Self {
        let (url, member) = (format!("tls://localhost:{port}"), format!("{number}/2"));
        let (patience, out) = (["--take-over-after", "2s", "--nats-ack-wait", "2s"], format!("collected-{number}"));
        let words =
            ["--nats", &url, "--nats-ca", "ca.pem", "--nats-partitions", "4", "--member", &member, "--out", &out];
        Self::with(dir, &[&words[..], &patience[..]].concat())
    }

    fn with(dir: &Path, words: &[&str]) -> Self {
        let mut child = command(&["collect", "--listen", "127.0.0.1:0", "--json"])
            .args(words)
            .current_dir(dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::with_capacity(1, child.stdout.as_mut().unwrap());
        let mut said = String::new();
        lines.read_line(&mut said).unwrap();
        lines.read_line(&mut said).unwrap();
        assert!(said.contains("pulling TOWNLET"), "{said}");
        Self(child)
    }

    fn stop(mut self) -> Value {
        signal(&self.0, "TERM");
        let output = self.0.stdout.take().unwrap();
        let report = serde_json::from_reader(output).unwrap();
        assert!(self.0.wait().unwrap().success());
        report
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn config(dir: &Path, port: u16, producer: &str) -> String {
    let yaml = format!(
        "telemetry:\n  producer: {producer}\n  transport:\n    type: nats\n    endpoint: tls://localhost:{port}\n    \
         ca_file: ca.pem\n    nats: {{partitions: 4, create: true}}\n    settle_at: peer_acked\n    \
         send_timeout_seconds: 5\n    buffer: {{max_buffer_bytes: 8388608}}\n  worker: {{backpressure: block, \
         block_timeout_seconds: 5.0, shutdown_timeout_seconds: 30}}\n"
    );
    write(dir, &format!("{producer}.yaml"), &yaml)
}

/// Runs a town to its end; another seed is another run. Says how many events its sink had acknowledged.
fn simulate(dir: &Path, config: &str, ticks: u32, seed: u32) -> u64 {
    let status = dir.join("status.json");
    let (ticks, seed) = (ticks.to_string(), seed.to_string());
    let words = ["simulate", "--config", config, "--ticks", &ticks, "--seed", &seed, "--status-path", text(&status)];
    townlet_in(dir, &words).expect(0);
    let status: Value = serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap();
    assert_eq!(status["statement"]["residual"], 0, "{status}");
    assert_eq!(status["statement"]["accepted"], status["statement"]["delivered"], "{status}");
    status["statement"]["delivered"].as_u64().unwrap()
}

/// The lines of a store that a collector may be writing to: the last of a file may not be whole yet.
fn lines_so_far(folder: &Path) -> Vec<Value> {
    let mut lines = Vec::new();
    for path in std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            lines.extend(lines_so_far(&path));
        } else if path.extension().is_some_and(|ending| ending == "jsonl") {
            let bytes = std::fs::read(&path).unwrap();
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let found = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.extend(found.map(|line| serde_json::from_slice::<Value>(line).unwrap()));
        }
    }
    lines
}

/// How often each line stands in the folder; a state that went out whole again is another line.
fn stored(folder: &Path) -> BTreeMap<(String, String, u64, Option<u64>), u64> {
    let mut lines = BTreeMap::new();
    for line in lines_so_far(folder) {
        let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let key = (word("run_id"), word("stream"), line["seq"].as_u64().unwrap(), line["rendering"].as_u64());
        *lines.entry(key).or_default() += 1;
    }
    lines
}

#[test]
fn what_a_killed_member_leaves_is_taken_over_and_nothing_that_was_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    townlet(&["certs", "--out", text(dir)]).expect(0);
    let Some(server) = secure(dir) else { return };
    let (shards, port) = (["shard-a", "shard-b", "shard-c"], server.port());
    let configs = shards.map(|shard| config(dir, port, shard));
    let mut delivered = configs.iter().map(|config| simulate(dir, config, 30, 1)).sum::<u64>();
    let one = Member::start(dir, 1, port);
    let two = Member::start(dir, 2, port);
    let (a, b) = (dir.join("collected-1"), dir.join("collected-2"));
    // Distinct numbers over both stores: what was delivered, whatever rendering it came in.
    let distinct = || {
        let keys = stored(&a).into_keys().chain(stored(&b).into_keys());
        keys.map(|(run, stream, seq, _)| (run, stream, seq)).collect::<std::collections::BTreeSet<_>>().len() as u64
    };
    let wait_for = |count: u64| {
        let deadline = Instant::now() + Duration::from_secs(90);
        while distinct() < count {
            assert!(Instant::now() < deadline, "{} of {count} are stored", distinct());
            std::thread::park_timeout(Duration::from_millis(100));
        }
    };
    wait_for(delivered);
    assert!(!stored(&a).is_empty() && !stored(&b).is_empty(), "they share the streams");
    signal(&two.0, "KILL");
    delivered += configs.iter().map(|config| simulate(dir, config, 30, 2)).sum::<u64>();
    wait_for(delivered);
    let report = one.stop();
    assert_eq!((&report["totals"]["invalid"], &report["missing"]), (&0.into(), &0.into()), "{report}");
    assert_eq!(distinct(), delivered);
    for store in [&a, &b] {
        assert!(stored(store).values().all(|times| *times == 1), "within a store nothing stands twice");
    }
}

#[test]
fn validate_connects_and_says_whether_the_stream_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    townlet(&["certs", "--out", text(dir)]).expect(0);
    let Some(mut server) = secure(dir) else { return };
    let config = config(dir, server.port(), "town");
    let says = |code: i32, what: &str| {
        let ran = townlet_in(dir, &["validate", &config, "--connect"]).expect(code);
        assert!(ran.stdout.contains(what), "{}", ran.stdout);
    };
    says(0, "is not there yet, and will be made");
    simulate(dir, &config, 2, 1);
    says(0, "under TLS; the stream TOWNLET is there");
    server.kill();
    says(3, "unavailable");
}

#[test]
fn a_town_and_its_collector_come_in_by_credentials_and_keyframes_stand_between_its_diffs() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    if !NatsServer::is_there() {
        return;
    }
    let operator = Operator::new();
    let server = NatsServer::start(&operator.server_config());
    keep_secret(dir, "shard.creds", &operator.credentials(None));
    keep_secret(dir, "collector.creds", &operator.credentials(None));
    let config = |creds: &str| {
        let yaml = format!(
            "telemetry:\n  transport:\n    type: nats\n    endpoint: {}\n    allow_plaintext: true\n    \
             dev_allow_plaintext: true\n    auth:\n      credentials_file: {creds}\n    nats: {{create: true}}\n    \
             settle_at: peer_acked\n    keyframe_every: 4\n    send_timeout_seconds: 5\n  worker: {{backpressure: block, \
             block_timeout_seconds: 5.0, shutdown_timeout_seconds: 30}}\n",
            server.url()
        );
        write(dir, &format!("{creds}.yaml"), &yaml)
    };
    let good = config("shard.creds");
    let ran = townlet_in(dir, &["validate", &good, "--connect"]).expect(0);
    assert!(ran.stdout.contains("answers; the stream TOWNLET is not there yet"), "{}", ran.stdout);
    let delivered = simulate(dir, &good, 10, 1);
    let url = server.url();
    let shown = ["--nats-credentials-file", "collector.creds"];
    let collector = Member::with(dir, &[&["--nats", &url, "--out", "collected"][..], &shown[..]].concat());
    let (store, deadline) = (dir.join("collected"), Instant::now() + Duration::from_secs(40));
    while (stored(&store).len() as u64) < delivered {
        assert!(Instant::now() < deadline, "{} of {delivered} are stored", stored(&store).len());
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let report = collector.stop();
    assert!(delivered > 0 && report["totals"]["invalid"] == 0, "{report}");
    // Whoever begins to read waits for the next whole state: at most four diffs.
    let states = lines_so_far(&store).into_iter().filter_map(|line| {
        let whole = match line["payload_type"].as_str() {
            Some("diff") => false,
            Some("snapshot") => true,
            _ => return None,
        };
        Some((line["seq"].as_u64().unwrap(), whole))
    });
    let states: BTreeMap<u64, bool> = states.collect();
    let whole: Vec<usize> = states.values().enumerate().filter(|(_, whole)| **whole).map(|(at, _)| at).collect();
    assert!(whole.len() >= 2 && whole.len() < states.len(), "{states:?}");
    assert!(whole[0] == 0 && whole.windows(2).all(|two| two[1] - two[0] <= 5), "{states:?}");
    // The seed has lost a character, which its checksum tells.
    let whole = operator.credentials(None);
    keep_secret(dir, "bad.creds", &whole.replacen("\nSU", "\nS", 1));
    let ran = townlet_in(dir, &["validate", &config("bad.creds")]).expect(2);
    assert!(ran.stderr.contains("bad.creds.yaml:8:") && ran.stderr.contains("damaged"), "{}", ran.stderr);
    let seed = whole.lines().find(|line| line.starts_with("SU")).unwrap();
    assert!(!ran.stderr.contains(&seed[1..]), "{}", ran.stderr);
}

#[test]
fn arguments_that_cannot_work_are_usage_errors() {
    for (arguments, says) in [
        (vec!["--nats", "localhost:4222"], "tls://localhost:4222"),
        (vec!["--nats", "nats://collector.example"], "collector.example"),
        (vec!["--nats", "nats://localhost", "--nats-ca", "ca.pem"], "no TLS"),
        (vec!["--nats", "tls://localhost", "--nats-ca", "no-such.pem"], "no-such.pem"),
        (vec!["--nats", "tls://localhost", "--member", "3/2"], "1/3"),
        (vec!["--nats", "tls://localhost", "--group", "a.b"], "--group"),
        (vec!["--nats", "tls://localhost", "--nats-subject", "t.{stream}"], "{partition}"),
        (vec!["--member", "1/2"], "--nats"),
        (vec!["--nats", "tls://localhost", "--nats-credentials-file", "no-such.creds"], "auth.credentials_file"),
        (vec!["--nats", "tls://localhost", "--nats-nkey-seed-file", "Cargo.toml"], "auth.nkey_seed_file"),
        (
            vec!["--nats", "tls://localhost", "--nats-credentials-file", "c", "--nats-nkey-seed-file", "s"],
            "--nats-nkey-seed-file",
        ),
        (
            vec!["--nats", "tls://localhost", "--nats-credentials-file", "c", "--nats-token-file", "t"],
            "--nats-token-file",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let words = [vec!["collect", "--listen", "127.0.0.1:0", "--duration", "1s"], arguments].concat();
        let ran = townlet_in(folder.path(), &words).expect(2);
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
}
