//! The programs that the figures are for, from Debian's packages.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use townlet_testkit::frames;
use townlet_transport::{Frame, Label, Transport};
use townlet_transport_prometheus::{PrometheusOptions, ScrapeOptions, Token};

use crate::fakes::Pipeline;
use crate::scrapes::ask;
use crate::{eventually, open, read, sample};

const TOKEN: &str = "a-long-enough-token";

/// True where the program is here; its absence is told, and with `CI=true` a failure.
fn present(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        let message = format!("{program} is not installed (apt-get install prometheus prometheus-node-exporter)");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
        eprintln!("SKIPPED: {message}");
    }
    there
}

/// A server that a test started; killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a program on a free port of this machine, and waits until it answers.
    fn start(program: &str, args: impl Fn(SocketAddr) -> Vec<String>) -> Self {
        // Between the choice of a port and its use somebody else may take it.
        for _ in 0..5 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = free.local_addr().unwrap();
            drop(free);
            let child = Command::new(program).args(args(address)).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut server = Self { child: child.unwrap(), address };
            let up = eventually("it listens, or has ended", || {
                let ended = server.child.try_wait().unwrap().is_some();
                (ended || TcpStream::connect(address).is_ok()).then_some(!ended)
            });
            if up {
                return server;
            }
        }
        panic!("{program} does not start");
    }

    fn get(&self, path: &str) -> String {
        ask(self.address, &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n")).1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A sink that has been sent something, with everything that it can publish.
fn options(path: &Path) -> PrometheusOptions {
    PrometheusOptions {
        labels: vec![("shard".into(), "a \"quoted\\ name\"".into())],
        fields: vec!["load.*".parse().unwrap()],
        ..PrometheusOptions::file(path)
    }
}

fn line(seq: u64) -> Frame {
    let line = format!("{{\"tick\":{seq},\"load\":{{\"cpu\":0.5,\"odd \\\"name\\\"\":1e300}}}}\n");
    Frame::new(Label::new("run", "town"), "snapshot", seq, seq, line)
}

#[test]
fn promtool_finds_nothing_to_say_about_the_file() {
    if !present("promtool") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    for run in ["run-1", "run-2"] {
        let pipeline = Pipeline::run(run);
        pipeline.accept(3);
        let mut sink = open(options(&path));
        sink.watch(pipeline);
        sink.connect().unwrap();
        sink.send(&[line(1), line(2)]).unwrap();
        drop(sink);
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(read(&path).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.trim().is_empty(), "{said}\n{}", read(&path));
    }
}

#[test]
fn node_exporter_publishes_the_files_of_two_shards_side_by_side() {
    if !present("prometheus-node-exporter") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let textfiles = folder.path().join("textfile");
    let mut sinks = ["a", "b"].map(|shard| {
        let labels = vec![("shard".to_owned(), shard.to_owned())];
        open(PrometheusOptions { labels, ..PrometheusOptions::file(textfiles.join(format!("{shard}.prom"))) })
    });
    for sink in &mut sinks {
        sink.watch(Pipeline::run("run-1"));
        sink.connect().unwrap();
        sink.send(&frames(1..=3)).unwrap();
    }
    let exporter = Server::start("prometheus-node-exporter", |address| {
        vec![
            format!("--web.listen-address={address}"),
            "--collector.disable-defaults".into(),
            "--collector.textfile".into(),
            format!("--collector.textfile.directory={}", textfiles.display()),
        ]
    });
    let text = exporter.get("/metrics");
    assert_eq!(sample(&text, "node_textfile_scrape_error"), Some(0.0), "{text}");
    for shard in ["a", "b"] {
        assert_eq!(sample(&text, &format!("townlet_telemetry_messages_total{{shard=\"{shard}\"}}")), Some(3.0));
    }
    sinks[0].send(&frames(4..=4)).unwrap();
    let text = exporter.get("/metrics");
    assert_eq!(sample(&text, "townlet_telemetry_messages_total{shard=\"a\"}"), Some(4.0));
    let accepted = sample(&text, "townlet_telemetry_accepted_total{shard=\"b\",sink=\"main\"}");
    assert_eq!(accepted, Some(0.0), "{text}");
}

/// The value that a PromQL expression has, where it has one.
fn query(prometheus: &Server, expression: &str) -> Option<String> {
    let encoded: String = expression.bytes().map(|b| format!("%{b:02X}")).collect();
    let answer = prometheus.get(&format!("/api/v1/query?query={encoded}"));
    let answer: serde_json::Value = serde_json::from_str(&answer).ok()?;
    Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
}

#[test]
fn a_prometheus_scrapes_with_the_token_and_answers_promql() {
    if !present("prometheus") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let scrape = ScrapeOptions {
        token: Some(Token::new(TOKEN).unwrap()),
        ..ScrapeOptions::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    };
    let mut sink = open(PrometheusOptions { scrape: Some(scrape), ..options(&folder.path().join("town.prom")) });
    let pipeline = Pipeline::run("run-1");
    pipeline.accept(10);
    pipeline.drop_some(4);
    sink.watch(pipeline);
    sink.connect().unwrap();
    sink.send(&[line(1), line(2)]).unwrap();
    let target = sink.scrape_address().unwrap();
    let config = folder.path().join("prometheus.yml");
    let yaml = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: townlet\n    authorization: {{credentials: {TOKEN}}}\n    \
         static_configs: [{{targets: ['{target}']}}]\n  - job_name: without\n    static_configs: [{{targets: ['{target}']}}]\n"
    );
    std::fs::write(&config, yaml).unwrap();
    let prometheus = Server::start("prometheus", |address| {
        vec![
            format!("--web.listen-address={address}"),
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()),
        ]
    });
    let answers = |expression: &str, expected: &str| {
        eventually(expression, || (query(&prometheus, expression)? == expected).then_some(()));
    };
    answers("up{job=\"townlet\"}", "1");
    answers("up{job=\"without\"}", "0");
    answers("townlet_telemetry_messages_total{job=\"townlet\"}", "2");
    answers("sum(townlet_telemetry_dropped_total) / sum(townlet_telemetry_accepted_total)", "0.4");
    answers("townlet_telemetry_field{path=\"load.cpu\",shard=~\"a .quoted.*\"}", "0.5");
    let quantile = "histogram_quantile(0.5, townlet_telemetry_flush_duration_seconds_bucket) < bool 0.005";
    answers(quantile, "1");
    sink.send(&[line(3)]).unwrap();
    answers("townlet_telemetry_messages_total", "3");
    answers("count(changes(townlet_telemetry_messages_total[1m]) > 0)", "1");
}
