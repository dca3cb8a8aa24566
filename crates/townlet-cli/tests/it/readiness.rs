//! `townlet readiness` and `townlet rehearse`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, command, samples, signal, text, townlet, townlet_in, write};

/// A copy of `samples/readiness`, which its programs may write to.
fn sample() -> TempDir {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("bin")).unwrap();
    for folder in ["", "bin"] {
        for entry in std::fs::read_dir(samples().join("readiness").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, dir.path().join(folder).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    dir
}

fn run(dir: &Path, config: &str) -> Ran {
    townlet_in(dir, &["readiness", "run", "--config", config, "--out", "out", "--revision", "trial"])
}

fn show(dir: &Path) -> Value {
    townlet_in(dir, &["readiness", "show", "out", "--json"]).json()
}

#[test]
fn the_sample_suites_run_and_the_evidence_holds() {
    let dir = sample();
    let ran = run(dir.path(), "suites.yaml").expect(0);
    for part in ["flaky   integration", "2 attempts", "3 of 3 tests passed", "(does not block)", "\nready"] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    let shown = show(dir.path());
    assert_eq!(shown["findings"], Value::Array(vec![]));
    assert_eq!(shown["report"]["revision"]["id"], "trial");
    assert_eq!(shown["report"]["failures"][0], "advisories");
    assert!(shown["report"]["tools"][0]["version"].as_str().unwrap().starts_with("sh of "), "{shown}");
    // The second run has a history, and the flake of the first in it.
    let again = run(dir.path(), "suites.yaml").expect(0);
    assert!(again.stdout.contains("2 of 2 runs passed, 1 flaky"), "{}", again.stdout);
    townlet_in(dir.path(), &["readiness", "show", "out"]).expect(0);
}

#[test]
fn the_sample_rollback_is_rehearsed_and_its_record_is_written() {
    let dir = sample();
    let words =
        ["rehearse", "--config", "rollback.yaml", "--out", "out", "--participant", "on-call", "--note", "dry run"];
    let ran = townlet_in(dir.path(), &words).expect(0);
    assert!(ran.stdout.contains("the rollback works"), "{}", ran.stdout);
    let record = dir.path().join(ran.stdout.lines().last().unwrap());
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    assert_eq!((&record["outcome"], &record["participants"][0]), (&"passed".into(), &"on-call".into()));
    assert!(record["duration_seconds"].as_f64().unwrap() > 0.0);
    let broken =
        std::fs::read_to_string(dir.path().join("rollback.yaml")).unwrap().replace("read, \"off\"", "read, \"on\"");
    write(dir.path(), "broken.yaml", &broken);
    let ran = townlet_in(dir.path(), &["rehearse", "--config", "broken.yaml", "--out", "out"]).expect(1);
    assert!(ran.stdout.contains("does NOT help"), "{}", ran.stdout);
}

#[test]
fn a_blocking_failure_exits_1_and_a_bad_file_2_with_its_place() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "s.yaml", "suites:\n- { name: a, kind: unit, command: ['false'] }\n");
    let ran = run(dir.path(), "s.yaml").expect(1);
    assert!(ran.stdout.ends_with("NOT ready\n"), "{}", ran.stdout);
    townlet_in(dir.path(), &["readiness", "show", "out"]).expect(1);
    write(dir.path(), "bad.yaml", "suites:\n- { name: a, kind: unti, command: [x] }\n");
    let ran = run(dir.path(), "bad.yaml").expect(2);
    assert!(ran.stderr.contains("bad.yaml:2:20") && ran.stderr.contains("write unit"), "{}", ran.stderr);
    run(dir.path(), "none.yaml").expect(2);
    let words = ["readiness", "run", "--config", "s.yaml", "--out", "out", "--revision", " "];
    townlet_in(dir.path(), &words).expect(2);
    townlet_in(dir.path(), &["rehearse", "--config", "bad.yaml", "--out", "out"]).expect(2);
}

#[test]
fn missing_evidence_exits_3_and_edited_evidence_1() {
    let dir = TempDir::new().unwrap();
    townlet(&["readiness", "show", text(dir.path())]).expect(3);
    write(dir.path(), "s.yaml", "suites:\n- { name: a, kind: unit, command: [echo, hello] }\n");
    run(dir.path(), "s.yaml").expect(0);
    let shown = show(dir.path());
    let log = shown["scorecard"]["suites"][0]["attempts"][0]["stdout"]["path"].as_str().unwrap();
    std::fs::write(dir.path().join("out").join(log), "goodbye\n").unwrap();
    let ran = townlet_in(dir.path(), &["readiness", "show", "out"]).expect(1);
    assert!(
        ran.stdout.contains("is not what was written") && ran.stdout.ends_with("not to be trusted\n"),
        "{}",
        ran.stdout
    );
    // Nothing can be written where a file is.
    let words = ["readiness", "run", "--config", "s.yaml", "--out", "s.yaml", "--revision", "r"];
    townlet_in(dir.path(), &words).expect(3);
}

/// No repository, no revision, nobody knows what was tested.
#[test]
fn a_run_without_a_revision_is_refused_outside_of_a_repository() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "s.yaml", "suites:\n- { name: a, kind: unit, command: ['true'] }\n");
    let mut words = command(&["readiness", "run", "--config", "s.yaml", "--out", "out"]);
    // The temporary folder may lie inside of a repository.
    let output =
        words.current_dir(dir.path()).env("GIT_CEILING_DIRECTORIES", dir.path().parent().unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--revision"), "{output:?}");
}

/// What is left of a run that gets a signal while its first command waits, the command's process, and how it ended.
fn signalled(name: &str, through: &[&str]) -> (TempDir, String, Option<i32>) {
    let dir = TempDir::new().unwrap();
    let script = "echo $$ > pid; echo started >&2; until test -e go; do sleep 0.1; done";
    let yaml = format!(
        "suites:\n- {{ name: a, kind: unit, command: [sh, -c, '{script}'] }}\n- {{ name: b, kind: unit, command: [x], blocking: false }}\n"
    );
    write(dir.path(), "s.yaml", &yaml);
    let townlet = command(&["readiness", "run", "--config", "s.yaml", "--out", "out", "--revision", "r"]);
    let mut run = std::process::Command::new(through[0]);
    run.args(&through[1..]).arg(townlet.get_program()).args(townlet.get_args()).current_dir(dir.path());
    for (name, value) in townlet.get_envs() {
        match value {
            Some(value) => run.env(name, value),
            None => run.env_remove(name),
        };
    }
    let mut child = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "a …");
    let pid = dir.path().join("pid");
    while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
        assert_eq!(child.try_wait().unwrap(), None);
        std::thread::yield_now();
    }
    signal(&child, name);
    if through[0] == "nohup" {
        write(dir.path(), "go", "");
    }
    lines.for_each(drop);
    let code = child.wait().unwrap().code();
    (dir, std::fs::read_to_string(pid).unwrap(), code)
}

#[test]
fn a_signal_or_a_terminal_that_goes_ends_the_run_and_what_it_started_and_leaves_a_report() {
    for name in ["INT", "TERM", "HUP"] {
        // Whoever runs these tests may have had it ignored.
        let (dir, pid, code) = signalled(name, &["env", "--default-signal=HUP"]);
        assert_eq!(code, Some(1), "{name}");
        let shown = show(dir.path());
        assert_eq!(shown["scorecard"]["suites"][0]["attempts"][0]["ended"]["how"], "cancelled", "{name}");
        assert_eq!(shown["report"]["not_run"][0], "b", "{name}");
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "{name}: {pid}");
    }
    // With nohup it goes on.
    let (dir, ..) = signalled("HUP", &["nohup"]);
    assert_eq!(show(dir.path())["scorecard"]["suites"][0]["status"], "passed");
}
