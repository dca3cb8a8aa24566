//! Runs against a small model: what a person would expect who reads the file and knows how each attempt ends.

use proptest::prelude::*;
use townlet_readiness::Ended;
use townlet_readiness::report::Status;

use crate::support::{Project, ends, exits};

/// How an attempt ends, by number.
fn end(number: u8) -> Ended {
    match number {
        0 | 1 => Ended::Exited { code: 0 },
        2 => Ended::Exited { code: 1 },
        3 => Ended::Signalled { signal: 6 },
        4 => Ended::TimedOut,
        _ => Ended::Cancelled,
    }
}

#[derive(Clone, Debug)]
struct Plan {
    blocking: bool,
    retries: usize,
    ends: Vec<u8>,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (any::<bool>(), 0..3_usize, prop::collection::vec(0..60_u8, 3));
    let plan = plan.prop_map(|(blocking, retries, ends)| Plan {
        blocking,
        retries,
        // Being called off is rare.
        ends: ends.into_iter().map(|end| if end == 59 { 5 } else { end % 5 }).collect(),
    });
    prop::collection::vec(plan, 1..6)
}

/// Status and attempts of each suite.
fn expected(plans: &[Plan]) -> Vec<(Status, usize)> {
    let mut over = false;
    let mut all = Vec::new();
    for plan in plans {
        if over {
            all.push((Status::NotRun, 0));
            continue;
        }
        let seen = &plan.ends[..=plan.retries];
        let last = seen.iter().position(|end| matches!(end, 0 | 1 | 5)).unwrap_or(plan.retries);
        let passed = seen[last] <= 1;
        over = seen[last] == 5 || !passed && plan.blocking;
        all.push((if passed { Status::Passed } else { Status::Failed }, last + 1));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_run_is_what_its_attempts_make_of_it(plans in plans()) {
        let mut project = Project::new();
        let mut yaml = "suites:\n".to_owned();
        for (at, plan) in plans.iter().enumerate() {
            project.does(&format!("p{at}"), plan.ends.iter().map(|number| match end(*number) {
                Ended::Exited { code } => exits(code),
                other => ends(other),
            }));
            let Plan { blocking, retries, .. } = plan;
            yaml += &format!("- {{ name: s{at}, kind: unit, command: [p{at}], blocking: {blocking}, retries: {retries} }}\n");
        }
        // Reading back, digests and contradictions are checked in there.
        let finished = project.run("r1", &yaml);
        let suites = &finished.scorecard.suites;
        let expected = expected(&plans);
        let found: Vec<(Status, usize)> = suites.iter().map(|suite| (suite.status, suite.attempts.len())).collect();
        prop_assert_eq!(&found, &expected);
        let ready = expected.iter().zip(&plans).all(|((status, _), plan)| match status {
            Status::Passed => true,
            Status::Failed => !plan.blocking,
            Status::NotRun => false,
        });
        prop_assert_eq!(finished.report.overall_passed, ready);
        for (suite, (status, attempts)) in suites.iter().zip(&expected) {
            prop_assert_eq!(suite.flaky, *status == Status::Passed && *attempts > 1);
        }
    }
}
