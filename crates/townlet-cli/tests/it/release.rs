//! From a draft to a signed decision, with generated keys and the files of `samples/release`.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use townlet_gate::statement::Approval;
use townlet_registry::{Envelope, KeyRing, Registry, Role, Signer, Statement, Subject, Time, TrustedKey};

use crate::support::{Ran, command, samples, text, townlet_in};

const PEOPLE: [(&str, &[&str]); 7] = [
    ("rosa", &["release-engineer"]),
    ("ana", &["change-board"]),
    ("bo", &["sre-on-call"]),
    ("cy", &["product-owner"]),
    ("ci", &["ci"]),
    ("gate", &["gate"]),
    ("tess", &["training-lead", "sre-lead"]),
];

/// A folder with the sample, keys for everybody, and the evidence of a run and a rehearsal.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    run_id: String,
    rehearsal: String,
}

pub(crate) fn moment(minutes: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    Time::from_ms(i64::try_from(now).unwrap() + minutes * 60_000).to_string()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&samples().join("release"), folder.path());
        let mut ring = KeyRing::new();
        for (person, roles) in PEOPLE {
            let signer = Signer::generate().unwrap();
            signer.write_new(&folder.path().join(format!("{person}.key"))).unwrap();
            let roles = roles.iter().map(|role| Role::new(*role).unwrap()).collect();
            let (public, from) = (signer.public(), "2026-01-01T00:00:00Z".parse().unwrap());
            ring.trust(TrustedKey { public, person: person.into(), roles, from, until: None, revoked: None }).unwrap();
        }
        std::fs::write(folder.path().join("townlet-keys.json"), ring.to_json().unwrap()).unwrap();
        copy(&samples().join("readiness"), &folder.path().join("readiness"));
        let mut desk = Self { folder, run_id: String::new(), rehearsal: String::new() };
        desk.edit("sli-samples.json", |text| text.replace("2026-11-21T12:00:00Z", &moment(-1)));
        let suites = ["readiness", "run", "--config", "readiness/suites.yaml", "--out", "evidence"];
        desk.run(&[&suites[..], &["--revision", "59add34"]].concat()).expect(0);
        desk.run(&["rehearse", "--config", "readiness/rollback.yaml", "--out", "evidence"]).expect(0);
        let names = std::fs::read_dir(desk.path("evidence")).unwrap();
        for name in names.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
            let of = |start: &str| Some(name.strip_prefix(start)?.strip_suffix(".json")?.to_owned());
            desk.run_id = of("readiness_scorecard_").unwrap_or(desk.run_id);
            desk.rehearsal = of("rehearsal_").map_or(desk.rehearsal, |_| format!("evidence/{name}"));
        }
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn edit(&self, name: &str, change: impl Fn(String) -> String) {
        let before = std::fs::read_to_string(self.path(name)).unwrap();
        let after = change(before.clone());
        assert_ne!(before, after, "{name}");
        std::fs::write(self.path(name), after).unwrap();
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        townlet_in(self.folder.path(), words)
    }

    fn manifest(&self) {
        let mut new = command(&["manifest", "new", "release.yaml", "--out", "manifest.json"]);
        new.current_dir(self.folder.path()).env("WINDOW_OPENS", moment(-60)).env("WINDOW_CLOSES", moment(600));
        let ran = new.env("REVISION", "59add34").env("RUN_ID", &self.run_id).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }

    fn scorecard(&self) -> String {
        format!("evidence/readiness_scorecard_{}.json", self.run_id)
    }

    fn attest_scorecard(&self) -> Ran {
        self.run(&["attest", "scorecard", &self.scorecard(), "--key", "ci.key"])
    }

    fn attest_rehearsal(&self) -> Ran {
        self.run(&["attest", "rehearsal", &self.rehearsal, "--manifest", "manifest.json", "--key", "bo.key"])
    }

    pub(crate) fn approve(&self, role: &str, person: &str) -> Ran {
        let key = format!("{person}.key");
        let words = ["approve", "manifest.json", "--env", "production", "--role", role, "--reason", "read it"];
        self.run(&[&words[..], &["--key", &key]].concat())
    }

    pub(crate) fn gate(&self, more: &[&str]) -> Ran {
        let words =
            ["gate", "manifest.json", "--env", "production", "--samples", "sli-samples.json", "--key", "gate.key"];
        self.run(&[&words[..], more].concat())
    }

    /// Everything but the approvals.
    pub(crate) fn prepared() -> Self {
        let desk = Self::new();
        desk.manifest();
        desk.run(&["manifest", "sign", "manifest.json", "--key", "rosa.key"]).expect(0);
        desk.attest_scorecard().expect(0);
        desk.attest_rehearsal().expect(0);
        desk.vouch("training", "deployment-runbook", "rosa").expect(0);
        desk.vouch("rota", "sre", "bo").expect(0);
        desk
    }

    pub(crate) fn vouch(&self, kind: &str, topic: &str, person: &str) -> Ran {
        let words =
            ["attest", kind, topic, "--person", person, "--for", "12h", "--note", "a test", "--key", "tess.key"];
        self.run(&words)
    }

    /// With the approvals.
    pub(crate) fn approved() -> Self {
        let desk = Self::prepared();
        for (role, person) in [("change-board", "ana"), ("sre-on-call", "bo"), ("product-owner", "cy")] {
            desk.approve(role, person).expect(0);
        }
        desk
    }
}

#[test]
fn a_release_goes_from_a_draft_to_a_decision_that_anybody_replays() {
    let desk = Desk::prepared();
    let first = desk.gate(&[]).expect(10);
    assert!(first.stdout.starts_with("reject: R42 may not go to production"), "{}", first.stdout);
    assert_eq!(first.stdout.matches("APPROVAL_MISSING").count(), 3);
    assert!(first.stdout.contains("have one more person approve as sre-on-call"));
    desk.approve("change-board", "ana").expect(0);
    // Signed, kept, and not believed: bo holds another role.
    desk.approve("product-owner", "bo").expect(0);
    let second = desk.gate(&[]).expect(10);
    assert!(second.stdout.contains("ROLE_NOT_HELD: bo does not sign as product-owner"), "{}", second.stdout);
    desk.approve("sre-on-call", "bo").expect(0);
    desk.approve("product-owner", "cy").expect(0);
    let third = desk.gate(&[]).expect(0);
    assert!(third.stdout.starts_with("approve: R42 may go to production"), "{}", third.stdout);
    // The decision is in the log, can be explained, compared with the first one, and made again.
    let digest = third.stdout.lines().last().unwrap().strip_prefix("decision ").unwrap();
    assert_eq!(desk.run(&["explain", "R42"]).expect(0).stdout, desk.run(&["explain", digest]).expect(0).stdout);
    let before = first.stdout.lines().last().unwrap().strip_prefix("decision ").unwrap();
    let diff = desk.run(&["diff", before, "R42"]).expect(1);
    assert!(diff.stdout.contains("~ verdict: \"reject\" -> \"approve\""), "{}", diff.stdout);
    let replay = desk.run(&["replay-decision"]).expect(0);
    assert_eq!(replay.stdout, "3 decided again, 0 not the same\n");
    desk.run(&["replay-decision", "R42"]).expect(0);
}

#[test]
fn what_somebody_signs_makes_no_row_in_the_answer_of_the_gate() {
    let desk = Desk::prepared();
    let signer = Signer::read(&desk.path("bo.key")).unwrap();
    let manifest = std::fs::read_to_string(desk.path("manifest.json")).unwrap();
    let manifest = townlet_gate::manifest::read(&manifest, "manifest.json").unwrap();
    let at: Time = moment(0).parse().unwrap();
    let forged = Approval {
        environment: "production".into(),
        role: Role::new("change-board").unwrap(),
        actor: "ana\n  ok      approval:change-board".into(),
        at,
        expires_at: None,
        reason: "read it".into(),
    };
    let about = Statement::about(Subject::new("R42", manifest.digest().unwrap()), forged);
    let envelope = Envelope::sign(&about, &signer).unwrap();
    Registry::open(&desk.path("townlet-registry.db")).unwrap().append(&envelope, at).unwrap();
    let ran = desk.gate(&[]).expect(10);
    assert!(ran.stdout.contains("ana\\n"), "it is told that this does not count: {}", ran.stdout);
    assert!(!ran.stdout.lines().any(|line| line.starts_with("  ok      approval:change-board")), "{}", ran.stdout);
}

#[test]
fn the_exit_code_says_who_has_to_do_something() {
    let desk = Desk::approved();
    desk.gate(&[]).expect(0);
    desk.edit("sli-samples.json", |text| text.replace("183.5", "283.5"));
    let waivable = desk.gate(&[]).expect(11);
    assert!(waivable.stdout.starts_with("waiver_required"), "{}", waivable.stdout);
    let words = ["waive", "manifest.json", "--env", "production", "--policy", "performance_p95_ms"];
    let more = ["--justification", "R41 is slower", "--mitigation", "half of the traffic", "--expires", "48h"];
    let by = ["--reason", "accepted_risk", "--key", "ana.key"];
    desk.run(&[&words[..], &more, &by].concat()).expect(0);
    let waived = desk.gate(&[]).expect(0);
    assert!(waived.stdout.contains("waived  performance_p95_ms"), "{}", waived.stdout);
    // Nobody can tell, and nobody has said no.
    desk.edit("sli-samples.json", |text| {
        text.replace("0.001", "0.1").replace("\"error_rate\", \"dropped\": 0", "\"error_rate\", \"dropped\": 2")
    });
    let unknown = desk.gate(&[]).expect(3);
    assert!(unknown.stdout.contains("SAMPLES_INCOMPLETE"), "{}", unknown.stdout);
    desk.gate(&["--as-of", "yesterday"]).expect(2);
    desk.gate(&["--board", "absent.yaml"]).expect(3);
    desk.edit("change-board.yaml", |text| text.replace("window: required", "windw: required"));
    let broken = desk.gate(&[]).expect(2);
    assert!(broken.stderr.contains("write window"), "{}", broken.stderr);
}

#[test]
fn a_manifest_that_is_not_there_is_a_decision_with_a_name() {
    let desk = Desk::new();
    let json = desk.gate(&["--json"]).expect(10).json();
    assert_eq!(json["verdict"], "reject");
    assert_eq!(json["conditions"][0]["reasons"][0]["code"], "MISSING_RELEASE_MANIFEST");
    desk.run(&["replay-decision"]).expect(0);
}

#[test]
fn another_manifest_has_no_approvals() {
    let desk = Desk::approved();
    desk.edit("manifest.json", |text| text.replace("1.4.0", "1.4.1"));
    let decision = desk.gate(&["--json"]).expect(10).json();
    let unmet = |id: &str| {
        let all = decision["conditions"].as_array().unwrap().clone();
        all.iter().find(|one| one["id"] == id).map(|one| one["standing"].clone())
    };
    assert_eq!(unmet("author"), Some(Value::from("unmet")));
    assert_eq!(unmet("approval:change-board"), Some(Value::from("unmet")));
    // The way back is the same, so its rehearsal counts.
    assert_eq!(unmet("rehearsal"), Some(Value::from("met")));
}

#[test]
fn a_manifest_is_checked_against_its_files_and_made_of_nothing_that_is_missing() {
    let desk = Desk::new();
    let unset = desk.run(&["manifest", "new", "release.yaml", "--out", "manifest.json"]).expect(2);
    assert!(unset.stderr.contains("the variable WINDOW_OPENS is not set, or empty"), "{}", unset.stderr);
    assert!(!desk.path("manifest.json").exists());
    desk.manifest();
    let checked = desk.run(&["manifest", "check", "manifest.json"]).expect(0);
    let digest = desk.run(&["manifest", "digest", "manifest.json"]).expect(0);
    assert!(checked.stdout.ends_with(&format!("R42 {}", digest.stdout)), "{}", checked.stdout);
    std::fs::write(desk.path("artifacts/service-api"), "other bytes").unwrap();
    std::fs::remove_file(desk.path("evidence/dry-run.txt")).unwrap();
    let checked = desk.run(&["manifest", "check", "manifest.json"]).expect(1);
    assert!(checked.stdout.contains("OTHER BYTES  artifacts/service-api"), "{}", checked.stdout);
    assert!(checked.stdout.contains("MISSING"), "{}", checked.stdout);
}

#[test]
fn the_manifest_of_the_predecessor_becomes_a_draft() {
    let desk = Desk::new();
    let old = r#"{ "release": "R40", "artifacts": [], "approvals": [{"role": "change-board", "actor": "alice", "timestamp": ""}],
      "rollback_plan": {"trigger": "latency_p95>400ms", "steps": ["disable flags"], "rehearsed_at": "2025-09-18"} }"#;
    std::fs::write(desk.path("old.json"), old).unwrap();
    let ran = desk.run(&["manifest", "import", "old.json", "--out", "draft.json"]).expect(1);
    for told in ["moved   approvals: change-board by alice", "wanted  author", "when: \"latency_p95 > 400ms\""] {
        assert!(ran.stdout.contains(told), "{told}: {}", ran.stdout);
    }
    assert!(desk.path("draft.json").exists());
}

#[test]
fn a_key_that_nobody_vouched_for_signs_nothing() {
    let desk = Desk::new();
    desk.manifest();
    let stranger = desk.path("stranger.key");
    Signer::generate().unwrap().write_new(&stranger).unwrap();
    let words = ["manifest", "sign", "manifest.json", "--key", text(&stranger)];
    assert!(desk.run(&words).expect(2).stderr.contains("nobody vouched for key"));
    // Nor does somebody else sign as the author.
    let other = desk.run(&["manifest", "sign", "manifest.json", "--key", "ana.key"]).expect(2);
    assert!(other.stderr.contains("the key is that of ana, and the manifest is by rosa"), "{}", other.stderr);
}

#[test]
fn reasons_and_differences_are_told_without_a_registry() {
    let desk = Desk::new();
    let told = desk.run(&["explain", "ROLLBACK_REHEARSAL_OVERDUE"]).expect(0);
    assert!(told.stdout.contains("-> townlet rehearse"), "{}", told.stdout);
    assert!(
        desk.run(&["explain", "ROLLBACK_REHEARSAL_OVERDU"]).expect(2).stderr.contains("ROLLBACK_REHEARSAL_OVERDUE?")
    );
    desk.manifest();
    std::fs::copy(desk.path("manifest.json"), desk.path("other.json")).unwrap();
    desk.run(&["diff", "manifest.json", "other.json"]).expect(0);
    desk.edit("other.json", |text| text.replace("1.4.0", "1.4.1"));
    let diff = desk.run(&["diff", "manifest.json", "other.json"]).expect(1);
    assert_eq!(diff.stdout, "~ artifacts[service-api].version: \"1.4.0\" -> \"1.4.1\"\n");
    desk.run(&["explain", "R99"]).expect(3);
    // A release may be called like a reason.
    desk.edit("manifest.json", |text| text.replace("\"R42\"", "\"RC\""));
    desk.gate(&[]).expect(10);
    let told = desk.run(&["explain", "RC"]).expect(0);
    assert!(told.stdout.starts_with("reject: RC may not go to production"), "{}", told.stdout);
}

#[test]
fn nobody_signs_evidence_that_was_edited_or_stands_alone() {
    let desk = Desk::new();
    desk.manifest();
    let (card, record) = (desk.scorecard(), desk.rehearsal.clone());
    desk.edit(&card, |text| text.replace("\"number\": 1", "\"number\": 2"));
    let refused = desk.attest_scorecard().expect(2);
    assert!(refused.stderr.contains("does not hold"), "{}", refused.stderr);
    desk.edit(&record, |text| text.replace("\"outcome\": \"passed\"", "\"outcome\": \"too_late\""));
    let refused = desk.attest_rehearsal().expect(2);
    assert!(refused.stderr.contains("the outcome is TooLate, and the steps say Passed"), "{}", refused.stderr);
    // A log that was changed afterwards.
    desk.edit(&record, |text| text.replace("too_late", "passed"));
    let log = std::fs::read_dir(desk.path("evidence")).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<_> = log.filter(|path| path.is_dir()).collect();
    assert!(!folders.is_empty());
    folders.iter().for_each(|folder| std::fs::remove_dir_all(folder).unwrap());
    assert!(desk.attest_rehearsal().expect(2).stderr.contains("does not hold"));
    // Without its report a scorecard is a file that anybody wrote.
    std::fs::create_dir(desk.path("elsewhere")).unwrap();
    std::fs::copy(desk.path(&card), desk.path("elsewhere/card.json")).unwrap();
    desk.run(&["attest", "scorecard", "elsewhere/card.json", "--key", "ci.key"]).expect(3);
}
