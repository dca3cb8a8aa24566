//! Who may ask, and what those learn who may not.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;
use townlet_console::{Client, ClientError, ConsoleOptions, TapRequest, Token, TokenError};
use townlet_schema::Json;

use crate::fakes::{
    Log, PATIENCE, Raw, SECRET, asked, client, code, console, eventually, ms, on_socket, options, pipeline, request,
    token,
};

/// W9: authentication was configured and advertised, and no path called it.
#[test]
fn w9_no_command_is_answered_without_the_token_on_either_kind_of_endpoint() {
    let folder = TempDir::new().unwrap();
    let (telemetry, _) = pipeline();
    for console in [console(&telemetry), on_socket(&telemetry, &folder.path().join("c.sock"))] {
        let wrong = format!("{SECRET}x");
        let mut tried = 0;
        for command in ["status", "tap", "price", ""] {
            for token in [
                Value::Null,
                json!(""),
                json!(wrong),
                json!(&SECRET[1..]),
                json!(SECRET.to_uppercase()),
                json!([SECRET]),
                json!({"token": SECRET}),
            ] {
                let answer = asked(&console, &json!({"v": 1, "token": token, "command": command}).to_string());
                assert_eq!(
                    answer,
                    json!({"v": 1, "status": "error", "error": {"code": "forbidden", "message": "not authorised"}})
                );
                tried += 1;
            }
            // Not even what is wrong with the rest is said.
            for line in [
                json!({"v": 1, "command": command}),
                json!({"v": 99, "command": command, "kinds": 7}),
                json!({"auth": {"token": SECRET}, "command": command}),
            ] {
                assert_eq!(code(&asked(&console, &line.to_string())), "forbidden");
                tried += 1;
            }
        }
        assert_eq!(console.refused(), tried);
        assert!(client(&console).status(&token()).is_ok());
        assert_eq!(console.refused(), tried);
    }
}

#[test]
fn a_wrong_token_is_refused_to_a_client_too() {
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    let wrong = Token::new("not-the-right-token").unwrap();
    for refused in
        [client(&console).status(&wrong).map(drop), client(&console).tap(&wrong, &TapRequest::default()).map(drop)]
    {
        let Err(ClientError::Refused { code, message }) = refused else { panic!("{refused:?}") };
        assert_eq!((code.as_str(), message.as_str()), ("forbidden", "not authorised"));
    }
}

#[test]
fn wrong_tokens_are_answered_one_after_the_other_and_the_right_one_at_once() {
    let (telemetry, _) = pipeline();
    let mut slow = options();
    slow.refusal_interval = ms(150);
    let console = townlet_console::Console::start(slow, telemetry).unwrap();
    let begin = Instant::now();
    let guesses: Vec<Raw> = (0..4).map(|_| Raw::connect(&console)).collect();
    for guess in &guesses {
        guess.send(b"{\"v\":1,\"token\":\"guess\",\"command\":\"status\"}\n");
    }
    eventually("all were counted", || console.refused() == 4);
    let before = Instant::now();
    assert!(client(&console).status(&token()).is_ok());
    let right = before.elapsed();
    for guess in &guesses {
        assert!(guess.line().contains("forbidden"));
    }
    assert!(begin.elapsed() >= ms(4 * 150), "one interval each: {:?}", begin.elapsed());
    assert!(right < PATIENCE / 2, "not held back: {right:?}");
}

#[test]
fn the_token_is_in_no_answer_no_log_and_no_error() {
    // For the whole process: connections have threads of their own.
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    subscriber.with_writer(log.clone()).try_init().unwrap();
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    let mut all = String::new();
    for line in [
        request(json!({"command": "status"})),
        request(json!({"command": "nonsense"})),
        request(json!({"command": "tap", "kinds": ["nonsense"]})),
        request(json!({"command": "tap", "nonsense": 1})),
        request(json!({"command": "tap", "v": 2})),
        request(json!({"command": 7})),
        request(json!({"command": "tap", "limit": 0})),
        format!("{{\"token\":\"{SECRET}\""),
        format!("\"{SECRET}\""),
        format!("{{\"v\":1,\"token\":\"{SECRET}x\",\"command\":\"tap\"}}"),
        format!("{{\"v\":1,\"token\":{SECRET},\"command\":\"tap\"}}"),
    ] {
        all += &asked(&console, &line).to_string();
    }
    let refused = client(&console).status(&Token::new(format!("{SECRET}x")).unwrap()).unwrap_err();
    all += &format!("{refused} {refused:?} {console:?} {:?} {:?}", options(), token());
    telemetry.emit_named("door", 1, Json::Null).unwrap();
    drop(console);
    assert!(all.contains("[redacted]") && !all.contains(SECRET), "{all}");
    let log = log.text();
    assert!(log.contains("telemetry_console_listening") && log.contains("telemetry_console_refused"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn a_token_file_is_closed_to_others_and_holds_one_token() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("token");
    let made = Token::create_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!((text.len(), text.trim().len()), (65, 64));
    assert!(matches!(Token::create_file(&path), Err(TokenError::File { action: "written", .. })), "never overwritten");

    let (telemetry, _) = pipeline();
    let options = ConsoleOptions::new("127.0.0.1:0".parse().unwrap(), made);
    let console = townlet_console::Console::start(options, telemetry).unwrap();
    let read = Token::from_file(&path).unwrap();
    assert!(Client::connect(console.endpoint(), PATIENCE).unwrap().status(&read).is_ok());

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = Token::from_file(&path).unwrap_err();
    assert!(matches!(exposed, TokenError::Exposed(_)));
    assert!(exposed.to_string().contains("chmod 600"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Token::from_file(&path).is_ok(), "a group is somebody's decision");

    for content in ["", "short", "a token of sixteen", "tok-\u{e9}-but-not-ascii-text", &"x".repeat(2000)] {
        fs::File::create(&path).unwrap().write_all(content.as_bytes()).unwrap();
        assert!(matches!(Token::from_file(&path), Err(TokenError::Shape)), "{content:?}");
    }
    assert!(matches!(Token::from_file(folder.path().join("none")), Err(TokenError::File { action: "read", .. })));
    assert!(matches!(Token::from_env("TOWNLET_NO_SUCH_VARIABLE"), Err(TokenError::Environment(_))));
}
