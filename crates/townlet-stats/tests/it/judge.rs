//! The judge: right where it can be, and no pass where others passed what was wrong.

use townlet_stats::{Assumption, Direction, Judge, Judgement, Scale, Side, Verdict, Why};

fn judge(direction: Direction) -> Judge {
    Judge { direction, scale: Scale::Ratio, tolerance: 0.05 }
}

fn some(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

fn upward(judged: &[f64], control: &[f64]) -> Judgement {
    judge(Direction::LowerIsBetter).judge(&some(judged), &some(control))
}

/// Sixty values of about two percent noise, scrambled so that one says nothing about the next.
fn hour(level: f64, seed: u64) -> Vec<f64> {
    let value = |n: u64| {
        let scrambled = (n + 61 * seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let uniform = |shift: u32| ((scrambled.rotate_left(shift) ^ (scrambled >> 31)) % 10_007) as f64 / 10_007.0;
        level * (1.0 + 0.02 * (uniform(3) + uniform(17) + uniform(29) + uniform(47) - 2.0) * 1.7)
    };
    (0..60).map(value).collect()
}

/// kayenta#426: four errors against none in six samples. Kayenta passes; so many are one chance in sixteen, so neither
/// a pass nor a failure is known.
#[test]
fn sparse_errors_of_kayenta_issue_426_are_inconclusive() {
    let judgement = upward(&[0.0, 1.0, 2.0, 1.0, 0.0, 0.0], &[0.0; 6]);
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement}");
    assert!(matches!(judgement.why, Why::Fails(check) if check.assumption == Assumption::Values), "{judgement}");
}

/// kayenta#799: the control has no errors. As zeros Kayenta passes them.
#[test]
fn errors_against_a_control_without_any_of_kayenta_issue_799_are_worse() {
    let judgement = upward(&[1.0, 4.0, 2.0, 3.0, 1.0], &[0.0; 5]);
    assert_eq!(judgement.verdict, Verdict::Worse, "{judgement}");
    assert!(matches!(judgement.why, Why::Beyond { values: 5, .. }), "{judgement}");
}

/// kayenta#799 as the metric store delivered it: a value every five minutes, and no series for the control at all.
#[test]
fn a_control_without_a_series_of_kayenta_issue_799_is_inconclusive() {
    let errors = [1.0, 2.0, 1.0, 2.0, 1.0].map(|value| [Some(value), Some(f64::NAN), None, None, None]).concat();
    for control in [&[][..], &[Some(f64::NAN); 25][..], &[None; 25][..]] {
        let judgement = judge(Direction::LowerIsBetter).judge(&errors, control);
        assert_eq!((judgement.verdict, judgement.why), (Verdict::Inconclusive, Why::NoValue(Side::Control)));
    }
}

/// spinnaker#6278: seven of ten samples a hundred times as large. Kayenta passes them, because three are not.
#[test]
fn seven_of_ten_samples_a_hundred_times_as_large_of_spinnaker_issue_6278_are_worse() {
    let mut judged = [100.0; 10];
    judged[7..].fill(1.0);
    let judgement = upward(&judged, &[1.0; 10]);
    assert_eq!(judgement.verdict, Verdict::Worse, "{judgement}");
    let Why::Beyond { values: 7, chance } = judgement.why else { panic!("{judgement}") };
    // 120 of the 77,520 ways to draw seven of twenty fall to the same ten.
    assert!((chance - 120.0 / 77_520.0).abs() < 1e-12, "{chance}");
}

/// kayenta#780, case 1: the two differ in shape, not by a shift. Kayenta passes them.
#[test]
fn a_change_of_variability_of_kayenta_issue_780_is_no_pass() {
    let judged = [10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 17.0, 17.1, 17.2, 17.3, 17.4, 17.5, 17.6, 17.7];
    let control = [1.0, 100.0, 4.0, 101.0, 5.0, 102.0, 6.0, 103.0, 7.0, 104.0, 8.0, 105.0, 9.0, 106.0, 17.0];
    for direction in [Direction::LowerIsBetter, Direction::HigherIsBetter, Direction::Band] {
        let judgement = judge(direction).judge(&some(&judged), &some(&control));
        assert_ne!(judgement.verdict, Verdict::Pass, "{judgement}");
        // Nor would it be one with enough samples of the same.
        let more = judge(direction).judge(&some(&judged.repeat(6)), &some(&control.repeat(6)));
        assert_ne!(more.verdict, Verdict::Pass, "{more}");
    }
}

#[test]
fn no_data_is_no_pass() {
    let values = some(&hour(200.0, 1));
    for (judged, control, side) in
        [(&[][..], &values[..], Side::Judged), (&values[..], &[][..], Side::Control), (&[][..], &[][..], Side::Control)]
    {
        let judgement = judge(Direction::LowerIsBetter).judge(judged, control);
        assert_eq!((judgement.verdict, judgement.why), (Verdict::Inconclusive, Why::NoValue(side)));
    }
}

#[test]
fn a_shift_beyond_the_tolerance_is_worse_and_one_within_it_passes() {
    for (factor, direction, verdict) in [
        (1.0, Direction::LowerIsBetter, Verdict::Pass),
        (1.02, Direction::LowerIsBetter, Verdict::Pass),
        (1.1, Direction::LowerIsBetter, Verdict::Worse),
        (0.9, Direction::LowerIsBetter, Verdict::Pass),
        (1.1, Direction::HigherIsBetter, Verdict::Pass),
        (0.9, Direction::HigherIsBetter, Verdict::Worse),
        (0.9, Direction::Band, Verdict::Worse),
        (1.1, Direction::Band, Verdict::Worse),
        (1.0, Direction::Band, Verdict::Pass),
        (1.05, Direction::LowerIsBetter, Verdict::Inconclusive),
    ] {
        let judgement = judge(direction).judge(&some(&hour(200.0 * factor, 2)), &some(&hour(200.0, 3)));
        assert_eq!(judgement.verdict, verdict, "{factor}, {direction:?}: {judgement}");
    }
}

#[test]
fn hours_without_a_difference_are_worse_in_at_most_two_of_a_hundred_and_mostly_pass() {
    let verdicts = (0..200).map(|seed| upward(&hour(200.0, 2 * seed), &hour(200.0, 2 * seed + 1)).verdict);
    let verdicts: Vec<Verdict> = verdicts.collect();
    let count = |verdict| verdicts.iter().filter(|&&seen| seen == verdict).count();
    assert!(count(Verdict::Worse) <= 4, "{}", count(Verdict::Worse));
    assert!(count(Verdict::Pass) >= 180, "{}", count(Verdict::Pass));
}

#[test]
fn values_that_repeat_each_other_widen_the_interval_or_are_inconclusive() {
    // The same hour twice over, each value five times in a row: no more is known than from twelve.
    let slow = |level: f64, seed: u64| hour(level, seed)[..12].iter().flat_map(|value| [*value; 5]).collect::<Vec<_>>();
    let judgement = upward(&slow(208.0, 5), &slow(200.0, 6));
    let (low, high) = judgement.interval.unwrap();
    let test = judgement.test.unwrap();
    assert!(low < test.low && high > test.high, "{judgement}");
    assert_ne!(judgement.verdict, Verdict::Worse, "{judgement}");
    // A ramp remembers everything.
    let ramp: Vec<f64> = (0..60).map(|n| 200.0 + f64::from(n)).collect();
    let judgement = upward(&ramp, &hour(200.0, 7));
    assert!(
        matches!(judgement.why, Why::Fails(check) if check.assumption == Assumption::Autocorrelation),
        "{judgement}"
    );
}

#[test]
fn a_window_full_of_holes_or_too_short_is_inconclusive() {
    let mut holes = some(&hour(230.0, 8));
    holes.iter_mut().step_by(3).for_each(|value| *value = None);
    let judgement = judge(Direction::LowerIsBetter).judge(&holes, &some(&hour(200.0, 9)));
    assert!(
        matches!(judgement.why, Why::Fails(check) if check.assumption == Assumption::ValuesCoverage),
        "{judgement}"
    );
    let judgement = upward(&hour(230.0, 8)[..15], &hour(200.0, 9)[..15]);
    assert!(matches!(judgement.why, Why::Fails(check) if check.assumption == Assumption::Values), "{judgement}");
    // Thirty are enough to see a shift and too few to exclude one.
    assert_eq!(upward(&hour(230.0, 8)[..30], &hour(200.0, 9)[..30]).verdict, Verdict::Worse);
    assert_eq!(upward(&hour(200.0, 8)[..30], &hour(200.0, 9)[..30]).verdict, Verdict::Inconclusive);
}

#[test]
fn a_tail_of_its_own_is_no_pass() {
    let mut judged = hour(200.0, 10);
    judged[20..30].iter_mut().for_each(|value| *value *= 1.4);
    let judgement = upward(&judged, &hour(200.0, 11));
    assert!(matches!(judgement.why, Why::Beyond { values: 10, .. }), "{judgement}");
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

#[test]
fn a_judgement_prints_its_reason_and_every_assumption() {
    let text = upward(&hour(230.0, 12), &hour(200.0, 13)).to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "worse: the shift is beyond the tolerance");
    assert!(lines[1].starts_with("shift "), "{text}");
    for part in
        ["values on the side with fewer: 60", "share of the values", "autocorrelation of the values", "spread of"]
    {
        assert!(lines[2..].iter().any(|line| line.starts_with(part) && line.ends_with("holds")), "{part}: {text}");
    }
}
