//! `townlet collect --web`: a town's lines over HTTP, and what an operator asks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use townlet_tls::{ClientOptions, ClientTls, Endpoint};

use crate::support::{command, lines_below, signal, text, townlet, write};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(dir: &Path, address: SocketAddr, path: &str, token: &str) -> String {
    let options = ClientOptions { ca_file: Some(dir.join("ca.pem")), ..ClientOptions::default() };
    let endpoint = Endpoint::parse(&format!("localhost:{}", address.port())).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut stream = ClientTls::load(&options).unwrap().handshake(socket, &endpoint, deadline).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_town_sends_over_https_and_the_operator_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    townlet(&["certs", "--out", text(dir)]).expect(0);
    write(dir, "token", "hunter2-hunter2\n");
    let mut collect = command(&["collect", "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0", "--json"]);
    collect.args(["--cert", "server.pem", "--key", "server.key", "--out", "collected", "--web-token-file", "token"]);
    collect.args(["--web-addr-file", "web.addr", "--max-connections", "1000"]).current_dir(dir);
    let mut running = Running(collect.stdout(Stdio::piped()).spawn().unwrap());
    let mut said = BufReader::with_capacity(1, running.0.stdout.take().unwrap());
    let mut lines = String::new();
    said.read_line(&mut lines).unwrap();
    said.read_line(&mut lines).unwrap();
    let address = lines.split_whitespace().last().unwrap().parse::<SocketAddr>().unwrap();
    assert!(lines.contains("serving the web on"), "{lines}");

    let yaml = format!(
        "telemetry:\n  transport:\n    type: http\n    endpoint: https://localhost:{}/v1/telemetry\n    ca_file: \
         ca.pem\n    compression: gzip\n    auth: {{bearer_file: token}}\n    settle_at: peer_acked\n  worker: \
         {{backpressure: block, block_timeout_seconds: 5.0, shutdown_timeout_seconds: 30}}\n",
        address.port()
    );
    let config = write(dir, "http.yaml", &yaml);
    let status = dir.join("status.json");
    townlet(&["simulate", "--config", &config, "--agents", "3", "--ticks", "50", "--status-path", text(&status)])
        .expect(0);
    let status: serde_json::Value = serde_json::from_slice(&std::fs::read(status).unwrap()).unwrap();

    assert!(ask(dir, address, "/health", "").ends_with("\r\n\r\n{\"status\":\"ok\"}"));
    assert!(ask(dir, address, "/metrics", "wrong-wrong").starts_with("HTTP/1.1 401 "));
    let metrics = ask(dir, address, "/metrics", "hunter2-hunter2");
    let stored =
        metrics.lines().find_map(|line| line.strip_prefix("townlet_collector_lines_total{outcome=\"stored\"} "));
    let stored: usize = stored.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap();
    assert!(stored > 50 && metrics.contains("parser_failure_total{error_code=\"syntax\"} 0"), "{metrics}");

    signal(&running.0, "TERM");
    let mut report = String::new();
    said.read_to_string(&mut report).unwrap();
    assert!(running.0.wait().unwrap().success(), "{report}");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["totals"]["stored"], &report["missing"]), (&stored.into(), &0.into()));
    assert_eq!(lines_below(&dir.join("collected")).len(), stored);
    assert_eq!(std::fs::read_to_string(dir.join("web.addr")).unwrap(), address.to_string());
    assert_eq!(status["statement"]["residual"], 0, "{status}");
}

#[test]
fn a_town_sends_otlp_to_the_collector_and_each_delivered_line_is_a_stored_record() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut collect = command(&["collect", "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0", "--out", "collected"]);
    let mut running = Running(collect.current_dir(dir).stdout(Stdio::piped()).spawn().unwrap());
    let mut said = BufReader::new(running.0.stdout.take().unwrap());
    let mut lines = String::new();
    said.read_line(&mut lines).unwrap();
    said.read_line(&mut lines).unwrap();
    let address = lines.split_whitespace().last().unwrap();
    let yaml = format!(
        "telemetry:\n  transport:\n    type: otlp\n    endpoint: http://{address}\n    allow_plaintext: true\n    \
         dev_allow_plaintext: true\n    settle_at: peer_acked\n    send_timeout_seconds: 30\n  worker: \
         {{backpressure: block, block_timeout_seconds: 5.0, shutdown_timeout_seconds: 30}}\n"
    );
    let config = write(dir, "otlp.yaml", &yaml);
    let status = dir.join("status.json");
    townlet(&["simulate", "--config", &config, "--agents", "3", "--ticks", "20", "--status-path", text(&status)])
        .expect(0);
    let status: serde_json::Value = serde_json::from_slice(&std::fs::read(status).unwrap()).unwrap();
    signal(&running.0, "TERM");
    assert!(running.0.wait().unwrap().success());
    let stored = lines_below(&dir.join("collected"));
    let of = |kind: &str| stored.iter().filter(|line| line["payload_type"] == kind).count();
    let delivered = status["statement"]["delivered"].as_u64().unwrap();
    assert!(delivered > 20 && of("otlp.log") as u64 >= delivered, "{status}");
    assert!(of("otlp.metric") > 0 && of("otlp.span") > 0);
}

#[test]
fn a_web_listener_that_others_could_use_needs_tls_and_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    townlet(&["certs", "--out", text(dir)]).expect(0);
    let (cert, key) = (dir.join("server.pem"), dir.join("server.key"));
    let base = ["collect", "--listen", "127.0.0.1:0", "--out", text(dir), "--duration", "1ms", "--web"];
    let refused = townlet(&[&base[..], &["0.0.0.0:0"]].concat()).expect(2);
    assert!(refused.stderr.contains("--cert"), "{}", refused.stderr);
    let secure = ["0.0.0.0:0", "--cert", text(&cert), "--key", text(&key)];
    let refused = townlet(&[&base[..], &secure].concat()).expect(2);
    assert!(refused.stderr.contains("--web-token-file"), "{}", refused.stderr);
    let short = write(dir, "short", "hunter2\n");
    let refused = townlet(&[&base[..], &secure, &["--web-token-file", &short]].concat()).expect(2);
    assert!(refused.stderr.contains("8 to 512") && !refused.stderr.contains("hunter2"), "{}", refused.stderr);
    let refused = townlet(&["collect", "--live-streams", "3"]).expect(2);
    assert!(refused.stderr.contains("--web"), "{}", refused.stderr);
    townlet(&[&base[..], &["127.0.0.1:0"]].concat()).expect(0);
}
