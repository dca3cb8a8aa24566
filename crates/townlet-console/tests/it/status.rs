//! The command `status`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;
use townlet_schema::Json;

use crate::fakes::{PATIENCE, asked, client, code, console, pipeline, request, token};

#[test]
fn status_tells_the_transport_and_the_books() {
    let (telemetry, script) = pipeline();
    let console = console(&telemetry);
    for n in 0..10 {
        telemetry.emit_named("door", n, Json::Null).unwrap();
    }
    assert!(script.wait_for_lines(10, PATIENCE));
    assert!(telemetry.flush(PATIENCE));
    let status = client(&console).status(&token()).unwrap();
    assert_eq!(status["run_id"], telemetry.run_id().to_string());
    let books = &status["statements"]["main"];
    assert_eq!(*books, json!({"accepted": 10, "delivered": 10, "dropped": {}, "buffered": 0, "residual": 0}));
    assert_eq!(status["transport"]["payloads_flushed_total"], 10);
    assert_eq!(status["transport"]["auth_enabled"], true, "who reads this gave a token");
    assert_eq!(status["console"], json!({"connections": 1, "refused": 0}));
    assert!(!telemetry.latest_transport_status().auth_enabled, "the pipeline alone asks for none");
}

/// W25: commands ran on other threads against live objects without locks.
#[test]
fn w25_every_status_is_of_one_instant() {
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                telemetry.emit_named("door", n, Json::Null).unwrap();
                n += 1;
            }
        });
        for _ in 0..100 {
            let status = client(&console).status(&token()).unwrap();
            let (transport, books) = (&status["transport"], &status["statements"]["main"]);
            assert_eq!((&transport["residual"], &books["residual"]), (&json!(0), &json!(0)));
            let sum = |value: &serde_json::Value, names: &[&str]| -> u64 {
                names.iter().map(|name| value[*name].as_u64().unwrap()).sum()
            };
            assert_eq!(sum(books, &["accepted"]), sum(books, &["delivered", "buffered"]), "{books}");
            assert_eq!(sum(transport, &["accepted"]), sum(transport, &["delivered", "dropped_messages", "buffered"]));
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// W24: results were put back into the input and parsed, sometimes executed, as commands.
#[test]
fn w24_an_answer_is_never_a_request() {
    let (telemetry, _) = pipeline();
    let console = console(&telemetry);
    for line in [request(json!({"command": "status"})), request(json!({"command": "nonsense"}))] {
        let answer = asked(&console, &line);
        assert_eq!(code(&asked(&console, &answer.to_string())), "forbidden", "{answer}");
    }
    // Nor is a second line.
    let twice = format!("{}\n{}", request(json!({"command": "status"})), request(json!({"command": "status"})));
    assert_eq!(code(&asked(&console, &twice)), "usage");
}
