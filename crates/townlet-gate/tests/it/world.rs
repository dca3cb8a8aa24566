//! A release with everything that production demands, and people who sign.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use townlet_gate::gate::{Decision, Inputs};
use townlet_gate::manifest::Manifest;
use townlet_gate::statement::{
    Approval, Attestation, AttestationKind, Authorship, Ground, IncidentClosed, IncidentOpened, IncidentOutcome,
    Rehearsal, Scorecard, Severity, Step, Waiver,
};
use townlet_registry::{Digest, Envelope, KeyRing, Predicate, Role, Signer, Statement, Subject, Time, TrustedKey};

use crate::readers::BOARD;
use crate::sample::{at, manifest};

/// Who there is, and in which roles.
const PEOPLE: &[(&str, &[&str])] = &[
    ("rosa", &["release-engineer", "change-board"]),
    ("ana", &["change-board"]),
    ("bo", &["sre-on-call"]),
    ("cy", &["product-owner"]),
    ("dora", &["change-board", "sre-on-call", "product-owner"]),
    ("ci", &["ci"]),
    ("tess", &["training-lead", "sre-lead"]),
];

/// As long as the policy of the predecessor, and with one more rule.
pub(crate) const POLICY: &str = "
max_gap: 1h
policies:
  readiness_passed: true
  performance_p95_ms: < 200
  error_rate: < 0.01
  open_critical_incidents: 0
  readiness_waiver_expired: false
";

pub(crate) const SAMPLES: &str = r#"{
  "schema": "townlet.sli-samples/1",
  "source": "a test",
  "series": [
    { "metric": "performance_p95_ms", "dropped": 0, "samples": [["2026-11-21T13:30:00Z", 183.5]] },
    { "metric": "error_rate", "dropped": 0, "samples": [["2026-11-21T13:30:00Z", 0.001]] },
    { "metric": "open_critical_incidents", "dropped": 0, "samples": [["2026-11-21T13:30:00Z", 0]] }
  ]
}"#;

static SIGNERS: LazyLock<BTreeMap<&'static str, Signer>> = LazyLock::new(|| {
    let names = PEOPLE.iter().map(|(name, _)| *name).chain(["mallory"]);
    names.enumerate().map(|(n, name)| (name, Signer::from_seed(&[u8::try_from(n).unwrap() + 1; 32]))).collect()
});

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let mut ring = KeyRing::new();
    for (person, roles) in PEOPLE {
        let roles = roles.iter().map(|role| Role::new(*role).unwrap()).collect();
        let (public, from) = (SIGNERS[person].public(), at("2026-01-01T00:00:00Z"));
        ring.trust(TrustedKey { public, person: (*person).into(), roles, from, until: None, revoked: None }).unwrap();
    }
    ring
});

/// Its file: to write it takes longer than to decide.
static KEYS: LazyLock<Vec<u8>> = LazyLock::new(|| RING.to_json().unwrap());

/// Everything that goes into a decision.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) environment: &'static str,
    pub(crate) as_of: Time,
    pub(crate) manifest: Option<Manifest>,
    pub(crate) board: String,
    pub(crate) policy: String,
    pub(crate) samples: Option<String>,
    pub(crate) ring: KeyRing,
    pub(crate) statements: Vec<(&'static str, Vec<u8>)>,
}

/// An hour and more after the manifest was made.
pub(crate) fn asked() -> Time {
    at("2026-11-21T14:00:00Z")
}

pub(crate) fn signed<P: Predicate>(by: &str, about: Digest, predicate: P) -> Vec<u8> {
    let statement = Statement::about(Subject::new("a test", about), predicate);
    Envelope::sign(&statement, &SIGNERS[by]).unwrap().to_vec().unwrap()
}

pub(crate) fn approval(role: &str, actor: &str, at_time: &str) -> Approval {
    Approval {
        environment: "production".into(),
        role: Role::new(role).unwrap(),
        actor: actor.into(),
        at: at(at_time),
        expires_at: None,
        reason: "a test".into(),
    }
}

pub(crate) fn waiver(policy: &str, reason: Ground) -> Waiver {
    Waiver {
        environment: "production".into(),
        policies: vec![policy.into()],
        reason,
        justification: "the old release is slower".into(),
        mitigation: "half of the traffic".into(),
        actor: "ana".into(),
        at: at("2026-11-21T13:00:00Z"),
        expires_at: at("2026-11-25T00:00:00Z"),
    }
}

pub(crate) fn scorecard(manifest: &Manifest) -> Scorecard {
    Scorecard {
        run_id: manifest.readiness.run_id.clone(),
        passed: true,
        finished_at: at("2026-11-21T11:00:00Z"),
        revision: Some("59add34".into()),
        actor: "ci".into(),
    }
}

pub(crate) fn rehearsal(finished_at: &str) -> Rehearsal {
    let finished_at = at(finished_at);
    Rehearsal {
        environment: "staging".into(),
        passed: true,
        started_at: Time::from_ms(finished_at.as_ms() - 120_000),
        finished_at,
        steps: vec![Step { name: "disable flags".into(), duration_ms: 120_000, passed: true }],
        surprises: Vec::new(),
        actor: "bo".into(),
    }
}

/// Signed at one o'clock by `actor`, and good from then for a month.
pub(crate) fn attestation(kind: AttestationKind, topic: &str, person: Option<&str>, actor: &str) -> Attestation {
    let at_one = at("2026-11-21T13:00:00Z");
    Attestation {
        kind,
        topic: topic.into(),
        person: person.map(str::to_owned),
        valid_from: at_one,
        valid_until: at("2026-12-21T13:00:00Z"),
        note: "a test".into(),
        evidence: None,
        actor: actor.into(),
        at: at_one,
    }
}

pub(crate) fn opened(incident: &str, actor: &str, when: &str) -> IncidentOpened {
    IncidentOpened {
        incident: incident.into(),
        environment: "production".into(),
        severity: Severity::Critical,
        summary: "nobody can log in".into(),
        began_at: at(when),
        deployment: None,
        actor: actor.into(),
        at: at(when),
    }
}

pub(crate) fn closed(incident: &str, when: &str) -> IncidentClosed {
    IncidentClosed {
        incident: incident.into(),
        outcome: IncidentOutcome::Resolved,
        restored_at: at(when),
        summary: "the flag is off".into(),
        actor: "bo".into(),
        at: at(when),
    }
}

/// The samples without what a board has counted.
pub(crate) fn without_incidents(samples: &str) -> String {
    let (before, rest) = samples.split_once(",\n    { \"metric\": \"open_critical_incidents\"").unwrap();
    assert!(!rest.contains("metric"), "it was the last one");
    format!("{before}\n  ]\n}}")
}

pub(crate) const ROLES: [(&str, &str); 3] = [("change-board", "ana"), ("sre-on-call", "bo"), ("product-owner", "cy")];

impl World {
    /// Nothing is missing.
    pub(crate) fn sound() -> Self {
        Self::of(manifest())
    }

    pub(crate) fn of(manifest: Manifest) -> Self {
        let digest = manifest.digest().unwrap();
        let authorship = Authorship { actor: "rosa".into(), at: manifest.generated_at };
        let mut statements = vec![
            ("author", signed("rosa", digest, authorship)),
            ("scorecard", signed("ci", manifest.readiness.scorecard.digest, scorecard(&manifest))),
            ("rehearsal", signed("bo", manifest.rollback_plan.digest().unwrap(), rehearsal("2026-11-10T09:00:00Z"))),
        ];
        for (role, person) in ROLES {
            statements.push((role, signed(person, digest, approval(role, person, "2026-11-21T13:00:00Z"))));
        }
        Self {
            environment: "production",
            as_of: asked(),
            manifest: Some(manifest),
            board: BOARD.into(),
            policy: POLICY.into(),
            samples: Some(SAMPLES.into()),
            ring: RING.clone(),
            statements,
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        self.manifest.as_ref().unwrap().digest().unwrap()
    }

    pub(crate) fn plan(&self) -> Digest {
        self.manifest.as_ref().unwrap().rollback_plan.digest().unwrap()
    }

    /// With more lines in the board, of production.
    pub(crate) fn demanding(mut self, lines: &str) -> Self {
        self.board.push_str(lines);
        self
    }

    /// Without the statement of that name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        let before = self.statements.len();
        self.statements.retain(|(other, _)| *other != name);
        assert_ne!(before, self.statements.len(), "{name}");
        self
    }

    pub(crate) fn and(mut self, name: &'static str, statement: Vec<u8>) -> Self {
        self.statements.push((name, statement));
        self
    }

    pub(crate) fn inputs(&self) -> Inputs {
        Inputs {
            manifest: self.manifest.as_ref().map(|manifest| manifest.to_bytes().unwrap()),
            board: self.board.clone().into_bytes(),
            policy: self.policy.clone().into_bytes(),
            keys: if self.ring == *RING { KEYS.clone() } else { self.ring.to_json().unwrap() },
            samples: self.samples.clone().map(String::into_bytes),
            statements: self.statements.iter().map(|(_, bytes)| bytes.clone()).collect(),
            log: None,
        }
    }

    #[track_caller]
    pub(crate) fn decide(&self) -> Decision {
        self.inputs().decide(self.environment, self.as_of).unwrap_or_else(|error| panic!("{error}"))
    }
}
