//! Counters only grow: across reconnects, rebuilds and restarts (weakness W22 of the predecessor).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use townlet_testkit::frames;
use townlet_transport::Transport;
use townlet_transport_prometheus::PrometheusOptions;

use crate::fakes::Pipeline;
use crate::{file, open, read, sample};

const MESSAGES: &str = "townlet_telemetry_messages_total";
const ACCEPTED: &str = "townlet_telemetry_accepted_total{sink=\"main\"}";
const DROPPED: &str = "townlet_telemetry_dropped_total{reason=\"backpressure\",sink=\"main\"}";
const FLUSHES: &str = "townlet_telemetry_flush_duration_seconds_count{sink=\"main\"}";

fn counts(path: &Path) -> BTreeMap<String, f64> {
    let text = read(path);
    let growing = |name: &str| name.contains("_total") || name.contains("_seconds_");
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    let grown =
        samples.filter(|(name, _)| growing(name)).map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    grown.collect()
}

#[test]
fn the_file_says_what_each_sample_means_and_has_the_names_of_the_predecessor() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    let pipeline = Pipeline::run("run-1");
    pipeline.accept(7);
    let mut sink = file(&path);
    sink.watch(pipeline);
    sink.connect().unwrap();
    let sent = frames(1..=3);
    sink.send(&sent).unwrap();
    let text = read(&path);
    let bytes: usize = sent.iter().map(townlet_transport::Frame::len).sum();
    assert_eq!(sample(&text, MESSAGES), Some(3.0), "{text}");
    assert_eq!(sample(&text, "townlet_telemetry_bytes_total"), Some(bytes as f64));
    assert_eq!(sample(&text, "townlet_telemetry_messages_by_kind_total{kind=\"event\"}"), Some(3.0));
    assert_eq!((sample(&text, ACCEPTED), sample(&text, DROPPED)), (Some(7.0), Some(0.0)));
    assert_eq!(
        sample(&text, "townlet_telemetry_flush_duration_seconds_bucket{sink=\"main\",le=\"0.0025\"}"),
        Some(0.0)
    );
    assert_eq!(sample(&text, "townlet_telemetry_flush_duration_seconds_bucket{sink=\"main\",le=\"0.005\"}"), Some(1.0));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(text.contains(&format!("# HELP {family} ")) && text.contains(&format!("# TYPE {family} ")), "{line}");
    }
}

#[test]
fn a_restart_goes_on_where_the_last_file_ended() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    for run in 1..=3 {
        let pipeline = Pipeline::run(&format!("run-{run}"));
        let mut sink = file(&path);
        sink.watch(Arc::clone(&pipeline) as _);
        sink.connect().unwrap();
        pipeline.accept(10);
        pipeline.drop_some(1);
        sink.send(&frames(1..=5)).unwrap();
        let text = read(&path);
        let expected = [5.0, 10.0, 1.0, 1.0].map(|once| Some(once * f64::from(run)));
        assert_eq!([MESSAGES, ACCEPTED, DROPPED, FLUSHES].map(|name| sample(&text, name)), expected, "{text}");
        assert_eq!(
            sample(&text, "townlet_telemetry_buffered{sink=\"main\"}"),
            Some(2.0),
            "a gauge is of this run alone"
        );
    }
}

#[test]
fn a_transport_that_is_built_again_within_a_run_counts_nothing_twice() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    let earlier = Pipeline::run("run-1");
    earlier.accept(100);
    let mut sink = file(&path);
    sink.watch(earlier);
    sink.connect().unwrap();
    sink.send(&frames(1..=2)).unwrap();
    drop(sink);
    let pipeline = Pipeline::run("run-2");
    for round in 1..=4 {
        pipeline.accept(10);
        let mut sink = file(&path);
        sink.watch(Arc::clone(&pipeline) as _);
        sink.connect().unwrap();
        sink.send(&frames(1..=1)).unwrap();
        sink.close();
        sink.connect().unwrap();
        let text = read(&path);
        assert_eq!(sample(&text, ACCEPTED), Some(100.0 + 10.0 * f64::from(round)), "{text}");
        assert_eq!(sample(&text, MESSAGES), Some(2.0 + f64::from(round)));
    }
}

#[test]
fn the_predecessors_file_is_taken_over() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    std::fs::write(&path, "townlet_telemetry_messages_total 1200\ntownlet_telemetry_bytes_total 34000\n").unwrap();
    let mut sink = file(&path);
    sink.connect().unwrap();
    sink.send(&frames(1..=1)).unwrap();
    assert_eq!(sample(&read(&path), MESSAGES), Some(1201.0));
}

#[test]
fn other_labels_are_other_counters() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    for (shard, expected) in [("a", 2.0), ("b\"\\", 2.0), ("b\"\\", 4.0)] {
        let labels = vec![("shard".to_owned(), shard.to_owned())];
        let mut sink = open(PrometheusOptions { labels, ..PrometheusOptions::file(&path) });
        sink.connect().unwrap();
        sink.send(&frames(1..=2)).unwrap();
        let shown = shard.replace('\\', "\\\\").replace('"', "\\\"");
        assert_eq!(
            sample(&read(&path), &format!("{MESSAGES}{{shard=\"{shown}\"}}")),
            Some(expected),
            "{}",
            read(&path)
        );
    }
}

/// What may happen to a sink.
#[derive(Clone, Debug)]
enum Step {
    Send(u64),
    Work(u64),
    Close,
    Rebuild,
    Restart,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..5_u64).prop_map(Step::Send),
        4 => (1..9_u64).prop_map(Step::Work),
        1 => Just(Step::Close),
        2 => Just(Step::Rebuild),
        2 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_counter_falls_and_all_that_was_sent_is_counted_once(steps in steps()) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("town.prom");
        let mut run = 1;
        let mut pipeline = Pipeline::run("1");
        let start = |pipeline: &Arc<Pipeline>| {
            let mut sink = file(&path);
            sink.watch(Arc::clone(pipeline) as _);
            sink
        };
        let mut sink = Some(start(&pipeline));
        let (mut sent, mut accepted, mut shown) = (0_u64, 0_u64, BTreeMap::<String, f64>::new());
        for step in steps {
            match step {
                Step::Send(n) => {
                    let sink = sink.as_mut().unwrap();
                    sink.connect().unwrap();
                    sink.send(&frames(1..=n)).unwrap();
                    sent += n;
                    // What the model says of the counters that are in the file now.
                    let text = read(&path);
                    prop_assert_eq!(sample(&text, MESSAGES), Some(sent as f64));
                    prop_assert_eq!(sample(&text, ACCEPTED), Some(accepted as f64));
                }
                Step::Work(n) => {
                    pipeline.accept(n);
                    accepted += n;
                }
                Step::Close => sink.as_mut().unwrap().close(),
                Step::Rebuild => {
                    drop(sink.take());
                    sink = Some(start(&pipeline));
                }
                Step::Restart | Step::Kill => {
                    if matches!(step, Step::Kill) {
                        // What was counted after the last write is lost with the process.
                        let before = std::fs::read(&path).ok();
                        drop(sink.take());
                        match before {
                            Some(before) => std::fs::write(&path, before).unwrap(),
                            None => { let _ = std::fs::remove_file(&path); }
                        }
                    } else {
                        drop(sink.take());
                    }
                    let text = std::fs::read_to_string(&path).unwrap_or_default();
                    accepted = sample(&text, ACCEPTED).unwrap_or_default() as u64;
                    run += 1;
                    pipeline = Pipeline::run(&run.to_string());
                    sink = Some(start(&pipeline));
                }
            }
            if path.exists() {
                let now = counts(&path);
                for (name, value) in &shown {
                    prop_assert!(now.get(name).is_some_and(|now| now >= value), "{} fell from {}", name, value);
                }
                shown = now;
            }
        }
    }
}
