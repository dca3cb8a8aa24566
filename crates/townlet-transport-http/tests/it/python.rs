//! A server that we did not write: `http.server` and `ssl` of Python.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use townlet_testkit::certs::{Issued, Leaf, Pki};
use townlet_testkit::frames;
use townlet_transport::{ErrorKind, Level, Outcome};

use crate::{plaintext, send, tls, transport};

/// Appends the lines of each body to a file, then answers 200.
const PROGRAM: &str = r#"
import gzip, http.server, os, ssl, sys
port, store, cert, key = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        with open(store, "ab") as file:
            file.write(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
server.daemon_threads = True
if cert:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

pub(crate) struct Python {
    child: Child,
    port: u16,
    folder: TempDir,
    certificate: Option<Issued>,
}

impl Python {
    /// False where there is none, which is said, and is a failure where `CI` is set.
    pub(crate) fn is_there() -> bool {
        let found = Command::new("python3").args(["-c", "import ssl"]).status().is_ok_and(|status| status.success());
        if !found {
            eprintln!("SKIPPED: there is no python3 with ssl to talk to");
            assert!(std::env::var_os("CI").is_none(), "with CI set, python3 has to be there");
        }
        found
    }

    pub(crate) fn start(certificate: Option<&Issued>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (child, port) = spawn(0, &folder.path().join("store"), certificate);
        Self { child, port, folder, certificate: certificate.cloned() }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}/ingest", self.port)
    }

    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        let stored = std::fs::read(self.store()).unwrap_or_default();
        let mut lines: Vec<Vec<u8>> = stored.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        assert_eq!(lines.pop().unwrap(), b"", "the last line is whole");
        lines
    }

    pub(crate) fn stop(&mut self) {
        // Only an error where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.port, &self.store(), self.certificate.as_ref()).0;
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(port: u16, store: &std::path::Path, certificate: Option<&Issued>) -> (Child, u16) {
    let mut command = Command::new("python3");
    command.args(["-c", PROGRAM, &port.to_string()]).arg(store).stdout(Stdio::piped());
    match certificate {
        Some(issued) => command.arg(&issued.cert_file).arg(&issued.key_file),
        None => command.args(["", ""]),
    };
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().expect("the server says its port"))
}

#[test]
fn batches_arrive_at_a_server_of_somebody_else_with_and_without_tls() {
    if !Python::is_there() {
        return;
    }
    let pki = Pki::new();
    let (plain, secure) = (Python::start(None), Python::start(Some(&pki.localhost())));
    for (python, options) in [(&plain, plaintext(&plain.url())), (&secure, tls(&secure.url(), pki.ca_file()))] {
        let mut sink = transport(options);
        assert_eq!(send(&mut sink, &frames(1..=40)).unwrap(), Outcome::Settled(Level::PeerAcked));
        assert_eq!(python.lines().len(), 40);
    }
}

#[test]
fn a_certificate_that_cannot_be_trusted_is_named_as_such() {
    if !Python::is_there() {
        return;
    }
    let (pki, other) = (Pki::new(), Pki::new());
    let expired = pki.issue("old", &Leaf::server(&["localhost"]).expired());
    let elsewhere = pki.issue("elsewhere", &Leaf::server(&["elsewhere.example"]));
    for (certificate, ca, says) in [
        (pki.localhost(), other.ca_file(), "authority that is not trusted"),
        (expired, pki.ca_file(), "expired"),
        (elsewhere, pki.ca_file(), "for another host"),
    ] {
        let python = Python::start(Some(&certificate));
        let failed = send(&mut transport(tls(&python.url(), ca)), &frames(1..=2)).unwrap_err();
        assert_eq!((failed.settled, failed.error.kind()), (0, ErrorKind::Tls), "{failed}");
        assert!(failed.to_string().contains(says), "{failed}");
        assert!(!python.store().exists(), "nothing was stored");
    }
}
