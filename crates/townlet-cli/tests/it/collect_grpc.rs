//! `townlet collect --otlp-grpc`.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::{command, signal, text, townlet, townlet_in, write};

#[test]
fn the_address_is_announced_and_the_report_says_who_came() {
    let dir = TempDir::new().unwrap();
    let mut collect = command(&["collect", "--listen", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--json"]);
    collect.args(["--out", "collected", "--otlp-grpc-addr-file", "grpc.addr"]).current_dir(dir.path());
    let mut running = collect.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::with_capacity(1, running.stdout.take().unwrap());
    let mut lines = String::new();
    said.read_line(&mut lines).unwrap();
    said.read_line(&mut lines).unwrap();
    let address: SocketAddr = lines.split_whitespace().last().unwrap().parse().unwrap();
    assert!(lines.contains("taking OTLP over gRPC on"), "{lines}");
    // Somebody who speaks HTTP/1 is shown the door, and counted.
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut socket, b"GET / HTTP/1.1\r\n\r\nSM\r\n\r\n").unwrap();
    let _ = socket.read_to_end(&mut Vec::new());
    signal(&running, "TERM");
    let mut report = String::new();
    said.read_to_string(&mut report).unwrap();
    assert!(running.wait().unwrap().success(), "{report}");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["connections"][0]["via"], &report["endings"]["bad_request"]), (&"grpc".into(), &1.into()));
    assert_eq!(std::fs::read_to_string(dir.path().join("grpc.addr")).unwrap(), address.to_string());
}

#[test]
fn beyond_loopback_certificates_and_a_token_are_asked_for() {
    let dir = TempDir::new().unwrap();
    let open = townlet_in(dir.path(), &["collect", "--listen", "127.0.0.1:0", "--otlp-grpc", "0.0.0.0:0"]).expect(2);
    assert!(open.stderr.contains("--cert"), "{}", open.stderr);
    townlet(&["certs", "--out", text(dir.path())]).expect(0);
    let secured = ["collect", "--listen", "127.0.0.1:0", "--cert", "server.pem", "--key", "server.key"];
    let nobody = townlet_in(dir.path(), &[&secured[..], &["--otlp-grpc", "0.0.0.0:0"]].concat()).expect(2);
    assert!(nobody.stderr.contains("--otlp-grpc-token-file"), "{}", nobody.stderr);
    write(dir.path(), "token", "short");
    let short = ["--otlp-grpc", "127.0.0.1:0", "--otlp-grpc-token-file", "token"];
    let short = townlet_in(dir.path(), &[&secured[..], &short].concat()).expect(2);
    assert!(short.stderr.contains("8 to 512") && !short.stderr.contains("short"), "{}", short.stderr);
    let alone = townlet_in(dir.path(), &["collect", "--otlp-grpc-token-file", "token"]).expect(2);
    assert!(alone.stderr.contains("--otlp-grpc"), "{}", alone.stderr);
}
