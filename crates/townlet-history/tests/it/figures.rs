//! The four figures: against examples, and against a model that counts minute by minute.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::time::Duration;

use proptest::prelude::*;
use townlet_gate::statement::{IncidentOutcome, Severity};
use townlet_history::History;
use townlet_history::dora::{Median, Share, Window};
use townlet_history::statement::Outcome;
use townlet_registry::Digest;

use crate::support::{closed, deployment, minute, opened, shipped, told};

const LAST: i64 = 40;

#[derive(Clone, Debug)]
struct Deployed {
    started: i64,
    end: Option<(i64, Outcome)>,
    undoes: Option<usize>,
    commits: Vec<(u8, i64)>,
    elsewhere: bool,
    begun: bool,
}

#[derive(Clone, Debug)]
struct Broke {
    began: i64,
    restored: Option<i64>,
    false_alarm: bool,
    cause: Option<usize>,
    elsewhere: bool,
}

fn deployed() -> impl Strategy<Value = Deployed> {
    let ends = prop_oneof![5 => Just(Outcome::Succeeded), 1 => Just(Outcome::Failed), 1 => Just(Outcome::TimedOut)];
    let end = proptest::option::weighted(0.9, (0..8_i64, ends));
    let commits = proptest::collection::vec((0..6_u8, -20..LAST), 0..4);
    let flag = proptest::bool::weighted(0.15);
    (0..LAST, end, proptest::option::weighted(0.2, 0..6_usize), commits, flag, any::<bool>()).prop_map(
        |(started, end, undoes, commits, elsewhere, begun)| {
            let end = end.map(|(length, outcome)| (started + length, outcome));
            // What has not ended is known by its beginning alone.
            Deployed { started, end, undoes, commits, elsewhere, begun: begun || end.is_none() }
        },
    )
}

fn broke() -> impl Strategy<Value = Broke> {
    let flag = || proptest::bool::weighted(0.15);
    (0..LAST, proptest::option::weighted(0.8, 0..12_i64), flag(), proptest::option::of(0..6_usize), flag()).prop_map(
        |(began, length, false_alarm, cause, elsewhere)| Broke {
            began,
            restored: length.map(|length| began + length),
            false_alarm: false_alarm && length.is_some(),
            cause,
            elsewhere,
        },
    )
}

/// The log of it, each deployment with one record or two.
fn history(deployments: &[Deployed], incidents: &[Broke]) -> History {
    let mut history = History::default();
    let mut index = 0;
    let place = |elsewhere: bool| if elsewhere { "staging" } else { "production" }.to_owned();
    let mut next = || {
        index += 1;
        index
    };
    for (number, one) in deployments.iter().enumerate() {
        let id = format!("d{number}");
        let records = one.begun.then_some(None).into_iter().chain(one.end.map(Some));
        for end in records {
            let mut said = deployment(&id, one.started, end);
            said.environment = place(one.elsewhere);
            said.undoes = one.undoes.map(|undone| format!("d{undone}"));
            said.changes = one.commits.iter().map(|(revision, at)| shipped(&format!("r{revision}"), *at)).collect();
            let name = if end.is_some() { format!("{id} end") } else { id.clone() };
            history.deployments.push(told(next(), &name, Vec::new(), said));
        }
    }
    for (number, one) in incidents.iter().enumerate() {
        let name = format!("INC-{number}");
        let cause = one.cause.map(|cause| {
            let ended = deployments.get(cause).is_some_and(|one| !one.begun);
            Digest::of(if ended { format!("d{cause} end") } else { format!("d{cause}") }.as_bytes())
        });
        let mut said = opened(&name, one.began, cause);
        said.environment = place(one.elsewhere);
        said.severity = Severity::ALL[number % 3];
        history.opened.push(told(next(), &name, Vec::new(), said));
        if let Some(restored) = one.restored {
            let outcome = if one.false_alarm { IncidentOutcome::FalseAlarm } else { IncidentOutcome::Resolved };
            history.closed.push(told(next(), &format!("{name} end"), Vec::new(), closed(&name, restored, outcome)));
        }
    }
    history
}

/// The middle one, found by counting how many are smaller, not by sorting.
fn middle(spans: &[i64]) -> Option<Duration> {
    let ranked = |rank: usize| {
        spans.iter().copied().find(|span| {
            let (below, same) = (
                spans.iter().filter(|other| *other < span).count(),
                spans.iter().filter(|other| *other == span).count(),
            );
            (below..below + same).contains(&rank)
        })
    };
    let (low, high) = (ranked((spans.len().max(1) - 1) / 2)?, ranked(spans.len() / 2)?);
    Some(Duration::from_secs(u64::try_from((low + high) * 30).unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_figures_are_those_of_a_model_that_counts_minute_by_minute(
        deployments in proptest::collection::vec(deployed(), 0..7),
        incidents in proptest::collection::vec(broke(), 0..6),
        (from, length) in (0..LAST, 1..LAST),
    ) {
        let window = Window { from: minute(from), to: minute(from + length) };
        let found = history(&deployments, &incidents).figures("production", window);
        let here: Vec<(usize, &Deployed)> = deployments.iter().enumerate().filter(|(_, one)| !one.elsewhere).collect();
        let (mut succeeded, mut ended, mut failed, mut spans, mut restored) = (0, 0, 0, Vec::new(), Vec::new());
        let (mut recovered, mut impossible) = (Vec::new(), 0);
        for now in from..from + length {
            for (number, one) in here.iter().filter(|(_, one)| one.undoes.is_none()) {
                let Some((at, outcome)) = one.end else { continue };
                if at != now {
                    continue;
                }
                ended += 1;
                succeeded += u64::from(outcome == Outcome::Succeeded);
                let undone = here.iter().any(|(_, other)| other.undoes == Some(*number));
                let blamed = incidents.iter().any(|incident| incident.cause == Some(*number) && !incident.false_alarm);
                failed += u64::from(outcome != Outcome::Succeeded || undone || blamed);
            }
            for revision in 0..6 {
                // When each came out first, of all that it was part of.
                let outs = here.iter().filter(|(_, one)| one.undoes.is_none()).flat_map(|(_, one)| {
                    let succeeded = one.end.filter(|(_, outcome)| *outcome == Outcome::Succeeded);
                    let commits = one.commits.iter().filter(|(name, _)| *name == revision);
                    commits.filter_map(move |(_, committed)| Some((succeeded?.0, *committed)))
                });
                if let Some((out, committed)) = outs.min().filter(|(out, _)| *out == now) {
                    if committed <= out { spans.push(out - committed) } else { impossible += 1 }
                }
            }
            for incident in incidents.iter().filter(|one| !one.elsewhere && !one.false_alarm) {
                if incident.restored == Some(now) {
                    restored.push(now - incident.began);
                    if incident.cause.is_some_and(|cause| here.iter().any(|(number, _)| *number == cause)) {
                        recovered.push(now - incident.began);
                    }
                }
            }
        }
        let known = here.iter().any(|(_, one)| one.started < from + length);
        prop_assert_eq!(found.deployments, known.then_some(succeeded));
        prop_assert_eq!(found.change_failures, (ended > 0).then_some(Share { part: failed, of: ended }));
        prop_assert_eq!(found.lead_time.map(|one| (one.median, one.of)), middle(&spans).map(|m| (m, spans.len() as u64)));
        prop_assert_eq!(found.impossible_commits, impossible);
        let times = found.time_to_restore.map(|one| (one.median, one.of));
        prop_assert_eq!(times, middle(&restored).map(|m| (m, restored.len() as u64)));
        prop_assert_eq!(found.deployment_recovery.map(|one| one.median), middle(&recovered));
        let open = incidents.iter().filter(|one| !one.elsewhere && !one.false_alarm && one.began < from + length);
        let open = open.filter(|one| one.restored.is_none_or(|at| at >= from + length)).count();
        prop_assert_eq!(found.not_restored, open as u64);
        let running = here.iter().filter(|(_, one)| one.end.is_none() && one.started < from + length).count();
        prop_assert_eq!(found.unfinished, running as u64);
    }

    #[test]
    fn two_windows_that_meet_count_everything_once(
        deployments in proptest::collection::vec(deployed(), 0..7),
        incidents in proptest::collection::vec(broke(), 0..6),
        cut in 1..LAST,
    ) {
        let history = history(&deployments, &incidents);
        let of = |from, to| history.figures("production", Window { from: minute(from), to: minute(to) });
        let (whole, left, right) = (of(0, 60), of(0, cut), of(cut, 60));
        let count = |one: &townlet_history::dora::Figures| {
            let times = |median: Option<Median>| median.map_or(0, |median| median.of);
            let share = one.change_failures.unwrap_or(Share { part: 0, of: 0 });
            let restored = times(one.time_to_restore);
            [one.deployments.unwrap_or(0), times(one.lead_time), share.part, share.of, restored, one.impossible_commits]
        };
        let sum: Vec<u64> = count(&left).into_iter().zip(count(&right)).map(|(a, b)| a + b).collect();
        prop_assert_eq!(count(&whole).to_vec(), sum);
    }
}

#[test]
fn what_no_record_speaks_of_is_unknown_and_not_zero() {
    let nothing = History::default().figures("production", Window { from: minute(0), to: minute(60) });
    assert_eq!((nothing.deployments, nothing.deployments_per_day), (None, None));
    assert_eq!((nothing.lead_time, nothing.change_failures, nothing.time_to_restore), (None, None, None));
    // A quiet hour of an environment that is recorded has no deployment, and that is known.
    let before = [Deployed { started: -30, end: Some((-20, Outcome::Succeeded)), ..quiet() }];
    let quiet = history(&before, &[]).figures("production", Window { from: minute(0), to: minute(60) });
    assert_eq!((quiet.deployments, quiet.change_failures, quiet.records_begin), (Some(0), None, None));
    // Where the records begin inside the window, that is said.
    let inside = history(&before, &[]).figures("production", Window { from: minute(-60), to: minute(60) });
    assert_eq!((inside.deployments, inside.records_begin), (Some(1), Some(minute(-30))));
    assert_eq!(inside.deployments_per_day, Some(12.0));
}

fn quiet() -> Deployed {
    Deployed { started: 0, end: None, undoes: None, commits: Vec::new(), elsewhere: false, begun: false }
}

#[test]
fn a_window_holds_its_first_moment_and_not_its_last() {
    let one = [Deployed { started: 5, end: Some((10, Outcome::Succeeded)), ..quiet() }];
    let count = |from, to| history(&one, &[]).figures("production", Window { from: minute(from), to: minute(to) });
    assert_eq!([count(10, 20).deployments, count(0, 10).deployments], [Some(1), Some(0)]);
}

#[test]
fn the_median_of_an_even_number_is_the_mean_of_the_middle_two_to_the_half_millisecond() {
    let of = |ms: &[u64]| Median::of(ms.iter().copied().map(Duration::from_millis).collect());
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[3, 1, 2]).unwrap().median, Duration::from_millis(2));
    let even = of(&[4, 1, 100, 3]).unwrap();
    assert_eq!((even.median, even.longest, even.of), (Duration::from_micros(3500), Duration::from_millis(100), 4));
    assert_eq!(of(&[u64::MAX, u64::MAX]).unwrap().median, Duration::from_millis(u64::MAX));
}
