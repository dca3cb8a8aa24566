//! Baselines and detectors as their users see them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod burn;
mod counts;
mod detector;
mod judge;
mod rank;
mod rare;
mod rival;
mod traces;

use townlet_stats::{Baseline, Reading, Sample, Stated};

fn level(minute: u64) -> f64 {
    let swing = (minute % 1440) as f64 / 720.0 - 1.0;
    100.0 + 10.0 * swing.abs() + ((minute * 7919) % 101) as f64 / 50.0
}

fn days(count: u64) -> Vec<Sample> {
    (0..count * 1440).map(|minute| Sample::new(minute * 60_000, level(minute))).collect()
}

#[test]
fn a_history_expects_each_time_of_day_what_earlier_days_had() {
    let baseline = Baseline::from_history(&days(5), Reading::default()).unwrap();
    for minute in (5 * 1440..7 * 1440).step_by(60) {
        let expected = baseline.expected(minute * 60_000, None).unwrap();
        assert!((expected / level(minute) - 1.0).abs() < 0.02, "{expected} at {minute}");
    }
    assert!(baseline.checks().iter().all(|check| check.holds), "{:?}", baseline.checks());
}

#[test]
fn a_short_history_fails_its_check() {
    let baseline = Baseline::from_history(&days(1), Reading::default()).unwrap();
    assert!(baseline.checks().iter().any(|check| !check.holds));
}

#[test]
fn what_happens_to_a_control_as_well_is_no_deviation_beside_it() {
    let pair = |minute: u64, by: f64| Sample::new(minute * 60_000, level(minute) * by).beside(level(minute) * by);
    let history: Vec<Sample> = (0..7200).map(|minute| pair(minute, 1.0)).collect();
    let baseline = Baseline::from_control(&history, Reading::default()).unwrap();
    assert!(baseline.deviation(&pair(8000, 1.5)).unwrap().beside.abs() < 1e-9);
}

#[test]
fn what_is_stated_is_expected_to_the_last_digit() {
    let stated = Stated { level: 58.1, sd: 0.02, memory: 0.5 };
    let baseline = Baseline::stated(stated, Reading::default()).unwrap();
    assert_eq!(baseline.expected(0, None), Some(58.1));
}
