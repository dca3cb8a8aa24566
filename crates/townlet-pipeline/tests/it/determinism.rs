//! The same run and the same emits give the same bytes.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use townlet_pipeline::{Options, TickHealth};
use townlet_schema::{Json, Object, Snapshot};
use townlet_testkit::Script;

use crate::fakes::{PATIENCE, With, builder, eager, lazy, noted};

fn bytes_of_a_run(sinks: &[Options]) -> Vec<Vec<u8>> {
    let scripts: Vec<_> = sinks.iter().map(|_| Script::new()).collect();
    let pipeline =
        sinks.iter().zip(&scripts).fold(builder(), |b, (options, script)| b.scripted(options.clone(), script));
    let telemetry = pipeline.runtime_variant("facade").start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    for tick in 1..=300 {
        // A map whose order differs from process to process.
        let map: HashMap<String, u64> = (0..20).map(|n| (format!("key {n}"), tick * n)).collect();
        telemetry.emit_event("map", tick, &map).unwrap();
        orders.emit(tick, noted(tick, (tick % 50) as usize)).unwrap();
        orders.emit_encoded(tick, Bytes::from_static(b"{\"event\":\"ready\",\"payload\":{}}")).unwrap();
        telemetry.emit_named("object", tick, Json::Object(Object::from_iter([("b", tick), ("a", 1)]))).unwrap();
        let economy_settings = BTreeMap::from([("wage".to_owned(), tick as f64 / 7.0)]);
        telemetry.emit_snapshot(tick, Snapshot { economy_settings, ..Snapshot::default() }).unwrap();
    }
    let books = telemetry.shutdown(PATIENCE);
    assert!(books.sinks.iter().all(|(_, s)| s.account.delivered() == 1500), "{books:?}");
    scripts.iter().map(|script| script.received().concat()).collect()
}

#[test]
fn a_run_repeats_byte_for_byte_whatever_the_batches() {
    let first = bytes_of_a_run(&[eager("main")]);
    assert_eq!(first, bytes_of_a_run(&[eager("main")]));
    assert_eq!(first, bytes_of_a_run(&[lazy("main")]), "batching changes no byte");
    let both = bytes_of_a_run(&[eager("main"), Options { max_batch_size: 3, ..eager("second") }]);
    assert_eq!(both[0], first[0], "neither does a second sink");
    assert_eq!(both[1], first[0]);
}

#[test]
fn another_run_has_another_id_and_otherwise_the_same_lines() {
    let lines = |id| {
        let script = Script::new();
        let pipeline = builder().run_id(townlet_schema::RunId::from_u128(id)).scripted(lazy("main"), &script);
        let telemetry = pipeline.start().unwrap();
        telemetry.emit_named("door", 1, Json::Null).unwrap();
        let _ = telemetry.emit_snapshot(1, Snapshot::default()).unwrap();
        let report = TickHealth { failure_count: 3, ..TickHealth::default() };
        let _ = telemetry.tick_failure(1, &report, "boom").unwrap();
        assert_eq!(telemetry.run_id(), townlet_schema::RunId::from_u128(id));
        let _ = telemetry.shutdown(PATIENCE);
        String::from_utf8(script.received().concat()).unwrap()
    };
    let (one, two) = (lines(1), lines(2));
    assert_ne!(one, two);
    assert_eq!(one.replace("000000000001", "000000000002"), two);
}
