//! What several tests begin with.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::collections::BTreeMap;

use townlet_gate::manifest::{self, Files, Manifest};
use townlet_registry::{Digest, Time};

/// A draft in which nothing is missing.
pub(crate) const DRAFT: &str = r#"
release: R42
author: rosa
environments: [staging, production]
window: { opens_at: 2026-11-21T08:00:00Z, closes_at: 2026-11-22T20:00:00Z }
artifacts:
  - { name: service-api, version: 1.4.0, path: target/service-api }
  - { name: prompt-pack, version: "{{SHA}}", path: prompts.tar }
readiness: { run_id: run123, scorecard: readiness_scorecard_run123.json }
feature_flags:
  - { name: overlay_v2, rollout_plan: 5%->25%->50%, fallback: disable }
secrets:
  - { name: registry-api, version: 2026-11-01, rotation_evidence: evidence/rotation.log }
migrations:
  - { id: add_indexes, dry_run: evidence/dry-run.txt, rollback: scripts/rollback.sql }
config_deltas:
  - { path: configs/production/R42.toml }
rollback_plan:
  policy: policies/rollback.yaml
  rules: [latency]
  steps: [disable flags, revert to R41]
metadata: { ticket: CHG-7 }
"#;

/// A folder in memory: a file for each path, with its path as content.
pub(crate) struct Paths;

impl Files for Paths {
    fn digest(&self, path: &str) -> Result<(Digest, u64), String> {
        if path.contains("absent") {
            return Err(format!("{path}: no such file"));
        }
        Ok((Digest::of(path.as_bytes()), path.len() as u64))
    }
}

pub(crate) fn at(text: &str) -> Time {
    text.parse().unwrap()
}

/// The time at which tests make manifests.
pub(crate) fn noon() -> Time {
    at("2026-11-21T12:00:00Z")
}

pub(crate) fn variables(name: &str) -> Option<String> {
    BTreeMap::from([("SHA", "59add34"), ("EMPTY", "")]).get(name).map(|value| (*value).to_owned())
}

pub(crate) fn manifest() -> Manifest {
    manifest::draft(DRAFT, "release.yaml", noon(), &variables, &Paths).unwrap_or_else(|found| panic!("{found}"))
}
