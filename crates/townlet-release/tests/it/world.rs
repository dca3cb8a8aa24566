//! A release, decisions about it, and a recorder whose lines and requests can be looked at.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use townlet_config::{Factories, Identity, Loader, TelemetryConfig};
use townlet_gate::gate::{Decision, Inputs};
use townlet_gate::manifest::{self, Manifest};
use townlet_gate::statement::Authorship;
use townlet_registry::{Digest, Envelope, KeyRing, Role, Signer, Statement, Subject, Time, TrustedKey};
use townlet_release::telemetry::{Decided, Deployment, Nanos, Recorder, TraceParent};
use townlet_schema::RunId;
use townlet_transport_file::FileFactory;
use townlet_transport_otlp::OtlpFactory;

pub(crate) const RUN: &str = "0193-run";

pub(crate) fn factories() -> Factories {
    vec![Arc::new(FileFactory), Arc::new(OtlpFactory)]
}

pub(crate) fn load(yaml: &str) -> TelemetryConfig {
    let (file, otlp) = (FileFactory, OtlpFactory);
    let loaded = Loader::new().factory(&file).factory(&otlp).load_str("telemetry.yaml", yaml);
    loaded.unwrap_or_else(|found| panic!("{found}")).config
}

pub(crate) fn recorder(yaml: &str, parent: Option<TraceParent>) -> Recorder {
    let identity = Identity {
        run_id: RunId::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001),
        producer: String::new(),
        runtime_variant: None,
        started_at: 1_795_276_800_000,
        seed: None,
    };
    Recorder::start(&load(yaml), &factories(), identity, parent).unwrap()
}

/// One that writes into a file of this folder.
pub(crate) fn to_file(dir: &Path, parent: Option<TraceParent>) -> Recorder {
    let path = serde_json::to_string(&dir.join("told.jsonl").display().to_string()).unwrap();
    recorder(&format!("telemetry: {{transport: {{type: file, file_path: {path}}}}}"), parent)
}

/// Everything that was told, in order.
pub(crate) fn told(dir: &Path, recorder: Recorder) -> Vec<Value> {
    let account = recorder.finish(Duration::from_secs(20));
    let text = std::fs::read_to_string(dir.join("told.jsonl")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<Value> = lines.filter(|line| line["payload_type"] == "event").collect();
    assert_eq!((account.lost, account.accepted), (0, events.len() as u64));
    events
}

/// The events of this name.
pub(crate) fn named<'v>(events: &'v [Value], name: &str) -> Vec<&'v Value> {
    events.iter().filter(|line| line["event"] == name).map(|line| &line["payload"]).collect()
}

const MANIFEST: &str = r#"{
  "schema": "townlet.release-manifest/1", "release": "R42", "generated_at": "2026-11-21T12:00:00Z", "author": "rosa",
  "environments": ["staging"], "window": null,
  "artifacts": [{ "name": "app", "version": "1", "path": "app", "bytes": 3,
    "digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }],
  "readiness": { "run_id": "0193-run", "scorecard": { "at": "card.json",
    "digest": "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" } },
  "feature_flags": [], "secrets": [], "migrations": [], "config_deltas": [],
  "rollback_plan": { "policy": { "at": "p.yaml",
    "digest": "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc" }, "rules": ["a"], "steps": ["b"] },
  "previous": null, "metadata": {}
}"#;

pub(crate) const POLICY: &str = "policies: { error_rate: < 0.01 }";

pub(crate) fn the_manifest() -> Manifest {
    manifest::read(MANIFEST, "manifest.json").unwrap_or_else(|found| panic!("{found}"))
}

/// What a gate says about it, asked with or without the signature of its author.
pub(crate) fn decide(signed: bool, policy: &str) -> (Decision, Digest) {
    let (signer, manifest) = (Signer::from_seed(&[7; 32]), the_manifest());
    let at = |text: &str| text.parse::<Time>().unwrap();
    let mut ring = KeyRing::new();
    let roles = [Role::new("release-engineer").unwrap()].into_iter().collect();
    let (public, from) = (signer.public(), at("2026-01-01T00:00:00Z"));
    ring.trust(TrustedKey { public, person: "rosa".into(), roles, from, until: None, revoked: None }).unwrap();
    let authorship = Authorship { actor: "rosa".into(), at: manifest.generated_at };
    let statement = Statement::about(Subject::new("R42", manifest.digest().unwrap()), authorship);
    let envelope = Envelope::sign(&statement, &signer).unwrap().to_vec().unwrap();
    let board = "environments:
  staging: { authors: [release-engineer], approvals: automatic, policies: none, readiness: not required,
    rehearsal: not required, waivers: none, window: not required }";
    let inputs = Inputs {
        manifest: Some(manifest.to_bytes().unwrap()),
        board: board.into(),
        policy: policy.into(),
        keys: ring.to_json().unwrap(),
        statements: if signed { vec![envelope] } else { Vec::new() },
        ..Inputs::default()
    };
    let decision = inputs.decide("staging", at("2026-11-21T14:00:00Z")).unwrap();
    let digest = Digest::of(&decision.to_bytes().unwrap());
    (decision, digest)
}

pub(crate) fn decided<'a>(
    decision: &'a (Decision, Digest),
    manifest: Option<&'a Manifest>,
    before: Option<&'a Decision>,
) -> Decided<'a> {
    Decided {
        decision: &decision.0,
        digest: decision.1,
        manifest,
        before,
        actor: "gate",
        start: Nanos(1_795_276_800_000_000_000),
        end: Nanos(1_795_276_800_250_000_000),
    }
}

pub(crate) fn deployment() -> Deployment {
    let manifest = the_manifest();
    let ready_at = Some(Nanos::from_ms(1_795_276_000_000));
    Deployment::of(&manifest, manifest.digest().unwrap(), "production", "rosa", ready_at)
}
