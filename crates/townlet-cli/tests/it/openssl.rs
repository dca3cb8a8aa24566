//! OpenSSL as the other end: an implementation of TLS that is not ours.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use townlet_testkit::certs::Issued;

use crate::support::signal;

/// A deadline that no sound run comes near, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// True where openssl is here; its absence is told, and with `CI=true` a failure.
pub(crate) fn present() -> bool {
    let there = Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok();
    if !there {
        let message = "openssl is not installed (apt-get install openssl)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
        eprintln!("SKIPPED: {message}");
    }
    there
}

/// A running `openssl`; killed when dropped.
pub(crate) struct OpenSsl {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Arc<Mutex<String>>,
}

impl OpenSsl {
    fn spawn(arguments: &[String]) -> Self {
        let mut child = Command::new("openssl")
            .args(arguments)
            // The distribution's settings refuse old protocols before a test can ask for them.
            .env("OPENSSL_CONF", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl is there");
        let said = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let readers: [Box<dyn BufRead + Send>; 2] = [Box::new(BufReader::new(out)), Box::new(BufReader::new(err))];
        for mut reader in readers {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                let mut line = Vec::new();
                while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                    said.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                    line.clear();
                }
            });
        }
        let stdin = child.stdin.take();
        Self { child, stdin, said }
    }

    /// `openssl s_server` with a certificate, on a free port of this machine or on `port`.
    pub(crate) fn server(certificate: &Issued, port: u16, more: &[&str]) -> (Self, SocketAddr) {
        let (cert, key) = (certificate.cert_file.display(), certificate.key_file.display());
        let accept = format!("127.0.0.1:{port}");
        let mut arguments = ["s_server", "-accept", &accept, "-cert", &cert.to_string(), "-key", &key.to_string()]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        let server = Self::spawn(&arguments);
        // It names the address only where it chose the port.
        let named = server.wait_for("it says that it accepts", |said| {
            said.lines().find_map(|line| line.strip_prefix("ACCEPT")).map(|named| named.trim().to_owned())
        });
        let address = if named.is_empty() { accept } else { named };
        (server, address.parse().unwrap_or_else(|e| panic!("{e} in {address}")))
    }

    /// `openssl s_client` towards an address of ours.
    pub(crate) fn client(address: SocketAddr, more: &[&str]) -> Self {
        let mut arguments = ["s_client", "-connect", &address.to_string()].map(str::to_owned).to_vec();
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        Self::spawn(&arguments)
    }

    /// Gives it text to send.
    pub(crate) fn send(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("open until the end");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("it reads");
    }

    /// Waits until what it has printed satisfies `ready`.
    pub(crate) fn wait_for<T>(&self, what: &str, mut ready: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.said.lock().unwrap().clone();
            if let Some(found) = ready(&said) {
                return found;
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; openssl said:\n{said}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Stops it where it stands: the kernel goes on accepting for it.
    pub(crate) fn freeze(&self) {
        signal(&self.child, "STOP");
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
