//! What of a log counts, and configurations by their place.

use townlet_gate::statement::{Attestation, AttestationKind};
use townlet_history::History;
use townlet_history::config::place;
use townlet_history::statement::{ConfigVersion, Deployment, Outcome};

use crate::support::{deployment, entry, minute, ring, subject};

fn why(at: i64, person: &str, said: Deployment) -> Option<String> {
    let record = entry(0, at, person, subject("R42"), said);
    let history = History::read(&[record], &ring(), minute(100));
    assert_eq!(history.deployments.len() + history.not_counted.len(), 1);
    history.not_counted.first().map(|one| one.why.clone())
}

#[test]
fn a_statement_counts_if_who_it_speaks_for_signed_it_and_it_tells_of_no_later_time() {
    let sound = deployment("d1", 0, Some((4, Outcome::Succeeded)));
    assert_eq!(why(5, "bo", sound.clone()), None);
    // Within what clocks may differ.
    assert_eq!(why(-1, "bo", sound.clone()), None);
    assert!(why(-2, "bo", sound.clone()).unwrap().contains("it tells of 2026-11-21T16:04:00.000Z, and the log had it"));
    assert!(why(5, "rosa", sound.clone()).unwrap().contains("it speaks for 'bo', and was signed by rosa"));
    assert!(why(5, "mallory", sound.clone()).unwrap().contains("nobody vouched for key"));
    assert!(why(-1500, "bo", deployment("d1", -1510, None)).unwrap().contains("is valid from"));
    let mut backwards = sound.clone();
    backwards.started_at = minute(6);
    assert_eq!(why(7, "bo", backwards).unwrap(), "it ends before it begins");
    let mut running = sound;
    running.outcome = Outcome::Running;
    assert!(why(5, "bo", running).unwrap().contains("exactly when it is not running"));
}

#[test]
fn a_log_is_read_as_it_stood_and_other_statements_are_passed_over() {
    let records = [
        entry(0, 1, "bo", subject("R42"), deployment("d1", 0, None)),
        entry(1, 50, "bo", subject("R42"), deployment("d1", 0, Some((4, Outcome::Failed)))),
        entry(2, 51, "bo", subject("R42"), deployment("d1", 0, Some((5, Outcome::Succeeded)))),
        entry(3, 51, "bo", subject("R42"), Other { words: "not ours" }),
    ];
    let outcome = |as_of| {
        let history = History::read(&records, &ring(), minute(as_of));
        let seen = history.deployments_to("production");
        seen.first().map(|one| (one.said().outcome, one.records.len()))
    };
    assert_eq!(outcome(0), None);
    assert_eq!(outcome(20), Some((Outcome::Running, 1)));
    // It ends once: who says later that it had gone well changes nothing.
    assert_eq!(outcome(100), Some((Outcome::Failed, 3)));
    assert_eq!(History::read(&records, &ring(), minute(100)).not_counted, []);
}

#[test]
fn nobody_vouches_for_themselves() {
    let says = |person: &str| Attestation {
        kind: AttestationKind::Training,
        topic: "runbook".into(),
        person: Some(person.into()),
        valid_from: minute(0),
        valid_until: minute(60),
        note: "a test".into(),
        evidence: None,
        actor: "bo".into(),
        at: minute(0),
    };
    let records = [entry(0, 1, "bo", subject("rosa"), says("rosa")), entry(1, 1, "bo", subject("bo"), says("bo"))];
    let history = History::read(&records, &ring(), minute(100));
    let of: Vec<_> = history.attestations.iter().map(|told| told.said.person.as_deref()).collect();
    assert_eq!((of, history.not_counted.len()), (vec![Some("rosa")], 1));
}

#[derive(serde::Serialize)]
struct Other {
    words: &'static str,
}

impl townlet_registry::Predicate for Other {
    const TYPE: &'static str = "https://example.com/other/v1";
}

#[test]
fn a_configuration_is_known_by_where_its_file_is_kept() {
    let known = |path| place(path).ok();
    let both = Some(("production".to_owned(), "R42".to_owned()));
    assert_eq!(known("configs/production/R42.toml"), both);
    assert_eq!(known("/srv/town/configs/production/R42.toml"), both);
    assert_eq!(known("./configs/production/R42.toml"), both);
    for path in ["production/R42.toml", "configs/R42.toml", "configs/production/.toml", "configs/../R42.toml", ""] {
        assert_eq!(known(path), None, "{path}");
    }
    assert!(place("x.yaml").unwrap_err().to_string().starts_with("x.yaml is not configs/<env>/<release>.toml"));
}

#[test]
fn versions_of_a_configuration_stand_in_the_order_of_the_log() {
    let version = |supersedes| ConfigVersion {
        environment: "production".into(),
        release: "R42".into(),
        path: "configs/production/R42.toml".into(),
        supersedes,
        actor: "rosa".into(),
        at: minute(0),
    };
    let first = subject("first");
    let records = [
        entry(0, 1, "rosa", first.clone(), version(None)),
        entry(1, 2, "rosa", subject("second"), version(Some(first.digest))),
    ];
    let history = History::read(&records, &ring(), minute(100));
    let versions = history.configs_of("production", "R42");
    assert_eq!(
        versions.iter().map(|told| told.file().unwrap()).collect::<Vec<_>>(),
        [first.digest, subject("second").digest]
    );
    assert!(history.configs_of("staging", "R42").is_empty());
}
