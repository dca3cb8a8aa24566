//! Incidents out of a log: timeline, duration of the rollback, outcome.

use std::time::Duration;

use townlet_gate::statement::IncidentOutcome;
use townlet_history::statement::{Outcome, Step};

use crate::support::{Story, closed, deployment, opened, step, subject};

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

#[test]
fn an_incident_has_a_timeline_the_duration_of_its_rollback_and_an_outcome() {
    let story = Story::new().says(subject("R42"), deployment("d1", 0, Some((4, Outcome::Succeeded))));
    let deployed = story.last();
    let history = story
        .of("INC-7", opened("INC-7", 10, Some(deployed)))
        .of("INC-7", step("INC-7", Step::RollbackFinished, 17))
        .of("INC-7", step("INC-7", Step::Acknowledged, 12))
        .of("INC-7", step("INC-7", Step::RollbackStarted, 14))
        .of("INC-7", closed("INC-7", 20, IncidentOutcome::RolledBack))
        .of("INC-7", step("INC-7", Step::Postmortem, 80))
        .read();
    let incidents = history.incidents();
    let incident = incidents.named("INC-7").unwrap();
    let order: Vec<Step> = incident.timeline.iter().map(|entry| entry.said.step).collect();
    assert_eq!(order, [Step::Acknowledged, Step::RollbackStarted, Step::RollbackFinished, Step::Postmortem]);
    assert_eq!(incident.rollback(), Some((minutes(3), true)));
    assert_eq!(incident.time_to_restore(), Some(minutes(10)));
    assert_eq!(incident.postmortem(), Some(minutes(60)));
    assert_eq!(incident.closed.unwrap().said.outcome, IncidentOutcome::RolledBack);
    assert!(incident.was_brought_by(&[deployed]) && incidents.stray.is_empty());
}

#[test]
fn a_rollback_that_is_under_way_has_no_duration_and_one_that_failed_says_so() {
    let story =
        Story::new().of("INC-7", opened("INC-7", 10, None)).of("INC-7", step("INC-7", Step::RollbackStarted, 14));
    assert_eq!(story.read().incidents().named("INC-7").unwrap().rollback(), None);
    let failed = story.of("INC-7", step("INC-7", Step::RollbackFailed, 19)).read();
    assert_eq!(failed.incidents().named("INC-7").unwrap().rollback(), Some((minutes(5), false)));
}

#[test]
fn a_name_is_opened_once_at_a_time_and_closed_once() {
    let history = Story::new()
        .of("INC-7", closed("INC-7", 5, IncidentOutcome::Resolved))
        .of("INC-7", opened("INC-7", 10, None))
        .of("INC-7", opened("INC-7", 11, None))
        .of("INC-7", closed("INC-7", 9, IncidentOutcome::Resolved))
        .of("INC-7", closed("INC-7", 20, IncidentOutcome::Resolved))
        .of("INC-7", closed("INC-7", 21, IncidentOutcome::Resolved))
        .of("INC-7", opened("INC-7", 30, None))
        .of("INC-8", step("INC-8", Step::Note, 31))
        .read();
    let incidents = history.incidents();
    let whys: Vec<&str> = incidents.stray.iter().map(|stray| stray.why.as_str()).collect();
    let wanted = [
        "nobody has opened INC-7",
        "INC-7 is open already",
        "INC-7 would be over before it began, at 2026-11-21T16:10:00.000Z",
        "INC-7 is closed already",
        "nobody has opened INC-8",
    ];
    assert_eq!(whys, wanted);
    let open: Vec<bool> = incidents.all.iter().map(|incident| incident.is_open()).collect();
    assert_eq!(open, [false, true]);
    assert_eq!(incidents.open_critical("production").len(), 1);
    assert_eq!(incidents.open_critical("staging").len(), 0);
}
