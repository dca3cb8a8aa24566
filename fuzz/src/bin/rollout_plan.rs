//! Plan files: any text is refused with places that exist, or is a plan that can be run; and one that can be runs in the
//! simulator, and its log replays to its own bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townlet_fuzz::places::have_places;
use townlet_policy::Findings;
use townlet_rollout::simulate::{Resampled, Simulation};
use townlet_rollout::{Moment, PlanFile, Recorder, References};

const FILE: &str = "fuzz.yaml";
const START: Moment = Moment::from_ms(1_737_583_200_000);
/// Events of the simulated rollout: enough to get through the preflight, the steps and a rollback.
const EVENTS: usize = 60;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut found = Findings::new(FILE, text);
    let file = PlanFile::read(text, &mut found);
    assert_eq!(file.is_none(), found.has_errors(), "{found}");
    have_places(&found, text);
    let Some(file) = file else { return };
    assert!(file.plan.problems().is_empty());
    assert_eq!(
        file.plan.rules.iter().filter(|rule| rule.signals().iter().any(|s| *s >= file.plan.signals.len())).count(),
        0
    );

    let mut more = Findings::new(FILE, text);
    file.lint(&mut more);
    assert!(!more.has_errors(), "lint warns and refuses nothing: {more}");
    have_places(&more, text);

    let none = References::default();
    let source = Resampled::new(&file.plan, &none, START, 1);
    let mut run = Simulation::new(&file.plan, Recorder::new(&file.plan, text, "fuzz"), none.clone(), source, START);
    for _ in 0..EVENTS {
        if !run.step() {
            break;
        }
    }
    let log = run.recorder().to_jsonl();
    let again = Recorder::replay(&file.plan, text, &log).unwrap_or_else(|error| panic!("{error}\n{log}"));
    assert_eq!(again.to_jsonl(), log);
});
