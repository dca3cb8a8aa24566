//! The promises of the detector: how rarely it is wrong, how soon it is right, and when it says neither.

use townlet_stats::{
    Assumption, Baseline, Count, Detector, Direction, Lane, RareBaseline, RareDetector, Reading, Rules, Sample, Scale,
    State, Stated,
};

use crate::traces::{KINDS, Kind, delay, trace, watch};

const TRACES: u64 = 100;

fn stated(direction: Direction, tolerance: f64) -> Detector {
    let baseline = Baseline::stated(Stated { level: 200.0, sd: 0.02, memory: 0.0 }, Reading::default()).unwrap();
    Detector::new(baseline, Rules { direction, tolerance })
}

fn fed(detector: &mut Detector, from: u64, values: &[f64]) -> Vec<State> {
    let sample = |(minute, value): (u64, &f64)| Sample::new(minute * 60_000, *value);
    (from..).zip(values).map(|at| detector.push(&sample(at))).collect()
}

#[track_caller]
fn seldom_wrong(kind: Kind) {
    let (mut alarms, mut inconclusive) = (0, 0);
    for seed in 0..TRACES {
        let (mut detector, samples) = watch(&trace(kind, seed, 0.02));
        for sample in &samples {
            detector.push(sample);
        }
        alarms += u32::from(matches!(detector.state(), State::Detected { .. }));
        inconclusive += u32::from(matches!(detector.state(), State::Inconclusive { .. }));
    }
    assert!(alarms <= 1, "{kind:?}: {alarms} false alarms in {TRACES}");
    // A detector that never answers is never wrong either.
    assert!(inconclusive <= 5, "{kind:?}: {inconclusive} of {TRACES} inconclusive");
}

#[test]
fn a_stationary_metric_raises_an_alarm_in_at_most_one_of_a_hundred_rollouts_of_48_hours() {
    seldom_wrong(Kind::Stationary);
}

#[test]
fn an_autocorrelated_metric_raises_an_alarm_in_at_most_one_of_a_hundred_rollouts_of_48_hours() {
    seldom_wrong(Kind::Autocorrelated);
}

#[test]
fn a_metric_with_day_and_night_raises_an_alarm_in_at_most_one_of_a_hundred_rollouts_of_48_hours() {
    seldom_wrong(Kind::Diurnal);
}

#[test]
fn ten_percent_at_a_noise_of_two_percent_is_found_within_119_minutes_at_the_median() {
    for kind in KINDS {
        let mut delays: Vec<usize> =
            (0..21).map(|seed| delay(&trace(kind, 1_000 + seed, 0.02), 300, 1.1).unwrap_or(usize::MAX)).collect();
        delays.sort_unstable();
        println!("{kind:?}: median {} of {delays:?}", delays[10]);
        assert!(delays[10] <= 119, "{kind:?}: {delays:?}");
    }
}

#[test]
fn two_percent_at_a_noise_of_two_percent_is_found_within_119_minutes_at_the_median() {
    let mut delays: Vec<usize> = (0..21)
        .map(|seed| delay(&trace(Kind::Stationary, 2_000 + seed, 0.02), 300, 1.02).unwrap_or(usize::MAX))
        .collect();
    delays.sort_unstable();
    assert!(delays[10] <= 119, "{delays:?}");
}

#[test]
fn three_times_as_much_is_found_within_two_samples() {
    for kind in KINDS {
        for seed in 0..20 {
            let found = delay(&trace(kind, 3_000 + seed, 0.05), 700, 3.0);
            assert!(found.is_some_and(|samples| samples <= 2), "{kind:?}, seed {seed}: {found:?}");
        }
    }
}

#[test]
fn two_absent_samples_are_an_absence_and_one_is_a_suspicion() {
    let mut detector = stated(Direction::LowerIsBetter, 0.0);
    fed(&mut detector, 0, &[200.0]);
    assert_eq!(detector.push(&Sample::missing(60_000)), State::Suspect { since_ms: 60_000 });
    fed(&mut detector, 2, &[200.0]);
    assert_eq!(detector.push(&Sample::missing(180_000)), State::Suspect { since_ms: 180_000 });
    let absent = State::Detected { since_ms: 180_000, at_ms: 240_000, lane: Lane::Absence, size: None };
    assert_eq!(detector.push(&Sample::new(240_000, f64::NAN)), absent);
    assert_eq!(fed(&mut detector, 5, &[200.0]), [absent], "what was found stays found");
}

#[test]
fn a_single_spike_is_no_catastrophe() {
    let mut detector = stated(Direction::LowerIsBetter, 0.0);
    let states = fed(&mut detector, 0, &[200.0, 200.0, 900.0, 200.0, 200.0, 900.0, 200.0]);
    assert!(states.iter().all(|state| !matches!(state, State::Detected { .. })), "{states:?}");
}

#[test]
fn two_samples_are_a_catastrophe_together_and_none_is_below_twice() {
    for (values, found) in [
        ([500.0, 500.0], true),
        // 2.2 × 2.8 is more than 6, 2.2 × 2.6 is less.
        ([440.0, 560.0], true),
        ([440.0, 520.0], false),
        ([390.0, 2000.0], false),
        ([2000.0, 390.0], false),
    ] {
        // As noisy as a twentieth and forgetful, so that the other lane is not done after two samples.
        let stated = Stated { level: 200.0, sd: 0.05, memory: 0.0 };
        let baseline = Baseline::stated(stated, Reading::default()).unwrap();
        let mut detector = Detector::new(baseline, Rules::new(Direction::LowerIsBetter));
        let states = fed(&mut detector, 0, &values);
        let caught = matches!(states[1], State::Detected { lane: Lane::Catastrophe, .. });
        assert_eq!(caught, found, "{values:?}: {states:?}");
    }
}

#[test]
fn a_detection_says_by_which_lane_since_when_and_by_how_much() {
    let mut detector = stated(Direction::LowerIsBetter, 0.0);
    fed(&mut detector, 0, &[200.0; 100]);
    let last = *fed(&mut detector, 100, &[210.0; 60]).last().unwrap();
    let State::Detected { since_ms, lane, size: Some(size), .. } = last else { panic!("{last:?}") };
    assert_eq!((since_ms, lane), (6_000_000, Lane::Sequential));
    assert!((size - 0.05).abs() < 0.005, "{size}");
}

#[test]
fn the_better_direction_and_what_is_tolerated_are_no_detection() {
    for (direction, tolerance, value, found) in [
        (Direction::LowerIsBetter, 0.0, 190.0, false),
        (Direction::HigherIsBetter, 0.0, 190.0, true),
        (Direction::Band, 0.0, 190.0, true),
        (Direction::Band, 0.0, 210.0, true),
        (Direction::LowerIsBetter, 0.06, 210.0, false),
        (Direction::LowerIsBetter, 0.02, 210.0, true),
    ] {
        let mut detector = stated(direction, tolerance);
        fed(&mut detector, 0, &[value; 500]);
        let detected = matches!(detector.state(), State::Detected { .. });
        assert_eq!(detected, found, "{direction:?}, {tolerance}, {value}");
    }
}

#[test]
fn a_short_history_is_inconclusive_about_small_shifts_and_still_sees_catastrophes() {
    let trace = trace(Kind::Stationary, 7, 0.02);
    let baseline = Baseline::from_history(&trace[..1440], Reading::default()).unwrap();
    let mut detector = Detector::new(baseline, Rules::new(Direction::LowerIsBetter));
    for sample in &trace[1440..1940] {
        let state = detector.push(&Sample { value: sample.value.map(|value| value * 1.3), ..*sample });
        let State::Inconclusive { why } = state else { panic!("{state:?}") };
        assert_eq!(why.assumption, Assumption::History);
    }
    let mut last = detector.state();
    for sample in &trace[1940..1942] {
        last = detector.push(&Sample { value: sample.value.map(|value| value * 3.0), ..*sample });
    }
    assert!(matches!(last, State::Detected { lane: Lane::Catastrophe, .. }), "{last:?}");
}

#[test]
fn noise_that_remembers_more_than_was_stated_is_inconclusive_and_no_alarm() {
    // Slow waves of ±1 standard deviation, stated to be independent.
    let mut detector = stated(Direction::LowerIsBetter, 0.05);
    let wave = |minute: u64| 200.0 * (1.0 + 0.02 * (minute as f64 / 12.0).sin());
    fed(&mut detector, 0, &(0..600).map(wave).collect::<Vec<_>>());
    let State::Inconclusive { why } = detector.state() else { panic!("{:?}", detector.state()) };
    assert_eq!(why.assumption, Assumption::LiveIndependence);
    assert!(detector.checks().contains(&why));
}

#[test]
fn a_metric_full_of_holes_is_inconclusive() {
    let mut detector = stated(Direction::LowerIsBetter, 0.0);
    for minute in 0..120 {
        let at_ms = minute * 60_000;
        detector.push(&if minute % 2 == 0 { Sample::new(at_ms, 200.0) } else { Sample::missing(at_ms) });
    }
    let State::Inconclusive { why } = detector.state() else { panic!("{:?}", detector.state()) };
    assert_eq!(why.assumption, Assumption::LiveCoverage);
}

#[test]
fn what_a_control_does_as_well_is_not_detected_and_what_it_does_not_is() {
    let calm = |minute: u64| 200.0 + ((minute * 7919) % 101) as f64 / 10.0;
    let pair = |minute: u64, own: f64, both: f64| {
        Sample::new(minute * 60_000, calm(minute) * own * both).beside(calm(minute + 17) * both)
    };
    let history: Vec<Sample> = (0..5 * 1440).map(|minute| pair(minute, 1.0, 1.0)).collect();
    for (own, both, found) in [(1.0, 1.5, false), (1.1, 1.0, true), (1.1, 1.05, true)] {
        let baseline = Baseline::from_control(&history, Reading::default()).unwrap();
        let mut detector = Detector::new(baseline, Rules::new(Direction::LowerIsBetter));
        for minute in 7200..7400 {
            detector.push(&pair(minute, own, both));
        }
        let state = detector.state();
        assert_eq!(matches!(state, State::Detected { .. }), found, "{own}, {both}: {state:?}");
    }
}

#[test]
fn a_control_that_is_missing_hides_no_catastrophe_and_is_no_evidence_of_a_small_shift() {
    let calm = |minute: u64| 200.0 + ((minute * 7919) % 101) as f64 / 10.0;
    let pair = |minute: u64| Sample::new(minute * 60_000, calm(minute)).beside(calm(minute + 17));
    let history: Vec<Sample> = (0..5 * 1440).map(pair).collect();
    let baseline = Baseline::from_control(&history, Reading::default()).unwrap();
    for (factor, found) in [(3.0, Some(2)), (1.3, None)] {
        let mut detector = Detector::new(baseline.clone(), Rules::new(Direction::LowerIsBetter));
        let mut alone = (7200..7250).map(|minute| Sample::new(minute * 60_000, factor * calm(minute)));
        let at = alone.position(|sample| matches!(detector.push(&sample), State::Detected { .. }));
        assert_eq!(at.map(|at| at + 1), found, "{factor}");
    }
}

#[test]
fn a_share_that_falls_to_a_third_or_triples_is_a_catastrophe_as_well() {
    let reading = Reading { scale: Scale::Difference, ..Reading::default() };
    for (level, value, direction) in [(98.0, 32.0, Direction::HigherIsBetter), (1.0, 3.0, Direction::LowerIsBetter)] {
        let baseline = Baseline::stated(Stated { level, sd: 0.1, memory: 0.0 }, reading).unwrap();
        let mut detector = Detector::new(baseline, Rules::new(direction));
        let states = fed(&mut detector, 0, &[level, value, value]);
        assert!(matches!(states[2], State::Detected { .. }), "{states:?}");
    }
}

/// Seven days with a burst of up to ten minutes about every four hours, then a watch with them as well.
fn bursting(seed: u64) -> Vec<Sample> {
    let mut trace = trace(Kind::Stationary, 5_000 + seed, 0.02);
    let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut minute = 0;
    while minute < trace.len() {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (length, size) = (1 + (dice >> 33) as usize % 10, 1.1 + ((dice >> 40) % 80) as f64 / 100.0);
        trace.iter_mut().skip(minute).take(length).for_each(|sample| sample.value = sample.value.map(|v| v * size));
        minute += length + 30 + (dice >> 20) as usize % 420;
    }
    trace
}

#[test]
fn a_metric_that_bursts_by_itself_raises_no_alarm_and_a_shift_that_outlasts_the_bursts_does() {
    let (mut alarms, mut delays) = (0, Vec::new());
    for seed in 0..20 {
        let (mut detector, samples) = watch(&bursting(seed));
        assert!(detector.checks().iter().all(|check| check.holds), "{:?}", detector.checks());
        samples.iter().for_each(|sample| {
            detector.push(sample);
        });
        alarms += u32::from(!matches!(detector.state(), State::Quiet | State::Suspect { .. }));
        delays.push(delay(&bursting(seed), 300, 1.1).unwrap_or(usize::MAX));
    }
    delays.sort_unstable();
    assert_eq!(alarms, 0);
    assert!((10..=59).contains(&delays[10]), "{delays:?}");
}

#[test]
fn bursts_too_long_to_be_outlasted_in_time_are_inconclusive() {
    for (minutes, failing) in [(30, Assumption::Bursts), (60, Assumption::Independence)] {
        let mut trace = trace(Kind::Stationary, 77, 0.02);
        // Two a day, at other times each day, or they would be habits.
        for burst in 0..14 {
            let from = burst / 2 * 1440 + burst % 2 * 613 + burst / 2 * 397 % 700;
            for sample in trace.iter_mut().skip(from).take(minutes) {
                sample.value = sample.value.map(|value| value * 1.2);
            }
        }
        let (detector, _) = watch(&trace);
        let State::Inconclusive { why } = detector.state() else { panic!("{:?}", detector.checks()) };
        assert_eq!(why.assumption, failing, "{:?}", detector.checks());
    }
}

#[test]
fn what_got_better_for_good_stays_judged() {
    for kind in KINDS {
        let (mut detector, samples) = watch(&trace(kind, 6_000, 0.01));
        for (minute, sample) in samples.iter().enumerate() {
            let factor = if minute < 200 { 1.0 } else { 0.8 };
            let state = detector.push(&Sample { value: sample.value.map(|value| value * factor), ..*sample });
            assert!(matches!(state, State::Quiet | State::Suspect { .. }), "{kind:?}, {minute}: {state:?}");
        }
    }
}

#[test]
fn a_shift_that_began_while_nothing_could_be_judged_is_found_afterwards() {
    let (mut detector, samples) = watch(&trace(Kind::Stationary, 6_100, 0.02));
    let mut found = None;
    for (minute, sample) in samples.iter().enumerate() {
        // Of the first two hours every third sample is missing; the shift comes in the second one.
        if minute < 120 && minute % 3 == 0 {
            detector.push(&Sample::missing(sample.at_ms));
            continue;
        }
        let factor = if minute < 60 { 1.0 } else { 1.1 };
        let state = detector.push(&Sample { value: sample.value.map(|value| value * factor), ..*sample });
        if matches!(state, State::Detected { .. }) {
            found = Some(minute);
            break;
        }
    }
    assert!(found.is_some_and(|minute| (120..300).contains(&minute)), "{found:?}");
}

#[test]
fn holes_do_not_part_wild_samples_and_a_calm_one_does() {
    let caught = |minutes: &[(u64, Option<f64>)]| {
        let mut detector = stated(Direction::LowerIsBetter, 0.0);
        fed(&mut detector, 0, &[200.0; 5]);
        let mut last = detector.state();
        for &(minute, value) in minutes {
            last = detector.push(&Sample { value, ..Sample::missing(minute * 60_000) });
        }
        matches!(last, State::Detected { lane: Lane::Catastrophe, .. })
    };
    assert!(caught(&[(5, Some(700.0)), (6, Some(700.0))]));
    assert!(caught(&[(5, Some(700.0)), (6, None), (7, Some(700.0))]), "a sample without a value between");
    assert!(caught(&[(5, Some(700.0)), (12, Some(700.0))]), "scrapes that did not happen between");
    assert!(!caught(&[(5, Some(700.0)), (6, Some(200.0)), (7, Some(700.0))]));
    assert!(!caught(&[(5, Some(700.0)), (200, Some(700.0))]), "hours between");
}

#[test]
fn a_sample_that_comes_again_or_late_changes_nothing() {
    let mut detector = stated(Direction::LowerIsBetter, 0.0);
    fed(&mut detector, 5, &[200.0]);
    for _ in 0..50 {
        assert_eq!(detector.push(&Sample::new(300_000, 600.0)), State::Quiet);
        assert_eq!(detector.push(&Sample::missing(60_000)), State::Quiet);
    }
}

#[test]
fn no_time_and_no_value_is_too_much() {
    let times = [0, 1, 60_000, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    let values = [0.0, -0.0, -1.0, 5e-324, 1e-300, 1e308, f64::MAX, f64::MIN, f64::INFINITY, f64::NAN];
    let mut history: Vec<Sample> = Vec::new();
    for (at_ms, control) in times.into_iter().zip(values) {
        history.extend(values.map(|value| Sample { at_ms, value: Some(value), control: Some(control) }));
    }
    for scale in [Scale::Ratio, Scale::Difference] {
        for interval_ms in [1, 60_000, u64::MAX] {
            let reading = Reading { scale, interval_ms, offset_ms: i64::MIN };
            let made = [
                Baseline::from_history(&history, reading),
                Baseline::from_control(&history, reading),
                Baseline::stated(Stated { level: f64::MAX, sd: f64::MAX, memory: 0.999 }, reading),
            ];
            for baseline in made.into_iter().flatten() {
                for direction in [Direction::LowerIsBetter, Direction::HigherIsBetter, Direction::Band] {
                    let mut detector = Detector::new(baseline.clone(), Rules { direction, tolerance: f64::MAX });
                    for sample in &history {
                        let _ = detector.push(sample);
                    }
                    let _ = detector.checks();
                }
            }
            for rare in [
                RareBaseline::from_history(&history, interval_ms),
                RareBaseline::stated(Count { events: u64::MAX, exposure: 1.0 }, interval_ms),
            ] {
                let Ok(rare) = rare else { continue };
                let mut detector = RareDetector::new(rare, f64::MAX);
                for sample in &history {
                    let _ = detector.push(sample);
                }
            }
        }
    }
}
