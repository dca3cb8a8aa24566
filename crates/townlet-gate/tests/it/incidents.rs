//! Critical incidents, counted from what was signed about them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use townlet_gate::gate::{Board, Code, Decision, Standing, Verdict};
use townlet_gate::statement::{IncidentOpened, IncidentOutcome, Severity, incident_subject};

use crate::gate::{codes, refused};
use crate::sample::at;
use crate::world::{World, closed, opened, signed, without_incidents};

/// A world whose board has incidents counted, with these statements about `INC-7`.
fn counting(statements: &[(&str, IncidentOpened)]) -> World {
    let mut world = World::sound().demanding("    incidents: { closed_by: [sre-on-call] }\n");
    world.samples = world.samples.map(|text| without_incidents(&text));
    let about = incident_subject("INC-7").unwrap().digest;
    statements.iter().fold(world, |world, (by, says)| world.and("incident", signed(by, about, says.clone())))
}

fn end(world: World, by: &str, when: &str) -> World {
    let mut says = closed("INC-7", when);
    says.actor = by.into();
    world.and("end", signed(by, incident_subject("INC-7").unwrap().digest, says))
}

fn count(decision: &Decision) -> (Standing, f64) {
    let one = decision.conditions.iter().find(|one| one.id == "open_critical_incidents").unwrap();
    (one.standing, one.observed[0].value)
}

const NOON: &str = "2026-11-21T12:00:00Z";

#[test]
fn a_log_without_incidents_has_none_open_and_needs_no_sample_that_says_so() {
    let decision = counting(&[]).decide();
    assert_eq!(decision.verdict, Verdict::Approve, "{:?}", codes(&decision));
    assert_eq!(count(&decision), (Standing::Met, 0.0));
    // Where the board does not have them counted, the sample is needed as before.
    let mut measured = World::sound();
    measured.samples = measured.samples.map(|text| without_incidents(&text));
    assert_eq!(measured.decide().verdict, Verdict::Reject);
}

#[test]
fn an_open_critical_incident_holds_the_release_back_until_somebody_who_may_closes_it() {
    let open = counting(&[("ana", opened("INC-7", "ana", NOON))]);
    let decision = refused(&open, Code::IncidentOpen);
    assert_eq!(count(&decision), (Standing::Unmet, 1.0));
    let reasons = &decision.conditions.iter().find(|one| one.id == "open_critical_incidents").unwrap().reasons;
    assert!(reasons.iter().any(|reason| reason.text == "INC-7 is open, opened at 2026-11-21T12:00:00.000Z"));
    let advice: Vec<String> = decision.flip.unwrap().changes.iter().map(|change| change.advice()).collect();
    assert_eq!(advice, ["end every open critical incident, and close it"]);
    refused(&end(open.clone(), "ana", "2026-11-21T13:00:00Z"), Code::RoleNotHeld);
    assert_eq!(end(open, "bo", "2026-11-21T13:00:00Z").decide().verdict, Verdict::Approve);
}

#[test]
fn of_an_opening_and_a_closing_the_later_one_counts_and_at_one_moment_the_opening() {
    let twice = [("ana", opened("INC-7", "ana", NOON)), ("bo", opened("INC-7", "bo", "2026-11-21T13:30:00Z"))];
    refused(&end(counting(&twice), "bo", "2026-11-21T13:00:00Z"), Code::IncidentOpen);
    refused(&end(counting(&twice), "bo", "2026-11-21T13:30:00Z"), Code::IncidentOpen);
    assert_eq!(end(counting(&twice), "bo", "2026-11-21T13:30:00.001Z").decide().verdict, Verdict::Approve);
}

#[test]
fn another_environment_a_smaller_one_and_one_that_is_still_to_come_hold_nothing_back() {
    let mut staging = opened("INC-7", "ana", NOON);
    staging.environment = "staging".into();
    let mut minor = opened("INC-7", "ana", NOON);
    minor.severity = Severity::Major;
    let future = opened("INC-7", "ana", "2026-11-21T14:00:00.001Z");
    for says in [staging, minor, future] {
        assert_eq!(counting(&[("ana", says)]).decide().verdict, Verdict::Approve);
    }
    // Nobody is believed who is in no ring, and it is said that somebody tried.
    let decision = counting(&[("mallory", opened("INC-7", "mallory", NOON))]).decide();
    assert_eq!((decision.verdict, decision.not_counted.len()), (Verdict::Approve, 1));
}

#[test]
fn an_incident_does_not_open_again_because_somebody_has_a_new_key() {
    let mut world = end(counting(&[("ana", opened("INC-7", "ana", NOON))]), "bo", "2026-11-21T13:00:00Z");
    // Bo signs on with another key; the approval and the rehearsal that the old one signed count no more, the end does.
    let id = *world.ring.keys().find(|(_, key)| key.person == "bo").unwrap().0;
    world.ring.revoke(&id, at("2026-11-21T13:30:00Z"), "a new laptop").unwrap();
    assert_eq!(count(&world.decide()), (Standing::Met, 0.0));
    // Nor does one go away because who opened it has left.
    let mut open = counting(&[("ana", opened("INC-7", "ana", NOON))]);
    let ana = *open.ring.keys().find(|(_, key)| key.person == "ana").unwrap().0;
    open.ring.revoke(&ana, at("2026-11-21T13:30:00Z"), "she left").unwrap();
    assert_eq!(count(&open.decide()), (Standing::Unmet, 1.0));
}

#[test]
fn what_is_counted_is_not_measured_as_well() {
    let mut world = counting(&[]);
    world.samples = World::sound().samples;
    let decision = world.decide();
    assert_eq!(decision.verdict, Verdict::Reject);
    assert!(codes(&decision).contains(&Code::SamplesInvalid));
    let text = "incidents: { closed_by: [] }";
    let board = format!("{}    {text}\n", World::sound().board);
    assert!(Board::read(&board, "board").unwrap_err().to_string().contains("closed_by lists nobody"));
    assert_eq!(IncidentOutcome::ALL.map(IncidentOutcome::as_str)[1], "rolled_back");
}
