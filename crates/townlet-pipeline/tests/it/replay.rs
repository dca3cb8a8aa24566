//! Captured lines keep what they say.

use bytes::Bytes;
use townlet_pipeline::{Options, Telemetry};
use townlet_schema::{ENVELOPE_KEYS, Json, Object, Snapshot, read_head, read_record};
use townlet_testkit::Script;
use townlet_transport::{Connected, Frame, Level, Outcome, SendError, Transport, TransportError};

use crate::fakes::{PATIENCE, With, builder, drops, eager, order, single};

/// 120 ticks of the predecessor; `samples/predecessor` says where they are from (MIT).
static STREAM: &str = include_str!("../../../../samples/predecessor/telemetry_stream_0.9.0.jsonl");

fn tree(line: &[u8]) -> Object {
    let Json::Object(tree) = Json::parse(line.trim_ascii()).unwrap() else { panic!("no object") };
    tree
}

fn replayed<'a>(lines: impl IntoIterator<Item = &'a str>) -> (Telemetry, Script) {
    let (telemetry, script) = single(Options { max_buffer_bytes: 16 << 20, ..eager("main") });
    let replay = telemetry.replay().unwrap();
    for line in lines {
        replay.emit_line(Bytes::from(line.to_owned())).unwrap();
    }
    (telemetry, script)
}

#[test]
fn the_predecessors_stream_comes_out_whole_but_for_what_is_redacted() {
    let (telemetry, script) = replayed(STREAM.lines());
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(drops(&last.sinks[0].1), [].into());
    let lines = script.received();
    assert_eq!(lines.len(), 120);
    for (captured, line) in STREAM.lines().zip(&lines) {
        // The normaliser's one other change: no zero is negative.
        let mut captured = tree(captured.replace(":-0.0,", ":0.0,").replace(":-0.0}", ":0.0}").as_bytes());
        let line = tree(line);
        assert_eq!(line.get("schema_version").and_then(Json::as_str), Some("0.9.0"));
        assert!(captured.remove("policy_identity").is_some(), "the sample has it");
        assert!(line.get("policy_identity").is_none());
        for (key, value) in captured.iter() {
            assert_eq!(line.get(key), Some(value), "{key}");
        }
        assert_eq!(line.len(), captured.len());
    }
    for line in &lines {
        assert!(read_record(line).is_ok());
        assert_eq!(line.last(), Some(&b'\n'));
    }
}

#[test]
fn what_is_no_record_is_a_counted_drop() {
    let version = "{\"schema_version\":\"0.9.0\",\"tick\":1}";
    let garbage = [
        "",
        "INFO telemetry started",
        "{",
        "[1]",
        "{}",
        "{\"tick\":1}",
        "{\"schema_version\":\"0.9.0\"}",
        "{\"schema_version\":\"x\",\"tick\":1}",
        "{\"schema_version\":\"1.0.0\",\"payload_type\":\"gossip\",\"tick\":1}",
        "{\"schema_version\":\"0.9.0\",\"tick\":1,\"tick\":2}",
        "{\"schema_version\":\"0.9.0\",\"tick\":-1}",
        "{\"schema_version\":\"0.9.0\",\"tick\":1,\"a\":{\"b\":1,\"b\":1}}",
        "\u{1b}[31mred",
    ];
    let (telemetry, script) = replayed(garbage.iter().flat_map(|line| [*line, version]));
    let statement = telemetry.shutdown(PATIENCE).sinks[0].1;
    let expected = [("invalid_payload".to_owned(), garbage.len() as u64)];
    assert_eq!(drops(&statement), expected.into());
    assert_eq!((statement.account.delivered(), statement.residual()), (garbage.len() as u64, 0));
    assert!(script.received().iter().all(|line| tree(line) == tree(version.as_bytes())));
}

#[test]
fn our_own_lines_keep_their_run_stream_and_number() {
    let (telemetry, script) = single(eager("main"));
    let orders = telemetry.stream("orders").unwrap();
    for n in 0..3 {
        orders.emit(n, order(n)).unwrap();
        telemetry.emit_snapshot(n, Snapshot::default()).unwrap();
        telemetry.emit_named("door", n, Json::from("cellar")).unwrap();
    }
    let _ = telemetry.shutdown(PATIENCE);
    let captured = script.received();

    let second = Script::new();
    let telemetry = builder()
        .run_id(townlet_schema::RunId::from_u128(2))
        .producer("relay")
        .scripted(eager("main"), &second)
        .start()
        .unwrap();
    let replay = telemetry.replay().unwrap();
    for line in &captured {
        assert_eq!(replay.emit_line(line.clone()).unwrap().dropped, None);
    }
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(last.sinks[0].1.account.delivered(), 9);
    for (before, after) in captured.iter().zip(second.received()) {
        assert_eq!(tree(before), tree(&after), "nothing is lost, and the redaction has nothing left to do");
    }
    let accounts = telemetry.stream_accounts("main").unwrap();
    assert_eq!(accounts.iter().find(|(name, _)| name == "relay.replay").unwrap().1.accepted(), 9);
}

#[test]
fn an_envelope_is_kept_whatever_of_it_is_there() {
    let lines = [
        "{\"schema_version\":\"1.0.0\",\"payload_type\":\"diff\",\"run_id\":\"r\",\"stream\":\"s\",\"seq\":9,\"tick\":4,\
         \"base_seq\":8,\"changes\":{\"policy_identity\":{\"policy_hash\":\"c0ffee\"},\"utilities\":{\"power\":false}}}",
        "{\"tick\":5,\"utilities\":{\"power\":true},\"schema_version\":\"0.9.7\",\"payload_type\":\"snapshot\"}",
        "{\"schema_version\":\"1.2.0\",\"payload_type\":\"run\",\"run_id\":\"r\",\"stream\":\"\u{e9}\\n\",\"seq\":1,\"tick\":0,\
         \"rendering\":3}",
    ];
    let (telemetry, script) = replayed(lines);
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(drops(&last.sinks[0].1), [].into());
    let received = script.received();
    for (captured, line) in lines.iter().zip(&received) {
        let (before, after) = (read_head(captured.as_bytes()).unwrap(), read_head(line).unwrap());
        assert_eq!(before, after);
        let (before, after) = (tree(captured.as_bytes()), tree(line));
        for key in ENVELOPE_KEYS {
            assert_eq!(before.get(key), after.get(key), "{key}");
        }
    }
    assert_eq!(
        tree(&received[0]).get("changes"),
        tree(lines[0].as_bytes())
            .get("changes")
            .map(|changes| {
                let mut changes = changes.clone();
                changes.as_object_mut().unwrap().remove("policy_identity");
                changes
            })
            .as_ref()
    );
}

/// Collects the identity under which frames travel.
struct Labels(std::sync::mpsc::Sender<(String, String, u64)>);

impl Transport for Labels {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Ok(Connected::local())
    }
    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        for frame in batch {
            let label = frame.label();
            self.0.send((label.run_id().to_owned(), label.stream().to_owned(), frame.seq())).unwrap();
        }
        Ok(Outcome::Settled(Level::Sent))
    }
    fn close(&mut self) {}
}

/// Receivers and brokers deduplicate by it: lines without one must not look like each other.
#[test]
fn every_replayed_frame_has_an_identity_of_its_own() {
    let (sender, labels) = std::sync::mpsc::channel();
    let sink = townlet_pipeline::SinkInfo::new("labels");
    let pipeline =
        builder().sink(eager("main"), sink, move || Ok(Box::new(Labels(sender.clone())) as Box<dyn Transport>));
    let telemetry = pipeline.start().unwrap();
    let replay = telemetry.replay().unwrap();
    for line in STREAM.lines() {
        replay.emit_line(Bytes::from_static(line.as_bytes())).unwrap();
    }
    let own = "{\"schema_version\":\"1.0.0\",\"payload_type\":\"event\",\"run_id\":\"r\",\"stream\":\"s\",\"seq\":9,\"tick\":4,\
               \"event\":\"e\",\"payload\":{}}";
    replay.emit_line(Bytes::from_static(own.as_bytes())).unwrap();
    let _ = telemetry.shutdown(PATIENCE);
    let labels: Vec<_> = labels.try_iter().collect();
    assert_eq!(labels.len(), 121);
    let distinct: std::collections::BTreeSet<_> = labels.iter().collect();
    assert_eq!(distinct.len(), 121);
    assert_eq!(labels[0], (telemetry.run_id().to_string(), "town.replay".to_owned(), 1));
    assert_eq!(labels[120], ("r".to_owned(), "s".to_owned(), 9));
}
