//! Bad input is counted under a reason, and nothing else is lost.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde::ser::SerializeMap;
use townlet_pipeline::{DropReason, Options};
use townlet_schema::{HeapSize, Json, Kind, Object, Payload, read_head};
use townlet_transform::{Chain, ChainBuilder, Redaction, TransformSpec};

use crate::fakes::{Order, PATIENCE, With, books, builder, drops, eager, noted, order, single, text};

/// Serialises to objects within objects.
struct Nested(usize);

impl Serialize for Nested {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == 0 {
            return serializer.serialize_unit();
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("a", &Nested(self.0 - 1))?;
        map.end()
    }
}

fn nested_json(levels: usize) -> Json {
    (0..levels).fold(Json::Null, |inner, _| Json::Object(Object::from_iter([("a", inner)])))
}

/// W16: NaN and infinity were written as invalid JSON; there was no limit to depth or size.
#[test]
fn w16_bad_payloads_are_counted_by_reason_and_nothing_else_is_lost() {
    let (telemetry, script) = single(Options { max_buffer_bytes: 1 << 20, ..eager("main") });
    let orders = telemetry.stream("orders").unwrap();
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    let mut good = 0;
    let mut emits = 0;
    let mut bad = |reason: &'static str, emit: &dyn Fn() -> Option<DropReason>| {
        *expected.entry(reason).or_default() += 1;
        let dropped = emit();
        // What `emit` can see it says; the rest shows in the books.
        assert!(dropped.is_none_or(|dropped| dropped.as_str() == reason), "{dropped:?} is not {reason}");
        // A good one after each bad one.
        good += 1;
        emits += 2;
        assert_eq!(orders.emit(good, order(good)).unwrap().dropped, None);
    };

    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let price = |price| Order { event: "order", payload: crate::fakes::Details { price, ..Default::default() } };
        bad("non_finite", &|| orders.emit(1, price(value)).unwrap().dropped);
        bad("non_finite", &|| orders.emit_ref(1, &price(value)).unwrap().dropped);
        bad("non_finite", &|| telemetry.emit_event("x", 1, &value).unwrap().dropped);
        bad("non_finite", &|| telemetry.emit_event("loop.health", 1, &[value]).unwrap().dropped);
    }
    for levels in [128, 10_000] {
        bad("invalid_payload", &|| telemetry.emit_event("deep", 1, &Nested(levels)).unwrap().dropped);
        bad("invalid_payload", &|| telemetry.emit_named("deep", 1, nested_json(levels.min(1000))).unwrap().dropped);
        let body = format!("{}null{}", "{\"a\":".repeat(levels + 1), "}".repeat(levels + 1));
        bad("invalid_payload", &|| orders.emit_encoded(1, Bytes::from(body.clone())).unwrap().dropped);
    }
    let huge = 64 << 20;
    bad("oversize", &|| orders.emit(1, noted(1, huge)).unwrap().dropped);
    bad("oversize", &|| orders.emit_ref(1, &noted(1, huge)).unwrap().dropped);
    bad("oversize", &|| telemetry.emit_named("x", 1, Json::from("x".repeat(huge))).unwrap().dropped);
    bad("oversize", &|| telemetry.emit_event("x", 1, &"x".repeat(2 << 20)).unwrap().dropped);
    bad("oversize", &|| orders.emit_encoded(1, Bytes::from(vec![b'x'; huge])).unwrap().dropped);
    // Fits as a value and not as a line: six bytes for each control character.
    bad("oversize", &|| {
        let note = "\u{1}".repeat(300_000);
        orders
            .emit(1, Order { event: "o", payload: crate::fakes::Details { note, ..Default::default() } })
            .unwrap()
            .dropped
    });

    for body in [
        "",
        " ",
        "null",
        "[]",
        "7",
        "\"x\"",
        "{",
        "{}{}",
        "{} x",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{'a':1}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"b\":2}}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\\ud800\"}",
        "{\"\\ud800\":1}",
        "{\"a\":\"\u{1}\"}",
        "{\"tick\":1}",
        "{\"seq\":1}",
        "{\"t\\u0069ck\":1}",
        "{\"run_id\":null}",
        "\u{feff}{}",
    ] {
        bad("invalid_payload", &|| orders.emit_encoded(1, Bytes::from(body.to_owned())).unwrap().dropped);
    }
    bad("invalid_payload", &|| orders.emit_encoded(1, Bytes::from_static(b"{\"a\":\"\xff\"}")).unwrap().dropped);
    bad("non_finite", &|| {
        orders.emit_encoded(1, Bytes::from_static(b"{\"event\":\"x\",\"a\":1e999}")).unwrap().dropped
    });
    bad("non_finite", &|| orders.emit_encoded(1, Bytes::from_static(b"{\"a\":NaN}")).unwrap().dropped);

    let last = telemetry.shutdown(PATIENCE);
    let statement = last.sinks[0].1;
    let expected: BTreeMap<String, u64> = expected.into_iter().map(|(reason, n)| (reason.to_owned(), n)).collect();
    assert_eq!(drops(&statement), expected);
    assert_eq!((statement.account.accepted(), statement.account.delivered(), statement.residual()), (emits, good, 0));
    let lines = script.received();
    assert_eq!(lines.len() as u64, good);
    for (n, line) in text(&lines).iter().enumerate() {
        assert!(line.contains(&format!("\"id\":{}", n + 1)), "{line}");
    }
}

/// A body of a type that repeats a field of the envelope would make a line that nobody can read.
#[test]
fn a_type_with_a_field_of_the_envelope_is_counted_and_never_sent() {
    #[derive(Serialize)]
    struct Careless {
        event: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        tick: Option<u64>,
        inner: BTreeMap<&'static str, u64>,
    }
    impl HeapSize for Careless {
        fn heap_size(&self) -> usize {
            0
        }
    }
    impl Payload for Careless {
        const KIND: Kind = Kind::Event;
    }
    let (telemetry, script) = single(eager("main"));
    let stream = telemetry.stream("careless").unwrap();
    let value = |tick| Careless { event: "c", tick, inner: BTreeMap::from([("tick", 7), ("seq", 8)]) };
    stream.emit(1, value(Some(1))).unwrap();
    stream.emit_ref(2, &value(Some(2))).unwrap();
    stream.emit(3, value(None)).unwrap();
    stream.emit_ref(4, &value(None)).unwrap();
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(drops(&last.sinks[0].1), [("invalid_payload".to_owned(), 2)].into());
    let ticks: Vec<_> = script.received().iter().map(|line| read_head(line).unwrap().tick.unwrap()).collect();
    assert_eq!(ticks, [3, 4], "deeper down such names are the host's own");
}

/// Also where no transform looks at it.
#[test]
fn a_type_that_is_no_object_is_counted_and_never_sent() {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Odd {
        Number(u64),
        List([u64; 2]),
        Nothing,
        Text(&'static str),
        Empty {},
        Map(BTreeMap<&'static str, u64>),
    }
    impl HeapSize for Odd {
        fn heap_size(&self) -> usize {
            0
        }
    }
    impl Payload for Odd {
        const KIND: Kind = Kind::Narration;
    }
    let bare = TransformSpec::RedactFields {
        fields: vec!["secret".into()],
        kinds: vec![Kind::Snapshot],
        action: Redaction::Remove,
    };
    for chain in [Chain::standard().unwrap(), ChainBuilder::from_specs([bare]).build().unwrap()] {
        let script = townlet_testkit::Script::new();
        let telemetry = builder().transforms(chain).scripted(eager("main"), &script).start().unwrap();
        let stream = telemetry.stream("odd").unwrap();
        let odd = || [Odd::Number(1), Odd::List([1, 2]), Odd::Nothing, Odd::Text("{}"), Odd::Text("x")];
        for value in odd() {
            stream.emit_ref(1, &value).unwrap();
            stream.emit(1, value).unwrap();
        }
        stream.emit(1, Odd::Map(BTreeMap::from([("seq", 1)]))).unwrap();
        stream.emit_ref(1, &Odd::Map(BTreeMap::from([("stream", 1)]))).unwrap();
        let good = stream.emit(1, Odd::Empty {}).unwrap().seq;
        let last = telemetry.shutdown(PATIENCE);
        let statement = last.sinks[0].1;
        assert_eq!(statement.account.accepted(), 13);
        assert!(statement.account.dropped_for(DropReason::InvalidPayload) >= 12, "{statement:?}");
        assert_eq!(statement.account.delivered() + statement.account.dropped(), 13);
        for line in script.received() {
            assert_eq!(read_head(&line).unwrap().seq, Some(good));
        }
    }
}

/// The seeds' payloads carry `tick` and `schema_version` themselves.
#[test]
fn payloads_by_event_name_leave_the_envelope_to_the_pipeline() {
    let (telemetry, script) = single(eager("main"));
    let payload = serde_json::json!({"tick": 3, "schema_version": "0.9.7", "status": "ok", "inner": {"tick": 4}});
    for name in ["loop.tick", "loop.health", "loop.failure"] {
        assert_eq!(telemetry.emit_event(name, 5, &payload).unwrap().dropped, None);
    }
    telemetry.emit_event("door", 5, &payload).unwrap();
    let _ = telemetry.shutdown(PATIENCE);
    let lines = script.received();
    let kinds: Vec<_> = lines.iter().map(|line| read_head(line).unwrap().payload_type.unwrap()).collect();
    assert_eq!(kinds, [Kind::Snapshot, Kind::Health, Kind::Failure, Kind::Event]);
    for line in &lines {
        let Json::Object(tree) = Json::parse(line.trim_ascii()).unwrap() else { panic!() };
        assert_eq!(tree.get("tick"), Some(&Json::from(5u64)));
        assert_eq!(tree.get("schema_version").and_then(Json::as_str), Some("1.1.0"));
        let body = tree.get("payload").and_then(Json::as_object).unwrap_or(&tree);
        assert_eq!(body.get("inner").and_then(|inner| inner.get("tick")), Some(&Json::from(4u64)));
    }
    let event = Json::parse(lines[3].trim_ascii()).unwrap();
    assert_eq!(event.get("payload").and_then(|p| p.get("tick")), Some(&Json::from(3u64)), "an event's own tick stays");
}

#[test]
fn a_host_transform_sees_the_name_of_every_event() {
    use townlet_transform::{DropReason as Why, Dropped, Record};
    let script = townlet_testkit::Script::new();
    let filter = |record: &mut Record| match record.event() {
        Some(name) if name.starts_with("test.") => Err(Dropped::new(Why::Transform("test".into()), "a test")),
        _ => Ok(()),
    };
    let telemetry = builder().transforms(crate::fakes::chain(filter)).scripted(eager("main"), &script).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    for event in ["test.a", "real.a"] {
        orders.emit(1, Order { event, payload: Default::default() }).unwrap();
        orders.emit_ref(1, &Order { event, payload: Default::default() }).unwrap();
        orders.emit_encoded(1, Bytes::from(format!("{{ \"x\":1, \"event\" : \"{event}\"}}"))).unwrap();
        telemetry.emit_named(event, 1, Json::Null).unwrap();
        telemetry.emit_event(event, 1, &()).unwrap();
        let line =
            format!("{{\"schema_version\":\"1.0.0\",\"payload_type\":\"event\",\"tick\":1,\"event\":\"{event}\"}}");
        telemetry.replay().unwrap().emit_line(Bytes::from(line)).unwrap();
    }
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(drops(&last.sinks[0].1), [("transform".to_owned(), 6)].into());
    assert!(text(&script.received()).iter().all(|line| line.contains("real.a") && !line.contains("test.")));
    assert_eq!(script.received().len(), 6);
}

#[test]
fn an_event_larger_than_the_buffer_is_dropped_alone() {
    for policy in ["drop_oldest", "block", "fan_out"] {
        let backpressure = match policy {
            "block" => townlet_pipeline::Backpressure::Block,
            "fan_out" => townlet_pipeline::Backpressure::FanOut,
            _ => townlet_pipeline::Backpressure::DropOldest,
        };
        let bound = 50_000;
        let block_timeout = crate::fakes::HOUR;
        let (telemetry, script) =
            single(Options { backpressure, block_timeout, max_buffer_bytes: bound, ..eager("main") });
        let orders = telemetry.stream("orders").unwrap();
        for n in 0..20 {
            assert_eq!(orders.emit(n, order(n)).unwrap().dropped, None);
            let dropped = orders.emit(n, noted(n, bound)).unwrap().dropped;
            assert_eq!(dropped, Some(DropReason::Oversize), "at once, {policy}");
        }
        let statement = telemetry.shutdown(PATIENCE).sinks[0].1;
        assert_eq!(drops(&statement), [("oversize".to_owned(), 20)].into(), "{policy}");
        assert_eq!(script.received().len(), 20);
        assert_eq!(books(&telemetry, "main"), statement);
    }
}
