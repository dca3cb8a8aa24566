//! The evidence checklist, item by item.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::time::Duration;

use townlet_gate::gate::{Code, Condition, Judgement, Reason, Standing, Verdict};
use townlet_gate::manifest::{self, Files, Manifest};
use townlet_gate::statement::IncidentOutcome;
use townlet_history::History;
use townlet_history::checklist::{Item, Question, State};
use townlet_history::readyz::{Probe, Summary};
use townlet_history::statement::{ConfigVersion, Outcome, ReadyzHistory, Step};
use townlet_registry::{Digest, Subject};

use crate::support::{Story, closed, deployment, minute, opened, step};

/// A folder in memory: a file for each path, with its path as content.
struct Paths;

impl Files for Paths {
    fn digest(&self, path: &str) -> Result<(Digest, u64), String> {
        Ok((Digest::of(path.as_bytes()), path.len() as u64))
    }
}

const DRAFT: &str = r#"
release: R42
author: rosa
environments: [production]
artifacts: [{ name: api, version: 1.4.0, path: api }]
readiness: { run_id: run1, scorecard: card.json }
config_deltas: [{ path: configs/production/R42.toml }, { path: configs/staging/R42.toml }]
rollback_plan: { policy: rollback.yaml, rules: [latency], steps: [flag-off] }
metadata: { dashboard: "https://grafana.example/d/town" }
"#;

pub(crate) fn manifest() -> Manifest {
    manifest::draft(DRAFT, "release.yaml", minute(-60), &|_: &str| None, &Paths)
        .unwrap_or_else(|found| panic!("{found}"))
}

fn condition(id: &str, reasons: &[Code]) -> Condition {
    let reason = |code: &Code| Reason { code: *code, text: "a test".into() };
    Condition {
        id: id.into(),
        standing: if reasons.is_empty() { Standing::Met } else { Standing::Unmet },
        reasons: reasons.iter().map(reason).collect(),
        by: Vec::new(),
        waivable: false,
        rule: None,
        observed: Vec::new(),
    }
}

fn judged(conditions: Vec<Condition>) -> Judgement {
    Judgement { verdict: Verdict::Reject, conditions, not_counted: Vec::new() }
}

fn list(history: &History, judgement: &Judgement, kept: bool, now: i64) -> Vec<Item> {
    let manifest = manifest();
    history.checklist(&Question {
        digest: manifest.digest().unwrap(),
        manifest: &manifest,
        environment: "production",
        judgement,
        kept: &|_| kept,
        postmortem_within: Duration::from_secs(48 * 3600),
        as_of: minute(now),
    })
}

fn state(items: &[Item], id: &str) -> State {
    items.iter().find(|item| item.id == id).unwrap_or_else(|| panic!("{id} is not in {items:?}")).state
}

fn about_it() -> Subject {
    Subject::new("R42", manifest().digest().unwrap())
}

fn probed(first: i64, last: i64, status: u16) -> ReadyzHistory {
    let probes = [first, last].map(|at| Probe::answered(minute(at), 5, status, b""));
    ReadyzHistory {
        environment: "production".into(),
        url: "http://127.0.0.1/readyz".into(),
        summary: Summary::of(&probes).unwrap(),
        raw: Digest::of(b"raw"),
        actor: "bo".into(),
        at: minute(last),
    }
}

#[test]
fn what_the_gate_finds_missing_or_old_is_missing_or_old_here() {
    let judgement = judged(vec![
        condition("author", &[]),
        condition("readiness", &[Code::ScorecardMissing, Code::ReadinessOverdue]),
        condition("approval:sre-on-call", &[]),
        condition("approval:change-board", &[Code::ApprovalMissing]),
        condition("approval:product-owner", &[Code::ApprovalMissing, Code::ApprovalExpired]),
        condition("attestation:training:runbook", &[Code::AttestationExpired]),
    ]);
    let items = list(&History::default(), &judgement, true, 0);
    for (id, wanted) in [
        ("manifest", State::Present),
        ("scorecard", State::Stale),
        ("approval:sre-on-call", State::Present),
        ("approval:change-board", State::Missing),
        ("approval:product-owner", State::Stale),
        // The board does not ask for it.
        ("rehearsal", State::NotRequired),
        ("attestation:training:runbook", State::Stale),
        ("dashboards", State::Present),
        ("configuration", State::Missing),
        ("decision", State::Missing),
        ("deployment", State::NotYet),
        ("readyz", State::NotYet),
        ("postmortem", State::NotRequired),
    ] {
        assert_eq!(state(&items, id), wanted, "{id}");
    }
    assert_eq!(state(&list(&History::default(), &judgement, false, 0), "manifest"), State::Missing);
    assert_eq!(state(&list(&History::default(), &judged(Vec::new()), true, 0), "training"), State::NotRequired);
}

#[test]
fn a_configuration_is_recorded_by_the_digest_that_the_manifest_has() {
    let version = |environment: &str| ConfigVersion {
        environment: environment.into(),
        release: "R42".into(),
        path: format!("configs/{environment}/R42.toml"),
        supersedes: None,
        actor: "bo".into(),
        at: minute(0),
    };
    let file = |path: &str, bytes: &str| Subject::new(path, Digest::of(bytes.as_bytes()));
    let path = "configs/production/R42.toml";
    for (bytes, environment, wanted) in [
        (path, "production", State::Present),
        ("another content", "production", State::Missing),
        (path, "staging", State::Missing),
    ] {
        let history = Story::new().says(file(path, bytes), version(environment)).read();
        assert_eq!(state(&list(&history, &judged(Vec::new()), true, 0), "configuration"), wanted, "{bytes}");
    }
}

#[test]
fn a_probe_speaks_for_a_deployment_only_if_it_ended_after_it() {
    let out = Story::new().says(about_it(), deployment("d1", 0, Some((5, Outcome::Succeeded))));
    let of = |story: Story| state(&list(&story.read(), &judged(Vec::new()), true, 10), "readyz");
    assert_eq!(of(out), State::Missing);
    let out = || Story::new().says(about_it(), deployment("d1", 0, Some((5, Outcome::Succeeded))));
    assert_eq!(of(out().says(about_it(), probed(1, 4, 200))), State::Stale);
    assert_eq!(of(out().says(about_it(), probed(1, 9, 200))), State::Present);
    assert_eq!(of(out().says(about_it(), probed(6, 9, 503))), State::Missing);
}

#[test]
fn a_deployment_that_was_taken_back_is_no_evidence_that_it_is_out() {
    let mut undo = deployment("d2", 20, Some((25, Outcome::Succeeded)));
    undo.undoes = Some("d1".into());
    let out = Story::new().says(about_it(), deployment("d1", 0, Some((5, Outcome::Succeeded))));
    let before = list(&out.read(), &judged(Vec::new()), true, 30);
    let after = list(&out.says(about_it(), undo).read(), &judged(Vec::new()), true, 30);
    assert_eq!((state(&before, "deployment"), state(&after, "deployment")), (State::Present, State::Missing));
}

#[test]
fn what_was_learnt_of_an_incident_is_due_after_its_end() {
    let out = || Story::new().says(about_it(), deployment("d1", 0, Some((5, Outcome::Succeeded))));
    let incident = |story: Story| {
        let deployed = story.last();
        story.of("INC-7", opened("INC-7", 10, Some(deployed)))
    };
    let of = |story: &Story, now| state(&list(&story.read(), &judged(Vec::new()), true, now), "postmortem");
    let open = incident(out());
    assert_eq!(of(&open, 20), State::Missing);
    let ended = open.of("INC-7", closed("INC-7", 20, IncidentOutcome::Resolved));
    let due = 20 + 48 * 60;
    assert_eq!((of(&ended, due), of(&ended, due + 1)), (State::NotYet, State::Missing));
    let written = ended.of("INC-7", step("INC-7", Step::Postmortem, 900));
    assert_eq!(of(&written, due + 1), State::Present);
    let alarm = incident(out()).of("INC-7", closed("INC-7", 20, IncidentOutcome::FalseAlarm));
    assert_eq!(of(&alarm, 20), State::NotRequired);
}
