//! `POST /v1/telemetry`: what is taken, and what each refusal means.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use townlet_collector::store::Settle;
use townlet_collector::web::{Request, Response, WebOptions};
use townlet_collector::{Collector, CollectorOptions};

use crate::support::*;
use crate::web_support::*;

fn post(body: &[u8], headers: &str) -> Vec<u8> {
    let head =
        format!("POST /v1/telemetry HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn send(collector: &Collector, body: &[u8], headers: &str) -> Answer {
    Client::of(collector).say(post(body, headers)).answer()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lines_are_in_their_file_when_the_answer_comes_and_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let answer = send(&collector, &lines("town", 1..=3), "Content-Type: application/x-ndjson\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"lines":3,"stored":3,"duplicates":0}"#));
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=3));
    // Compressed, from another connection, one of them on the stream listener, without the last newline.
    send_plain(&collector, &line("town", 4));
    let more = gzip(lines("town", 2..=6).trim_ascii_end());
    let answer = send(&collector, &more, "Content-Encoding: gzip\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"lines":5,"stored":2,"duplicates":3}"#));
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=6));
    let report = stop(collector);
    assert_eq!((report.totals.lines, report.totals.stored, report.totals.duplicates), (9, 6, 3));
}

#[test]
fn one_bad_line_refuses_the_request_and_is_counted_once_when_it_comes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let bad = b"{\"seq\":hunter2}\n";
    let batch = [line("town", 1), bad.to_vec(), line("town", 2)].concat();
    let answer = send(&collector, &batch, "");
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("\"line\":2") && !answer.body.contains("hunter2"), "{}", answer.body);
    assert_eq!(collector.report().totals.lines, 0, "nothing was taken of it");
    assert_eq!(send(&collector, bad, "").status, 400);
    assert_eq!(send(&collector, &lines("town", 1..=2), "").status, 200);
    for seq in ["0", "-1", "\"7\""] {
        let odd = format!("{{\"run_id\":\"r\",\"stream\":\"town\",\"seq\":{seq}}}\n{{}}\n");
        assert_eq!(send(&collector, odd.as_bytes(), "").status, 400, "{seq}");
    }
    let long = format!("{{\"run_id\":\"{}\",\"stream\":\"s\",\"seq\":1}}\n{{}}\n", "x".repeat(300));
    assert_eq!(send(&collector, long.as_bytes(), "").status, 400);
    let metrics = metrics(&collector);
    assert_eq!(metrics["parser_failure_total{error_code=\"syntax\"}"], 2.0);
    let report = stop(collector);
    assert_eq!((report.totals.lines, report.totals.invalid, report.totals.stored), (3, 1, 2));
}

#[test]
fn a_file_that_our_own_transport_wrote_is_taken_whole_and_so_is_the_marker_of_its_run() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/1.1.0/town.jsonl");
    let file = std::fs::read(file).unwrap();
    let marker = file.split_inclusive(|byte| *byte == b'\n').next().unwrap();
    assert!(marker.windows(8).any(|at| at == b"\"seq\":0,"), "it has no number in any sequence");
    let count = file.iter().filter(|byte| **byte == b'\n').count() as u64;
    // By HTTP, and as lines.
    for web in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let collector = with_web(dir.path(), web_options());
        if web {
            let answer = send(&collector, &file, "");
            assert_eq!(answer.status, 200, "{}", answer.body);
        } else {
            send_plain(&collector, &file);
        }
        let report = stop(collector);
        assert_eq!((report.totals.stored, report.totals.invalid, report.missing), (count, 0, 0));
        let run = "00000000-0000-7000-8000-00000000000b";
        assert_eq!(stored_of(dir.path(), run, "town.run"), marker);
    }
}

#[test]
fn a_request_that_comes_again_under_its_key_is_answered_and_not_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    // Lines without a number: nothing else tells the two apart.
    let body = b"{\"tick\":1}\n{\"tick\":2}\n";
    let key = "Idempotency-Key: \"9b2c\"\r\n";
    let first = send(&collector, body, key);
    let again = send(&collector, body, key);
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(first.body, r#"{"lines":2,"stored":2,"duplicates":0}"#);
    assert_eq!(send(&collector, b"{\"tick\":3}\n", key).status, 422, "another request under the same key");
    assert_eq!(send(&collector, body, "Idempotency-Key: two words\r\n").status, 400);
    assert_eq!(metrics(&collector)["townlet_web_repeated_requests_total"], 1.0);
    assert_eq!(stop(collector).totals.stored, 2);
}

#[test]
fn a_request_that_failed_may_come_again_under_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    // A folder where the file should be: every open fails.
    let path = dir.path().join(run_id(1).as_str()).join("town.jsonl");
    std::fs::create_dir_all(&path).unwrap();
    let answer = send(&collector, &lines("town", 1..=3), "Idempotency-Key: a\r\n");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")));
    assert!(!answer.body.contains("town.jsonl"), "{}", answer.body);
    assert!(collector.report().store_error.is_some());
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(send(&collector, &lines("town", 1..=3), "Idempotency-Key: a\r\n").status, 200);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=3));
    stop(collector);
}

#[test]
fn what_was_taken_of_a_request_that_failed_is_not_taken_again_under_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    // A link that leads nowhere: there is no file to read before, and none can be made.
    let run = run_id(1);
    let path = dir.path().join(run.as_str()).join("town.jsonl");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(dir.path().join("gone").join("town.jsonl"), &path).unwrap();
    // Without a number nothing but the key tells the first try from the second.
    let body = (1..=3).map(|tick| format!("{{\"run_id\":\"{run}\",\"stream\":\"town\",\"tick\":{tick}}}\n"));
    let body = body.collect::<String>();
    for _ in 0..3 {
        assert_eq!(send(&collector, body.as_bytes(), "Idempotency-Key: a\r\n").status, 503);
    }
    std::fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        let answer = send(&collector, body.as_bytes(), "Idempotency-Key: a\r\n");
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"lines":3,"stored":3,"duplicates":0}"#));
    }
    assert_eq!(String::from_utf8(stored(dir.path(), "town")).unwrap(), body);
    stop(collector);
}

#[test]
fn where_too_much_waits_for_files_that_cannot_be_written_no_more_is_taken_until_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let folder = dir.path().join("r");
    let path = |n: usize| folder.join(format!("s{n}.jsonl"));
    std::fs::create_dir_all(&folder).unwrap();
    let filler = "x".repeat(14 << 20);
    let of =
        |n: usize, filler: &str| format!("{{\"run_id\":\"r\",\"stream\":\"s{n}\",\"seq\":1,\"x\":\"{filler}\"}}\n");
    for n in 1..=5 {
        std::os::unix::fs::symlink(dir.path().join("gone").join("file"), path(n)).unwrap();
        assert_eq!(send(&collector, of(n, &filler).as_bytes(), "").status, 503);
    }
    let waits = collector.report().totals.unwritten;
    assert_eq!(send(&collector, of(6, "").as_bytes(), "").status, 503, "not even what could be written");
    assert_eq!(collector.report().totals.unwritten, waits);
    for n in 1..=5 {
        std::fs::remove_file(path(n)).unwrap();
    }
    assert_eq!(send(&collector, of(6, "").as_bytes(), "").status, 200);
    for n in 1..=5 {
        assert_eq!(send(&collector, of(n, &filler).as_bytes(), "").status, 200);
        assert!(std::fs::read(path(n)).unwrap() == of(n, &filler).as_bytes(), "once");
    }
    assert_eq!(waits, 5);
    stop(collector);
}

#[test]
fn where_there_is_no_room_for_all_streams_of_a_request_none_of_its_lines_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let options = CollectorOptions { max_streams: 3, ..plain(dir.path()).with_web(web_options()) };
    let collector = Collector::bind(options).unwrap();
    let mut other = std::net::TcpStream::connect(collector.local_addr()).unwrap();
    other.write_all(&[line("s1", 1), line("s2", 1)].concat()).unwrap();
    wait_for(&collector, "two streams in use", |report| report.totals.stored == 2);
    let two = [line("s3", 1), line("s4", 1)].concat();
    let answer = send(&collector, &two, "");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")));
    assert_eq!(collector.report().totals.stored, 2, "what is sent again is not there already");
    drop(other);
    wait_for(&collector, "the streams to be free", |report| report.connections_open == 0);
    let answer = send(&collector, &two, "");
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"lines":2,"stored":2,"duplicates":0}"#));
    stop(collector);
}

#[test]
fn a_line_is_no_longer_than_on_the_stream_listener() {
    let dir = tempfile::tempdir().unwrap();
    let options = CollectorOptions { max_line_bytes: 200, ..plain(dir.path()).with_web(web_options()) };
    let collector = Collector::bind(options).unwrap();
    let of = |length: usize| format!("{{\"stream\":\"town\",\"x\":\"{}\"}}\n", "x".repeat(length - 24));
    assert_eq!(of(200).len(), 201);
    assert_eq!(send(&collector, of(200).as_bytes(), "").status, 200);
    assert_eq!(send(&collector, of(200).trim_end().as_bytes(), "").status, 200);
    let answer = send(&collector, [of(200), of(201)].concat().as_bytes(), "");
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("\"line\":2") && answer.body.contains("max_line_bytes"), "{}", answer.body);
    assert_eq!(send(&collector, of(201).as_bytes(), "").status, 400);
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.invalid_by_reason.get("too_large")), (2, Some(&1)));
}

#[test]
fn too_much_is_refused_so_that_the_sender_knows_whether_to_split_or_to_wait() {
    let dir = tempfile::tempdir().unwrap();
    let web = WebOptions { max_body_bytes: 100_000, max_bytes_in_flight: 150_000, ..web_options() };
    let options =
        CollectorOptions { max_streams_per_connection: 3, max_streams: 3, web: Some(web), ..plain(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let bomb = gzip(&vec![b'\n'; 1 << 20]);
    assert!(bomb.len() < 100_000);
    assert_eq!(send(&collector, &bomb, "Content-Encoding: gzip\r\n").status, 413);
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let bomb = ruzstd::encoding::compress_to_vec(&vec![b'\n'; 1 << 20][..], level);
    assert_eq!(send(&collector, &bomb, "Content-Encoding: zstd\r\n").status, 413);
    let other = send(&collector, &bomb, "Content-Encoding: br\r\n");
    assert_eq!((other.status, other.header("accept-encoding")), (415, Some("gzip, zstd")));
    assert_eq!(send(&collector, &vec![b'x'; 100_001], "").status, 413);
    let many: Vec<u8> = (1..=4).flat_map(|n| line(&format!("s{n}"), 1)).collect();
    assert_eq!(send(&collector, &many, "").status, 413, "split, they have room");
    assert_eq!(collector.report().totals.stored, 0, "and none is taken twice");
    let lines_only = b"{}\n".repeat(20_001);
    assert_eq!(send(&collector, &lines_only, "").status, 413);

    // A request that does not come to its end holds its bytes.
    let mut slow = Client::of(&collector);
    let unfinished = post(&vec![b'x'; 90_000], "");
    slow.say(&unfinished[..unfinished.len() - 1]);
    while metrics(&collector)["townlet_web_body_bytes"] < 89_999.0 {
        std::thread::yield_now();
    }
    let answer = send(&collector, &vec![b'x'; 90_000], "");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    drop(slow);
    stop(collector);
}

#[test]
fn what_is_called_something_else_than_lines_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    for (kind, status) in [
        ("application/x-ndjson; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
    ] {
        let answer = send(&collector, &line("town", 1), &format!("Content-Type: {kind}\r\n"));
        assert_eq!(answer.status, status, "{kind}");
    }
    stop(collector);
}

#[test]
fn lines_settled_on_receipt_reach_their_file_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = plain(dir.path()).with_web(web_options());
    options.store.as_mut().unwrap().settle = Settle::Received;
    let collector = Collector::bind(options).unwrap();
    assert_eq!(send(&collector, &lines("town", 1..=3), "").status, 200);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=3));
    stop(collector);
}

#[test]
fn a_route_of_the_program_may_bring_lines_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let route = Arc::new(|request: &Request<'_>| {
        let text = std::str::from_utf8(request.body()).unwrap_or_default();
        let line = format!("{{\"run_id\":\"r\",\"stream\":\"notes\",\"tick\":1,\"text\":\"{text}\"}}\n");
        match request.take_lines(line.as_bytes()) {
            Ok(taken) => Response::json(202, &taken),
            Err(answer) => answer,
        }
    });
    let collector = with_web(dir.path(), web_options().with_route("POST", "/v1/notes", route));
    let note = |text: &str| {
        let request =
            format!("POST /v1/notes HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        Client::of(&collector).say(request).answer().status
    };
    assert_eq!((note("hello"), note("a\"b")), (202, 400));
    let kept = stored_of(dir.path(), "r", "notes");
    assert_eq!(kept, b"{\"run_id\":\"r\",\"stream\":\"notes\",\"tick\":1,\"text\":\"hello\"}\n");
    stop(collector);
}
