//! Rules, read and printed.

use proptest::prelude::*;
use townlet_policy::{Metric, MetricId, Unit, Worse, expression};

fn metrics() -> Vec<Metric> {
    [("p95", "ms"), ("ok", "ratio"), ("cpu", "%"), ("up", "bool")]
        .map(|(name, unit)| Metric { name: name.into(), unit: Unit::parse(unit), worse: Worse::Up })
        .to_vec()
}

#[test]
fn every_form_reads_as_what_it_prints() {
    let metrics = metrics();
    for (text, printed) in [
        ("p95 < 200", "p95 < 200ms"),
        ("p95 <= +10% for 10m", "p95 <= +10% for 10m"),
        ("cpu <= +2pp keep 5m", "cpu <= +2pp keep 5m"),
        ("ok >= 99.5%", "ok >= 0.995"),
        ("ok in 0.9..1", "ok in 0.9..1"),
        ("cpu in ±7%", "cpu in -7%..+7%"),
        ("cpu > +-7% for 2h", "cpu > ±7% for 2h"),
        ("cpu > (-5)", "cpu > (-5%)"),
        ("p95 absent for 5m", "p95 absent for 5m"),
        ("(p95 absent) for 5m", "p95 absent for 5m"),
        ("p95 fresh < 60s", "p95 fresh < 1m"),
        ("up == true unless no-data", "up == true unless no-data"),
        ("not (p95 > 1s or ok < 0.9) and cpu < 5", "not (p95 > 1000ms or ok < 0.9) and cpu < 5%"),
        ("p95 > 1 for 5m min_samples 3 max_gap 2m", "p95 > 1ms for 5m min_samples 3 in 5m max_gap 2m"),
    ] {
        let read = expression::parse(text, &metrics, None).unwrap_or_else(|e| panic!("{text}: {e}"));
        let again = format!("{}{}", expression::condition(&read.condition, &metrics), read.timing);
        assert_eq!(again, printed);
    }
    let bare = expression::parse("< 200", &metrics, Some(MetricId(0))).unwrap();
    assert_eq!(expression::condition(&bare.condition, &metrics), "p95 < 200ms");
}

#[test]
fn a_fault_names_its_column() {
    for (text, column) in [
        ("", 0),
        ("nope < 1", 0),
        ("p95 < 5%", 6),
        ("p95 <= +2pp", 7),
        ("p95 < 5 for", 11),
        ("p95 = 5", 4),
        ("p95 in 5..1", 10),
        ("p95 < 1 min_samples 3", 8),
        ("p95 < 1 #", 8),
        ("cpu < 2pp", 6),
    ] {
        let fault = expression::parse(text, &metrics(), None).unwrap_err();
        assert_eq!(fault.column, column, "{text}: {fault}");
    }
}

#[test]
fn a_limit_too_large_for_its_unit_is_refused() {
    for (text, column) in [("p95 < 1e308d", 6), ("p95 > +1e305h", 6), ("p95 in 1..1e308d", 10)] {
        let fault = expression::parse(text, &metrics(), None).unwrap_err();
        assert_eq!(
            (fault.column, fault.message.as_str()),
            (column, "that is more than a number in ms can be"),
            "{text}"
        );
    }
}

#[test]
fn a_unit_that_is_no_word_of_the_grammar_is_left_out_where_a_number_has_it_anyway() {
    for (unit, printed) in
        [("events/s", "m > 100"), ("e3", "m > 100"), ("for", "m > 100"), ("pp", "m > 100"), ("files", "m > 100files")]
    {
        let metrics = [Metric { name: "m".into(), unit: Unit::parse(unit), worse: Worse::Up }];
        let read = expression::parse("m > 100", &metrics, None).unwrap();
        let text = expression::condition(&read.condition, &metrics);
        assert_eq!(text, printed);
        assert_eq!(expression::parse(&text, &metrics, None), Ok(read), "{unit}");
    }
}

const UNITS: [&str; 10] = ["ns", "ms", "d", "GiB", "ratio", "%", "count", "bool", "events/s", "files"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Also what nobody would write, such as `+0.30000000000000004%`.
    #[test]
    fn every_limit_prints_as_what_reads_as_the_same_limit(
        unit in prop::sample::select(UNITS.as_slice()),
        op in prop::sample::select(["<", "<=", ">", ">="].as_slice()),
        sign in prop::sample::select(["", "+", "-", "±"].as_slice()),
        suffix in prop::sample::select(["", "%", "pp", "us", "h", "MB"].as_slice()),
        number in prop_oneof![0.0..1e6_f64, 0.0..1.0_f64, (0..100_000_u32).prop_map(|n| f64::from(n) / 1000.0), 0.0..1e300_f64],
    ) {
        let metrics = [Metric { name: "m".into(), unit: Unit::parse(unit), worse: Worse::Both }];
        let Ok(read) = expression::parse(&format!("m {op} {sign}{number}{suffix}"), &metrics, None) else {
            return Ok(());
        };
        let text = expression::condition(&read.condition, &metrics);
        prop_assert_eq!(expression::parse(&text, &metrics, None), Ok(read), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(p95|ok|cpu|up|[<>=!±+-]{1,2}|[0-9.]{1,4}|%|pp|for|in|not|and|[()]| |\\PC){0,24}") {
        let _ = expression::parse(&text, &metrics(), None);
    }
}
