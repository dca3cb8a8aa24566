//! The configurations of the suite, as an operator would write them.

use std::path::Path;

/// A quoted YAML string: JSON's quoting is a subset of YAML's.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

pub(super) fn stdout() -> String {
    format!("telemetry:\n  transport:\n    type: stdout\n{LOSSLESS}")
}

pub(super) fn file(path: &Path) -> String {
    format!("telemetry:\n  transport:\n    type: file\n    file_path: {}\n{LOSSLESS}", quoted(path))
}

/// TLS needs no key to be on: it is the default.
pub(super) fn tls(port: u16, authority: &Path) -> String {
    format!(
        "telemetry:\n  transport:\n    type: tcp\n    endpoint: localhost:{port}\n    ca_file: {}\n{LOSSLESS}",
        quoted(authority)
    )
}

/// The acknowledgements that plaintext needs are given or not; the endpoint is a choice of the caller.
pub(super) fn plaintext(endpoint: &str, dev_flag: bool) -> String {
    format!(
        "telemetry:\n  transport:\n    type: tcp\n    endpoint: {endpoint}\n    enable_tls: false\n    \
         allow_plaintext: true\n    dev_allow_plaintext: {dev_flag}\n"
    )
}

/// A collector that is not there and a buffer of a few payloads: some must be dropped, each must be counted.
pub(super) fn dead_collector(port: u16, authority: &Path) -> String {
    format!(
        "telemetry:\n  transport:\n    type: tcp\n    endpoint: localhost:{port}\n    ca_file: {}\n    \
         connect_timeout_seconds: 1.0\n    buffer:\n      max_buffer_bytes: 32768\n  worker:\n    backpressure: drop_oldest\n",
        quoted(authority)
    )
}

/// Payloads of a town do not fit such a buffer at all.
pub(super) fn starved(path: &Path) -> String {
    format!(
        "telemetry:\n  transport:\n    type: file\n    file_path: {}\n    buffer:\n      max_buffer_bytes: 1024\n",
        quoted(path)
    )
}

/// What a town that ticks four times a second would be given.
pub(super) fn paced(path: &Path) -> String {
    format!(
        "telemetry:\n  transport:\n    type: file\n    file_path: {}\n    buffer:\n      max_batch_size: 16\n",
        quoted(path)
    )
}

/// The host waits for the sink instead of shedding: the suite runs the town as fast as it can.
const LOSSLESS: &str = "  worker:\n    backpressure: block\n    block_timeout_seconds: 5.0\n";
