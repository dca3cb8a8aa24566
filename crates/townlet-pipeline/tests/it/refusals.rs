//! W2 and W3: what must not leave, what is refused, and that nothing vanishes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use townlet_pipeline::{Backpressure, EmitError, Options, TickHealth};
use townlet_schema::snapshot::{AnnealStatus, PolicyIdentity, WorldEvent};
use townlet_schema::{
    ConsoleCommand, ConsoleOutcome, ConsoleResult, Event, Health, Json, Kind, Object, PolicyDetails, PolicyMetadata,
    Snapshot, read_head,
};
use townlet_testkit::Script;
use townlet_transform::{Chain, ChainBuilder, Dropped, Record, SchemaSource, TransformSpec, ValidatorMode};

use crate::fakes::{Order, PATIENCE, With, builder, drops, eager, identities, nan, order, single, text};

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
