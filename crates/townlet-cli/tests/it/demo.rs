//! `townlet demo`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use townlet_schema::Object;
use townlet_state::{Follower, Step};

use crate::support::{command, lines_below, text, townlet};

/// Follows the states as a reader does: by number, what each was.
fn states(lines: &[Value]) -> BTreeMap<u64, Object> {
    let mut follower = Follower::new("town");
    let mut states = BTreeMap::new();
    let (mut diffs, mut others) = (0, 0);
    for line in lines {
        match follower.feed(line.to_string().as_bytes()).unwrap() {
            Step::Other => continue,
            Step::Diff => diffs += 1,
            Step::Keyframe => others += 1,
            step => panic!("{step:?} at {line}"),
        }
        let state = follower.state().unwrap();
        states.insert(state.seq, Object::clone(&state.sections));
    }
    assert!(diffs > 100 && others > 0, "{diffs} diffs, {others} whole");
    states
}

#[test]
fn the_demo_delivers_everything_over_tls_and_ends_with_residual_0() {
    let dir = TempDir::new().unwrap();
    let ran = townlet(&["demo", "--ticks", "120", "--agents", "5", "--out", text(dir.path())]).expect(0);
    assert_eq!(ran.stdout.lines().last(), Some("residual 0"), "{}", ran.stdout);

    let collected = lines_below(&dir.path().join("collected"));
    let states = states(&collected);
    assert!(states.keys().copied().eq(1..=120), "each tick's state, through TLS and the collector");
    // The town names its policy in every snapshot; redaction takes it out before every egress.
    assert!(collected.iter().all(|l| l.get("policy_identity").is_none()));
    let archived = lines_below(&dir.path().join("archive"));
    assert_eq!(self::states(&archived), states, "each sink has its own diffs, and the same states");
    let events = archived.iter().filter(|l| l["payload_type"] != "run").count();
    assert_eq!(events, collected.len(), "both sinks got every event");
}

#[test]
fn the_demo_can_be_run_again_into_the_same_folder() {
    let dir = TempDir::new().unwrap();
    for _ in 0..2 {
        let ran = townlet(&["demo", "--ticks", "10", "--agents", "2", "--out", text(dir.path())]).expect(0);
        assert_eq!(ran.stdout.lines().last(), Some("residual 0"));
    }
}

#[test]
fn the_demo_clears_nothing_that_no_demo_wrote() {
    for name in ["collected", "archive"] {
        let dir = TempDir::new().unwrap();
        let kept = dir.path().join(name).join("precious.txt");
        fs::create_dir(kept.parent().unwrap()).unwrap();
        fs::write(&kept, "a store of somebody else's").unwrap();
        let ran = townlet(&["demo", "--ticks", "10", "--agents", "2", "--out", text(dir.path())]).expect(2);
        assert!(ran.stderr.contains(name), "{}", ran.stderr);
        assert_eq!(fs::read_to_string(&kept).unwrap(), "a store of somebody else's");
    }
}

#[cfg(unix)]
#[test]
fn a_second_demo_leaves_the_folder_of_a_running_one_alone() {
    let dir = TempDir::new().unwrap();
    let out = text(dir.path());
    let mut first = command(&["demo", "--ticks", "1000000", "--agents", "2", "--out", out])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says so when it has its folder and its collector.
    let mut said = BufReader::new(first.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    let before = fs::read(dir.path().join("demo.yaml")).unwrap();
    let second = townlet(&["demo", "--ticks", "10", "--agents", "2", "--out", out]);
    let after = fs::read(dir.path().join("demo.yaml")).unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(second.expect(3).stderr.contains("a demo is running in"));
    assert_eq!(before, after);
    // Whatever became of the first: its folder is free.
    townlet(&["demo", "--ticks", "10", "--agents", "2", "--out", out]).expect(0);
}

#[test]
fn help_and_bad_usage_have_their_exit_codes() {
    assert!(townlet(&["--help"]).expect(0).stdout.contains("Exit codes"));
    townlet(&["demo", "--ticks", "many"]).expect(2);
    townlet(&["demo", "--agents", "0"]).expect(2);
    townlet(&["demo", "--ticks", "0"]).expect(2);
    townlet(&["collect", "--max-connections", "0"]).expect(2);
    townlet(&[]).expect(2);
}
