//! What can be put together, and under which names.

use townlet_pipeline::{BuildError, Options, SinkInfo, StreamError, Telemetry};
use townlet_schema::{Event, EventRecord, Health, PolicyPossession, Snapshot};
use townlet_testkit::Script;
use townlet_transport::Transport;

use crate::fakes::{Order, PATIENCE, With, builder, eager, order, single};

#[test]
fn a_producer_whose_name_makes_no_stream_is_refused() {
    for producer in ["", ".", "town.", ".town", "to wn", "town\n", "tówn", "a..b", &"x".repeat(129)] {
        let pipeline = builder().producer(producer).scripted(eager("main"), &Script::new());
        let error = pipeline.start().unwrap_err();
        assert!(matches!(error, BuildError::Producer(StreamError::BadName(_))), "{producer:?}: {error}");
        assert!(error.to_string().contains("producer"), "{error}");
    }
    // Names grow by the suffix of each stream.
    let pipeline = builder().producer("x".repeat(125)).scripted(eager("main"), &Script::new());
    assert!(matches!(pipeline.start(), Err(BuildError::Producer(_))), "no room for `.events`");
    let pipeline = builder().producer("shard-7.eu_west").scripted(eager("main"), &Script::new());
    assert_eq!(pipeline.start().unwrap().shutdown(PATIENCE).residual(), 0);
}

#[test]
fn a_stream_whose_name_is_none_is_refused() {
    let (telemetry, _) = single(eager("main"));
    for name in ["", ".", "a.", ".a", "a..b", "a b", "a/b", "a\"b", "ä", &"x".repeat(124)] {
        let error = telemetry.stream::<Order>(name).unwrap_err();
        assert_eq!(error, StreamError::BadName(format!("town.{name}")));
    }
    assert!(telemetry.stream::<Order>(&"x".repeat(123)).is_ok());
    assert!(telemetry.stream::<Order>("a.b-c_D.9").is_ok());
}

#[test]
fn a_stream_carries_one_type() {
    let (telemetry, script) = single(eager("main"));
    let one = telemetry.stream::<Order>("orders").unwrap();
    let two = telemetry.stream::<Order>("orders").unwrap();
    assert_eq!(one.emit(1, order(1)).unwrap().seq, 1);
    assert_eq!(two.emit(1, order(2)).unwrap().seq, 2, "the same stream, numbered once");
    let mismatch = Err(StreamError::TypeMismatch("town.orders".into()));
    assert_eq!(telemetry.stream::<Event<PolicyPossession>>("orders").map(drop), mismatch);
    assert_eq!(
        telemetry.stream::<EventRecord>("events").map(drop),
        Err(StreamError::TypeMismatch("town.events".into()))
    );
    assert!(telemetry.stream::<Health>("health").is_ok(), "the standard stream itself");
    assert!(telemetry.stream::<Snapshot>("replay").is_ok());
    assert_eq!(telemetry.replay().map(drop).unwrap_err(), StreamError::TypeMismatch("town.replay".into()));
    let _ = telemetry.shutdown(PATIENCE);
    assert_eq!(script.received_seqs(), [1, 2]);
}

fn sinks(names: impl IntoIterator<Item = String>) -> Result<Telemetry, BuildError> {
    names.into_iter().fold(builder(), |b, name| b.scripted(eager(&name), &Script::new())).start()
}

#[test]
fn a_pipeline_has_1_to_32_sinks_of_different_names() {
    let named = |n: u64| format!("sink-{n}");
    for (names, reason) in [
        (vec![], "has 0"),
        ((0..33).map(named).collect(), "has 33"),
        (vec!["main".into(), "other".into(), "main".into()], "two sinks are named `main`"),
        (vec![String::new()], "\"\" is not a name"),
        (vec!["a\0b".into()], "is not a name"),
        (vec!["a\nb".into()], "is not a name"),
    ] {
        let error = sinks(names).unwrap_err();
        assert!(matches!(error, BuildError::Sinks(_)) && error.to_string().contains(reason), "{error}");
    }
    let telemetry = sinks((0..32).map(named)).unwrap();
    let orders = telemetry.stream("orders").unwrap();
    for n in 0..100 {
        orders.emit(n, order(n)).unwrap();
    }
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(last.sinks.len(), 32);
    for (n, (name, statement)) in last.sinks.iter().enumerate() {
        assert_eq!((name, statement.account.delivered()), (&format!("sink-{n}"), 100));
    }
}

#[test]
fn the_threads_of_a_sink_bear_its_name() {
    let (report, names) = std::sync::mpsc::channel();
    let script = Script::new();
    script.hold_next_send();
    let peer = script.clone();
    let options =
        Options { backpressure: townlet_pipeline::Backpressure::FanOut, max_queue_length: 1, ..eager("relay") };
    let pipeline = builder().sink(options, SinkInfo::new("tcp"), move || {
        report.send(std::thread::current().name().unwrap().to_owned()).unwrap();
        Ok(Box::new(peer.transport()) as Box<dyn Transport>)
    });
    let telemetry = pipeline.start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(1, order(1)).unwrap();
    assert!(script.wait_until_held(PATIENCE));
    orders.emit(2, order(2)).unwrap();
    let mut names = [names.recv_timeout(PATIENCE).unwrap(), names.recv_timeout(PATIENCE).unwrap()];
    names.sort();
    assert_eq!(names, ["telemetry-relay", "telemetry-relay.lane"]);
    script.release();
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

/// A host's own JSON may be printed over several lines; ours are one each.
#[test]
fn a_body_that_is_printed_over_several_lines_goes_out_as_one() {
    let (telemetry, script) = single(eager("main"));
    let orders = telemetry.stream::<Order>("orders").unwrap();
    orders.emit_encoded(1, "{\r\n  \"event\": \"a\",\n  \"payload\": {\"text\": \"b\\nc\"}\n}".into()).unwrap();
    let replay = telemetry.replay().unwrap();
    replay.emit_line("{\"schema_version\":\"0.9.0\",\n\"tick\":\n3}".into()).unwrap();
    assert!(script.wait_for_lines(2, PATIENCE));
    for line in script.received() {
        assert_eq!(line.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count(), 1, "{line:?}");
        assert!(townlet_schema::read_head(&line).is_ok());
    }
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}
