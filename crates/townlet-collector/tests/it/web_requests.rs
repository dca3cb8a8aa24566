//! The web listener: who is answered what.

use std::sync::Arc;
use std::time::Duration;

use townlet_collector::web::{BearerToken, Request, Response, WebOptions};
use townlet_collector::{Collector, CollectorError, CollectorOptions, EndKind, Security};

use crate::support::*;
use crate::web_support::*;

#[test]
fn health_is_ok_for_everybody_and_the_rest_wants_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options().with_token(BearerToken::new("hunter2-hunter2").unwrap()));
    let mut client = Client::of(&collector);
    let health = client.get("/health");
    assert_eq!((health.status, health.body.as_str()), (200, r#"{"status":"ok"}"#));
    for path in ["/metrics", "/v1/streams", "/nowhere"] {
        let mut client = Client::of(&collector);
        let refused = client.get(path);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{path}");
        assert!(!refused.body.contains("hunter2"));
        assert!(client.is_closed());
        let authorized = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hunter2-hunter2\r\n\r\n");
        let answer = Client::of(&collector).say(authorized).answer();
        assert_eq!(answer.status, if path == "/nowhere" { 404 } else { 200 }, "{path}");
    }
    drop(client);
    stop(collector);
}

#[test]
fn a_connection_is_used_for_many_requests_until_one_says_close() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let mut client = Client::of(&collector);
    for _ in 0..3 {
        assert_eq!(client.get("/health").header("connection"), Some("keep-alive"));
    }
    client.say("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.answer().body, r#"{"status":"ok"}"#, "requests sent ahead are answered in order");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut client.0, &mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "and HEAD has no body");
    client.say("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().header("connection"), Some("close"));
    assert!(client.is_closed());
    let report = stop(collector);
    assert_eq!((report.connections_accepted, report.endings.get("finished")), (1, Some(&1)));
    assert!(report.connections.is_empty(), "requests without lines push nothing out of the report");
}

#[test]
fn a_target_in_absolute_form_is_served_and_its_host_is_the_one_that_counts() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    for (target, host, status) in [
        ("http://localhost/metrics", "localhost", 200),
        ("http://localhost:80/metrics", "proxied.example", 200),
        ("http://localhost/nowhere", "localhost", 404),
        ("http://evil.example/metrics", "localhost", 403),
        ("http://localhost@evil.example/metrics", "localhost", 400),
    ] {
        let asked = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Client::of(&collector).say(asked).answer().status, status, "{target} {host}");
    }
    stop(collector);
}

#[test]
fn what_is_no_request_for_us_is_answered_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let web = WebOptions { max_head_bytes: 1000, max_body_bytes: 1000, ..web_options() };
    let echo =
        Arc::new(|request: &Request<'_>| Response::text(200, std::str::from_utf8(request.body()).unwrap_or("?")));
    let fails = Arc::new(|_: &Request<'_>| -> Response { panic!("as a test wants it") });
    let collector = with_web(dir.path(), web.with_route("POST", "/echo", echo).with_route("GET", "/fails", fails));
    let big = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1000));
    let post = |rest: &str| format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{rest}");
    for (request, status) in [
        ("GET /health HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 404),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), 403),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n".to_owned(), 403),
        ("DELETE /health HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 405),
        ("GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n".to_owned(), 505),
        ("\x16\x03\x01\r\n\r\n".to_owned(), 400),
        ("GET /fails HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 500),
        (big, 431),
        (post("Content-Length: 1001\r\n\r\n"), 413),
        (post("Content-Length: 99999999999999999999\r\n\r\n"), 413),
        (post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\n\r\n3E9\r\n"), 413),
        // What one reader takes for an end of a line and another does not.
        ("GET /health HTTP/1.1\nHost: localhost\n\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n".to_owned(), 400),
        (post("Transfer-Encoding: chunked\n\n0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\n\r\n\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\n\r\n;x\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\n\r\n2;x\nab\r\n0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\n\r\n\r\n"), 400),
        (post(&format!("Transfer-Encoding: chunked\r\n\r\n0\r\n{}\r\n", "Trailer: x\r\n".repeat(800))), 400),
        (post("Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx"), 415),
        (post("Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"), 400),
        (post("Content-Length: 3\r\n\r\nabc"), 200),
        (post("Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nTrailer: x\r\n\r\n"), 200),
    ] {
        let answer = Client::of(&collector).say(&request).answer();
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        match status {
            200 => assert_eq!(answer.body, "abc", "{request:?}"),
            405 => assert_eq!(answer.header("allow"), Some("GET")),
            _ => assert!(answer.body.starts_with(r#"{"error":""#), "{answer:?}"),
        }
    }
    stop(collector);
}

#[test]
fn leave_to_send_a_body_is_given_before_it_and_refused_where_it_is_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let echo =
        Arc::new(|request: &Request<'_>| Response::text(200, std::str::from_utf8(request.body()).unwrap_or("?")));
    let collector = with_web(dir.path(), web_options().with_route("POST", "/echo", echo));
    let mut client = Client::of(&collector);
    client.say("POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    assert_eq!(client.say("ok").answer().body, "ok");
    client.say("POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    assert_eq!(client.answer().status, 413);
    drop(client);
    stop(collector);
}

#[test]
fn a_body_takes_room_as_it_comes_and_an_announced_one_takes_none() {
    let dir = tempfile::tempdir().unwrap();
    let web = WebOptions { max_body_bytes: 1000, max_bytes_in_flight: 1000, ..web_options() };
    let echo =
        Arc::new(|request: &Request<'_>| Response::text(200, std::str::from_utf8(request.body()).unwrap_or("?")));
    let collector = with_web(dir.path(), web.with_route("POST", "/echo", echo));
    let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n";
    let silent =
        ["Content-Length: 1000\r\n", "Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"].map(|body| {
            let mut client = Client::of(&collector);
            assert_eq!(client.say(format!("{head}{body}\r\n")).answer().status, 100);
            client.say(if body.starts_with('T') { "3E8\r\n" } else { "" });
            client
        });
    let answer = Client::of(&collector).say(format!("{head}Content-Length: 1000\r\n\r\n{}", "x".repeat(1000))).answer();
    assert_eq!((answer.status, answer.body.len()), (200, 1000), "silence takes no room");
    drop(silent);
    stop(collector);
}

#[test]
fn who_asks_for_something_brings_no_body_and_least_of_all_without_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options().with_token(BearerToken::new("hunter2-hunter2").unwrap()));
    for request in [
        "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 25165824\r\n\r\n",
        "HEAD /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hunter2-hunter2\r\nContent-Length: 1\r\n\r\n",
    ] {
        let mut client = Client::of(&collector);
        client.say(request);
        let mut answer = [0; 12];
        std::io::Read::read_exact(&mut client.0, &mut answer).unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), "HTTP/1.1 400", "{request:?}");
    }
    let mut client = Client::of(&collector);
    client.say("GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    // Without the token a body is not waited for.
    let refused =
        Client::of(&collector).say("POST /v1/telemetry HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n").answer();
    assert_eq!(refused.status, 401);
    drop(client);
    stop(collector);
}

#[test]
fn a_request_that_trickles_in_is_cut_and_one_connection_too_many_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let web = WebOptions {
        head_timeout: Duration::from_secs(2),
        body_timeout: Duration::from_secs(2),
        max_connections: 3,
        ..web_options()
    };
    let echo = Arc::new(|_: &Request<'_>| Response::text(200, ""));
    let collector = with_web(dir.path(), web.with_route("POST", "/echo", echo));
    let mut quiet = Client::of(&collector);
    assert_eq!(quiet.get("/health").status, 200);
    for begin in ["GET /health HTTP/1.1\r\n", "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n"]
    {
        let mut slow = Client::of(&collector);
        slow.say(begin);
        // One byte after the other buys no time.
        slow.0.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let begun = std::time::Instant::now();
        while slow.0.peek(&mut [0]).is_err() {
            slow.say("x");
            assert!(begun.elapsed() < PATIENCE, "nobody cut the request");
        }
        slow.0.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(slow.answer().status, 408);
    }
    wait_for(&collector, "the cuts", |report| report.endings.get("request_timeout") == Some(&2));
    assert_eq!(quiet.get("/health").status, 200, "a connection between two requests is not slow");
    let mut others = [Client::of(&collector), Client::of(&collector)];
    for other in &mut others {
        assert_eq!(other.get("/health").status, 200);
    }
    assert!(Client::of(&collector).is_closed());
    assert_eq!(collector.report().connections_refused, 1);
    // The listener of lines has room of its own.
    send_plain(&collector, &line("town", 1));
    drop((quiet, others));
    stop(collector);
}

#[test]
fn a_connection_without_a_request_ends_after_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), WebOptions { keep_alive: Duration::from_secs(2), ..web_options() });
    let mut client = Client::of(&collector);
    assert_eq!(client.get("/health").status, 200);
    assert!(client.is_closed());
    let report = stop(collector);
    assert_eq!(report.endings.get(EndKind::Finished.as_str()), Some(&1));
}

#[test]
fn beyond_loopback_there_is_no_listening_without_tls_and_token() {
    let dir = tempfile::tempdir().unwrap();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let bind = |web: WebOptions| {
        let options = CollectorOptions { web: Some(web), ..plain(dir.path()) };
        Collector::bind(options).map(stop)
    };
    let token = BearerToken::new("hunter2-hunter2").unwrap();
    let open = WebOptions { listen: everywhere, ..web_options() }.with_token(token.clone());
    assert!(matches!(bind(open), Err(CollectorError::PlaintextExposed(_))));
    let pki = townlet_testkit::certs::Pki::new();
    let secure = WebOptions::new(everywhere, web_tls(&pki));
    let error = bind(secure.clone()).unwrap_err();
    assert!(matches!(error, CollectorError::TokenMissing(_)) && error.to_string().contains("token"), "{error}");
    bind(secure.with_token(token)).unwrap();
    let taken = std::net::TcpListener::bind(anywhere()).unwrap();
    let error = bind(WebOptions { listen: taken.local_addr().unwrap(), ..web_options() }).unwrap_err();
    assert!(matches!(error, CollectorError::Bind { .. }), "{error}");
    assert!(bind(WebOptions::new(anywhere(), Security::PlaintextOnLoopback)).is_ok(), "and nothing was left listening");
}
