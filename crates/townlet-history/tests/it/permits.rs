//! Whether a deployment may begin.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::time::Duration;

use townlet_gate::gate::{DECISION_FORM, Decision, Verdict};
use townlet_gate::manifest::{Manifest, Window};
use townlet_history::History;
use townlet_history::deployment::Refusal;
use townlet_registry::{Digest, Record, Role, Subject};

use crate::checklist::manifest;
use crate::support::{entry, minute, ring};

fn decision(verdict: Verdict, as_of: i64, environment: &str, manifest: Digest) -> Decision {
    Decision {
        schema: DECISION_FORM.into(),
        verdict,
        environment: environment.into(),
        as_of: minute(as_of),
        release: Some("R42".into()),
        manifest: Some(manifest),
        conditions: Vec::new(),
        not_counted: Vec::new(),
        flip: None,
        inputs: Vec::new(),
        log: None,
    }
}

fn decided(index: u64, by: &str, verdict: Verdict, as_of: i64) -> Record {
    let manifest = manifest().digest().unwrap();
    let about = Subject::new("R42", manifest);
    entry(index, 100, by, about, decision(verdict, as_of, "production", manifest))
}

fn permits(records: &[Record], manifest: &Manifest, now: i64) -> Result<u64, Refusal> {
    let history = History::read(records, &ring(), minute(200));
    let role = [Role::new("gate").unwrap()];
    let digest = manifest.digest().unwrap();
    let limit = Duration::from_secs(3600);
    history.permits(manifest, digest, "production", &role, limit, minute(now)).map(|told| told.index)
}

#[test]
fn the_last_decision_of_the_gate_allows_it_while_it_is_fresh() {
    let sound = [decided(0, "gate", Verdict::Reject, 0), decided(1, "gate", Verdict::Approve, 10)];
    assert_eq!(permits(&sound, &manifest(), 10), Ok(1));
    // Exactly as long as it counts, and not a millisecond more.
    assert_eq!(permits(&sound, &manifest(), 70), Ok(1));
    assert!(matches!(permits(&sound, &manifest(), 71), Err(Refusal::Stale { .. })));
    // Of the future, or before it was made.
    assert!(matches!(permits(&sound, &manifest(), 9), Err(Refusal::Stale { .. })));
}

#[test]
fn a_later_no_and_a_yes_of_somebody_else_allow_nothing() {
    let no = [decided(0, "gate", Verdict::Approve, 0), decided(1, "gate", Verdict::WaiverRequired, 1)];
    let refused = permits(&no, &manifest(), 2).unwrap_err();
    assert!(refused.to_string().contains("is waiver_required"), "{refused}");
    // Rosa made the release, and signs no decisions.
    let forged = [decided(0, "gate", Verdict::Reject, 0), decided(1, "rosa", Verdict::Approve, 1)];
    assert!(matches!(permits(&forged, &manifest(), 2), Err(Refusal::NotApproved { verdict: "reject", .. })));
    assert!(matches!(permits(&forged[1..], &manifest(), 2), Err(Refusal::NoDecision { .. })));
    // About another manifest.
    let mut other = manifest();
    other.release = "R43".into();
    assert!(matches!(permits(&forged, &other, 2), Err(Refusal::NoDecision { .. })));
}

#[test]
fn outside_of_the_window_of_the_release_nothing_begins() {
    let mut windowed = manifest();
    windowed.window = Some(Window { opens_at: minute(20), closes_at: minute(30) });
    let digest = windowed.digest().unwrap();
    let about = Subject::new("R42", digest);
    let yes = [entry(0, 100, "gate", about, decision(Verdict::Approve, 10, "production", digest))];
    for (now, allowed) in [(19, false), (20, true), (29, true), (30, false)] {
        assert_eq!(permits(&yes, &windowed, now).is_ok(), allowed, "{now}");
    }
}
