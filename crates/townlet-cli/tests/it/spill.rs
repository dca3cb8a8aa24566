//! `townlet spill`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{text, townlet, write};

/// A folder with what a town could not deliver: nobody listened.
struct Left {
    dir: TempDir,
    config: String,
    kept: u64,
}

impl Left {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        townlet(&["certs", "--out", text(dir.path())]).expect(0);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let yaml = format!(
            "telemetry:\n  transport:\n    type: tcp\n    endpoint: localhost:{port}\n    ca_file: ca.pem\n    buffer: \
             {{max_buffer_bytes: 100000, spill: {{path: spool}}}}\n  worker: {{backpressure: spill, \
             shutdown_timeout_seconds: 0.1, block_timeout_seconds: 5}}\n"
        );
        let config = write(dir.path(), "left.yaml", &yaml);
        let status = dir.path().join("status.json");
        let words = ["simulate", "--ticks", "40", "--agents", "3", "--config", &config, "--status-path", text(&status)];
        let ran = townlet(&words).expect(0);
        assert!(ran.stderr.contains("spilled"), "{}", ran.stderr);
        let status: Value = serde_json::from_slice(&fs::read(&status).unwrap()).unwrap();
        let kept = status["statement"]["spilled"].as_u64().unwrap();
        assert!(kept > 40, "{status}");
        Self { dir, config, kept }
    }

    fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.spool()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|e| e == "seg")).collect();
        files.sort();
        files
    }

    #[track_caller]
    fn run(&self, words: &[&str], code: i32) -> crate::support::Ran {
        let spool = self.spool();
        townlet(&[&["spill", words[0], "--path", text(&spool)], &words[1..]].concat()).expect(code)
    }
}

#[test]
fn a_status_says_what_waits_and_changes_nothing() {
    let left = Left::new();
    let image = || -> Vec<Vec<u8>> { left.segments().iter().map(|file| fs::read(file).unwrap()).collect() };
    let before = image();
    let status = left.run(&["status", "--json"], 0).json();
    assert_eq!((&status["sound"], &status["state"]), (&Value::from(true), &Value::from("good")), "{status}");
    assert_eq!(status["sinks"][0]["name"], "main");
    assert_eq!(status["sinks"][0]["waiting"], left.kept);
    assert_eq!(
        (&status["account"]["ended"], &status["account"]["held"]),
        (&Value::from(true), &Value::from(left.kept))
    );
    let shown = left.run(&["status"], 0).stdout;
    assert!(shown.contains(&format!("sink main: {} records wait", left.kept)), "{shown}");
    assert!(shown.contains("; it ended"), "{shown}");
    let check = left.run(&["check", "--json"], 0).json();
    assert_eq!((&check["sound"], &check["records"]), (&Value::from(true), &Value::from(left.kept)), "{check}");
    assert_eq!(left.run(&["repair"], 0).stdout.lines().count(), 1);
    assert_eq!(image(), before);
}

#[test]
fn an_export_is_the_stream_that_the_sink_is_owed() {
    let left = Left::new();
    let stream = left.run(&["export"], 0).stdout;
    assert_eq!(stream.lines().count() as u64, left.kept);
    let file = write(left.dir.path(), "exported.jsonl", &stream);
    let report = townlet(&["inspect", &file, "--json"]).expect(0).json();
    assert_eq!(report["missing"], 0, "{report}");
    assert_eq!(left.run(&["export", "--sink", "main"], 0).stdout, stream);
    let wrapped = left.run(&["export", "--json"], 0).stdout;
    let first: Value = serde_json::from_str(wrapped.lines().next().unwrap()).unwrap();
    assert_eq!((&first["owing"][0], first["line"].as_str()), (&Value::from("main"), stream.lines().next()));
    let unknown = left.run(&["export", "--sink", "mian"], 2).stderr;
    assert!(unknown.contains("it has: main"), "{unknown}");
}

#[test]
fn the_next_run_says_what_it_recovered() {
    let left = Left::new();
    let ran = townlet(&["simulate", "--ticks", "1", "--agents", "3", "--config", &left.config]).expect(0);
    let line = ran.stderr.lines().find(|line| line.starts_with("recovered ")).expect("a statement");
    assert!(line.starts_with(&format!("recovered {} of run ", left.kept)), "{line}");
    assert!(line.contains("(it ended; accepted ") && line.ends_with("; lost at most 0"), "{line}");
}

#[test]
fn damage_is_found_planned_for_and_repaired_only_on_request() {
    let left = Left::new();
    let segment = left.segments().remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    fs::write(left.spool().join("junk.seg"), "not a segment").unwrap();

    let check = left.run(&["check", "--json"], 1).json();
    assert_eq!((&check["sound"], &check["lost_at_most"]), (&Value::from(false), &Value::from(1)), "{check}");
    let shown = left.run(&["check"], 1).stdout;
    assert!(shown.contains("DAMAGED") && shown.contains("at most 1 records lost"), "{shown}");
    assert!(shown.contains("repair: quarantine junk.seg"), "{shown}");
    assert_eq!(left.run(&["export"], 1).stdout.lines().count() as u64, left.kept - 1, "all that can be read");

    let plan = left.run(&["repair"], 1).stdout;
    assert!(plan.contains("would quarantine junk.seg") && plan.contains("nothing was done"), "{plan}");
    assert!(left.spool().join("junk.seg").exists());
    let done = left.run(&["repair", "--apply"], 0).stdout;
    assert!(done.contains("quarantine junk.seg") && done.contains("whole"), "{done}");
    assert!(!left.spool().join("junk.seg").exists());
    assert_eq!(left.run(&["repair", "--json"], 0).json()["steps"], serde_json::json!([]));
    let status = left.run(&["status", "--json"], 1).json();
    assert_eq!(status["quarantined"].as_array().unwrap().len(), 1, "a person should look at it");
}

#[test]
fn a_folder_in_use_can_be_looked_at_and_is_not_repaired() {
    let left = Left::new();
    let mut town = crate::support::command(&["simulate", "--ticks", "1000000", "--tick-ms", "2", "--config"]);
    let mut town = town.arg(&left.config).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It says what it recovered once it has the folder.
    let mut remarks = std::io::BufRead::lines(std::io::BufReader::new(town.stderr.as_mut().unwrap()));
    assert!(remarks.any(|line| line.unwrap().starts_with("recovered ")));
    for _ in 0..5 {
        left.run(&["status"], 0);
        left.run(&["check"], 0);
    }
    let refused = left.run(&["repair", "--apply"], 3).stderr;
    assert!(refused.contains("another process has the spill folder"), "{refused}");
    let second = townlet(&["simulate", "--ticks", "1", "--config", &left.config]).expect(3).stderr;
    assert!(second.contains("another process has the spill folder"), "{second}");
    Command::new("kill").args(["-KILL", &town.id().to_string()]).status().unwrap();
    town.wait().unwrap();
    left.run(&["repair", "--apply"], 0);
}

#[test]
fn a_folder_that_is_not_there_is_unavailable_and_wrong_words_are_usage() {
    let dir = TempDir::new().unwrap();
    let nowhere = dir.path().join("nowhere");
    for what in ["status", "check", "export", "repair"] {
        let ran = townlet(&["spill", what, "--path", text(&nowhere)]).expect(3);
        assert_eq!(ran.stderr.matches("No such file").count(), 1, "said once: {}", ran.stderr);
        assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);
    }
    townlet(&["spill", "repair", "--apply", "--path", text(&nowhere)]).expect(3);
    assert!(!nowhere.exists(), "looking makes no folder");
    townlet(&["spill"]).expect(2);
    townlet(&["spill", "status"]).expect(2);
    townlet(&["spill", "status", "--path", text(dir.path())]).expect(0);
}
