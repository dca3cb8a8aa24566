//! `townlet smoke`: the checks after a deployment, on a real end point.

use tempfile::TempDir;

use crate::support::{townlet, write};

#[test]
fn without_any_time_one_event_goes_out_all_the_same() {
    let dir = TempDir::new().unwrap();
    let config = write(dir.path(), "f.yaml", "telemetry:\n  transport: {type: file, file_path: out.jsonl}\n");
    let report = townlet(&["smoke", "--config", &config, "--watch", "0s", "--json"]).expect(0).json();
    assert_eq!((&report["passed"], &report["transport"]["payloads_flushed_total"]), (&true.into(), &1.into()));
}

#[test]
fn an_end_point_that_takes_nothing_is_a_no() {
    let dir = TempDir::new().unwrap();
    // The other end of a connection has a port that takes none.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let nobody = client.local_addr().unwrap();
    let config = format!(
        "telemetry:\n  transport:\n    type: tcp\n    endpoint: {nobody}\n    allow_plaintext: true\n    \
         dev_allow_plaintext: true\n  worker: {{shutdown_timeout_seconds: 1}}\n"
    );
    let config = write(dir.path(), "t.yaml", &config);
    let report = townlet(&["smoke", "--config", &config, "--watch", "0s", "--json"]).expect(1).json();
    assert_eq!(report["passed"], false);
}
