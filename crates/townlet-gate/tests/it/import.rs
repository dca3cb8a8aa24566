//! The manifest of the predecessor, as its guide prints it.

use townlet_gate::manifest::{self, Import};

use crate::sample::{Paths, noon, variables};

/// "Release Manifest Template" of the deployment readiness guide.
const OLD: &str = r#"{
  "release": "2025.10.02",
  "generated_at": "2025-10-02T12:00:00Z",
  "artifacts": [
    {"name": "service-api", "version": "1.4.0", "hash": "sha256:..."},
    {"name": "prompt-pack", "version": "2025.10.02", "hash": "sha256:..."}
  ],
  "scorecard_path": "readiness_scorecards/run123.json",
  "readiness_run_id": "run123",
  "feature_flags": [
    {"name": "llm_overlay_v2", "rollout_plan": "5%->25%->50%", "fallback": "disable"}
  ],
  "secrets": [
    {"name": "registry-api", "version": "2025-10-01", "rotation_evidence": "s3://.../rotation.log"}
  ],
  "migrations": [
    {"id": "2025_10_02_add_indexes", "dry_run": "s3://.../dry-run.txt", "rollback": "scripts/rollback_add_indexes.sql"}
  ],
  "approvals": [
    {"role": "change-board", "actor": "alice", "timestamp": "2025-10-02T14:30:00Z"}
  ],
  "rollback_plan": {
    "trigger": "latency_p95>400ms",
    "steps": ["disable flags", "revert to release 2025.09.25"],
    "rehearsed_at": "2025-09-18T16:00:00Z"
  },
  "metadata": {
    "environment": "production"
  }
}
"#;

fn imported(text: &str) -> Import {
    manifest::import(text, "old.json", Some("rosa")).unwrap_or_else(|found| panic!("{found}"))
}

#[test]
fn the_old_template_is_read_and_what_moved_is_told() {
    let import = imported(OLD);
    let moved: Vec<String> = import.moved.iter().map(|one| format!("{} -> {}", one.from, one.to)).collect();
    insta::assert_snapshot!(format!(
        "{}\nwanted\n{}\nmoved\n{}",
        import.draft,
        import.wanted.join("\n"),
        moved.join("\n")
    ));
}

#[test]
fn once_its_wants_are_met_the_draft_is_a_manifest() {
    let draft = imported(OLD).draft;
    let found = manifest::draft(&draft, "draft.json", noon(), &variables, &Paths).unwrap_err().to_string();
    for told in ["an artifact needs path", "an address is not fetched", "rollback_plan needs policy"] {
        assert!(found.contains(told), "{told}: {found}");
    }
    let digest = "0".repeat(64);
    let met = draft
        .replace("\"version\": \"1.4.0\"", "\"version\": \"1.4.0\", \"path\": \"a\"")
        .replace("\"version\": \"2025.10.02\"", "\"version\": \"2025.10.02\", \"path\": \"b\"")
        .replace(".log\"", &format!(".log\", \"digest\": \"{digest}\""))
        .replace("dry-run.txt\"", &format!("dry-run.txt\", \"digest\": \"{digest}\""))
        .replace("\"steps\"", "\"policy\": \"rollback.yaml\", \"steps\"");
    let made =
        manifest::draft(&met, "draft.json", noon(), &variables, &Paths).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!((made.author.as_str(), made.environments), ("rosa", vec!["production".to_owned()]));
    assert_eq!((made.release.as_str(), made.rollback_plan.rules), ("2025.10.02", vec!["latency_p95".to_owned()]));
    assert_eq!(made.secrets[0].rotation_evidence.digest.to_hex(), digest);
}

#[test]
fn a_hash_that_is_one_is_kept_and_checked() {
    let digest = townlet_registry::Digest::of(b"a").to_string();
    let import = imported(&OLD.replacen("sha256:...", &digest, 1));
    assert!(import.draft.contains(&digest) && import.moved.iter().filter(|one| one.from.contains("hash")).count() == 1);
}

#[test]
fn fields_that_the_template_does_not_have_are_faults_with_their_line() {
    for (from, to, told) in [
        ("\"release\"", "\"relase\"", "old.json:2:3"),
        ("\"hash\": \"sha256:...\"}\n", "\"sha\": \"sha256:...\"}\n", "old.json:6:54"),
        ("latency_p95>400ms", "when it is slow", "write it as latency_p95>400ms"),
        ("2025-10-02T12:00:00Z", "2025-10-02T12:00:00", "without Z or an offset"),
        ("\"role\"", "\"rule\"", "write role"),
    ] {
        let text = OLD.replacen(from, to, 1);
        assert_ne!(text, OLD, "{from}");
        let found = manifest::import(&text, "old.json", None).unwrap_err().to_string();
        assert!(found.contains(told), "{found}");
    }
}

#[test]
fn escapes_of_json_are_read_as_json_has_them() {
    let import = imported(&OLD.replace("\"production\"", r#""production", "note": "\ud83d\ude00 \/ \u00e9""#));
    assert!(import.draft.contains("😀 / é"), "{}", import.draft);
}

#[test]
fn what_the_old_manifest_left_out_is_left_out_of_the_draft() {
    let draft = imported(&OLD.replace("  \"generated_at\": \"2025-10-02T12:00:00Z\",\n", "")).draft;
    assert!(!draft.contains("generated_at"), "{draft}");
    let found = manifest::draft(&draft, "draft.json", noon(), &variables, &Paths).unwrap_err().to_string();
    assert!(!found.contains("generated_at"), "{found}");
}
