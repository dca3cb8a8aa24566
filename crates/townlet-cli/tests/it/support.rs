//! Running the binary.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// What a finished command left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails with everything that was printed unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e} in {}", self.stdout))
    }
}

pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_townlet"));
    // Nothing of the developer's environment may decide a test.
    command.args(words).env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
    let telling = ["TOWNLET_", "OTEL_", "READINESS_", "TRACEPARENT"];
    for (name, _) in std::env::vars().filter(|(name, _)| telling.iter().any(|start| name.starts_with(start))) {
        command.env_remove(name);
    }
    command
}

/// Runs the binary to its end.
pub(crate) fn townlet(words: &[&str]) -> Ran {
    ran(command(words).output().expect("the binary was built with the tests"))
}

/// The same in a folder.
pub(crate) fn townlet_in(folder: &Path, words: &[&str]) -> Ran {
    ran(command(words).current_dir(folder).output().expect("the binary was built with the tests"))
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A collector in a process of its own; ends with the value.
pub(crate) struct Collector {
    child: Child,
    pub(crate) port: u16,
}

impl Collector {
    /// Listens under TLS with the certificates of `certs`.
    pub(crate) fn start(certs: &Path, out: &Path) -> Self {
        let (cert, key) = (certs.join("server.pem"), certs.join("server.key"));
        let mut child = command(&["collect", "--listen", "127.0.0.1:0", "--json"])
            .arg("--cert")
            .arg(cert)
            .arg("--key")
            .arg(key)
            .arg("--out")
            .arg(out)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the collector starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("it is piped");
        // Unbuffered beyond the line: the report is read at the end.
        BufReader::with_capacity(1, stdout).read_line(&mut line).expect("it says where it listens");
        let word = line.split_whitespace().find_map(|w| w.parse::<std::net::SocketAddr>().ok());
        let port = word.unwrap_or_else(|| panic!("no address in {line:?}")).port();
        Self { child, port }
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Stops it as an operator would and returns its report.
    pub(crate) fn stop(mut self) -> Value {
        self.signal("TERM");
        let mut text = String::new();
        use std::io::Read;
        self.child.stdout.take().expect("it is piped").read_to_string(&mut text).expect("UTF-8");
        assert!(self.child.wait().expect("it ends").success(), "{text}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}"))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a child a signal, by name.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success(), "{name}");
}

/// The workspace's `samples` folder.
pub(crate) fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples")
}

/// Writes a file and returns its path as text.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the temporary folder is writable");
    path.display().to_string()
}

/// All lines of all `.jsonl` files below a folder, as JSON.
pub(crate) fn lines_below(folder: &Path) -> Vec<Value> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            lines.extend(lines_below(&path));
        } else if path.extension().is_some_and(|e| e == "jsonl") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            lines.extend(text.lines().map(|l| serde_json::from_str::<Value>(l).expect("one JSON object a line")));
        }
    }
    lines
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// Certificates in `dir`, a collector that stores into `dir/collected`, and a
/// lossless TLS configuration for it.
pub(crate) fn collector_with_config(dir: &Path) -> (Collector, String) {
    townlet(&["certs", "--out", text(dir)]).expect(0);
    let collector = Collector::start(dir, &dir.join("collected"));
    let yaml = format!(
        "telemetry:\n  transport:\n    type: tcp\n    endpoint: localhost:{}\n    ca_file: ca.pem\n    settle_at: \
         peer_acked\n    buffer: {{max_buffer_bytes: 8388608}}\n  worker: {{backpressure: block, \
         block_timeout_seconds: 5.0, shutdown_timeout_seconds: 30}}\n",
        collector.port
    );
    let config = write(dir, "tls.yaml", &yaml);
    (collector, config)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, bytes).expect("memory takes everything");
    packed.finish().expect("memory takes everything")
}
