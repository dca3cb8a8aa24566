//! Recorded series: any table is refused at a line that exists, or its times rise, its windows are those of its rows,
//! and a plan runs over it, with a log that replays to its own bytes.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use townlet_policy::Findings;
use townlet_rollout::simulate::backtest;
use townlet_rollout::{Moment, Plan, PlanFile, Recorder, Table};

const TEXT: &str = include_str!("../../seeds/rollout_plan/small.yaml");
/// The plan waits for minutes and is over after a quarter of an hour; each window costs as much as the one before.
const MOST_WINDOWS: u64 = 400;

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let mut found = Findings::new("small.yaml", TEXT);
    PlanFile::read(TEXT, &mut found).unwrap_or_else(|| panic!("{found}")).plan
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let table = match Table::read(text) {
        Ok(table) => table,
        Err(error) => {
            let lines = text.split(['\n', '\r']).count() as u64;
            assert!((1..=lines + 1).contains(&error.line) && !error.why.is_empty(), "{error} of {lines}");
            return;
        }
    };
    let (first, last) = (table.first(), table.last());
    assert!(first <= last);
    // A record with a slip in its times is as long as the years between them, and its history is not.
    let history = table.references(&PLAN, last);
    for (index, signal) in PLAN.signals.iter().enumerate() {
        let known = table.names().any(|name| name == signal.name());
        assert_eq!(history.of(index).is_some(), known, "{}", signal.name());
        if let Some(reference) = history.of(index) {
            assert_eq!(reference.until(), last);
            assert!(reference.windows().count() <= 1_000_001);
        }
    }
    let go = Moment::from_ms(first.as_ms() + last.since(first).as_millis() as u64 / 2);
    if last.since(go).as_secs() / 60 > MOST_WINDOWS {
        return;
    }
    if let Ok(told) = backtest(&PLAN, TEXT, &table, go) {
        let log = told.run.to_jsonl();
        let again = Recorder::replay(&PLAN, TEXT, &log).unwrap_or_else(|error| panic!("{error}\n{log}"));
        assert_eq!(again.to_jsonl(), log);
        assert!(told.rules.iter().flatten().all(|fired| fired.at > go && fired.at <= last));
    }
});
