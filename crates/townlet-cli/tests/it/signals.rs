//! Signals and full disks in the middle of work: nothing is lost, books balance.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Collector, command, lines_below, signal, text, townlet, write};

/// A town that says a `tick_health` line a tick.
struct Town {
    child: Child,
    log: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Town {
    fn start(dir: &Path, config: &str, ticks: &str, tick_ms: &str) -> Self {
        let mut town = command(&["simulate", "-v", "--agents", "3", "--ticks", ticks, "--tick-ms", tick_ms]);
        town.args(["--config", config]).arg("--status-path").arg(dir.join("status.json"));
        let mut child = town.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log }
    }

    /// The next tick line for which this holds.
    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&Tick) -> bool) -> Tick {
        let begin = Instant::now();
        for line in self.log.by_ref() {
            let Some(tick) = Tick::read(&line.unwrap()) else { continue };
            if holds(&tick) {
                return tick;
            }
            assert!(begin.elapsed() < Duration::from_secs(120), "{what}: not within two minutes; at {tick:?}");
        }
        panic!("{what}: the town ended before");
    }

    /// Waits for its end and returns the status that it wrote.
    fn end(mut self, dir: &Path) -> Value {
        let said: Vec<String> = self.log.by_ref().map_while(Result::ok).collect();
        assert!(self.child.wait().unwrap().success(), "{said:#?}");
        serde_json::from_slice(&fs::read(dir.join("status.json")).unwrap()).unwrap()
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
struct Tick {
    tick: u64,
    spilled: u64,
    /// The disk takes what it is given.
    disk_takes: bool,
}

impl Tick {
    fn read(line: &str) -> Option<Self> {
        let (_, counters) = line.split_once("tick_health ")?;
        let word = |key: &str| counters.split_once(key).and_then(|(_, rest)| rest.split(' ').next());
        Some(Self {
            tick: word("tick=")?.parse().ok()?,
            spilled: word(" spilled=")?.parse().ok()?,
            disk_takes: word(" spill_error=")? == "none",
        })
    }
}

fn spilling(dir: &Path, endpoint: u16, spool: &Path) -> String {
    let yaml = format!(
        "telemetry:\n  transport:\n    type: tcp\n    endpoint: localhost:{endpoint}\n    ca_file: {}\n    settle_at: \
         peer_acked\n    retry: {{backoff_seconds: 0.01, max_backoff_seconds: 0.1}}\n    buffer:\n      \
         max_buffer_bytes: 100000\n      spill: {{path: {}, max_bytes: 1048576000}}\n  worker: {{backpressure: spill, \
         block_timeout_seconds: 5, shutdown_timeout_seconds: 0.5}}\n",
        text(&dir.join("ca.pem")),
        text(spool)
    );
    write(dir, "spill.yaml", &yaml)
}

/// `accepted`, `delivered`, `spilled` of a status file whose books balance without a drop.
#[track_caller]
fn lossless(status: &Value) -> (u64, u64, u64) {
    let statement = &status["statement"];
    assert_eq!((&statement["residual"], &statement["buffered"]), (&Value::from(0), &Value::from(0)), "{statement}");
    assert_eq!(statement["dropped"], serde_json::json!({}), "{statement}");
    let get = |key: &str| statement[key].as_u64().unwrap();
    assert_eq!(get("accepted"), get("delivered") + get("spilled"), "{statement}");
    (get("accepted"), get("delivered"), get("spilled"))
}

#[test]
fn a_town_that_is_ended_while_its_collector_hangs_keeps_everything_for_the_next_run() {
    let dir = TempDir::new().unwrap();
    townlet(&["certs", "--out", text(dir.path())]).expect(0);
    let collector = Collector::start(dir.path(), &dir.path().join("collected"));
    let config = spilling(dir.path(), collector.port, &dir.path().join("spool"));
    let mut town = Town::start(dir.path(), &config, "1000000", "2");
    town.until("it runs", |tick| tick.tick >= 10);
    collector.signal("STOP");
    town.until("a flush hangs and the disk takes over", |tick| tick.spilled > 50);
    signal(&town.child, "TERM");
    let (first, _, kept) = lossless(&town.end(dir.path()));
    assert!(kept > 50, "{kept}");
    collector.signal("CONT");

    let next = Town::start(dir.path(), &config, "400", "2").end(dir.path());
    let recovered = &next["spills"][0]["recovered"];
    assert_eq!((recovered["recovered"].as_u64(), &recovered["ended"]), (Some(kept), &Value::from(true)), "{recovered}");
    assert_eq!(recovered["lost_at_most"], 0);
    let (second, ..) = lossless(&next);
    // What the half second of its end did not suffice for.
    let words =
        ["simulate", "--config", &config, "--ticks", "1", "--set", "telemetry.worker.shutdown_timeout_seconds=60"];
    let status = dir.path().join("status.json");
    townlet(&[&words[..], &["--status-path", text(&status)]].concat()).expect(0);
    let third: Value = serde_json::from_slice(&fs::read(&status).unwrap()).unwrap();
    let (last, _, left) = lossless(&third);
    assert_eq!(left, 0);
    let between = third["spills"][0]["recovered"]["recovered"].as_u64().unwrap();
    let report = collector.stop();
    let all = first + (second - kept) + (last - between);
    assert_eq!((&report["missing"], &report["totals"]["stored"]), (&Value::from(0), &Value::from(all)), "{report}");
    assert_eq!(lines_below(&dir.path().join("collected")).len() as u64, all);
}

#[test]
fn a_collector_that_stands_still_for_two_seconds_costs_nothing() {
    let dir = TempDir::new().unwrap();
    townlet(&["certs", "--out", text(dir.path())]).expect(0);
    let collector = Collector::start(dir.path(), &dir.path().join("collected"));
    let config = spilling(dir.path(), collector.port, &dir.path().join("spool"));
    let patient =
        fs::read_to_string(&config).unwrap().replace("shutdown_timeout_seconds: 0.5", "shutdown_timeout_seconds: 60");
    let config = write(dir.path(), "patient.yaml", &patient);
    let mut town = Town::start(dir.path(), &config, "1000000", "4");
    town.until("it runs", |tick| tick.tick >= 50);
    collector.signal("STOP");
    // However many ticks that is: on a slow disk they wait for it.
    let since = Instant::now();
    let at = town.until("the outage is over", |_| since.elapsed() >= Duration::from_secs(2)).tick;
    collector.signal("CONT");
    town.until("it goes on", |tick| tick.tick >= at + 20);
    signal(&town.child, "TERM");
    let (accepted, delivered, _) = lossless(&town.end(dir.path()));
    assert_eq!(accepted, delivered);
    let report = collector.stop();
    // A state whose acknowledgement was lost comes again whole, as another rendering, and is kept.
    let distinct = |stream: &Value| stream["sequence"]["distinct"].as_u64().unwrap();
    let distinct: u64 = report["streams"].as_array().unwrap().iter().map(distinct).sum();
    assert_eq!((&report["missing"], distinct), (&Value::from(0), accepted), "{report}");
}

/// A file system of 1 MiB, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1024k", "tmpfs"]).arg(folder.path()).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("SKIPPED: mounting a small tmpfs needs root; full disks are simulated in the tests of townlet-spill");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the small disk stays mounted");
    }
}

#[test]
fn a_full_disk_stops_nobody_and_takes_again_what_it_is_given_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let dir = TempDir::new().unwrap();
    townlet(&["certs", "--out", text(dir.path())]).expect(0);
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![b'x'; 500 << 10]).unwrap();
    // Nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = spilling(dir.path(), port, &disk.0.path().join("spool"));
    let text =
        fs::read_to_string(&config).unwrap().replace("block_timeout_seconds: 5,", "block_timeout_seconds: 0.05,");
    let config = write(dir.path(), "full.yaml", &text);
    let mut town = Town::start(dir.path(), &config, "1000000", "1");
    let full = town.until("the disk is full", |tick| !tick.disk_takes);
    let on = town.until("the town goes on", |tick| tick.tick > full.tick + 10);
    fs::remove_file(&ballast).unwrap();
    let again = town.until("it takes again", |tick| tick.disk_takes && tick.spilled > on.spilled);
    assert!(again.tick > full.tick);
    signal(&town.child, "TERM");
    let status = town.end(dir.path());
    let statement = &status["statement"];
    assert_eq!((&statement["residual"], &statement["buffered"]), (&Value::from(0), &Value::from(0)), "{statement}");
    assert!(status["spills"][0]["spill_errors_total"].as_u64() > Some(0), "{status}");
    // What it kept is whole, and what it could not keep was counted.
    let words = ["spill", "check", "--json", "--path"];
    let spool = disk.0.path().join("spool");
    let check = townlet(&[&words[..], &[spool.to_str().unwrap()]].concat()).expect(0).json();
    assert_eq!(check["sound"], true, "{check}");
}
