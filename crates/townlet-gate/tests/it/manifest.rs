//! Drafts become manifests, and what is wrong with them is told with its line.

use proptest::prelude::*;
use townlet_gate::manifest::{self, Folder, Manifest, Pinned};
use townlet_policy::{Code, Findings};
use townlet_registry::Digest;

use crate::sample::{DRAFT, Paths, manifest, noon, variables};

fn draft(text: &str) -> Result<Manifest, Findings> {
    manifest::draft(text, "release.yaml", noon(), &variables, &Paths)
}

#[test]
fn a_draft_becomes_a_manifest_with_the_digests_of_its_files() {
    let made = manifest();
    assert_eq!(made.generated_at, noon());
    assert_eq!(made.artifacts[0].digest, Digest::of(b"target/service-api"));
    assert_eq!(made.artifacts[0].bytes, 18);
    assert_eq!(made.artifacts[1].version, "59add34");
    assert_eq!(made.feature_flags[0].rollout_plan, [5, 25, 50]);
    let evidence = "evidence/rotation.log";
    let pinned = Pinned { at: evidence.to_owned(), digest: Digest::of(evidence.as_bytes()) };
    assert_eq!(made.secrets[0].rotation_evidence, pinned);
    assert_eq!(made.config_deltas[0].to, Some(Digest::of(b"configs/production/R42.toml")));
    assert_eq!(made.rollback_plan.steps, ["disable flags", "revert to R41"]);
}

#[test]
fn a_manifest_reads_back_and_its_digest_is_of_what_it_says_and_not_of_its_layout() {
    let made = manifest();
    let canonical = String::from_utf8(made.to_bytes().unwrap()).unwrap();
    let pretty = serde_json::to_string_pretty(&made).unwrap();
    for text in [&canonical, &pretty] {
        let read = manifest::read(text, "m.json").unwrap_or_else(|found| panic!("{found}"));
        assert_eq!((read.digest().unwrap(), read), (made.digest().unwrap(), made.clone()));
    }
    let other = pretty.replace("CHG-7", "CHG-8");
    assert_ne!(manifest::read(&other, "m.json").unwrap().digest().unwrap(), made.digest().unwrap());
}

#[test]
fn each_fault_is_told_with_its_line_and_what_to_do() {
    for (from, to, code, line, told) in [
        ("release: R42", "relaese: R42", Code::UnknownKey, 2, "write release"),
        ("release: R42", "release: '{{RELEASE}}'", Code::Value, 2, "the variable RELEASE is not set, or empty"),
        ("release: R42", "release: '{{EMPTY}}'", Code::Value, 2, "the variable EMPTY is not set, or empty"),
        ("release: R42", "release: ''", Code::Value, 2, "release is a text, not an empty one"),
        ("author: rosa\n", "", Code::Missing, 2, "a manifest needs author"),
        ("closes_at: 2026-11-22T20:00:00Z", "closes_at: 2026-11-22", Code::Value, 5, "without Z or an offset"),
        ("closes_at: 2026-11-22T20", "closes_at: 2026-11-20T20", Code::Value, 5, "closes before it has opened"),
        ("path: prompts.tar", "path: absent.tar", Code::Value, 8, "absent.tar: no such file"),
        ("path: prompts.tar", "pth: prompts.tar", Code::UnknownKey, 8, "write path"),
        ("name: prompt-pack", "name: service-api", Code::Duplicate, 8, "stands in artifacts twice"),
        ("path: prompts.tar", "path: prompts.tar, digest: 59add34", Code::Value, 8, "64 lower-case hex digits"),
        ("path: prompts.tar", "path: prompts.tar, bytes: 012", Code::Value, 8, "the file has 11"),
        ("5%->25%->50%", "50%->25%", Code::Value, 11, "rising percentages"),
        ("5%->25%->50%", "5%->125%", Code::Value, 11, "rising percentages"),
        ("evidence/rotation.log", "s3://b/rotation.log", Code::Missing, 13, "an address is not fetched"),
        ("fallback: disable", "fallback: null", Code::Missing, 11, "a feature flag needs fallback"),
        ("configs/production/R42.toml", "absent.toml", Code::Value, 17, "for a file that goes, write to: null"),
        ("steps: [disable flags, revert to R41]", "steps: now", Code::Value, 21, "steps is a list"),
        ("metadata: { ticket: CHG-7 }", "metadata: CHG-7", Code::Value, 22, "a mapping of texts"),
        ("release: R42", "schema: v9\nrelease: R42", Code::Value, 2, "reads no other form"),
    ] {
        let text = DRAFT.replacen(from, to, 1);
        assert_ne!(text, DRAFT, "{from}");
        let found = draft(&text).expect_err(to);
        let hit = found.iter().find(|one| one.code == code && one.place.line == line);
        assert!(hit.is_some() && found.to_string().contains(told), "{to}: {found}");
    }
}

#[test]
fn every_fault_is_told_and_not_the_first_alone() {
    let text = DRAFT.replace("author: rosa", "autor: rosa").replace("path:", "pth:").replace("steps", "stages");
    let found = draft(&text).unwrap_err();
    assert!(found.len() >= 8, "{found}");
}

#[test]
fn a_digest_that_is_not_that_of_the_file_is_refused() {
    let wrong = Digest::of(b"something else");
    let text = DRAFT.replace("path: prompts.tar", &format!("path: prompts.tar, digest: '{wrong}'"));
    let found = draft(&text).unwrap_err().to_string();
    assert!(found.contains(&format!("digest is {wrong}, and the file has")), "{found}");
    let right = Digest::of(b"prompts.tar").to_hex();
    assert!(draft(&text.replace(&wrong.to_string(), &right)).is_ok());
}

#[test]
fn a_finished_manifest_has_every_digest_and_no_variables() {
    let text = serde_json::to_string_pretty(&manifest()).unwrap();
    let digest = manifest().artifacts[0].digest.to_string();
    let without = text.replacen(&format!("\"digest\": \"{digest}\","), "", 1);
    assert!(manifest::read(&without, "m.json").unwrap_err().to_string().contains("digest is missing"));
    // A variable that nobody replaced stays visible in the digest: it is text like any other.
    let variable = text.replace("CHG-7", "{{TICKET}}");
    assert_eq!(manifest::read(&variable, "m.json").unwrap().metadata["ticket"], "{{TICKET}}");
    for missing in ["schema", "generated_at"] {
        let text = text.replace(&format!("\"{missing}\""), "\"metadata_\"");
        assert!(manifest::read(&text, "m.json").unwrap_err().to_string().contains(&format!("needs {missing}")));
    }
}

#[test]
fn files_are_read_below_their_folder_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("below")).unwrap();
    std::fs::write(folder.path().join("below/a"), "content").unwrap();
    std::fs::write(folder.path().join("outside"), "x").unwrap();
    let files = Folder::new(folder.path().join("below"));
    let digest = |path: &str| manifest::Files::digest(&files, path);
    assert_eq!(digest("./a"), Ok((Digest::of(b"content"), 7)));
    for path in ["../outside", "/etc/hostname", "b"] {
        assert!(digest(path).is_err(), "{path}");
    }
}

#[test]
fn the_name_of_the_rollback_plan_does_not_change_with_the_release() {
    let other = draft(&DRAFT.replace("R42\n", "R43\n")).unwrap();
    assert_ne!(other.digest().unwrap(), manifest().digest().unwrap());
    assert_eq!(other.rollback_plan.digest().unwrap(), manifest().rollback_plan.digest().unwrap());
    let steps = draft(&DRAFT.replace("revert to R41", "revert to R40")).unwrap();
    assert_ne!(steps.rollback_plan.digest().unwrap(), manifest().rollback_plan.digest().unwrap());
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic_and_what_they_refuse_has_a_reason(
        at in 0..DRAFT.len(),
        cut in 0..20_usize,
        put in "([a-z]{1,3}|[\\[\\]{}:>|&*!%\"'#\\-]|\n {0,6}|\\{\\{|\\PC){0,6}",
    ) {
        let mut text = DRAFT.to_owned();
        text.replace_range(at..(at + cut).min(DRAFT.len()), &put);
        if let Err(found) = draft(&text) {
            prop_assert!(found.has_errors());
            prop_assert!(!found.to_string().contains(char::from(27)));
        }
        let _ = manifest::read(&text, "m");
        let _ = manifest::import(&text, "m", None);
    }
}
