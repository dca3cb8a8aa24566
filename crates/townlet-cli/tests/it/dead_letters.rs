//! `dead_letters`: what a real peer refuses for good ends in a file, and is sent again from there.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use townlet_testkit::http::{Reply, Request, Server, status};
use tungstenite::handshake::server::{Request as Upgrade, Response};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message};

use crate::support::{text, townlet, townlet_in, write};

/// Refuses whatever holds a line of tick 7.
fn not_the_seventh(request: &Request) -> Reply {
    let seventh = request.lines().iter().any(|line| tick(&serde_json::from_slice(line).unwrap()) == Some(7));
    status(if seventh { 422 } else { 200 })
}

/// Of OTLP: every record is wrong.
fn nothing(request: &Request) -> Reply {
    status(if request.path == "/v1/logs" { 400 } else { 200 })
}

fn tick(line: &Value) -> Option<u64> {
    line["tick"].as_u64()
}

fn json_lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a run with a peer that refuses something left behind.
struct Refused {
    dir: TempDir,
    status: Value,
    letters: Vec<Value>,
}

/// A town that talks to this peer, and counts for Prometheus beside it.
fn town(sink: &str) -> Refused {
    let dir = TempDir::new().unwrap();
    let yaml = format!(
        "telemetry:\n  diff_enabled: false\n  transport:\n{sink}    allow_plaintext: true\n    \
         dev_allow_plaintext: true\n    settle_at: peer_acked\n    send_timeout_seconds: 30\n    \
         retry: {{backoff_seconds: 0.02, max_backoff_seconds: 0.1}}\n    buffer: {{max_buffer_bytes: 8388608}}\n    \
         dead_letters: {{path: refused.jsonl}}\n  sinks:\n    figures: {{type: prometheus, file_path: town.prom}}\n  \
         worker: {{shutdown_timeout_seconds: 120}}\n"
    );
    let config = write(dir.path(), "town.yaml", &yaml);
    let status = dir.path().join("status.json");
    let arguments = ["simulate", "--config", &config, "--ticks", "12", "--agents", "3", "--deterministic"];
    townlet_in(dir.path(), &[&arguments[..], &["--status-path", text(&status)]].concat()).expect(0);
    let status = serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap();
    let letters = json_lines(&dir.path().join("refused.jsonl"));
    Refused { dir, status, letters }
}

impl Refused {
    /// The books, the status, the file and the figures say the same.
    fn agree(&self, reason: &str) {
        let statement = &self.status["statement"];
        let kept: Value = self.letters.len().into();
        assert_eq!((&statement["dropped"][reason], &statement["residual"]), (&kept, &0.into()), "{statement}");
        assert!(!self.letters.is_empty());
        for letter in &self.letters {
            let about = &letter["dead_letter"];
            assert_eq!((&about["sink"], &about["reason"]), (&"main".into(), &reason.into()));
        }
        let bytes = std::fs::metadata(self.dir.path().join("refused.jsonl")).unwrap().len();
        let report = &self.status["dead_letters"][0];
        assert_eq!((&report["kept"], &report["bytes"], &report["failed"]), (&kept, &bytes.into(), &0.into()));
        let counts = &self.status["transport"]["dead_letters"][reason];
        assert_eq!((&counts["kept"], &counts["bytes"]), (&kept, &bytes.into()), "{}", self.status);
        let figures = std::fs::read_to_string(self.dir.path().join("town.prom")).unwrap();
        let labels = format!("reason=\"{reason}\",sink=\"main\"");
        for line in [
            format!("townlet_telemetry_dead_letters_total{{outcome=\"kept\",{labels}}} {kept}"),
            format!("townlet_telemetry_dead_letters_total{{outcome=\"beyond_limit\",{labels}}} 0"),
            format!("townlet_telemetry_dead_letter_bytes_total{{{labels}}} {bytes}"),
        ] {
            assert!(figures.lines().any(|other| other == line), "{line} is not in\n{figures}");
        }
    }

    /// Sent to a peer that takes all, what was refused arrives as it was.
    fn replays(&self) {
        let file = "telemetry:\n  transport: {type: file, file_path: again.jsonl}\n";
        let config = write(self.dir.path(), "f.yaml", file);
        let account = townlet(&["replay", text(&self.dir.path().join("refused.jsonl")), "--config", &config, "--json"]);
        assert_eq!(account.expect(0).json()["statement"]["delivered"], self.letters.len());
        let again = json_lines(&self.dir.path().join("again.jsonl"));
        let again: Vec<&Value> = again.iter().filter(|line| line["payload_type"] != "run").collect();
        assert_eq!(again, self.letters.iter().map(|letter| &letter["line"]).collect::<Vec<_>>());
    }

    fn errors_say(&self, what: &str) {
        for letter in &self.letters {
            assert!(letter["dead_letter"]["error"].as_str().unwrap().contains(what), "{letter}");
        }
    }
}

#[test]
fn what_a_peer_answers_with_4xx_is_kept_with_its_reason_and_replayed() {
    for (kind, decide, code) in
        [("http", not_the_seventh as fn(&Request) -> Reply, "422"), ("otlp, format: json", nothing, "400")]
    {
        let server = Server::start(Reply::Decide(decide));
        let sink = kind.replace(", ", "\n    ");
        let refused = town(&format!("    type: {sink}\n    endpoint: http://{}/\n", server.address));
        refused.agree("rejected");
        refused.errors_say(code);
        refused.replays();
        if kind == "http" {
            assert!(refused.letters.iter().all(|letter| tick(&letter["line"]) == Some(7)), "the others were taken");
            continue;
        }
        let metrics = server.requests().into_iter().rfind(|request| request.path == "/v1/metrics").unwrap();
        let metrics = String::from_utf8(metrics.content()).unwrap();
        for name in ["townlet.telemetry.dead_letters", "townlet.telemetry.dead_letter_bytes"] {
            assert!(metrics.contains(&format!("\"{name}\"")), "{name} is not in {metrics}");
        }
    }
}

/// Ends the connection where it is sent something that it does not take.
#[derive(Clone, Copy)]
enum Taste {
    /// With this code, for lines of tick 7.
    NotTheSeventh(u16),
    /// With 1009, for messages of more bytes.
    AtMost(usize),
}

fn websocket(taste: Taste) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            std::thread::spawn(move || serve(socket.unwrap(), taste));
        }
    });
    address
}

fn serve(socket: TcpStream, taste: Taste) {
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let choose = |_: &Upgrade, mut response: Response| {
        response.headers_mut().insert("sec-websocket-protocol", "townlet.v1".parse().unwrap());
        Ok(response)
    };
    let Ok(mut socket) = tungstenite::accept_hdr(socket, choose) else { return };
    if let Taste::AtMost(bytes) = taste {
        socket.set_config(|config| config.max_message_size = Some(bytes));
    }
    let mut count = 0;
    loop {
        let (lines, refuses) = match socket.read() {
            Ok(Message::Text(text)) => {
                let ticks = text.lines().map(|line| tick(&serde_json::from_str(line).unwrap()));
                let code = ticks.fold(None, |code, tick| match taste {
                    Taste::NotTheSeventh(refused) if tick == Some(7) => Some(refused),
                    _ => code,
                });
                (text.lines().count(), code)
            }
            Ok(_) => continue,
            Err(Error::Capacity(_)) => (0, Some(1009)),
            Err(_) => return,
        };
        if let Some(code) = refuses {
            // Who reads on ends the connection without a reset.
            let _ = socket.close(Some(CloseFrame { code: code.into(), reason: "".into() }));
            continue;
        }
        count += lines;
        if socket.send(Message::text(format!("{{\"ack\":{count}}}"))).is_err() {
            return;
        }
    }
}

#[test]
fn what_a_websocket_peer_ends_connections_for_is_kept_with_its_code_and_replayed() {
    for code in [1007, 1008] {
        let address = websocket(Taste::NotTheSeventh(code));
        let refused = town(&format!("    type: websocket\n    websocket_url: ws://{address}/\n"));
        refused.agree("rejected");
        refused.errors_say(&code.to_string());
        assert!(refused.letters.iter().all(|letter| tick(&letter["line"]) == Some(7)), "the others were taken");
        assert!(refused.status["statement"]["delivered"].as_u64().unwrap() > 30, "{}", refused.status);
        refused.replays();
    }
}

#[test]
fn what_a_websocket_peer_calls_too_big_is_kept_as_oversize_and_the_rest_arrives() {
    let most = 3000;
    let address = websocket(Taste::AtMost(most));
    let refused = town(&format!("    type: websocket\n    websocket_url: ws://{address}/\n"));
    refused.agree("oversize");
    for letter in &refused.letters {
        // Written again, without what a line may have between its parts.
        assert!(letter["line"].to_string().len() + 1 > most, "{letter}");
    }
    assert!(refused.status["statement"]["delivered"].as_u64().unwrap() > 10, "{}", refused.status);
    refused.replays();
}
