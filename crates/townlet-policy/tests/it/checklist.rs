//! The checklist of step 2, written as a policy without repairing anything: what is wrong with it is found.

use std::path::Path;

use townlet_policy::{Code, Findings, Policy, lint};

fn checklist() -> (String, Findings) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/rollouts/telemetry-step2-checklist.yaml");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{error}"));
    let mut found = Findings::new("checklist.yaml", &text);
    let policy = Policy::read(&text, &mut found).unwrap_or_else(|| panic!("{found}"));
    assert!(found.is_empty(), "{found}");
    lint(&policy, &mut found);
    (text, found)
}

/// The numbers are those of the list of defects in the checklist and the documents beside it.
const DEFECTS: &[(u8, Code, &str)] = &[
    // >±7% for 2 h is always preceded by >±6% for 10 min.
    (1, Code::DeadRule, "variance > ±7% for 2h"),
    // Getting faster rolls back.
    (2, Code::TwoSided, "variance > ±6% for 10m"),
    // % of the baseline here, points of it there.
    (3, Code::MixedUnits, "variance in ±1pp"),
    // The baseline is taken with the flag on.
    (4, Code::ContaminatedBaseline, "from: 10m, until: 15m"),
    // No sample at one moment is no absence.
    (7, Code::AbsentAtOnce, "parse_duration_ms absent"),
    // `< 200` names no window and no source.
    (11, Code::OneSample, "\"< 200\""),
    (11, Code::NoSource, "\"< 200\""),
    // Three rules about one rehearsal.
    (15, Code::ShadowedRule, "rehearsal_age <= 31d"),
    (15, Code::SecondSource, "says: \"rehearsal_age <= 30d\""),
    // A trigger in the manifest, other limits in the checklist.
    (16, Code::SecondSource, "says: \"latency_p95 > 400ms\""),
    // A gap in the data resets `for 10m`.
    (17, Code::GapUnnoticed, "variance > ±6% for 10m"),
    // Nobody would notice a rollback that stops half-way.
    (18, Code::UncheckedRollback, "restart parser-service again"),
    (18, Code::MissingRollback, "update the scrape configuration"),
];

#[test]
fn each_defect_that_a_machine_can_see_is_found_on_the_checklist() {
    let (text, found) = checklist();
    for (number, code, written) in DEFECTS {
        let line = text.lines().position(|line| line.contains(written) && !line.trim_start().starts_with('#'));
        let line = line.map(|line| u32::try_from(line + 1).unwrap_or(0));
        let hit = found.iter().any(|one| one.code == *code && Some(one.place.line) == line);
        assert!(hit, "defect {number}: {code} at '{written}' is not among\n{found}");
    }
    for number in [1, 2, 3, 4, 7, 11, 15, 16, 17, 18] {
        assert!(DEFECTS.iter().any(|(defect, ..)| *defect == number), "{number}");
    }
}

#[test]
fn what_else_is_found_on_the_checklist_is_true_of_it() {
    let (_, found) = checklist();
    let mut codes: Vec<Code> = found.iter().map(|one| one.code).collect();
    codes.sort();
    codes.dedup();
    let mut known: Vec<Code> = DEFECTS.iter().map(|(_, code, _)| *code).collect();
    // 5 to 6 % are neither accepted nor acted on; step 5 of the rollback reads what step 4 has switched off.
    known.extend([Code::ActionGap, Code::SwitchedOff]);
    known.sort();
    known.dedup();
    assert_eq!(codes, known, "{found}");
    let baseline = found.iter().find(|one| one.code == Code::ContaminatedBaseline).map(|one| one.message.as_str());
    let told = "the baseline is taken from T+10m to T+15m, and the change begins at T+2m: it measures the change";
    assert_eq!(baseline, Some(told));
    let gap = found.iter().find(|one| one.code == Code::ActionGap).map(|one| one.message.as_str());
    let told = "with variance at +5.5%, 'accept-variance' does not accept, and no rule holds or rolls back";
    assert_eq!(gap, Some(told));
}
