//! The predecessor's weaknesses, by number: facts, section 14. Each test says what used to go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use townlet_pipeline::{Backpressure, DropReason, EmitError, Options, TickHealth};
use townlet_schema::snapshot::{AnnealStatus, PolicyIdentity, WorldEvent};
use townlet_schema::{
    ConsoleCommand, ConsoleOutcome, ConsoleResult, Event, Failure, Health, Json, Kind, Object, PolicyDetails,
    PolicyMetadata, Snapshot, read_head,
};
use townlet_testkit::{Script, Step};
use townlet_transform::{Chain, ChainBuilder, Dropped, Record, SchemaSource, TransformSpec, ValidatorMode};
use townlet_transport::ErrorKind;

use crate::fakes::{
    HOUR, Order, PATIENCE, With, books, builder, delivered, drops, eager, eventually, identities, lazy, ms, nan, noted,
    order, single, text,
};

const HASH: &str = "c0ffee0ddba11";

fn secret() -> PolicyIdentity {
    PolicyIdentity { config_id: "v1".into(), policy_hash: Some(HASH.into()), ..PolicyIdentity::default() }
}

/// Puts the policy's hash wherever a host could put it, in every kind and by every way in; returns what came out.
fn leak_everywhere(chain: Option<Chain>) -> (Vec<Bytes>, BTreeSet<Kind>) {
    let script = Script::new();
    let mut pipeline = builder().scripted(Options { max_buffer_bytes: 16 << 20, ..eager("main") }, &script);
    let second = Script::new();
    pipeline = pipeline.scripted(Options { backpressure: Backpressure::FanOut, ..eager("second") }, &second);
    if let Some(chain) = chain {
        pipeline = pipeline.transforms(chain);
    }
    let telemetry = pipeline.start().unwrap();
    let hash = || Json::Object(Object::from_iter([("policy_hash", HASH)]));
    let identity = || Json::Object(Object::from_iter([("policy_identity", hash())]));
    let deep =
        |leaf: Json| (0..20).fold(leaf, |inner, _| Json::Array(vec![Json::Object(Object::from_iter([("in", inner)]))]));

    let anneal = AnnealStatus { commit_state: Object::from_iter([("policy", hash())]), ..AnnealStatus::default() };
    let event = WorldEvent { event: "respawn".into(), tick: 1, fields: Object::from_iter([("agent", identity())]) };
    let snapshot = || Snapshot {
        policy_identity: Some(secret()),
        anneal_status: Some(anneal.clone()),
        events: vec![event.clone()],
        ..Snapshot::default()
    };
    telemetry.emit_snapshot(1, snapshot()).unwrap();
    telemetry.emit_event("loop.tick", 2, &snapshot()).unwrap();
    for payload in [hash(), identity(), deep(hash()), deep(identity())] {
        telemetry.emit_named("policy.metadata", 3, payload.clone()).unwrap();
        telemetry.emit_event("policy.metadata", 3, &payload).unwrap();
        for name in ["loop.health", "loop.failure", "console.result", "loop.tick"] {
            telemetry.emit_event(name, 3, &BTreeMap::from([("extra", &payload)])).unwrap();
        }
        let outcome = ConsoleOutcome { name: "policy".into(), result: Some(payload.clone()), ..Default::default() };
        let command = ConsoleCommand { metadata: Object::from_iter([("x", payload)]), ..Default::default() };
        telemetry.emit_console(3, ConsoleResult { command: Some(command), result: outcome }).unwrap();
    }
    let metadata = PolicyDetails { identity: Some(secret()), ..PolicyDetails::default() };
    let typed = telemetry.stream::<Event<PolicyMetadata>>("policy").unwrap();
    typed.emit(4, Event(PolicyMetadata { provider: "ppo".into(), metadata: metadata.clone() })).unwrap();
    typed.emit_ref(4, &Event(PolicyMetadata { provider: "ppo".into(), metadata })).unwrap();
    for body in [
        format!("{{\"event\":\"x\",\"payload\":{{\"policy_hash\":\"{HASH}\"}}}}"),
        format!("{{\"event\":\"x\",\"payload\":{{\"policy\\u005fhash\":\"{HASH}\"}}}}"),
        format!("{{ \"payload\" : [ {{ \"policy_identity\" :\n [\"{HASH}\"] }} ], \"event\":\"x\" }}"),
    ] {
        typed.emit_encoded(5, Bytes::from(body)).unwrap();
    }
    telemetry.tick_health(6, &TickHealth::default()).unwrap();
    let replay = telemetry.replay().unwrap();
    for line in [
        format!("{{\"schema_version\":\"0.9.7\",\"tick\":1,\"policy_identity\":{{\"policy_hash\":\"{HASH}\"}}}}"),
        format!(
            "{{\"schema_version\":\"0.9.7\",\"payload_type\":\"diff\",\"tick\":2,\"changes\":{{\"policy_identity\":\
             {{\"policy_hash\":\"{HASH}\"}}}}}}"
        ),
        format!(
            "{{\"schema_version\":\"1.0.0\",\"payload_type\":\"narration\",\"tick\":2,\"data\":{{\"policy_hash\":\"{HASH}\"}}}}"
        ),
    ] {
        replay.emit_line(Bytes::from(line)).unwrap();
    }
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(last.residual(), 0);
    let lines = script.received();
    assert_eq!(lines.len(), second.received().len());
    let kinds = lines.iter().map(|line| read_head(line).unwrap().payload_type.unwrap_or(Kind::Snapshot)).collect();
    (lines.into_iter().chain(second.received()).collect(), kinds)
}

/// W2: redaction missed `changes.policy_identity` in diffs, and a custom pipeline removed it silently.
#[test]
fn w2_the_policys_hash_is_in_no_frame_of_any_stream() {
    let adding = |record: &mut Record| -> Result<(), Dropped> {
        record.tree_mut()?.insert("policy_hash", HASH);
        Ok(())
    };
    let chains = [
        ("default", None),
        ("custom", Some(ChainBuilder::from_specs([TransformSpec::SnapshotNormalizer]).build().unwrap())),
        ("of a host that adds it at the end", {
            let mut chain = Chain::standard().unwrap();
            chain.push(Box::new(crate::fakes::Step(adding)));
            Some(chain)
        }),
    ];
    for (name, chain) in chains {
        let (lines, kinds) = leak_everywhere(chain);
        assert!(lines.len() > 40, "{name}: {}", lines.len());
        for kind in [Kind::Snapshot, Kind::Diff, Kind::Event, Kind::Health, Kind::Console] {
            assert!(kinds.contains(&kind), "{name}: no {kind} came out, so nothing is shown for it: {kinds:?}");
        }
        for line in text(&lines) {
            assert!(!line.contains(HASH), "{name}: {line}");
        }
    }
    let off = ChainBuilder::from_specs([TransformSpec::SnapshotNormalizer]).without_redaction().build().unwrap();
    let (lines, _) = leak_everywhere(Some(off));
    assert!(text(&lines).iter().any(|line| line.contains(HASH)), "without redaction the test would see it");
}

fn raising() -> Chain {
    let schema = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"payload": {"type": "object", "properties": {"id": {"maximum": 100}}}, "status": {"const": "ok"}}
    }"#;
    let source = SchemaSource::Text { name: "ids".into(), text: schema.into() };
    let schemas = [Kind::Event, Kind::Health, Kind::Diff].into_iter().map(|kind| (kind, source.clone())).collect();
    ChainBuilder::from_specs([TransformSpec::SchemaValidator { schemas, mode: ValidatorMode::Raise }]).build().unwrap()
}

/// W3: the dispatcher swallowed the error of `schema_validator mode: raise`; the tick vanished without a trace.
#[test]
fn w3_raise_reaches_the_caller_as_an_error_by_every_way_in() {
    let script = Script::new();
    let telemetry = builder().transforms(raising()).scripted(eager("main"), &script).start().unwrap();
    let orders = telemetry.stream::<Order>("orders").unwrap();
    let replay = telemetry.replay().unwrap();
    let payload = |id: u64| BTreeMap::from([("id", id)]);
    let named = |id: u64| Json::Object(Object::from_iter([("id", id)]));
    let body = |id: u64| Bytes::from(format!("{{\"event\":\"x\",\"payload\":{{\"id\":{id}}}}}"));
    let line = |id: u64| {
        let text = format!(
            "{{\"schema_version\":\"1.0.0\",\"payload_type\":\"event\",\"run_id\":\"r\",\"stream\":\"s\",\"seq\":1,\"tick\":1,\"event\":\"x\",\"payload\":{{\"id\":{id}}}}}"
        );
        Bytes::from(text)
    };
    let health = |status: &str| BTreeMap::from([("status", status.to_owned()), ("tick", "1".to_owned())]);
    let all = |id: u64, status: &'static str| {
        [
            orders.emit(1, order(id)),
            orders.emit_ref(1, &order(id)),
            orders.emit_encoded(1, body(id)),
            telemetry.emit_event("x", 1, &payload(id)),
            telemetry.emit_named("x", 1, named(id)),
            telemetry.emit_event("loop.health", 1, &health(status)),
            telemetry.emit_health(1, Health { status: status.into(), ..Health::default() }),
            replay.emit_line(line(id)),
        ]
    };
    for (n, result) in all(101, "bad").into_iter().enumerate() {
        let Err(EmitError::Invalid { kind, detail }) = result else { panic!("way {n}: {result:?}") };
        assert!(["event", "health"].contains(&kind), "way {n}");
        assert!(!detail.contains("101") && !detail.contains("bad"), "way {n} quotes the value: {detail}");
    }
    for (n, result) in all(99, "ok").into_iter().enumerate() {
        assert!(result.is_ok(), "way {n}: {result:?}");
    }
    // What cannot be encoded is an error there too.
    let unencodable = [orders.emit(1, nan()), orders.emit_ref(1, &nan()), telemetry.emit_event("x", 1, &f64::NAN)];
    for (n, result) in unencodable.into_iter().enumerate() {
        assert!(matches!(result, Err(EmitError::Unencodable { kind: "event", .. })), "way {n}: {result:?}");
    }
    assert!(matches!(orders.emit_encoded(1, Bytes::from_static(b"{")), Err(EmitError::Invalid { .. })));
    // Kinds that the validator does not concern are as ever.
    telemetry.emit_snapshot(1, Snapshot::default()).unwrap();
    let last = telemetry.shutdown(PATIENCE);
    let account = last.sinks[0].1.account;
    assert_eq!((account.accepted(), account.delivered(), account.dropped()), (9, 9, 0), "refused is not accepted");
    assert_eq!(script.received().len(), 9);
    assert!(identities(&script.received()).iter().filter(|(s, _)| s == "town.orders").map(|(_, n)| *n).eq(1..=3));
}

/// W3: values that could not be serialised vanished with no counter.
#[test]
fn w3_nothing_vanishes_uncounted() {
    struct Broken;
    impl serde::Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("broken"))
        }
    }
    let (telemetry, script) = single(eager("main"));
    let orders = telemetry.stream("orders").unwrap();
    let mut ok = 0;
    for n in 0..50 {
        ok += u64::from(orders.emit(n, nan()).is_ok());
        ok += u64::from(orders.emit(n, order(n)).is_ok());
        ok += u64::from(telemetry.emit_event("x", n, &Broken).is_ok());
        ok += u64::from(telemetry.emit_event("x", n, &BTreeMap::from([(vec![1u8], 1)])).is_ok());
        ok += u64::from(telemetry.emit_event("x", n, &u128::MAX).is_ok());
    }
    let statement = telemetry.shutdown(PATIENCE).sinks[0].1;
    assert_eq!(drops(&statement), [("invalid_payload".into(), 150), ("non_finite".into(), 50)].into());
    assert_eq!((statement.account.accepted(), ok, script.received().len()), (250, 250, 50));
}

/// W3: what is wrong, and where, is in the log; the first, second, fourth … time.
#[test]
fn w3_a_payload_that_cannot_be_encoded_is_logged_with_its_field() {
    // The stage logs on its own thread, so its chain is asked through a global subscriber-free way: its counters.
    let chain = Chain::standard().unwrap();
    let counters = chain.counters();
    let script = Script::new();
    let telemetry = builder().transforms(chain).scripted(eager("main"), &script).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(1, nan()).unwrap();
    orders.emit_encoded(1, Bytes::from_static(b"{\"tick\":1}")).unwrap();
    orders.emit(1, order(1)).unwrap();
    let _ = telemetry.shutdown(PATIENCE);
    let stats = counters.snapshot();
    assert_eq!(stats.dropped, [("invalid_payload".to_owned(), 1), ("non_finite".to_owned(), 1)].into());
    assert_eq!(stats.passed, 1);
}

/// W5: every world event was emitted twice.
#[test]
fn w5_each_event_of_a_snapshot_is_there_once() {
    let (telemetry, script) = single(eager("main"));
    for tick in 1..=20u64 {
        let event = |n: u64| WorldEvent { event: format!("e{n}").into(), tick, fields: Object::default() };
        let events = (tick * 10..tick * 10 + 3).map(event).collect();
        telemetry.emit_snapshot(tick, Snapshot { events, ..Snapshot::default() }).unwrap();
    }
    let _ = telemetry.shutdown(PATIENCE);
    let all = text(&script.received()).concat();
    for n in (1..=20).flat_map(|tick| tick * 10..tick * 10 + 3) {
        assert_eq!(all.matches(&format!("\"e{n}\"")).count(), 1, "e{n}");
    }
}

/// W11: the queue length in health was the number of console results.
#[test]
fn w11_the_queue_in_health_is_the_transports() {
    let (telemetry, script) = single(Options { max_batch_size: 2, ..eager("main") });
    script.hold_next_send();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(1, order(1)).unwrap();
    assert!(script.wait_until_held(PATIENCE));
    for n in 0..6 {
        orders.emit(1, order(n)).unwrap();
    }
    for _ in 0..3 {
        telemetry.emit_console(1, ConsoleResult::default()).unwrap();
    }
    telemetry.tick_health(1, &TickHealth::default()).unwrap();
    let health = telemetry.latest_health_status().unwrap();
    assert_eq!(health.summary.queue_length, 10, "1 in flight, 6 orders, 3 results");
    assert_eq!(health.transport.queue_length, 10);
    telemetry.tick_failure(1, &TickHealth::default(), "boom").unwrap();
    script.release();
    delivered(&telemetry, "main", 12);
    telemetry.tick_health(2, &TickHealth::default()).unwrap();
    assert_eq!(telemetry.latest_health_status().unwrap().summary.queue_length, 0);
    let _ = telemetry.shutdown(PATIENCE);
    assert!(text(&script.received()).iter().any(|line| line.contains("\"queue_length\":11")), "in the failure as well");
}

/// W12: `last_error` never cleared, `connected` and the totals lied.
#[test]
fn w12_the_status_tells_the_truth() {
    let script = Script::new();
    script.fail_next_connects(2, ErrorKind::Unavailable);
    script.then(Step::Fail { settled: 0, kind: ErrorKind::Timeout });
    script.hold_next_send();
    let options = Options { backoff: ms(200), max_backoff: ms(200), ..eager("main") };
    let telemetry = builder().scripted(options, &script).start().unwrap();
    let fresh = telemetry.latest_transport_status();
    assert_eq!((fresh.connected, fresh.last_error, fresh.last_error_at), (false, None, None));
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(7, order(1)).unwrap();
    eventually("an error is reported", || telemetry.latest_transport_status().last_error.is_some());
    let failing = telemetry.latest_transport_status();
    assert!(!failing.connected);
    assert_eq!((failing.payloads_flushed_total, failing.bytes_flushed_total), (0, 0), "nothing was flushed");
    assert_eq!(failing.last_success_tick, None);
    assert!(script.wait_until_held(PATIENCE));
    orders.emit(9, order(2)).unwrap();
    script.release();
    delivered(&telemetry, "main", 2);
    let well = telemetry.latest_transport_status();
    assert!(well.connected && well.worker_alive);
    assert_eq!((well.last_error, well.consecutive_send_failures), (None, 0), "cleared by success");
    assert!(well.last_error_at.unwrap() > 1_600_000_000_000, "and kept: when, in milliseconds since 1970");
    assert_eq!((well.send_failures_total, well.errors_total), (3, 3));
    assert_eq!((well.last_failure_tick, well.last_success_tick), (Some(7), Some(9)), "ticks of the frames themselves");
    assert_eq!(well.payloads_flushed_total, 2);
    let bytes: usize = script.received().iter().map(Bytes::len).sum();
    assert_eq!(well.bytes_flushed_total, bytes as u64);
    let _ = telemetry.shutdown(PATIENCE);
    let ended = telemetry.latest_transport_status();
    assert_eq!((ended.worker_alive, ended.connected, ended.status.as_ref()), (false, false, "closed"));
}

/// W18: under `block` a dead worker let memory grow without bound.
#[test]
fn w18_block_sheds_when_the_worker_is_parked() {
    let script = Script::new();
    script.then(Step::Panic);
    let limits = Options {
        backpressure: Backpressure::Block,
        block_timeout: HOUR,
        max_buffer_bytes: 20_000,
        restart_limit: 0,
        restart_window: HOUR,
        ..eager("main")
    };
    let telemetry = builder().scripted(limits, &script).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(1, order(1)).unwrap();
    eventually("it is parked", || !telemetry.latest_transport_status().worker_alive);
    for n in 0..5000 {
        orders.emit(n, noted(n, 100)).unwrap();
        assert!(telemetry.latest_transport_status().queue_bytes <= 20_000);
    }
    let statement = books(&telemetry, "main");
    assert_eq!((statement.account.accepted(), statement.residual()), (5001, 0));
    assert!(statement.account.dropped_for(DropReason::Backpressure) > 4900);
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

/// W19: `fan_out` reordered, sent on the caller's thread, and was not counted.
#[test]
fn w19_fan_out_keeps_order_by_lane_and_counts_everything() {
    let (main, lane) = (Script::new(), Script::new());
    main.hold_next_send();
    let (one, two) = (main.clone(), lane.clone());
    let options =
        Options { backpressure: Backpressure::FanOut, max_queue_length: 100, max_batch_size: 7, ..eager("main") };
    let telemetry = builder()
        .sink(options, townlet_pipeline::SinkInfo::new("tcp"), move || {
            let extra = std::thread::current().name().unwrap().ends_with(".lane");
            Ok(Box::new(if extra { two.transport() } else { one.transport() }))
        })
        .start()
        .unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(0, order(0)).unwrap();
    assert!(main.wait_until_held(PATIENCE));
    for n in 1..100 {
        orders.emit(n, order(n)).unwrap();
    }
    // The main lane is full: these go to the other.
    for n in 100..200 {
        assert_eq!(orders.emit(n, order(n)).unwrap().dropped, None);
    }
    assert!(lane.wait_for_lines(100, PATIENCE), "while the main lane is stuck");
    main.release();
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(last.sinks[0].1.account.delivered(), 200);
    assert_eq!(main.received_seqs(), (1..=100).collect::<Vec<_>>());
    assert_eq!(lane.received_seqs(), (101..=200).collect::<Vec<_>>());
}

/// W20: a crash lost the payload that was in the worker's hands, uncounted.
#[test]
fn w20_a_panic_in_a_transport_loses_nothing() {
    for sinks in [1, 2] {
        let script = Script::new();
        script.panic_on_send(2);
        let mut pipeline = builder().scripted(Options { max_batch_size: 3, ..lazy("main") }, &script);
        if sinks == 2 {
            pipeline = pipeline.scripted(eager("other"), &Script::new());
        }
        let telemetry = pipeline.start().unwrap();
        let orders = telemetry.stream("orders").unwrap();
        for n in 0..6 {
            orders.emit(n, order(n)).unwrap();
        }
        if sinks == 2 {
            // The stage is woken by ticks; the last of them has not ended.
            orders.emit(99, order(6)).unwrap();
        }
        assert!(script.wait_for_lines(6, PATIENCE), "{sinks} sinks: without a new event");
        eventually("the restart is counted", || telemetry.latest_transport_status().worker_restart_count == 1);
        let last = telemetry.shutdown(PATIENCE);
        assert_eq!((last.sinks[0].1.account.dropped(), last.residual()), (0, 0));
        assert!(script.received_seqs().into_iter().eq(1..=5 + sinks), "{sinks} sinks");
    }
}

/// W23: failure lines without `schema_version` broke clients.
#[test]
fn w23_every_line_carries_its_version_and_identity() {
    let (telemetry, script) = single(eager("main"));
    telemetry.emit_failure(3, Failure { error: "ValueError: x".into(), ..Failure::default() }).unwrap();
    telemetry.tick_failure(4, &TickHealth::default(), "boom").unwrap();
    telemetry.emit_event("loop.failure", 5, &BTreeMap::from([("error", "e")])).unwrap();
    telemetry.tick_health(5, &TickHealth::default()).unwrap();
    telemetry.emit_console(5, ConsoleResult::default()).unwrap();
    telemetry.emit_snapshot(5, Snapshot::default()).unwrap();
    telemetry.emit_named("door", 5, Json::Null).unwrap();
    telemetry.stream("orders").unwrap().emit(5, order(1)).unwrap();
    assert_eq!(telemetry.shutdown(PATIENCE).sinks[0].1.account.delivered(), 8);
    let run_id = telemetry.run_id().to_string();
    let lines = script.received();
    for line in &lines {
        let head = read_head(line).unwrap();
        assert_eq!(head.schema_version.unwrap().to_string(), "1.0.0");
        assert_eq!(head.run_id.as_deref(), Some(run_id.as_str()));
        assert!(head.payload_type.is_some() && head.stream.is_some() && head.seq.is_some() && head.tick.is_some());
    }
    let failures: Vec<_> = identities(&lines).into_iter().filter(|(stream, _)| stream == "town.failure").collect();
    assert_eq!(failures, (1..=3).map(|n| ("town.failure".to_owned(), n)).collect::<Vec<_>>());
}

/// W27: the context was copied three to five times per tick.
#[test]
fn w27_a_snapshot_is_shared_and_never_copied() {
    let (telemetry, script) = single(lazy("main"));
    assert!(telemetry.latest_snapshot().is_none() && telemetry.latest_economy_settings().is_none());
    let settings: BTreeMap<String, f64> = (0..100).map(|n| (format!("price {n}"), 1.0)).collect();
    let snapshot = Snapshot { economy_settings: settings, ..Snapshot::default() };
    let place = std::ptr::from_ref(snapshot.economy_settings.first_key_value().unwrap().0.as_str());
    telemetry.emit_snapshot(1, snapshot).unwrap();
    let (one, two) = (telemetry.latest_snapshot().unwrap(), telemetry.latest_snapshot().unwrap());
    assert!(Arc::ptr_eq(&one, &two));
    let emitted = std::ptr::from_ref(one.economy_settings.first_key_value().unwrap().0.as_str());
    assert!(std::ptr::addr_eq(place, emitted), "the host's own value, moved");
    // Ours, the two above, and the one that waits to be encoded.
    assert_eq!(Arc::strong_count(&one), 4);
    let view = telemetry.latest_economy_settings().unwrap();
    assert!(std::ptr::eq(&raw const *view, &raw const one.economy_settings), "a view looks into the same snapshot");
    telemetry.emit_snapshot(2, Snapshot::default()).unwrap();
    assert_eq!(view.len(), 100, "and keeps it");
    drop((view, two));
    let _ = telemetry.shutdown(PATIENCE);
    eventually("what was encoded is let go", || Arc::strong_count(&one) == 1);
    assert!(script.wait_for_lines(2, Duration::ZERO));
}
