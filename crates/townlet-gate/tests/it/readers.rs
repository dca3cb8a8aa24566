//! The change board, the policies and the samples of a gate, sound and broken.

use std::time::Duration;

use proptest::prelude::*;
use townlet_gate::gate::{Approvals, Board, Policies, Samples, read_policy};
use townlet_policy::{Unit, Worse, expression};

use crate::sample::at;

pub(crate) const BOARD: &str = r#"
environments:
  staging:
    authors: [release-engineer]
    approvals: automatic
    policies: none
    readiness: { signed_by: [ci], max_age: 24h }
    rehearsal: not required
    waivers: none
    window: not required
  production:
    authors: [release-engineer]
    approvals: { roles: [change-board, sre-on-call, product-owner], max_age: 7d }
    policies: all
    readiness: { signed_by: [ci], max_age: 24h }
    rehearsal: { signed_by: [sre-on-call], in: [staging], max_age: 30d, within: 5m }
    waivers: { signed_by: [change-board], policies: [performance_p95_ms], longest: 14d }
    window: required
"#;

/// The policy of the predecessor's guide, word for word.
const SHORT: &str = "
policies:
  readiness_passed: true
  performance_p95_ms: < 200
  error_rate: < 0.01
  open_critical_incidents: 0
  readiness_waiver_expired: false
";

const SAMPLES: &str = r#"{
  "schema": "townlet.sli-samples/1",
  "source": "a test",
  "series": [
    { "metric": "performance_p95_ms", "dropped": 0, "baseline": 170,
      "samples": [["2026-11-21T11:58:00Z", 183.5], ["2026-11-21T11:59:00Z", 181, 1200]] }
  ]
}"#;

#[test]
fn a_change_board_says_what_each_environment_demands() {
    let board = Board::read(BOARD, "change-board.yaml").unwrap_or_else(|found| panic!("{found}"));
    let staging = &board.environments["staging"];
    assert_eq!((&staging.approvals, &staging.rehearsal, &staging.waivers), (&Approvals::Automatic, &None, &None));
    assert_eq!(staging.policies, Policies::These(Vec::new()));
    let production = &board.environments["production"];
    let Approvals::Roles { roles, max_age } = &production.approvals else { panic!("{:?}", production.approvals) };
    assert_eq!((roles.len(), *max_age), (3, Duration::from_secs(7 * 86_400)));
    assert_eq!(production.rehearsal.as_ref().unwrap().within, Duration::from_secs(300));
    assert!(production.window && !staging.window && production.policies == Policies::All);
}

#[test]
fn a_board_that_demands_nothing_by_a_slip_is_refused() {
    for (from, to, told) in [
        ("approvals: automatic", "aprovals: automatic", "write approvals"),
        ("approvals: automatic", "approvals: automatically", "change-board.yaml:5:16"),
        ("roles: [change-board, sre-on-call, product-owner]", "roles: []", "roles lists nobody"),
        ("roles: [change-board, sre", "roles: [change-board, change-board, sre", "stands in roles twice"),
        ("[change-board, sre", "[Change Board, sre", "is no role"),
        ("    window: required\n", "", "needs window"),
        ("window: required", "window: maybe", "window is required or not required"),
        ("max_age: 30d", "max_age: 0d", "lets nothing pass"),
        ("max_age: 30d", "max_age: 30 days", "is no duration"),
        ("waivers: none", "waivers: never", "write none"),
        ("rehearsal: not required", "rehearsal: [a]", "write not required"),
        ("policies: all", "policies: some", "a list of ids"),
        ("in: [staging]", "on: [staging]", "write in"),
        (BOARD, "", "a change board is a mapping"),
        (BOARD, "environments: {}", "at least one"),
    ] {
        let text = BOARD.replacen(from, to, 1);
        assert_ne!(text, BOARD, "{from}");
        let found = Board::read(&text, "change-board.yaml").expect_err(to).to_string();
        assert!(found.contains(told), "{to}: {found}");
    }
}

#[test]
fn the_policy_of_the_predecessor_is_read_as_it_stands() {
    let policy = read_policy(SHORT, "p.yaml").unwrap_or_else(|found| panic!("{found}"));
    let rules: Vec<_> = policy.rules.iter().map(|rule| expression::rule(rule, &policy.metrics)).collect();
    let written = [
        "readiness_passed == true",
        "performance_p95_ms < 200ms",
        "error_rate < 0.01",
        "open_critical_incidents == 0",
        "readiness_waiver_expired == false",
    ];
    assert_eq!(rules.len(), written.len());
    for (rule, written) in rules.iter().zip(written) {
        assert!(rule.starts_with(written), "{rule}");
    }
    assert_eq!((&policy.metrics[1].unit, policy.metrics[1].worse), (&Unit::parse("ms"), Worse::Up));
}

#[test]
fn what_would_let_the_unknown_pass_is_refused() {
    let long = "metrics:\n  m: { unit: ms, worse: up }\nrules:\n  - id: slow\n    require: m < 5\n    action: hold\n";
    assert!(read_policy(long, "p.yaml").is_ok());
    for (text, told) in [
        (format!("gap: prometheus\n{long}"), "lets a rule pass of which nothing is known"),
        (long.replace("m < 5", "m < 5 unless no-data"), "a gate excuses nobody"),
        (long.replace("id: slow", "id: rehearsal"), "names another condition of the gate"),
        (SHORT.replace("< 200", "< 200 unless no-data"), "a gate excuses nobody"),
        (SHORT.replace("< 200", ">200"), "YAML reads >"),
        (SHORT.replace("< 200", "< 200 MB"), "the limit is in MB and the metric in ms"),
        (SHORT.replace("policies", "policys"), "has no key 'policys'"),
        // 5 % was meant, and every release would pass.
        (SHORT.replace("< 0.01", "< 5"), "p.yaml:5:15"),
        (SHORT.replace("< 0.01", "<= 100%"), "a ratio is never above 1"),
        (long.replace("m < 5", "m < 5 or m >= 5"), "can never be bad"),
        (SHORT.replace("error_rate: < 0.01", "error_rate:"), "error_rate"),
        ("policies: {}".into(), "at least one"),
        (String::new(), "a policy"),
    ] {
        let found = read_policy(&text, "p.yaml").expect_err(&text).to_string();
        assert!(found.contains(told), "{text}: {found}");
    }
}

#[test]
fn a_board_may_say_who_is_told_and_demands_the_same() {
    let more = format!("{BOARD}telemetry: {{ transport: {{ type: stdout }} }}\n");
    assert_eq!(Board::read(&more, "b").map_err(|found| found.to_string()), Ok(Board::read(BOARD, "b").unwrap()));
    let misspelt = more.replace("telemetry", "telemetrie");
    assert!(Board::read(&misspelt, "b").unwrap_err().to_string().contains("has no key 'telemetrie'"));
}

#[test]
fn samples_are_read_with_their_times_and_weights() {
    let samples = Samples::read(SAMPLES, "s.json").unwrap_or_else(|found| panic!("{found}"));
    let series = &samples.series[0];
    assert_eq!((series.dropped, series.baseline, series.samples.len()), (0, Some(170.0), 2));
    assert_eq!(series.samples[1].at, at("2026-11-21T11:59:00Z"));
    assert_eq!((series.samples[0].weight, series.samples[1].weight), (1, 1200));
}

#[test]
fn samples_that_could_mislead_are_refused() {
    for (from, to, told) in [
        ("\"dropped\": 0, ", "", "needs dropped"),
        ("\"dropped\": 0", "\"dropped\": -1", "a whole number"),
        ("11:59:00Z", "11:58:00Z", "not later than the one before it"),
        ("11:59:00Z", "11:59:00", "without Z or an offset"),
        ("183.5", "NaN", "a finite number"),
        ("183.5", "null", "a text"),
        ("performance_p95_ms", "readiness_passed", "is not measured"),
        ("sli-samples/1", "sli-samples/2", "reads no other form"),
        ("\"source\"", "\"sauce\"", "has no key 'sauce'"),
        ("181, 1200", "181, 1200, 1", "a sample is [time, value]"),
    ] {
        let text = SAMPLES.replacen(from, to, 1);
        assert_ne!(text, SAMPLES, "{from}");
        let found = Samples::read(&text, "s.json").expect_err(to).to_string();
        assert!(found.contains(told), "{to}: {found}");
    }
    let twice =
        SAMPLES.replace("] }\n  ]", "] },\n { \"metric\": \"performance_p95_ms\", \"dropped\": 0, \"samples\": [] } ]");
    assert!(Samples::read(&twice, "s.json").unwrap_err().to_string().contains("two series"));
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(
        which in 0..3_usize,
        at in 0..1000_usize,
        cut in 0..20_usize,
        put in "([a-z0-9]{1,3}|[\\[\\]{}:>|&*!%\"'#,<\\-]|\n {0,6}|\\PC){0,6}",
    ) {
        let mut text = [BOARD, SHORT, SAMPLES][which].to_owned();
        let at = at % text.len();
        text.replace_range(at..(at + cut).min(text.len()), &put);
        for found in [
            Board::read(&text, "b").err(), read_policy(&text, "p").err(), Samples::read(&text, "s").err(),
        ].into_iter().flatten() {
            prop_assert!(found.has_errors(), "{}", found);
        }
    }
}
