//! `transport.type: websocket` from a configuration file to a server's hands.

use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use townlet_tls::{ServerOptions, ServerTls};
use tungstenite::Message;
use tungstenite::handshake::server::{Request, Response};

use crate::support::{command, samples, text, townlet, write};

/// Speaks `townlet.v1` under TLS, keeps and acknowledges every line.
pub(crate) struct WsServer {
    pub(crate) port: u16,
    lines: Arc<Mutex<Vec<Value>>>,
    tokens: Arc<Mutex<Vec<Option<String>>>>,
}

impl WsServer {
    /// With the server's certificate of `certs`.
    pub(crate) fn start(certs: &Path) -> Self {
        let tls = ServerTls::load(&ServerOptions::new(certs.join("server.pem"), certs.join("server.key"))).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server =
            Self { port: listener.local_addr().unwrap().port(), lines: Arc::default(), tokens: Arc::default() };
        let (lines, tokens) = (Arc::clone(&server.lines), Arc::clone(&server.tokens));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (tls, lines, tokens) = (tls.clone(), Arc::clone(&lines), Arc::clone(&tokens));
                std::thread::spawn(move || {
                    let deadline = Instant::now() + Duration::from_secs(60);
                    let stream = tls.handshake(socket.unwrap(), "the shard", deadline).unwrap();
                    serve(stream, &lines, &tokens);
                });
            }
        });
        server
    }
}

fn serve(stream: townlet_tls::ServerStream, lines: &Mutex<Vec<Value>>, tokens: &Mutex<Vec<Option<String>>>) {
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let choose = |request: &Request, mut response: Response| {
        let token = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        tokens.lock().unwrap().push(token);
        response.headers_mut().insert("sec-websocket-protocol", "townlet.v1".parse().unwrap());
        Ok(response)
    };
    let mut socket = tungstenite::accept_hdr(stream, choose).unwrap();
    let mut count = 0;
    while let Ok(message) = socket.read() {
        let Message::Text(message) = message else { continue };
        let parsed = message.lines().map(|line| serde_json::from_str(line).unwrap());
        let mut kept = lines.lock().unwrap();
        let before = kept.len();
        kept.extend(parsed);
        count += kept.len() - before;
        drop(kept);
        if socket.send(Message::text(format!("{{\"ack\":{count}}}"))).is_err() {
            break;
        }
    }
}

#[test]
fn a_run_is_delivered_over_websocket_and_every_line_acknowledged() {
    let dir = TempDir::new().unwrap();
    let certs = dir.path().join("tls");
    townlet(&["certs", "--out", text(&certs)]).expect(0);
    let server = WsServer::start(&certs);
    let token = write(dir.path(), "token", "s3cret\n");
    let sample = std::fs::read_to_string(samples().join("configs/websocket.yaml")).unwrap();
    let config = sample
        .replace(":9444", &format!(":{}", server.port))
        .replace("# auth: {bearer_file: /run/secrets/telemetry-token}", &format!("auth: {{bearer_file: {token}}}"));
    let config = write(dir.path(), "websocket.yaml", &config);
    let status = dir.path().join("status.json");
    let ran =
        command(&["simulate", "--config", &config, "--ticks", "20", "--agents", "3", "--status-path", text(&status)])
            .output()
            .unwrap();
    let said = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(ran.status.success(), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let status: Value = serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap();
    assert!(!status.to_string().contains("s3cret"), "{status}");
    let statement = &status["statement"];
    assert_eq!(statement["residual"], 0, "{status}");
    assert_eq!(statement["delivered"], statement["accepted"], "{status}");
    assert_eq!(server.lines.lock().unwrap().len() as u64, statement["delivered"].as_u64().unwrap(), "{status}");
    let tokens = server.tokens.lock().unwrap();
    assert!(!tokens.is_empty() && tokens.iter().all(|token| token.as_deref() == Some("Bearer s3cret")), "{tokens:?}");
}

#[test]
fn validate_finds_what_cannot_work_over_websocket() {
    let dir = TempDir::new().unwrap();
    for (keys, hint) in [
        ("websocket_url: ws://localhost:9/ws", "allow_plaintext"),
        (
            "websocket_url: ws://collector.example/ws\n    allow_plaintext: true\n    dev_allow_plaintext: true",
            "this machine only",
        ),
        ("websocket_url: wss://collector.example/ws\n    auth: {bearer_env: TOWNLET_NO_SUCH_TOKEN}", "auth.bearer_env"),
        ("websocket_url: wss://collector.example/ws\n    ca_file: no.pem", "no.pem"),
        ("websocket_url: wss://collector.example/ws#x", "fragment"),
    ] {
        let yaml = format!("telemetry:\n  transport:\n    type: websocket\n    {keys}\n");
        let ran = townlet(&["validate", &write(dir.path(), "w.yaml", &yaml)]).expect(2);
        assert!(ran.stderr.contains(hint), "{keys}: {}", ran.stderr);
    }
}
