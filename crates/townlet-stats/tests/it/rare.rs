//! Counts of rare events: how rarely the test is wrong, how soon it is right, and when it says neither.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use townlet_stats::{
    Assumption, BaselineError, Count, HORIZON, Lane, RareBaseline, RareDetector, Sample, State, chance_of_so_many,
};

const MINUTE: u64 = 60_000;
const DAY: u64 = 1_440;

/// Counts of independent events, a window a minute.
struct Events(ChaCha8Rng);

impl Events {
    fn seeded(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// One count with this mean (Knuth).
    fn count(&mut self, mean: f64) -> f64 {
        let (bound, mut product, mut count) = ((-mean).exp(), 1.0, 0.0);
        loop {
            product *= ((self.0.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            if product <= bound {
                return count;
            }
            count += 1.0;
        }
    }

    fn windows(&mut self, from: u64, windows: u64, mean: f64) -> Vec<Sample> {
        (from..from + windows).map(|minute| Sample::new(minute * MINUTE, self.count(mean))).collect()
    }
}

fn stated(events: u64, windows: f64) -> RareDetector {
    RareDetector::new(RareBaseline::stated(Count { events, exposure: windows }, MINUTE).unwrap(), 0.0)
}

/// Feeds these counts, a minute each, from minute `from` on.
fn fed(detector: &mut RareDetector, from: u64, counts: &[f64]) -> Vec<State> {
    (from..).zip(counts).map(|(minute, count)| detector.push(&Sample::new(minute * MINUTE, *count))).collect()
}

fn found(state: State) -> bool {
    matches!(state, State::Detected { lane: Lane::Rare, .. })
}

#[test]
fn events_that_go_on_as_before_raise_an_alarm_in_at_most_one_of_a_hundred_rollouts_of_48_hours() {
    let (mut alarms, mut rollouts) = (0, 0);
    for (rate, seeds) in [(0.0005, 150), (0.01, 150), (0.3, 100)] {
        for seed in 0..seeds {
            let mut events = Events::seeded(seed);
            let baseline = RareBaseline::from_history(&events.windows(0, 3 * DAY, rate), MINUTE).unwrap();
            let clumps = baseline.checks().iter().any(|check| !check.holds);
            let mut detector = RareDetector::new(baseline, 0.0);
            for sample in events.windows(3 * DAY, u64::from(HORIZON), rate) {
                detector.push(&sample);
            }
            // Three events in one hour look like a clump, and sometimes they fall so.
            assert_eq!(matches!(detector.state(), State::Inconclusive { .. }), clumps, "{rate}, {seed}");
            alarms += u32::from(found(detector.state()));
            rollouts += 1;
        }
    }
    println!("{alarms} of {rollouts}");
    assert!(alarms * 100 <= rollouts, "{alarms} false alarms in {rollouts}");
}

#[test]
fn more_of_them_are_found_the_sooner_the_more_there_are() {
    for (history, rate, within) in [
        // None in three days: then five a minute, one every ten minutes, one an hour.
        (0.0, 5.0, 2),
        (0.0, 0.1, 120),
        (0.0, 1.0 / 60.0, 24 * 60),
        // One in two minutes: then six times and twice as often.
        (0.5, 3.0, 10),
        (0.5, 1.0, 240),
    ] {
        let mut delays: Vec<usize> = (0..21)
            .map(|seed| {
                let mut events = Events::seeded(1_000 + seed);
                let baseline = RareBaseline::from_history(&events.windows(0, 3 * DAY, history), MINUTE).unwrap();
                let mut detector = RareDetector::new(baseline, 0.0);
                for sample in events.windows(3 * DAY, 600, history) {
                    detector.push(&sample);
                }
                let worse = events.windows(3 * DAY + 600, 2 * DAY, rate);
                worse.iter().position(|sample| found(detector.push(sample))).map_or(usize::MAX, |at| at + 1)
            })
            .collect();
        delays.sort_unstable();
        println!("{history} to {rate}: median {} of {delays:?}", delays[10]);
        assert!(delays[10] <= within, "{history} to {rate}: {delays:?}");
    }
}

#[test]
fn one_window_decides_nothing_however_many_it_has() {
    let mut detector = stated(0, 4_320.0);
    assert!(matches!(fed(&mut detector, 0, &[1_000.0])[0], State::Suspect { since_ms: 0 }));
    let states = fed(&mut detector, 1, &[0.0, 1.0]);
    assert!(!found(states[0]) && found(states[1]), "{states:?}");
}

#[test]
fn a_detection_says_since_when_by_how_much_and_with_what_chance() {
    let mut detector = stated(2, 1_440.0);
    fed(&mut detector, 0, &[0.0; 100]);
    let last = *fed(&mut detector, 100, &[3.0, 2.0, 4.0]).last().unwrap();
    let State::Detected { since_ms, at_ms, lane: Lane::Rare, size: Some(size) } = last else { panic!("{last:?}") };
    let evidence = detector.evidence().unwrap();
    assert_eq!((since_ms, at_ms), (100 * MINUTE, 101 * MINUTE), "the second of them decides");
    assert!((size - (2.5 - 2.0 / 1_440.0)).abs() < 1e-12, "{size}");
    assert_eq!(evidence.seen, Count { events: 5, exposure: 2.0 });
    assert_eq!(Some(evidence.chance), chance_of_so_many(evidence.seen, detector.baseline().seen()));
    assert!(evidence.chance < 1e-10, "{evidence:?}");
    assert_eq!(fed(&mut detector, 103, &[0.0]), [last], "what was found stays found");
}

#[test]
fn fewer_of_them_and_what_is_tolerated_are_no_detection() {
    let mut detector = stated(720, 1_440.0);
    assert!(fed(&mut detector, 0, &[0.0; 2_880]).iter().all(|state| *state == State::Quiet));
    for (tolerance, count, expected) in [(0.0, 1.0, true), (0.5, 1.0, false), (0.5, 3.0, true)] {
        let baseline = RareBaseline::stated(Count { events: 720, exposure: 1_440.0 }, MINUTE).unwrap();
        let mut detector = RareDetector::new(baseline, tolerance);
        fed(&mut detector, 0, &[count; 500]);
        assert_eq!(found(detector.state()), expected, "{tolerance}, {count}");
    }
}

#[test]
fn two_windows_without_a_count_are_an_absence_and_a_window_that_was_not_scraped_is_none() {
    let mut detector = stated(0, 1_440.0);
    fed(&mut detector, 0, &[0.0]);
    assert_eq!(detector.push(&Sample::missing(MINUTE)), State::Suspect { since_ms: MINUTE });
    fed(&mut detector, 3, &[0.0]);
    detector.push(&Sample::missing(4 * MINUTE));
    let absent = State::Detected { since_ms: 4 * MINUTE, at_ms: 5 * MINUTE, lane: Lane::Absence, size: None };
    assert_eq!(detector.push(&Sample::new(5 * MINUTE, -1.0)), absent, "less than nothing is no count");
    assert_eq!(detector.evidence(), None);
}

#[test]
fn where_an_assumption_fails_it_is_inconclusive_and_neither_quiet_nor_found() {
    let calm = |minute: u64| f64::from(u8::from(minute.is_multiple_of(97)));
    let history = |windows: u64, count: &dyn Fn(u64) -> f64| -> Vec<Sample> {
        (0..windows).map(|minute| Sample::new(minute * MINUTE, count(minute))).collect()
    };
    let sound = RareBaseline::from_history(&history(3 * DAY, &calm), MINUTE).unwrap();
    assert!(sound.checks().iter().all(|check| check.holds), "{:?}", sound.checks());
    let mut holes = history(3 * DAY, &calm);
    holes.iter_mut().step_by(3).for_each(|sample| sample.value = None);
    // A batch of ten that fails now and then; a day whose first hours have all of them.
    let batches = |minute: u64| if minute.is_multiple_of(977) { 10.0 } else { 0.0 };
    let mornings = |minute: u64| f64::from(u8::from(minute % DAY < 240 && minute.is_multiple_of(10)));
    for (history, fails) in [
        (history(DAY - 1, &calm), Assumption::History),
        (holes, Assumption::HistoryCoverage),
        (history(3 * DAY, &|minute| calm(minute) + 0.25), Assumption::WholeCounts),
        (history(3 * DAY, &|minute| 11.0 + calm(minute)), Assumption::Rare),
        (history(3 * DAY, &batches), Assumption::Clumping),
        (history(3 * DAY, &mornings), Assumption::Clumping),
    ] {
        let mut detector = RareDetector::new(RareBaseline::from_history(&history, MINUTE).unwrap(), 0.0);
        for state in fed(&mut detector, 5 * DAY, &[50.0; 30]) {
            let State::Inconclusive { why } = state else { panic!("{fails:?}: {state:?}") };
            assert_eq!(why.assumption, fails, "{why}");
        }
    }
}

#[test]
fn a_watch_full_of_holes_is_inconclusive_once_an_hour_has_shown_them() {
    let mut detector = stated(0, 1_440.0);
    let mut states = Vec::new();
    for minute in 0..120 {
        let value = if minute % 3 == 0 { None } else { Some(0.0) };
        states.push(detector.push(&Sample { at_ms: minute * MINUTE, value, control: None }));
    }
    assert!(states[..59].iter().all(|state| !matches!(state, State::Inconclusive { .. })));
    let State::Inconclusive { why } = states[119] else { panic!("{:?}", states[119]) };
    assert_eq!(why.assumption, Assumption::LiveCoverage);
}

#[test]
fn what_cannot_be_a_baseline_is_an_error() {
    let count = |exposure| Count { events: 1, exposure };
    assert_eq!(RareBaseline::stated(count(1.0), 0).err(), Some(BaselineError::NoInterval));
    for exposure in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(RareBaseline::stated(count(exposure), MINUTE), Err(BaselineError::Stated { .. })));
    }
    let none = [Sample::missing(0), Sample::new(MINUTE, -3.0)];
    assert_eq!(RareBaseline::from_history(&none, MINUTE).err(), Some(BaselineError::NoValues { samples: 2 }));
    assert_eq!(RareBaseline::from_history(&[], 0).err(), Some(BaselineError::NoInterval));
    // The largest numbers there are make no other trouble than not to be rare.
    let huge: Vec<Sample> = (0..2 * DAY).map(|minute| Sample::new(minute * MINUTE, f64::MAX)).collect();
    let baseline = RareBaseline::from_history(&huge, MINUTE).unwrap();
    let mut detector = RareDetector::new(baseline, f64::INFINITY);
    assert!(matches!(detector.push(&huge[9]), State::Inconclusive { .. }));
}
