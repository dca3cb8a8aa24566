//! Rules over samples, at times the test names.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use townlet_policy::evaluate::{EvaluateError, Evaluator, GapMode, Reason, Settings, State, Status};
use townlet_policy::{Form, Metric, MetricId, Place, Rule, Severity, Time, Truth, Unit, Worse, expression};

pub(crate) fn metrics() -> Vec<Metric> {
    ["a", "b"].map(|name| Metric { name: name.into(), unit: Unit::Count, worse: Worse::Up }).to_vec()
}

pub(crate) fn rule(form: Form, text: &str) -> Rule {
    let read = expression::parse(text, &metrics(), None).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    Rule {
        id: text.to_owned(),
        form,
        condition: read.condition,
        timing: read.timing,
        severity: Severity::Warning,
        action: None,
        dry_run: false,
        place: Place::TOP,
    }
}

pub(crate) fn secs(seconds: u64) -> Time {
    Time::from_ms(seconds * 1000)
}

pub(crate) fn settings(gap: GapMode) -> Settings {
    Settings { gap, max_gap: Duration::from_secs(60) }
}

const A: MetricId = MetricId(0);
const B: MetricId = MetricId(1);

/// Evaluates one rule every 30 s; `a` takes these values at these evaluations, `_` is no sample, `x` a stale marker, `?`
/// that nobody looked.
/// Prints a letter an evaluation: inactive, pending, firing, unknown, excused.
fn letters(gap: GapMode, form: Form, text: &str, values: &str) -> String {
    let mut evaluator = Evaluator::new(&[rule(form, text)], 2, secs(0), settings(gap)).unwrap();
    let times = (0..).map(|step| secs(step * 30));
    let one = |(at, value): (Time, &str)| {
        match value {
            "_" => {}
            "x" => evaluator.stale(A, at).unwrap(),
            "?" => evaluator.unwatched(at),
            number => evaluator.sample(A, at, number.parse().unwrap(), 1).unwrap(),
        }
        match evaluator.evaluate(at).unwrap()[0].state {
            State::Inactive => 'i',
            State::Pending { .. } => 'p',
            State::Firing { .. } => 'F',
            State::Unknown { .. } => 'u',
            State::Excused { .. } => 'e',
        }
    };
    times.zip(values.split(' ')).map(one).collect()
}

#[test]
fn a_gap_pauses_the_timer_by_default_and_resets_it_as_in_prometheus() {
    let values = "9 9 9 x _ 9 9 1";
    assert_eq!(letters(GapMode::Hold, Form::When, "a > 5 for 90s", values), "pppuupFi");
    assert_eq!(letters(GapMode::Prometheus, Form::When, "a > 5 for 90s", values), "pppiippi");
    // 60 s without a sample is no gap yet, 90 s is one.
    assert_eq!(letters(GapMode::Hold, Form::When, "a > 5 for 90s", "9 _ _ _ 9 9"), "pppupF");
}

#[test]
fn a_firing_rule_is_ended_by_a_known_good_value_only() {
    assert_eq!(letters(GapMode::Hold, Form::When, "a > 5", "9 x _ _ 1"), "FFFFi");
    assert_eq!(letters(GapMode::Prometheus, Form::When, "a > 5", "9 x _ _ 1"), "Fiiii");
    assert_eq!(letters(GapMode::Hold, Form::When, "a > 5 keep 60s", "9 1 1 1 9 1"), "FFFiFF");
    // Keeping, too, waits for what is seen.
    assert_eq!(letters(GapMode::Hold, Form::When, "a > 5 keep 60s", "9 1 x 1 1 1"), "FFFFFi");
}

#[test]
fn nothing_is_absent_while_nobody_looks() {
    assert_eq!(letters(GapMode::Hold, Form::When, "a absent for 90s", "1 _ _ _ _"), "iiiFF");
    assert_eq!(letters(GapMode::Hold, Form::When, "a absent for 90s", "1 ? ? ? ? _ _ _ _"), "iiiuuuuFF");
    assert_eq!(letters(GapMode::Hold, Form::When, "a absent", "1 ? ? ? ? _ _ _"), "iiiuuuFF");
    assert_eq!(letters(GapMode::Hold, Form::Require, "a fresh < 60s", "1 ? ? ? 1 _ _"), "iiuuiiF");
    // An absence that was found stays found.
    assert_eq!(letters(GapMode::Hold, Form::When, "a absent for 60s", "1 _ _ ? ? 1"), "iiFFFi");
    // Values are what they are.
    assert_eq!(letters(GapMode::Hold, Form::When, "a > 5", "9 ? 1 ?"), "FFii");
}

#[test]
fn unknown_is_no_pass_and_only_missing_data_is_excused() {
    let mut evaluator = Evaluator::new(
        &[
            rule(Form::Require, "a <= +10%"),
            rule(Form::Require, "a < 5 unless no-data"),
            rule(Form::Require, "a < 5 min_samples 3 in 1m unless no-data"),
            rule(Form::Require, "a < 5 or b < 5"),
            rule(Form::When, "b absent for 2m"),
        ],
        2,
        secs(0),
        settings(GapMode::Hold),
    )
    .unwrap();
    let unknown = State::Unknown { pending: None };
    let states = |all: &[Status]| all.iter().map(|status| status.state).collect::<Vec<_>>();
    let first = evaluator.evaluate(secs(0)).unwrap();
    assert!(first.iter().all(|status| !status.passes() && status.truth == Truth::Unknown));
    let excused = State::Excused { pending: None };
    assert_eq!(states(&first), [unknown, excused, excused, unknown, unknown]);
    assert_eq!(first[3].why, [Reason::NoData(A), Reason::NoData(B)]);
    assert_eq!(first[4].why, [Reason::WatchedTooShort(B)]);

    evaluator.sample(A, secs(30), 4.0, 2).unwrap();
    let second = evaluator.evaluate(secs(30)).unwrap();
    assert_eq!(states(&second), [unknown, State::Inactive, unknown, State::Inactive, unknown]);
    assert_eq!(second[0].why, [Reason::NoBaseline(A)]);
    assert_eq!(second[2].why, [Reason::TooFewSamples { metric: A, have: 2, need: 3 }]);

    evaluator.baseline(A, Some(4.0)).unwrap();
    evaluator.sample(A, secs(120), 4.5, 3).unwrap();
    let third = evaluator.evaluate(secs(120)).unwrap();
    let firing = State::Firing { since: secs(120) };
    assert_eq!(states(&third), [firing, State::Inactive, State::Inactive, State::Inactive, firing]);
}

#[test]
fn relative_limits_are_measured_from_the_baseline() {
    for (text, baseline, value, holds) in [
        ("a <= +10%", 100.0, 110.0, Some(true)),
        ("a <= +10%", 100.0, 111.0, Some(false)),
        ("a >= -10%", 100.0, 89.0, Some(false)),
        ("a <= +10%", -100.0, -91.0, Some(true)),
        ("a <= +10%", -100.0, -89.0, Some(false)),
        ("a > ±7%", 100.0, 92.0, Some(true)),
        ("a in ±7%", 100.0, 94.0, Some(true)),
        ("a in ±7%", 100.0, 92.0, Some(false)),
        ("a <= +3", 0.0, 3.0, Some(true)),
        ("a <= +3%", 0.0, 0.0, None),
        ("a <= +3", f64::NAN, 0.0, None),
        ("a <= 3", 1.0, f64::NAN, None),
        ("a <= 3", 1.0, f64::NEG_INFINITY, Some(true)),
    ] {
        let mut evaluator = Evaluator::new(&[rule(Form::When, text)], 2, secs(0), settings(GapMode::Hold)).unwrap();
        evaluator.baseline(A, Some(baseline)).unwrap();
        evaluator.sample(A, secs(0), value, 1).unwrap();
        let truth = evaluator.evaluate(secs(0)).unwrap()[0].truth;
        assert_eq!(truth, holds.map_or(Truth::Unknown, Truth::from), "{text} of {baseline} at {value}");
    }
}

#[test]
fn what_comes_out_of_order_is_refused_and_changes_nothing() {
    let mut evaluator = Evaluator::new(&[rule(Form::When, "a > 5")], 2, secs(9), settings(GapMode::Hold)).unwrap();
    assert!(matches!(evaluator.evaluate(secs(8)), Err(EvaluateError::BackInTime { .. })));
    evaluator.sample(A, secs(10), 9.0, 1).unwrap();
    let fault = evaluator.sample(A, secs(10), 1.0, 1).unwrap_err();
    assert_eq!(fault, EvaluateError::OutOfOrder { metric: A, at: secs(10), last: secs(10) });
    assert_eq!(evaluator.sample(MetricId(2), secs(1), 1.0, 1), Err(EvaluateError::UnknownMetric(MetricId(2))));
    assert_eq!(evaluator.evaluate(secs(10)).unwrap()[0].state, State::Firing { since: secs(10) });
    assert!(matches!(evaluator.evaluate(secs(10)), Err(EvaluateError::BackInTime { .. })));
    assert!(Evaluator::new(&[rule(Form::When, "b > 5")], 1, secs(0), Settings::default()).is_err());
}
