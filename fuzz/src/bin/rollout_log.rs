//! The log of a rollout: whatever events it holds, the engine takes them, nothing succeeds with an unknown rule, and
//! what it writes replays to its own bytes. The bytes themselves replay to themselves, or are refused.
//!
//! An input is lines of a log, or of events.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use townlet_policy::Findings;
use townlet_rollout::{Event, Phase, Plan, PlanFile, Recorder, Verdict};

const TEXT: &str = include_str!("../../seeds/rollout_plan/small.yaml");
/// Of longer ones nothing new is learned, and a missing day costs 1,440 windows an event.
const EVENTS: usize = 200;

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let mut found = Findings::new("small.yaml", TEXT);
    PlanFile::read(TEXT, &mut found).unwrap_or_else(|| panic!("{found}")).plan
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(run) = Recorder::replay(&PLAN, TEXT, text) {
        assert_eq!(run.to_jsonl(), text);
    }
    let mut run = Recorder::new(&PLAN, TEXT, "fuzz");
    let events = text.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
    for event in events.take(EVENTS) {
        run.take(event);
        if run.state().phase() == Phase::Succeeded {
            let verdicts = run.state().verdicts();
            assert!(
                verdicts.iter().zip(&PLAN.rules).all(|(verdict, rule)| rule.dry_run || *verdict != Verdict::Unknown)
            );
        }
    }
    let log = run.to_jsonl();
    let again = Recorder::replay(&PLAN, TEXT, &log).unwrap_or_else(|error| panic!("{error}\n{log}"));
    assert_eq!(again.to_jsonl(), log);
});
