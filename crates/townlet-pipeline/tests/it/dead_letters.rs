//! What peers refuse for good ends in a file, and can be sent again from there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::Value;
use townlet_pipeline::{DeadLetterSettings, Options, SinkInfo, Telemetry};
use townlet_testkit::Script;
use townlet_transport::{
    Connected, ErrorKind, Figures, Frame, Level, Outcome, Reading, SendError, Transport, TransportError,
};

use crate::fakes::*;

/// Takes what has an even number, and refuses the rest for good, alone.
struct EvenOnly;

impl Transport for EvenOnly {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Ok(Connected::local())
    }
    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        match batch.iter().position(|frame| frame.seq() % 2 == 1) {
            None => Ok(Outcome::Settled(Level::PeerAcked)),
            Some(at) => {
                let error = TransportError::new(ErrorKind::Rejected, "https://peer.example answered 422");
                Err(SendError::after(at, error))
            }
        }
    }
    fn close(&mut self) {}
}

fn even_only(options: Options, settings: DeadLetterSettings) -> Telemetry {
    let make = || Ok(Box::new(EvenOnly) as Box<dyn Transport>);
    builder().sink(options, SinkInfo::new("even"), make).dead_letters("main", settings).start().unwrap()
}

fn letters(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "whole lines only");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn refused_frames_are_kept_as_they_were_sent_with_reason_sink_and_time_and_can_be_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new").join("refused.jsonl");
    let telemetry = even_only(eager("main"), DeadLetterSettings::new(&path));
    assert!(!path.exists(), "nothing was refused yet");
    for id in 1..=9 {
        telemetry.emit_event("order", id, &order(id)).unwrap();
    }
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!((last.sinks[0].1.account.delivered(), last.residual()), (4, 0));
    assert_eq!(drops(&last.sinks[0].1), [("rejected".to_owned(), 5)].into());
    let kept = letters(&path);
    for (letter, seq) in kept.iter().zip([1, 3, 5, 7, 9]) {
        let about = &letter["dead_letter"];
        assert_eq!((&about["sink"], &about["reason"]), (&"main".into(), &"rejected".into()));
        assert_eq!(about["error"], "rejected: https://peer.example answered 422");
        assert_eq!((&about["stream"], &about["seq"]), (&letter["line"]["stream"], &seq.into()));
        assert_eq!((&letter["line"]["seq"], &about["run_id"]), (&seq.into(), &letter["line"]["run_id"]));
        assert_eq!(letter["line"]["payload"]["payload"]["id"], seq);
        assert!(about["at"].as_u64().unwrap() > 1_600_000_000_000, "{about}");
    }
    let [report] = &telemetry.dead_letters()[..] else { panic!() };
    assert_eq!((report.kept, report.beyond_limit, report.failed), (5, 0, 0));
    assert_eq!((&report.path, &report.last_error), (&path, &None));

    // Sent again by a sink that takes all: each keeps its envelope.
    let (again, script) = single(eager("main"));
    let replay = again.replay().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for line in text.lines() {
        replay.emit_line(Bytes::from(line.to_owned())).unwrap();
    }
    assert_eq!(again.shutdown(PATIENCE).residual(), 0);
    let sent: Vec<Value> = script.received().iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(sent, kept.iter().map(|letter| letter["line"].clone()).collect::<Vec<_>>());
}

#[test]
fn what_was_redacted_is_in_no_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("refused.jsonl");
    let telemetry = even_only(eager("main"), DeadLetterSettings::new(&path));
    let replay = telemetry.replay().unwrap();
    // The predecessor's own line, which says how its agents decide.
    let line = include_str!("../../../../samples/predecessor/telemetry_stream_0.9.0.jsonl").lines().next().unwrap();
    assert!(line.contains("policy_identity"));
    replay.emit_line(Bytes::from(line)).unwrap();
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(drops(&last.sinks[0].1), [("rejected".to_owned(), 1)].into());
    let [letter] = &letters(&path)[..] else { panic!() };
    assert!(letter["line"]["tick"].is_number() && letter["line"].get("policy_identity").is_none(), "{letter}");
    assert!(!std::fs::read_to_string(&path).unwrap().contains("policy_identity"));
}

#[test]
fn the_file_has_its_limit_and_who_moves_it_away_gets_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("refused.jsonl");
    let telemetry = even_only(eager("main"), DeadLetterSettings { max_bytes: 1000, ..DeadLetterSettings::new(&path) });
    let refuse = |ids: std::ops::RangeInclusive<u64>, total: u64| {
        for id in ids {
            telemetry.emit_event("order", id, &order(id)).unwrap();
        }
        eventually("all settled", || {
            let report = &telemetry.dead_letters()[0];
            report.kept + report.beyond_limit == total
        });
    };
    refuse(1..=40, 20);
    let report = telemetry.dead_letters().remove(0);
    assert!(report.kept > 0 && report.beyond_limit > 10, "{report:?}");
    assert_eq!(letters(&path).len() as u64, report.kept);
    assert!(std::fs::metadata(&path).unwrap().len() <= 1000);
    std::fs::rename(&path, dir.path().join("taken.jsonl")).unwrap();
    refuse(41..=42, 21);
    assert_eq!((letters(&path).len(), telemetry.dead_letters()[0].kept), (1, report.kept + 1));
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!((drops(&last.sinks[0].1), last.residual()), ([("rejected".to_owned(), 21)].into(), 0));
}

#[test]
fn a_disk_that_takes_nothing_costs_a_count_and_no_time() {
    // Every write to this device fails for want of space.
    let telemetry = even_only(eager("main"), DeadLetterSettings::new("/dev/full"));
    for id in 1..=20 {
        telemetry.emit_event("order", id, &order(id)).unwrap();
    }
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!((last.sinks[0].1.account.delivered(), last.residual()), (10, 0));
    let report = telemetry.dead_letters().remove(0);
    assert_eq!((report.kept, report.failed), (0, 10), "{report:?}");
    assert!(report.last_error.unwrap().contains("No space left"));
    // A folder that cannot be made, too.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let telemetry = even_only(eager("main"), DeadLetterSettings::new(dir.path().join("file").join("refused.jsonl")));
    telemetry.emit_event("order", 1, &order(1)).unwrap();
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    assert_eq!(telemetry.dead_letters()[0].failed, 1);
}

/// Refuses odd numbers, and takes no fifth one for its size. Hands on its figures.
struct Fastidious(Arc<Mutex<Option<Arc<dyn Figures>>>>);

impl Transport for Fastidious {
    fn watch(&mut self, figures: Arc<dyn Figures>) {
        *self.0.lock().unwrap() = Some(figures);
    }
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Ok(Connected::local())
    }
    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        let kind = |seq: u64| match seq {
            _ if seq.is_multiple_of(5) => Some(ErrorKind::TooLarge),
            _ => (seq % 2 == 1).then_some(ErrorKind::Rejected),
        };
        let refused = batch.iter().enumerate().find_map(|(at, frame)| Some((at, kind(frame.seq())?)));
        let Some((at, kind)) = refused else { return Ok(Outcome::Settled(Level::PeerAcked)) };
        Err(SendError::after(at, TransportError::new(kind, "peer.example does not take it")))
    }
    fn close(&mut self) {}
}

#[test]
fn what_became_of_refused_frames_is_in_status_figures_and_report_by_sink_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("refused.jsonl");
    let figures = Arc::new(Mutex::new(None));
    let (given, script) = (Arc::clone(&figures), Script::new());
    let telemetry = builder()
        .sink(eager("main"), SinkInfo::new("fastidious"), move || {
            Ok(Box::new(Fastidious(Arc::clone(&given))) as Box<dyn Transport>)
        })
        .scripted(eager("other"), &script)
        .dead_letters("main", DeadLetterSettings { max_bytes: 1500, ..DeadLetterSettings::new(&path) })
        .start()
        .unwrap();
    for id in 1..=40 {
        telemetry.emit_event("order", id, &order(id)).unwrap();
    }
    let of = |reason: &str| telemetry.latest_transport_status().dead_letters[reason];
    let total = |counts: townlet_schema::DeadLetterCounts| counts.kept + counts.beyond_limit + counts.failed;
    eventually("all are settled", || (total(of("rejected")), total(of("oversize"))) == (16, 8));
    let (rejected, oversize) = (of("rejected"), of("oversize"));
    assert!(rejected.kept > 0 && oversize.kept > 0 && rejected.beyond_limit > 0, "{rejected:?} {oversize:?}");
    assert_eq!(rejected.bytes + oversize.bytes, std::fs::metadata(&path).unwrap().len());
    let of_letters = |reason: &str| letters(&path).iter().filter(|l| l["dead_letter"]["reason"] == reason).count();
    assert_eq!((of_letters("rejected"), of_letters("oversize")), (rejected.kept as usize, oversize.kept as usize));
    let status = telemetry.latest_transport_status();
    assert!(status.sinks["other"].dead_letters.is_empty(), "it has none, and says nothing");

    let [report] = &telemetry.dead_letters()[..] else { panic!() };
    assert_eq!((report.kept, report.bytes), (rejected.kept + oversize.kept, rejected.bytes + oversize.bytes));
    assert_eq!(report.sinks, [("main".to_owned(), status.dead_letters)].into());

    let mut seen = BTreeMap::new();
    figures.lock().unwrap().as_ref().unwrap().read(&mut |figure| {
        if figure.name.starts_with("dead_letter") {
            let labels: Vec<String> = figure.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let Reading::Counter(n) = figure.reading else { panic!("{figure:?}") };
            seen.insert(format!("{}{{{}}}", figure.name, labels.join(",")), n);
        }
    });
    let mut expected = BTreeMap::new();
    for (reason, counts) in [("rejected", rejected), ("oversize", oversize)] {
        let labels = format!("reason={reason},sink=main}}");
        for (outcome, n) in [("kept", counts.kept), ("beyond_limit", counts.beyond_limit), ("failed", 0)] {
            expected.insert(format!("dead_letters_total{{outcome={outcome},{labels}"), n);
        }
        expected.insert(format!("dead_letter_bytes_total{{{labels}"), counts.bytes);
    }
    assert_eq!(seen, expected);
    telemetry.shutdown(PATIENCE);
}

#[test]
fn sinks_that_name_one_file_share_it_and_those_that_name_none_keep_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("refused.jsonl");
    let make = || Ok(Box::new(EvenOnly) as Box<dyn Transport>);
    let script = Script::new();
    let telemetry = builder()
        .sink(eager("a"), SinkInfo::new("even"), make)
        .sink(eager("b"), SinkInfo::new("even"), make)
        .scripted(eager("c"), &script)
        .dead_letters("a", DeadLetterSettings::new(&path))
        .dead_letters("b", DeadLetterSettings::new(&path))
        .start()
        .unwrap();
    for id in 1..=10 {
        telemetry.emit_event("order", id, &order(id)).unwrap();
    }
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    let seen: BTreeSet<(String, u64)> = letters(&path)
        .iter()
        .map(|letter| &letter["dead_letter"])
        .map(|about| (about["sink"].as_str().unwrap().to_owned(), about["seq"].as_u64().unwrap()))
        .collect();
    let all = ["a", "b"].iter().flat_map(|sink| [1, 3, 5, 7, 9].map(|seq| ((*sink).to_owned(), seq)));
    assert_eq!(seen, all.collect());
    assert_eq!(telemetry.dead_letters().iter().map(|report| report.kept).collect::<Vec<_>>(), [10]);
    let nobody = builder().scripted(eager("a"), &script).dead_letters("z", DeadLetterSettings::new("x")).start();
    assert!(nobody.unwrap_err().to_string().contains("the sink `z`"));
}
