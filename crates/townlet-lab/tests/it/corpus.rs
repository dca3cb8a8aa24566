//! The corpus is what its labels say, and the table says what came of it.

use std::process::{Command, Output};

use serde_json::Value;
use townlet_lab::corpus::{Change, Kind, QUICK, Run, Scored, Table, Trace};
use townlet_stats::{Direction, Sample};

fn corpus(arguments: &[&str]) -> Output {
    let run = Command::new(env!("CARGO_BIN_EXE_corpus")).args(arguments).output();
    run.unwrap_or_else(|error| panic!("starting corpus: {error}"))
}

fn values(samples: &[Sample]) -> Vec<f64> {
    samples.iter().filter_map(|sample| sample.value).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median of the values of some minutes over that of the same minutes of the day before the change.
fn ratio(trace: &Trace, minutes: std::ops::Range<u64>) -> f64 {
    let within = |samples: &[Sample], back: u64| {
        let inside = samples.iter().filter(|sample| {
            let minute = (sample.at_ms + back * 86_400_000).checked_sub(trace.start_ms).map(|since| since / 60_000);
            minute.is_some_and(|minute| minutes.contains(&minute))
        });
        median(inside.filter_map(|sample| sample.value).collect())
    };
    within(&trace.watch, 0) / within(&trace.history, 1)
}

#[test]
fn a_seed_and_a_number_make_the_same_trace_again_and_others_another() {
    let trace = |seed, number| values(&Trace::new(seed, number).watch);
    assert_eq!(trace(1, 5), trace(1, 5));
    assert_ne!(trace(1, 5), trace(2, 5));
    assert_ne!(trace(1, 5), trace(1, 13));
}

#[test]
fn a_hundred_traces_have_every_kind_with_and_without_a_control_healthy_and_not() {
    let mut seen = std::collections::BTreeSet::new();
    let (mut ten, mut triple) = (0, 0);
    for number in 0..QUICK {
        let trace = Trace::new(1, number);
        let control = trace.history.iter().any(|sample| sample.control.is_some());
        seen.insert((trace.kind, trace.is_healthy(), control));
        if let Change::Worse { by, .. } = trace.change {
            ten += usize::from(by == 0.1);
            triple += usize::from(by >= 2.0);
        }
        assert!(trace.history.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms));
        assert!(trace.history.last().is_some_and(|last| last.at_ms < trace.start_ms));
        assert!(trace.watch.first().is_some_and(|first| first.at_ms >= trace.start_ms));
        let span = trace.watch.last().map_or(0, |last| last.at_ms - trace.start_ms) / 60_000;
        assert!((2_840..2_880).contains(&span), "48 hours, but for a hole at the end: {span}");
    }
    assert_eq!(seen.len(), Kind::ALL.len() * 4, "{seen:?}");
    assert!(ten >= 20 && triple >= 10, "{ten}, {triple}");
}

#[test]
fn a_shift_is_there_from_its_minute_on_and_not_before() {
    let mut checked = 0;
    for number in 0..QUICK {
        let trace = Trace::new(3, number);
        let Change::Worse { by, from } = trace.change else { continue };
        // Days of rest are lower; what remembers much strays for hours.
        let wild = trace.noise > 0.03 || trace.kind == Kind::Weekly;
        if wild || by < 0.1 || !(90..=1200).contains(&from) {
            continue;
        }
        let factor = if trace.direction == Direction::HigherIsBetter { 1.0 / (1.0 + by) } else { 1.0 + by };
        let (before, after) = (ratio(&trace, 0..from), ratio(&trace, from..1440));
        assert!((before - 1.0).abs() < 0.05, "{number}: {before}");
        assert!((after / factor - 1.0).abs() < 0.05, "{number}: {after} is not {factor}");
        checked += 1;
    }
    assert!(checked >= 15, "{checked}");
}

/// How far each value of a history follows the one a minute before.
fn correlation(trace: &Trace) -> f64 {
    let values: Vec<(u64, f64)> =
        trace.history.iter().filter_map(|sample| Some((sample.at_ms / 60_000, sample.value?))).collect();
    let mean = values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64;
    let pairs = values.windows(2).filter(|pair| pair[1].0 == pair[0].0 + 1);
    let (products, squares) = pairs.fold((0.0, 0.0), |(products, squares), pair| {
        let (a, b) = (pair[0].1 - mean, pair[1].1 - mean);
        (products + a * b, squares + (a * a + b * b) / 2.0)
    });
    products / squares
}

#[test]
fn each_kind_is_what_its_label_says() {
    let of = |kind: Kind| -> Vec<Trace> {
        let numbers = (0..2 * QUICK).filter(|number| Kind::ALL[number % 8] == kind);
        numbers.map(|number| Trace::new(5, number)).collect()
    };
    assert!(of(Kind::Stationary).iter().all(|trace| correlation(trace).abs() < 0.05));
    let followed: Vec<f64> = of(Kind::Autocorrelated).iter().map(correlation).collect();
    assert!(followed.iter().all(|rho| (0.45..0.95).contains(rho)), "{followed:?}");
    assert!(followed.iter().filter(|rho| **rho > 0.6).count() >= 10, "{followed:?}");
    for (kind, swings) in [(Kind::Diurnal, true), (Kind::Autocorrelated, false)] {
        for trace in of(kind) {
            let hours: Vec<f64> = (0..24)
                .map(|hour| {
                    let of_hour = |sample: &&Sample| sample.at_ms / 3_600_000 % 24 == hour;
                    median(trace.history.iter().filter(of_hour).filter_map(|sample| sample.value).collect())
                })
                .collect();
            let (low, high) =
                hours.iter().fold((f64::MAX, f64::MIN), |(low, high), hour| (low.min(*hour), high.max(*hour)));
            assert_eq!(high / low > 1.15, swings, "{kind:?}: {low} to {high}");
        }
    }
    for trace in of(Kind::Weekly) {
        assert!(trace.history.len() > 13 * 1440, "two weeks");
        // 1970-01-01 was a Thursday.
        let rests = |sample: &&Sample| matches!(sample.at_ms / 86_400_000 % 7, 2 | 3);
        let (rest, work): (Vec<&Sample>, Vec<&Sample>) = trace.history.iter().partition(rests);
        let level = |samples: Vec<&Sample>| median(samples.iter().filter_map(|sample| sample.value).collect());
        assert!(level(rest) < 0.95 * level(work), "days of rest lie lower");
    }
    for trace in of(Kind::Spikes) {
        let level = median(values(&trace.history));
        let wild = values(&trace.history).iter().filter(|value| **value > 2.0 * level).count();
        assert!(wild >= 3, "{wild} wild samples in a week");
    }
    for trace in of(Kind::Gaps) {
        let longest = trace.history.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).max().unwrap_or(0);
        let missing = trace.history.iter().filter(|sample| sample.value.is_none()).count();
        assert!(longest > 10 * 60_000 && missing > 20, "{longest} ms, {missing}");
    }
    for trace in of(Kind::LowTraffic) {
        assert!(trace.noise >= 0.05);
    }
    for trace in of(Kind::CounterResets) {
        assert_eq!(trace.direction, Direction::HigherIsBetter);
        let resets = trace.history.iter().filter(|sample| sample.value.is_none()).count();
        assert!(resets > 5, "{resets} restarts in a week");
    }
}

#[test]
fn spikes_that_are_no_change_stay_below_twice_or_alone_and_holes_are_no_absence() {
    for number in (0..QUICK).filter(|number| matches!(Kind::ALL[number % 8], Kind::Spikes | Kind::Gaps)) {
        let trace = Trace::new(1, number);
        let level = median(values(&trace.history));
        let all = trace.history.iter().chain(&trace.watch);
        let wild: Vec<bool> = all.clone().map(|sample| sample.value.is_some_and(|value| value > 2.3 * level)).collect();
        let absent: Vec<bool> = all.map(|sample| sample.value.is_none()).collect();
        if trace.is_healthy() {
            assert!(wild.windows(2).all(|pair| !(pair[0] && pair[1])), "{number}");
        }
        assert!(absent.windows(2).all(|pair| !(pair[0] && pair[1])), "{number}");
    }
}

fn run(detector: &'static str, rollback: Option<u64>) -> Run {
    Run { detector, rollback, rule: None, inconclusive: Some(0.0), why: None }
}

fn scored(change: Change, ours: Option<u64>) -> Scored {
    let shifted = if let Change::Worse { from, .. } = change { vec![from, from + 4] } else { Vec::new() };
    let runs = vec![run("ours", ours), run("theirs", Some(0))];
    Scored { number: 0, kind: Kind::Stationary, change, noise: 0.02, shifted, runs }
}

/// A hundred healthy traces, one +10 % and one 3×, as a detector without fault scores them.
fn faultless() -> Vec<Scored> {
    let mut all = vec![scored(Change::None, None); 100];
    all.push(scored(Change::Worse { by: 0.1, from: 50 }, Some(169)));
    all.push(scored(Change::Worse { by: 2.0, from: 50 }, Some(54)));
    all
}

#[test]
fn a_promise_is_kept_up_to_its_limit_and_missed_beyond() {
    assert!(Table::new(1, &faultless()).kept());
    let with = |change: &dyn Fn(&mut Vec<Scored>)| {
        let mut all = faultless();
        change(&mut all);
        Table::new(1, &all).verdicts.iter().map(|verdict| verdict.kept).collect::<Vec<_>>()
    };
    assert_eq!(with(&|all| all[0].runs[0].rollback = Some(7)), [true; 3], "one of a hundred may be");
    assert_eq!(with(&|all| all[..2].iter_mut().for_each(|one| one.runs[0].rollback = Some(7))), [false, true, true]);
    assert_eq!(with(&|all| all[100].runs[0].rollback = Some(170)), [true, false, true], "a minute late");
    assert_eq!(with(&|all| all[100].runs[0].rollback = None), [true, false, true], "never");
    assert_eq!(with(&|all| all[100].runs[0].rollback = Some(49)), [true, false, true], "before it was there");
    assert_eq!(with(&|all| all[101].runs[0].rollback = Some(55)), [true, true, false], "the third sample");
    assert_eq!(with(&|all| all[101].runs[0].rollback = Some(49)), [true, true, false], "before it was there");
    assert_eq!(with(&|all| all.truncate(100)), [true, false, false], "nothing to find is nothing kept");
    assert!(!Table::new(1, &[]).kept());
}

#[test]
fn a_table_has_a_row_for_each_detector_and_counts_each_trace_once() {
    let table = Table::new(1, &faultless());
    let [ours, theirs] = &table.rows[..] else { panic!("{table}") };
    assert_eq!((ours.detector, theirs.detector), ("ours", "theirs"));
    let wrong = theirs.false_rollbacks();
    assert_eq!((wrong.count, wrong.of, theirs.early.count, theirs.ten.count), (100, 100, 2, 0));
    assert_eq!((ours.ten_minutes, theirs.ten_minutes), (Some(119), None));
}

#[test]
fn the_program_says_the_same_as_its_exit_code_in_text_and_in_json() {
    let (text, json) = (corpus(&["--traces", "16"]), corpus(&["--traces", "16", "--json", "--threads", "1"]));
    let table: Value = serde_json::from_slice(&json.stdout).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(table["traces"], 16);
    let detectors: Vec<_> = table["rows"].as_array().unwrap().iter().map(|row| row["detector"].clone()).collect();
    assert_eq!(detectors.len(), 6, "{detectors:?}");
    let kept = table["verdicts"].as_array().unwrap().iter().all(|verdict| verdict["kept"] == true);
    assert_eq!((text.status.code(), json.status.code()), (Some(i32::from(!kept)), Some(i32::from(!kept))));
    let text = String::from_utf8_lossy(&text.stdout);
    for detector in &detectors {
        assert!(text.contains(&format!("| {}", detector.as_str().unwrap())), "{text}");
    }
    assert_eq!(corpus(&["--traces", "none"]).status.code(), Some(2));
    assert_eq!(corpus(&["--traces", "0"]).status.code(), Some(1), "no trace keeps no promise");
}
