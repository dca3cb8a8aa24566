use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use townlet_testkit::frames;
use townlet_transport::{ErrorKind, Transport};
use townlet_transport_prometheus::{PrometheusOptions, PrometheusTransport, ScrapeOptions, Token};

use crate::fakes::Pipeline;
use crate::{PATIENCE, eventually, open, sample};

fn serving(change: impl FnOnce(&mut ScrapeOptions)) -> (PrometheusTransport, SocketAddr) {
    let mut options = ScrapeOptions::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    change(&mut options);
    let mut sink = open(PrometheusOptions { scrape: Some(options), ..PrometheusOptions::default() });
    sink.watch(Pipeline::run("run-1"));
    assert_eq!(sink.scrape_address(), None, "building opens no socket");
    sink.connect().unwrap();
    let address = sink.scrape_address().unwrap();
    (sink, address)
}

/// Status line and body.
pub(crate) fn ask(address: SocketAddr, head: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

fn get(address: SocketAddr) -> (String, String) {
    ask(address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[test]
fn a_scrape_gets_what_the_file_would_hold_and_goes_on_after_a_close() {
    let (mut sink, address) = serving(|_| {});
    assert!(address.ip().is_loopback());
    sink.send(&frames(1..=3)).unwrap();
    let (status, text) = get(address);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(sample(&text, "townlet_telemetry_messages_total"), Some(3.0), "{text}");
    assert_eq!(sample(&text, "townlet_telemetry_accepted_total{sink=\"main\"}"), Some(0.0));
    sink.close();
    eventually("an outage of the sink can be seen", || {
        let (status, text) = get(address);
        (status.ends_with("200 OK") && text.contains("messages_total 3")).then_some(())
    });
    sink.connect().unwrap();
    sink.send(&frames(4..=4)).unwrap();
    eventually("figures are at most a tenth of a second old", || {
        (sample(&get(address).1, "townlet_telemetry_messages_total") == Some(4.0)).then_some(())
    });
    drop(sink);
    assert!(TcpStream::connect(address).is_err(), "nobody listens once the transport is gone");
}

#[test]
fn other_requests_get_other_answers() {
    let (_sink, address) = serving(|_| {});
    for (head, status) in [
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET /other HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed"),
        ("nonsense\r\n\r\n", "400 Bad Request"),
    ] {
        let (got, body) = ask(address, head);
        assert_eq!(got, format!("HTTP/1.1 {status}"), "{head}");
        assert_eq!(body.is_empty(), head.starts_with("HEAD"), "{head}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(8000));
    assert_eq!(ask(address, &long).0, "HTTP/1.1 200 OK");
    let endless = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(10_000));
    assert_eq!(ask(address, &endless).0, "HTTP/1.1 431 Request Header Fields Too Large");
}

#[test]
fn with_a_token_nothing_is_told_without_it() {
    let (_sink, address) = serving(|o| o.token = Some(Token::new("a-long-enough-token").unwrap()));
    assert_eq!(get(address), ("HTTP/1.1 401 Unauthorized".into(), "401 Unauthorized\n".into()));
    let with = |token: &str| ask(address, &format!("GET /metrics HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n")).0;
    assert_eq!(with("a-long-enough-tokem"), "HTTP/1.1 401 Unauthorized");
    assert_eq!(with("a-long-enough-token"), "HTTP/1.1 200 OK");
}

#[test]
fn slow_clients_are_cut_off_and_too_many_are_turned_away() {
    let (_sink, address) = serving(|o| {
        o.max_connections = 2;
        o.timeout = Duration::from_millis(500);
    });
    let started = Instant::now();
    let mut slow: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /met").unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        })
        .collect();
    let mut turned_away = TcpStream::connect(address).unwrap();
    let mut answer = String::new();
    turned_away.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    for stream in &mut slow {
        // One byte at a time buys no time.
        let _ = stream.write_all(b"r");
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0, "cut off without an answer");
    }
    assert!(started.elapsed() >= Duration::from_millis(500));
    eventually("there is room again", || get(address).0.ends_with("200 OK").then_some(()));
}

#[test]
fn a_taken_address_is_an_error_to_retry() {
    let (sink, address) = serving(|_| {});
    let mut other = open(PrometheusOptions::scrape(address));
    let error = other.connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.kind().is_retryable() && error.to_string().contains(&address.to_string()), "{error}");
    drop(sink);
    other.connect().unwrap();
    assert_eq!(get(address).0, "HTTP/1.1 200 OK");
}
