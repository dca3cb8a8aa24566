//! The real `nats-server`, started by a test on free ports of this machine.
//!
//! Nothing here speaks NATS: readiness and figures are asked of the server's own
//! monitoring endpoint, so that no mistake of a client is mirrored.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to come up, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// One server with JetStream in a folder of its own.
#[derive(Debug)]
pub struct NatsServer {
    child: Option<Child>,
    port: u16,
    monitor: u16,
    folder: TempDir,
}

/// Three of them, as one cluster.
#[derive(Debug)]
pub struct NatsCluster(Vec<NatsServer>);

impl NatsServer {
    /// False where the program is not installed, which is said, and is a failure where
    /// `CI` is set.
    pub fn is_there() -> bool {
        let found = Command::new("nats-server").arg("--version").stdout(Stdio::null()).status();
        let found = found.is_ok_and(|status| status.success());
        if !found {
            eprintln!("SKIPPED: there is no nats-server to talk to (Debian's package nats-server)");
            assert!(std::env::var_os("CI").is_none(), "with CI set, nats-server has to be there");
        }
        found
    }

    /// Starts a server; `extra` are further lines of its configuration.
    pub fn start(extra: &str) -> Self {
        let [port, monitor] = free_ports();
        let mut server = Self::prepared("n0", port, monitor, extra);
        server.start_again();
        server
    }

    /// One that is not started yet: [`start_again`](Self::start_again) does.
    pub fn absent(extra: &str) -> Self {
        let [port, monitor] = free_ports();
        Self::prepared("n0", port, monitor, extra)
    }

    fn prepared(name: &str, port: u16, monitor: u16, extra: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a server");
        let store = folder.path().join("store");
        let text = format!(
            "server_name: {name}\nlisten: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\n\
             jetstream {{ store_dir: {:?}, max_mem: 64MB, max_file: 64GB }}\n{extra}\n",
            store.display().to_string()
        );
        std::fs::write(folder.path().join("server.conf"), text).expect("the configuration is written");
        Self { child: None, port, monitor, folder }
    }

    /// Starts it, on the ports that it had; returns when it is healthy.
    pub fn start_again(&mut self) {
        self.spawn();
        self.wait_until_healthy();
    }

    fn spawn(&mut self) {
        let log = std::fs::File::create(self.log()).expect("a file for the log");
        let child = Command::new("nats-server")
            .arg("-c")
            .arg(self.folder.path().join("server.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("nats-server can be started"));
    }

    fn wait_until_healthy(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.ask("/healthz").is_some_and(|answer| answer.contains("\"ok\"")) {
            let ended = self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            assert!(!ended && Instant::now() < deadline, "nats-server is not healthy:\n{}", self.said());
            std::thread::park_timeout(PAUSE);
        }
    }

    /// Kills it (SIGKILL). Idempotent.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Only an error where it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// `nats://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it listens, or would.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, for figures of the system about it.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Connections of clients that were accepted since its start; 0 while it is away.
    pub fn connections(&self) -> usize {
        let figures = self.ask("/varz").unwrap_or_default();
        number(&figures, "\"total_connections\":").unwrap_or_default()
    }

    /// Clients that are connected now; 0 while it is away.
    pub fn clients(&self) -> usize {
        let figures = self.ask("/varz").unwrap_or_default();
        number(&figures, "\"connections\":").unwrap_or_default()
    }

    /// Messages in all its streams, of all accounts.
    pub fn messages(&self) -> usize {
        let figures = self.ask("/jsz").unwrap_or_default();
        number(&figures, "\"messages\":").unwrap_or_default()
    }

    /// What it wrote to its log.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// The body that its monitoring endpoint answers with.
    fn ask(&self, path: &str) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.monitor)).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(socket, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl NatsCluster {
    /// Starts three servers that know each other; returns when they have a leader.
    /// `extra` are further lines of their configuration.
    pub fn start(extra: &str) -> Self {
        const SIZE: usize = 3;
        let ports: [u16; SIZE * 3] = free_ports();
        let routes: Vec<String> = ports[SIZE * 2..].iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let routes = routes.join(", ");
        let mut servers: Vec<NatsServer> = (0..SIZE)
            .map(|at| {
                let cluster = format!(
                    "cluster {{ name: town, listen: \"127.0.0.1:{}\", routes: [ {routes} ] }}\n{extra}",
                    ports[SIZE * 2 + at]
                );
                NatsServer::prepared(&format!("n{at}"), ports[at], ports[SIZE + at], &cluster)
            })
            .collect();
        servers.iter_mut().for_each(NatsServer::spawn);
        servers.iter_mut().for_each(NatsServer::wait_until_healthy);
        let cluster = Self(servers);
        cluster.wait_for("a leader of the cluster", |figures| {
            figures.split_once("\"meta_cluster\"").and_then(|(_, meta)| leader(meta))
        });
        cluster
    }

    /// The servers, of which one may have been killed.
    pub fn servers(&mut self) -> &mut [NatsServer] {
        &mut self.0
    }

    /// All of them, with commas between.
    pub fn urls(&self) -> String {
        self.0.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }

    /// Which server leads the stream of that name; waits until one does.
    pub fn leader_of(&self, stream: &str) -> usize {
        let name = format!("\"name\": \"{stream}\"");
        self.wait_for("a leader of a stream", |figures| figures.split_once(&name).and_then(|(_, after)| leader(after)))
    }

    fn wait_for(&self, what: &str, look: impl Fn(&str) -> Option<usize>) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let alive = self.0.iter().filter(|server| server.child.is_some());
            let answers: Vec<String> = alive.filter_map(|server| server.ask("/jsz?streams=true")).collect();
            let found = answers.iter().find_map(|figures| look(figures));
            if let Some(found) = found.filter(|at| self.0.get(*at).is_some_and(|server| server.child.is_some())) {
                return found;
            }
            assert!(Instant::now() < deadline, "there is not {what}: {answers:?}");
            std::thread::park_timeout(PAUSE);
        }
    }
}

/// The number in the name of the leader that stands next, where there is one.
fn leader(figures: &str) -> Option<usize> {
    let (_, after) = figures.split_once("\"leader\": \"n")?;
    after.split('"').next()?.parse().ok()
}

fn number(figures: &str, key: &str) -> Option<usize> {
    let (_, after) = figures.split_once(key)?;
    let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Ports that nobody has at the moment. Servers of a cluster have to know each other's
/// before any of them is started, so they cannot choose their own.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.each_ref().map(|listener| listener.local_addr().expect("it is bound").port())
}
