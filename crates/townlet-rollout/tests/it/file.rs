//! Plan files, sound and broken.

use proptest::prelude::*;
use townlet_policy::{Code, Findings};
use townlet_rollout::{BaselineSource, Condition, Count, PlanFile, Scale, Stated};

pub(crate) const STEP2: &str = include_str!("../../../../samples/rollouts/telemetry-step2.yaml");

pub(crate) fn step2() -> PlanFile {
    let mut found = Findings::new("telemetry-step2.yaml", STEP2);
    PlanFile::read(STEP2, &mut found).unwrap_or_else(|| panic!("{found}"))
}

#[test]
fn the_plan_of_step_2_is_read_whole_and_lints_clean() {
    let file = step2();
    let plan = &file.plan;
    assert_eq!(plan.flag, "telemetry_parser_cli");
    let checkpoints: Vec<String> = plan.checkpoints.iter().map(townlet_rollout::Checkpoint::name).collect();
    assert_eq!(checkpoints.join(" "), "15m 30m 45m 1h 75m 90m 12h 24h 36h 48h");
    let percents: Vec<u8> = plan.steps.iter().map(|step| step.percent).collect();
    assert_eq!(percents, [10, 50, 100]);
    assert_eq!((plan.rules.len(), plan.signals.len(), plan.sign_off.len()), (16, 8, 3));
    let batch = &plan.signals[2];
    assert_eq!(batch.baseline, BaselineSource::Stated(Stated { level: 121.4, sd: 0.03, memory: 0.5 }));
    assert!(batch.behind_flag && batch.statistic == "mean");
    assert_eq!(plan.signals[5].scale, Scale::Difference);
    assert!(matches!(plan.rules[12].condition, Condition::Worse { signal: 5, tolerance: 1.0 }));
    assert_eq!(plan.signals[3].baseline, BaselineSource::Rare(Some(Count { events: 0, exposure: 1_440.0 })));
    assert_eq!(plan.signals[3].name(), "parser_failure_total.delta");
    let limits = plan.preflight;
    assert_eq!((limits.cpu_below, limits.memory_below, limits.disk_below), (70.0, 75.0, 80.0));

    let mut found = Findings::new("telemetry-step2.yaml", STEP2);
    file.lint(&mut found);
    assert!(found.is_empty(), "{found}");
}

#[test]
fn each_fault_is_found_at_its_place_with_a_remedy() {
    // What is changed, into what, and what stands at the place of the finding.
    for (from, to, code, at, help) in [
        ("environment: prod", "enviroment: prod", Code::UnknownKey, "enviroment", "write environment"),
        ("every: 1m", "every: 1 minute", Code::Value, "1 minute", "write 2m, for example"),
        (
            "history: [cli_latency_p95_ms",
            "history: [cli_latency_p59_ms",
            Code::UnknownMetric,
            "cli_latency_p59_ms",
            "write cli_latency_p95_ms",
        ),
        ("sd: 3%", "sd: 3", Code::Value, "3, memory", "write 5%, for example: it is compared by ratio"),
        ("in: 24h", "in: 30s", Code::Value, "{ events: 0", "write { events: 0, in: 24h }"),
        ("events: 0", "events: none", Code::Value, "none", "write 0, for example"),
        (
            "parser_failure_total.delta: { events",
            "cli_latency_p95_ms: { events",
            Code::Unit,
            "{ events: 0",
            "name it under history",
        ),
        ("cpu_below: 70%", "cpu_below: 70", Code::Value, "70", "write 5%, for example"),
        ("percent: 10,", "percent: 110,", Code::Value, "110", "write 1, for example"),
        ("snapshots: [24h", "snapshots: [23h", Code::Value, "23h", "name one of 15m, 30m, 45m, 1h"),
        ("tolerance: 1pp", "tolerance: 1%", Code::Value, "1%", "write 2pp or 2"),
        ("tolerance: 1pp", "tolerance: 1pp for 10m", Code::Value, "1pp for 10m", "write 2pp or 2"),
        (
            "metric: parse_batch_size.mean",
            "metric: parse_batch_size",
            Code::UnknownMetric,
            "parse_batch_size,",
            "write parse_batch_size.mean",
        ),
        ("flag: \"off\"", "flag: \"of\"", Code::Value, "\"of\"", "write off"),
        ("action: warn", "action: wran", Code::Value, "wran", "write warn"),
        ("sign_off: [qa, devops, pm]", "", Code::Missing, "plan: ", "add it"),
        ("sign_off: [qa, devops, pm]", "sign_off: [qa, qa]", Code::Value, "plan: ", ""),
        ("recovered: [cli_latency_p95_ms", "recovered: [parse_duration_ms.p95", Code::Value, "rollback:", ""),
        ("within: 15s", "within: 3m", Code::Value, "rollback:", ""),
        ("emission: { within: 5m }", "emission: { within: 59s }", Code::Value, "emission:", ""),
        ("    - { restart: cli-service, within: 40s }\n", "", Code::Value, "rollback:", ""),
    ] {
        let text = STEP2.replacen(from, to, 1);
        assert_ne!(text, STEP2, "{from}");
        let mut found = Findings::new("p.yaml", &text);
        assert!(PlanFile::read(&text, &mut found).is_none(), "{to}");
        let hit = found.iter().find(|one| one.code == code).unwrap_or_else(|| panic!("{to}: {found}"));
        let line = text.lines().nth(hit.place.line as usize - 1).unwrap_or_default();
        let rest: String = line.chars().skip(hit.place.column as usize - 1).collect();
        assert!(rest.starts_with(at), "{found}");
        assert!(hit.help.as_deref().unwrap_or_default().starts_with(help), "{found}");
    }
}

#[test]
fn nothing_and_nonsense_are_no_plan() {
    for text in [
        "",
        "plan",
        "[]",
        "plan: 1",
        "plan: a\nsteps: 1\nrollback: 2",
        "metrics: {}\nrules: []",
        "baselines: { stated: { a: b } }",
    ] {
        let mut found = Findings::new("p.yaml", text);
        assert!(PlanFile::read(text, &mut found).is_none() && found.has_errors(), "{text}");
    }
}

#[test]
fn what_a_terminal_would_obey_is_not_printed() {
    let name = "parser_failure_total.delta: {";
    for (from, to) in [(name, "\"parser_failure_total\u{1b}.delta\": {"), (name, "parser\t_failure_total.delta: {")] {
        let text = STEP2.replacen(from, to, 1);
        assert_ne!(text, STEP2);
        let mut found = Findings::new("p.yaml", &text);
        assert!(PlanFile::read(&text, &mut found).is_none());
        let printed = found.to_string();
        assert!(!printed.chars().any(|c| c.is_control() && c != '\n'), "{printed:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_reader_panic_and_what_it_takes_can_be_run(
        at in 0..STEP2.len(),
        cut in 0..20_usize,
        put in "([a-z]{1,3}|[0-9]{1,4}|[\\[\\]{}:>|&*!%\"'#\\-]|\n {0,6}|\\PC){0,6}",
    ) {
        let mut text = STEP2.to_owned();
        let ends = |at: &usize| STEP2.is_char_boundary(*at);
        let (from, to) = ((0..=at).rev().find(ends).unwrap_or(0), (at + cut..=STEP2.len()).find(ends).unwrap_or(STEP2.len()));
        text.replace_range(from..to, &put);
        let mut found = Findings::new("p.yaml", &text);
        let read = PlanFile::read(&text, &mut found);
        prop_assert_eq!(read.is_none(), found.has_errors());
        if let Some(file) = read {
            prop_assert!(file.plan.problems().is_empty());
            file.lint(&mut found);
            prop_assert!(!found.has_errors());
        }
        let printed = found.to_string();
        prop_assert!(!printed.chars().any(|c| c.is_control() && c != '\n'), "{:?}", printed);
    }
}
