//! What TLS and inflating cost a collector: the same lines in the open, under TLS,
//! under TLS with acknowledgements, and those deflated.
//!
//! `cargo run --release -p townlet-collector --example ways [CONNECTIONS [BATCH [ROUNDS]]]`
//! sends what a small town says (`samples/1.1.0`), from as many connections, so many
//! lines at a time. The collector is a process of its own, so that its CPU time and
//! memory are its own. Each round goes all four ways, and what is printed are medians
//! of the rounds, with ratios to the open way of the same round.

#![expect(clippy::unwrap_used, reason = "a measurement stops where it cannot measure")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use townlet_collector::store::StoreOptions;
use townlet_collector::{Collector, CollectorOptions, Security, protocols};
use townlet_testkit::certs::Pki;
use townlet_tls::{ClientOptions, Endpoint, Plaintext, PlaintextFlags, ServerOptions, ServerTls};
use townlet_transport::{Frame, Label, Outcome, Transport};
use townlet_transport_tcp::{TcpOptions, TcpTransport};

const SAMPLE: &str = include_str!("../../../samples/1.1.0/town.jsonl");
const STATES: &str = "\"stream\":\"town\"";
/// Ticks of the sample.
const TICKS: u64 = 40;
/// How often its ticks are sent while it is measured; once before that, so that all files are there.
const PASSES: u64 = 4;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    Tls,
    Acked,
    Deflated,
}

const WAYS: [Way; 4] = [Way::Open, Way::Tls, Way::Acked, Way::Deflated];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Tls => "TLS",
            Self::Acked => "TLS, acknowledged",
            Self::Deflated => "TLS, acknowledged, deflated",
        }
    }
}

/// What the collector's process has used and stored so far.
#[derive(Clone, Copy, Default)]
struct Used {
    cpu: f64,
    resident_kb: f64,
    peak_kb: f64,
    stored: u64,
}

/// One way in one round, for each connection or each line.
#[derive(Clone, Copy)]
struct Cost {
    connect_ms: f64,
    quiet_kb: f64,
    cpu_per_million: f64,
    cpu_per_gb: f64,
    peak_mb: f64,
    sender_per_gb: f64,
}

fn main() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, folder, connections, tls @ ..] = &arguments[..]
        && command == "serve"
    {
        return serve(folder, connections.parse().unwrap(), tls);
    }
    let number = |at: usize, or: usize| arguments.get(at).map_or(or, |text| text.parse().unwrap());
    let (connections, batch, rounds) = (number(0, 500), number(1, 10), number(2, 5));
    let pki = Pki::new();
    let mut all: Vec<Vec<Cost>> = vec![Vec::new(); WAYS.len()];
    for round in 0..rounds {
        for n in 0..WAYS.len() {
            // Whoever comes first has an advantage or none: each does.
            let at = (n + round) % WAYS.len();
            all[at].push(measure(WAYS[at], connections, batch, &pki));
        }
    }
    println!("{connections} connections, {batch} lines at a time, medians of {rounds} rounds; × is to the open way");
    let median = |at: usize, of: &dyn Fn(&Cost) -> f64| middle(all[at].iter().map(of).collect());
    let ratio = |at: usize, of: &dyn Fn(&Cost) -> f64| {
        middle(all[at].iter().zip(&all[0]).map(|(cost, open)| of(cost) / of(open)).collect())
    };
    for (at, way) in WAYS.iter().enumerate() {
        println!(
            "{:28} connect {:.2} ms CPU, quiet {:.0} kB (×{:.2}), {:.2} CPU-s/M (×{:.2}), {:.2} CPU-s/GB, peak {:.0} MB; \
             sender {:.2} CPU-s/GB (×{:.2})",
            way.name(),
            median(at, &|c| c.connect_ms),
            median(at, &|c| c.quiet_kb),
            ratio(at, &|c| c.quiet_kb),
            median(at, &|c| c.cpu_per_million),
            ratio(at, &|c| c.cpu_per_million),
            median(at, &|c| c.cpu_per_gb),
            median(at, &|c| c.peak_mb),
            median(at, &|c| c.sender_per_gb),
            ratio(at, &|c| c.sender_per_gb),
        );
    }
}

fn measure(way: Way, connections: usize, batch: usize, pki: &Pki) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, port) =
        Served::start(folder.path().to_str().unwrap(), connections, (way != Way::Open).then_some(pki));
    let before = child.used();
    let mut shards: Vec<Shard> = (0..connections).map(|n| Shard::connect(n, way, port, pki)).collect();
    // A handshake ends at the client before it does at the server.
    Served::settled();
    let connected = child.used();
    let mut pass = |pass: u64| {
        // Every connection in its turn, as a fleet does.
        let batches = (0..LINES.len().div_ceil(batch)).map(|at| at * batch);
        batches.map(|from| shards.iter_mut().map(|shard| shard.send(pass, from, batch)).sum::<usize>()).sum::<usize>()
    };
    pass(0);
    let lines = (LINES.len() * connections) as u64;
    child.until(lines);
    let quiet = child.used();
    let sender = cpu();
    let bytes: usize = (1..=PASSES).map(&mut pass).sum();
    child.until(lines * (PASSES + 1));
    let after = child.used();
    let sender = cpu() - sender;
    shards.iter_mut().for_each(|shard| shard.transport.close());
    drop(shards);
    child.end();
    let (measured, gigabytes) = ((lines * PASSES) as f64 / 1e6, bytes as f64 / 1e9);
    let each = |total: f64| total / connections as f64;
    Cost {
        connect_ms: each((connected.cpu - before.cpu) * 1e3),
        quiet_kb: each(quiet.resident_kb - before.resident_kb),
        cpu_per_million: (after.cpu - quiet.cpu) / measured,
        cpu_per_gb: (after.cpu - quiet.cpu) / gigabytes,
        peak_mb: after.peak_kb / 1024.0,
        sender_per_gb: sender / gigabytes,
    }
}

/// The sample's states and stability records, which come every tick, with their numbers.
static LINES: LazyLock<Vec<(&str, u64)>> = LazyLock::new(|| {
    let every_tick = |line: &&str| [STATES, "\"stream\":\"town.stability\""].iter().any(|of| line.contains(of));
    SAMPLE.lines().filter(every_tick).map(|line| (line, number(line, "seq"))).collect()
});

/// The number under this name in the envelope.
fn number(line: &str, name: &str) -> u64 {
    let rest = line.split_once(&format!("\"{name}\":")).unwrap().1;
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap()].parse().unwrap()
}

struct Shard {
    transport: TcpTransport,
    run_id: String,
    acknowledged: bool,
    owed: usize,
}

impl Shard {
    fn connect(n: usize, way: Way, port: u16, pki: &Pki) -> Self {
        let endpoint = Endpoint::parse(&format!("localhost:{port}")).unwrap();
        let options = if way == Way::Open {
            let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
            TcpOptions::plaintext(Plaintext::allow(flags, &endpoint).unwrap())
        } else {
            let client = ClientOptions { ca_file: Some(pki.ca_file().to_owned()), ..ClientOptions::default() };
            TcpOptions::new(endpoint, townlet_transport_tcp::Security::Tls(client))
        };
        let acknowledged = matches!(way, Way::Acked | Way::Deflated);
        let deflate = way == Way::Deflated;
        let (connect_timeout, send_timeout) = (PATIENCE, PATIENCE);
        let options = TcpOptions { acks: acknowledged, deflate, connect_timeout, send_timeout, ..options };
        let mut transport = TcpTransport::new(options).unwrap();
        transport.connect().unwrap();
        Self { transport, run_id: format!("00000000-0000-7000-8000-{:012x}", n + 1), acknowledged, owed: 0 }
    }

    /// Sends the lines from this one on, and says how many bytes they are.
    fn send(&mut self, pass: u64, from: usize, batch: usize) -> usize {
        let part = LINES.iter().skip(from).take(batch);
        let frames: Vec<Frame> = part.map(|(line, seq)| self.frame(line, *seq, pass * TICKS)).collect();
        while self.owed > 0 {
            self.owed -= self.transport.receipts(PATIENCE).unwrap();
        }
        let outcome = self.transport.send(&frames).unwrap();
        assert_eq!(outcome == Outcome::Pending, self.acknowledged);
        if self.acknowledged {
            self.owed = frames.len();
        }
        frames.iter().map(Frame::len).sum()
    }

    /// The line as this shard says it so many ticks later.
    fn frame(&self, line: &str, seq: u64, later: u64) -> Frame {
        let run = line.split_once("\"run_id\":\"").unwrap().1.split_once('"').unwrap().0;
        let mut text = line.replacen(run, &self.run_id, 1);
        for name in ["seq", "tick", "base_seq"] {
            if name != "base_seq" || line.contains("\"base_seq\"") {
                let n = number(line, name);
                text = text.replacen(&format!("\"{name}\":{n}"), &format!("\"{name}\":{}", n + later), 1);
            }
        }
        let stream = if line.contains(STATES) { "town" } else { "town.stability" };
        Frame::new(Label::new(&self.run_id, stream), "event", seq + later, seq + later, text + "\n")
    }
}

/// The collector in a process of its own.
struct Served {
    child: Child,
    ask: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Served {
    fn start(folder: &str, connections: usize, pki: Option<&Pki>) -> (Self, u16) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["serve", folder, &connections.to_string()]);
        if let Some(pki) = pki {
            let issued = pki.localhost();
            command.args([&issued.cert_file, &issued.key_file]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (ask, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut served = Self { child, ask, said };
        let port = served.line()[0].parse().unwrap();
        (served, port)
    }

    fn line(&mut self) -> Vec<String> {
        let mut text = String::new();
        self.said.read_line(&mut text).unwrap();
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn used(&mut self) -> Used {
        self.ask.write_all(b"\n").unwrap();
        let said = self.line();
        let at = |n: usize| said[n].parse::<f64>().unwrap();
        Used { cpu: at(0), resident_kb: at(1), peak_kb: at(2), stored: said[3].parse().unwrap() }
    }

    /// What came last has been worked on, and each connection has seen that nothing follows.
    fn settled() {
        std::thread::park_timeout(Duration::from_secs(1));
    }

    fn until(&mut self, stored: u64) {
        while self.used().stored < stored {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Self::settled();
    }

    fn end(mut self) {
        drop(self.ask);
        assert!(self.child.wait().unwrap().success());
    }
}

fn serve(folder: &str, connections: usize, tls: &[String]) {
    let security = if let [cert, key] = tls {
        let mut options = ServerOptions::new(cert, key);
        options.alpn = protocols();
        Security::Tls(ServerTls::load(&options).unwrap())
    } else {
        Security::PlaintextOnLoopback
    };
    let options = CollectorOptions::new("127.0.0.1:0".parse().unwrap(), security);
    let options = CollectorOptions { max_connections: connections, ..options };
    let collector = Collector::bind(options.with_store(StoreOptions::new(folder))).unwrap();
    println!("{}", collector.local_addr().port());
    for _ in std::io::stdin().lines() {
        let (resident, peak) = memory();
        println!("{:.6} {resident} {peak} {}", cpu(), collector.report().totals.stored);
    }
    let report = collector.shutdown(PATIENCE);
    assert!(report.missing == 0 && report.totals.is_balanced(), "{report}");
}

/// Seconds of CPU that this process has used.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Kilobytes of this process that are in memory, now and at most.
fn memory() -> (u64, u64) {
    let mut text = String::new();
    std::fs::File::open("/proc/self/status").unwrap().read_to_string(&mut text).unwrap();
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
