//! The sample configurations, each run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use tempfile::TempDir;

use crate::support::{Collector, samples, text, townlet, townlet_in};
use crate::websocket::WsServer;

/// Copies `samples/configs` with certificates beside it, pointing tcp sinks at `tcp`,
/// HTTP ones at `http`, WebSocket ones at `ws` and those for NATS at `nats`.
fn prepared(dir: &TempDir, tcp: u16, http: u16, ws: u16, nats: Option<u16>) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(samples().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_owned();
        let copy = dir.path().join(&name);
        // Where there is no server, that was said.
        if path.is_file() && (nats.is_some() || name != "nats.yaml") {
            let yaml = std::fs::read_to_string(&path).unwrap();
            let yaml: Vec<String> = yaml
                .lines()
                .map(|line| match (line.split_once("endpoint: "), line.split_once("websocket_url: ")) {
                    (Some((indent, url)), _) if url.contains("http") => {
                        format!("{indent}endpoint: http://localhost:{http}/")
                    }
                    (Some((indent, url)), _) if url.contains("tls://") => {
                        format!("{indent}endpoint: tls://localhost:{}", nats.unwrap_or_default())
                    }
                    (Some((indent, _)), _) => format!("{indent}endpoint: localhost:{tcp}"),
                    (_, Some((indent, _))) => format!("{indent}websocket_url: wss://localhost:{ws}/ws"),
                    _ => line.to_owned(),
                })
                .collect();
            std::fs::write(&copy, yaml.join("\n") + "\n").unwrap();
            files.push(copy);
        }
    }
    files.sort();
    files
}

/// Takes every request on a port of its own, as long as the process lives.
fn http_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = |socket: TcpStream| -> Option<()> {
        let mut input = BufReader::new(socket.try_clone().ok()?);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                input.read_line(&mut line).ok().filter(|got| *got > 0)?;
                match line.to_ascii_lowercase().split_once(':') {
                    Some(("content-length", value)) => length = value.trim().parse().ok()?,
                    Some(_) => {}
                    None if line.trim().is_empty() => break,
                    None => {}
                }
            }
            input.read_exact(&mut vec![0; length]).ok()?;
            // An empty message of OTLP: all was taken. Others look at the status alone.
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
            (&socket).write_all(head).ok()?;
        }
    };
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|socket| drop(std::thread::spawn(move || serve(socket))))
    });
    port
}

#[test]
fn every_sample_configuration_runs_and_balances() {
    let dir = TempDir::new().unwrap();
    let certs = dir.path().join("tls");
    townlet(&["certs", "--out", text(&certs)]).expect(0);
    let collector = Collector::start(&certs, &dir.path().join("collected"));
    let server = WsServer::start(&certs);
    let nats = crate::nats::secure(&certs);
    let port = nats.as_ref().map(townlet_testkit::nats::NatsServer::port);
    let files = prepared(&dir, collector.port, http_server(), server.port, port);
    assert!(files.len() >= 7, "{files:?}");
    for file in files {
        let status = dir.path().join("status.json");
        townlet_in(
            dir.path(),
            &["simulate", "--config", text(&file), "--ticks", "20", "--agents", "3", "--status-path", text(&status)],
        )
        .expect(0);
        let status: serde_json::Value = serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap();
        assert_eq!(status["statement"]["residual"], 0, "{}: {status}", file.display());
        assert!(status["statement"]["delivered"].as_u64() > Some(0), "{}: {status}", file.display());
    }
}
