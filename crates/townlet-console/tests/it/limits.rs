//! Requests and connections that are no good.

use std::time::Instant;

use proptest::prelude::*;
use serde_json::json;
use townlet_console::{Client, ClientError, Console, MAX_REQUEST, TapRequest};
use townlet_schema::Json;

use crate::fakes::{
    PATIENCE, Raw, SECRET, asked, client, code, console, eventually, ms, next, options, pipeline, request, tap, token,
};

#[test]
fn a_bad_request_is_refused_by_name() {
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    let many: Vec<_> = (0..65).map(|n| format!("town.{n}")).collect();
    for (line, expected) in [
        (String::new(), "usage"),
        ("GET / HTTP/1.1\r".into(), "usage"),
        ("{".into(), "usage"),
        ("[]".into(), "usage"),
        ("\u{0}\u{1}".into(), "usage"),
        ("[".repeat(60_000), "usage"),
        (request(json!({"command": "tap", "kind": ["event"]})), "usage"),
        (request(json!({"command": ["tap"]})), "usage"),
        (request(json!({})), "usage"),
        (request(json!({"command": "tap", "limit": -1})), "usage"),
        (request(json!({"command": "status", "v": 2})), "unsupported"),
        (request(json!({"command": "status", "v": "1"})), "unsupported"),
        (json!({"token": SECRET, "command": "status"}).to_string(), "unsupported"),
        (request(json!({"command": "price"})), "unknown_command"),
        (request(json!({"command": "Tap"})), "unknown_command"),
        (request(json!({"command": "status", "limit": 1})), "invalid_args"),
        (request(json!({"command": "tap", "limit": 0})), "invalid_args"),
        (request(json!({"command": "tap", "kinds": ["events"]})), "invalid_args"),
        (request(json!({"command": "tap", "streams": [""]})), "invalid_args"),
        (request(json!({"command": "tap", "streams": ["x".repeat(257)]})), "invalid_args"),
        (request(json!({"command": "tap", "streams": many})), "invalid_args"),
    ] {
        let answer = asked(&console, &line);
        assert_eq!(code(&answer), expected, "{} → {answer}", &line[..line.len().min(100)]);
        assert_eq!((&answer["v"], &answer["status"]), (&json!(1), &json!("error")));
    }
    assert_eq!(console.refused(), 0, "none of these was about the token");
    assert!(client(&console).status(&token()).is_ok());
}

#[test]
fn a_request_beyond_the_limit_is_not_read_to_its_end() {
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    let long = format!("{{\"v\":1,\"token\":\"{}\",", "x".repeat(MAX_REQUEST));
    let raw = Raw::connect(&console);
    raw.send(long.as_bytes());
    let answer = raw.line();
    assert!(answer.contains("usage") && answer.contains("65536"), "{answer}");
    assert_eq!(raw.rest(), "", "and closed");
    // The longest that is allowed.
    let padded = request(json!({"command": "tap", "streams": [""], "limit": 1}));
    let padded = format!("{}{padded}", " ".repeat(MAX_REQUEST - 1 - padded.len()));
    assert_eq!(code(&asked(&console, &padded)), "invalid_args");
}

#[test]
fn who_says_nothing_in_time_is_let_go() {
    let (telemetry, _) = pipeline();
    let mut hasty = options();
    hasty.request_timeout = ms(100);
    let console = Console::start(hasty, telemetry).unwrap();
    let (silent, slow) = (Raw::connect(&console), Raw::connect(&console));
    slow.send(b"{\"v\":1,");
    let begin = Instant::now();
    assert_eq!((silent.rest(), slow.rest()), (String::new(), String::new()));
    assert!(begin.elapsed() < PATIENCE / 2);
    eventually("their places are free", || console.connections() == 0);
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let (telemetry, _) = pipeline();
    let mut few = options();
    few.max_connections = 3;
    let console = Console::start(few, telemetry.clone()).unwrap();
    let mut taps: Vec<_> = (0..3).map(|_| tap(&console, &TapRequest::default())).collect();
    for _ in 0..5 {
        let refused = client(&console).status(&token()).unwrap_err();
        let ClientError::Refused { code, message } = refused else { panic!("{refused}") };
        assert_eq!(code, "conflict");
        assert!(message.starts_with("3 connections"), "{message}");
    }
    // Those that are there are not disturbed.
    telemetry.emit_named("door", 1, Json::Null).unwrap();
    for tapped in &mut taps {
        let _ = next(tapped);
    }
    drop(taps.pop());
    eventually("a place is free again", || client(&console).status(&token()).is_ok());
}

#[test]
fn a_client_that_meets_somebody_else_says_so() {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
    let answers: [&[u8]; 4] =
        [b"SSH-2.0-OpenSSH_9.6\r\n", b"{\"v\":2,\"status\":\"ok\",\"result\":{}}\n", b"{}\n", b""];
    let server = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(answer);
            // Read, so that closing does not take the answer away.
            let mut request = [0; 1024];
            let _ = std::io::Read::read(&mut stream, &mut request);
        }
    });
    for (n, _) in answers.iter().enumerate() {
        let error = Client::connect(&endpoint, PATIENCE).unwrap().status(&token()).unwrap_err();
        match n {
            3 => assert!(matches!(error, ClientError::Broken(_)), "{error}"),
            _ => assert!(matches!(error, ClientError::Protocol(_)), "{error}"),
        }
    }
    server.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is sent, the console says no and goes on.
    #[test]
    fn garbage_is_answered_or_closed_and_changes_nothing(parts in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
        let (telemetry, _) = pipeline();
        let console = console(&telemetry);
        let raw = Raw::connect(&console);
        for part in &parts {
            raw.send(part);
        }
        raw.send(b"\n");
        raw.close_writing();
        let answer = raw.rest();
        prop_assert!(answer.is_empty() || answer.contains("\"status\":\"error\""), "{}", answer);
        prop_assert!(client(&console).status(&token()).is_ok());
    }
}
