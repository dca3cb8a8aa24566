//! The command `tap`.

use std::time::Instant;

use serde_json::json;
use townlet_console::{ClientError, Shown, TapRequest};
use townlet_pipeline::TickHealth;
use townlet_schema::snapshot::PolicyIdentity;
use townlet_schema::{Json, Kind, Snapshot};

use crate::fakes::{PATIENCE, Raw, asked, console, eventually, next, on_socket, pipeline, request, tap, to_the_end};

fn everything() -> TapRequest {
    TapRequest::default()
}

#[test]
fn two_taps_show_the_bytes_that_the_sink_gets_and_end_with_the_pipeline() {
    let folder = tempfile::TempDir::new().unwrap();
    let (telemetry, script) = pipeline();
    let (tcp, unix) = (console(&telemetry), on_socket(&telemetry, &folder.path().join("c.sock")));
    let mut taps = [tap(&tcp, &everything()), tap(&unix, &everything())];
    for tick in 1..=200 {
        telemetry.emit_named("door", tick, Json::from("x".repeat(tick as usize))).unwrap();
        telemetry.emit_snapshot(tick, Snapshot::default()).unwrap();
    }
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    for tapped in &mut taps {
        let (lines, missed, reason) = to_the_end(tapped);
        assert_eq!((lines.len(), missed, reason.as_str()), (400, 0, "pipeline_ended"));
        assert_eq!(lines, script.received());
        assert!(tapped.next(PATIENCE).unwrap().is_none(), "nothing after the end");
    }
}

#[test]
fn redaction_holds_on_a_tap() {
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    let raw = Raw::connect(&console);
    raw.send(format!("{}\n", request(json!({"command": "tap"}))).as_bytes());
    assert!(raw.line().contains("\"status\":\"ok\""));
    let identity = PolicyIdentity { policy_hash: Some("c0ffee-planted".into()), ..PolicyIdentity::default() };
    for tick in 1..=50 {
        let policy_identity = Some(identity.clone());
        telemetry.emit_snapshot(tick, Snapshot { policy_identity, ..Snapshot::default() }).unwrap();
        let nested = Json::parse(br#"{"policy_hash":"c0ffee-planted","provider":"ppo"}"#).unwrap();
        telemetry.emit_named("policy.metadata", tick, nested).unwrap();
    }
    let _ = telemetry.shutdown(PATIENCE);
    let bytes = raw.rest();
    assert_eq!(bytes.lines().count(), 101);
    assert!(bytes.contains("policy.metadata") && bytes.contains("\"provider\""));
    assert!(!bytes.contains("c0ffee"), "{bytes}");
}

#[test]
fn a_tap_shows_what_was_asked_for_and_no_more() {
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    let mut healths = tap(&console, &TapRequest { kinds: vec![Kind::Health], ..everything() });
    let mut events = tap(&console, &TapRequest { streams: vec!["town.ev*".into()], limit: Some(7), ..everything() });
    for tick in 1..=20 {
        telemetry.tick_health(tick, &TickHealth::default()).unwrap();
        telemetry.emit_named("door", tick, Json::Null).unwrap();
        telemetry.emit_snapshot(tick, Snapshot::default()).unwrap();
    }
    let (lines, _, reason) = to_the_end(&mut events);
    assert_eq!((lines.len(), reason.as_str()), (7, "limit"));
    for (n, line) in lines.iter().enumerate() {
        let head = townlet_schema::read_head(line).unwrap();
        assert_eq!((head.stream.as_deref(), head.seq), (Some("town.events"), Some(n as u64 + 1)));
    }
    let _ = telemetry.shutdown(PATIENCE);
    let (lines, _, _) = to_the_end(&mut healths);
    assert_eq!(lines.len(), 20);
    assert!(lines.iter().all(|line| townlet_schema::read_head(line).unwrap().payload_type == Some(Kind::Health)));
}

#[test]
fn the_answer_says_what_will_be_shown() {
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    let answer =
        asked(&console, &request(json!({"command": "tap", "kinds": ["failure", "event", "event"], "limit": 3})));
    let result = json!({
        "run_id": telemetry.run_id().to_string(), "kinds": ["event", "failure"], "streams": [], "limit": 3,
    });
    assert_eq!(answer, json!({"v": 1, "name": "tap", "status": "ok", "result": result}));
}

/// The client reads nothing until everything was sent: far more than sockets and the tap hold.
#[test]
fn a_client_that_reads_nothing_slows_nobody_and_is_told_what_it_missed() {
    let (telemetry, script) = pipeline();
    let console = console(&telemetry);
    let mut slow = tap(&console, &everything());
    let long = Json::from("x".repeat(1000));
    let events = 60_000;
    for tick in 0..events {
        telemetry.emit_named("door", tick, long.clone()).unwrap();
    }
    assert!(telemetry.flush(PATIENCE));
    let books = telemetry.shutdown(PATIENCE);
    let account = &books.sinks[0].1.account;
    assert_eq!((account.accepted(), account.delivered(), books.residual()), (events, events, 0));
    assert_eq!(script.received().len() as u64, events);
    let (lines, missed, reason) = to_the_end(&mut slow);
    assert_eq!(reason, "pipeline_ended");
    assert!(missed > 0, "the tap's bound is 16 MiB, of 70 MB");
    assert_eq!(lines.len() as u64 + missed, events);
}

#[test]
fn a_client_that_dies_is_noticed_with_and_without_traffic() {
    let (telemetry, script) = pipeline();
    let console = console(&telemetry);
    let idle = tap(&console, &everything());
    assert_eq!(console.connections(), 1);
    drop(idle);
    eventually("nothing is sent, and it is noticed", || console.connections() == 0);

    let busy = tap(&console, &everything());
    for tick in 0..1000 {
        telemetry.emit_named("door", tick, Json::Null).unwrap();
    }
    drop(busy);
    let mut tick = 1000;
    eventually("it is noticed under traffic", || {
        tick += 1;
        telemetry.emit_named("door", tick, Json::Null).unwrap();
        console.connections() == 0
    });

    // Half closed is closed.
    let half = Raw::connect(&console);
    half.send(format!("{}\n", request(json!({"command": "tap"}))).as_bytes());
    assert!(half.line().contains("\"status\":\"ok\""));
    half.close_writing();
    eventually("its place is free", || console.connections() == 0);

    let last = telemetry.shutdown(PATIENCE);
    assert_eq!((last.sinks[0].1.account.dropped(), last.residual()), (0, 0));
    assert_eq!(script.received().len() as u64, tick);
}

#[test]
fn a_console_that_stops_says_goodbye_in_time() {
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    let mut polite = tap(&console, &everything());
    // Reads nothing, so that it cannot be told goodbye; and one that has asked for nothing yet.
    let (mut stuck, silent) = (tap(&console, &everything()), Raw::connect(&console));
    for tick in 0..30_000 {
        telemetry.emit_named("door", tick, Json::from("x".repeat(1000))).unwrap();
    }
    // The polite one has read everything when the console stops.
    let (mut seen, mut gone) = (0, 0);
    while seen + gone < 30_000 {
        match next(&mut polite) {
            Shown::Line(_) => seen += 1,
            Shown::Missed { total, .. } => gone = total,
            other => panic!("{other:?}"),
        }
    }
    let begin = Instant::now();
    drop(console);
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
    let Shown::End { reason, shown, missed } = next(&mut polite) else { panic!("an end") };
    assert_eq!((reason.as_str(), shown, missed), ("console_stopped", seen, gone));
    assert_eq!(silent.rest(), "");
    let broken = loop {
        match stuck.next(PATIENCE) {
            Ok(Some(Shown::Line(_) | Shown::Missed { .. })) => {}
            other => break other,
        }
    };
    assert!(matches!(broken, Err(ClientError::Broken(_))), "{broken:?}");
    // The pipeline goes on.
    telemetry.emit_named("door", 1, Json::Null).unwrap();
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!((last.sinks[0].1.account.delivered(), last.residual()), (30_001, 0));
}

/// Whatever a telemetry line says, it is none of the console's.
#[test]
fn control_lines_and_telemetry_cannot_be_confused() {
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    let mut tapped = tap(&console, &everything());
    let lookalike = Json::parse(br#"["end",{"reason":"limit","shown":0,"missed":0}]"#).unwrap();
    telemetry.emit_named("[\"end\"", 1, lookalike).unwrap();
    let own = "[\"missed\",{\"frames\":1,\"total\":1}]\n";
    telemetry.replay().unwrap().emit_line(own.into()).unwrap();
    telemetry
        .replay()
        .unwrap()
        .emit_line("{\"schema_version\":\"0.9.0\",\"tick\":1,\"v\":1,\"status\":\"ok\"}".into())
        .unwrap();
    let _ = telemetry.shutdown(PATIENCE);
    let (lines, missed, reason) = to_the_end(&mut tapped);
    assert_eq!((lines.len(), missed, reason.as_str()), (2, 0, "pipeline_ended"));
    assert!(lines.iter().all(|line| line.starts_with(b"{")));
}
