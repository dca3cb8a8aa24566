//! Order, hosts, counters, and what makes a record.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use townlet_schema::{Json, Kind, Object, SchemaVersion, Snapshot};
use townlet_transform::{
    Chain, ChainBuilder, DropReason, Dropped, Head, Notice, Record, Redaction, Transform, TransformSpec,
};

use crate::documents::{checked, head, out};

type Log = Arc<Mutex<Vec<String>>>;

/// Notes that it ran, then does `act`.
struct Host {
    id: &'static str,
    log: Log,
    act: fn(&mut Record) -> Result<(), Dropped>,
}

impl Transform for Host {
    fn id(&self) -> &str {
        self.id
    }
    fn concerns(&self, kind: Kind) -> bool {
        kind != Kind::Narration
    }
    fn apply(&mut self, record: &mut Record) -> Result<(), Dropped> {
        self.log.lock().unwrap().push(self.id.to_owned());
        (self.act)(record)
    }
}

fn host(id: &'static str, log: &Log, act: fn(&mut Record) -> Result<(), Dropped>) -> Box<Host> {
    Box::new(Host { id, log: Arc::clone(log), act })
}

fn fine(_: &mut Record) -> Result<(), Dropped> {
    Ok(())
}

fn redact(field: &str) -> TransformSpec {
    TransformSpec::RedactFields { fields: vec![field.into()], kinds: Kind::ALL.to_vec(), action: Redaction::Remove }
}

fn ensure(field: &str) -> TransformSpec {
    TransformSpec::EnsureFields {
        required_fields_by_kind: Default::default(),
        default_required_fields: vec![field.into()],
    }
}

#[test]
fn the_default_chain_is_normalise_redact_ensure_validate() {
    let chain = Chain::standard().unwrap();
    assert_eq!(
        chain.ids().collect::<Vec<_>>(),
        ["snapshot_normalizer", "redact_fields", "redact_fields", "ensure_fields", "schema_validator"]
    );
    let fields: Vec<_> =
        chain.redactions().iter().flat_map(|r| r.paths().iter().map(ToString::to_string).collect::<Vec<_>>()).collect();
    assert_eq!(fields, ["policy_identity", "**.policy_identity", "**.policy_hash"]);
}

#[test]
fn transforms_run_in_the_order_of_the_pipeline() {
    // Ensure before redact: the field is still there. Ensure after: it is gone.
    let body = r#"{"a":1,"b":2}"#;
    let mut before = ChainBuilder::from_specs([ensure("a"), redact("a")]).build().unwrap();
    assert_eq!(out(&mut before, checked(Kind::Health, body)), r#"{"b":2}"#);
    let mut after = ChainBuilder::from_specs([redact("a"), ensure("a")]).build().unwrap();
    let dropped = after.run(checked(Kind::Health, body)).unwrap_err();
    assert_eq!((dropped.reason, dropped.detail.as_str()), (DropReason::MissingFields, "health without a"));
}

#[test]
fn hosts_run_in_their_order_and_stop_at_the_first_refusal() {
    let log = Log::default();
    let refuse = |_: &mut Record| Err(Dropped::new(DropReason::Transform("too_dull".into()), "dull"));
    let mut chain = ChainBuilder::new()
        .host(host("one", &log, fine))
        .host(host("two", &log, refuse))
        .host(host("three", &log, fine))
        .build()
        .unwrap();
    let dropped = chain.run(checked(Kind::Event, r#"{"event":"e","payload":{}}"#)).unwrap_err();
    assert_eq!(dropped.to_string(), "too_dull: dull");
    assert_eq!(*log.lock().unwrap(), ["one", "two"]);
    assert_eq!(chain.stats().dropped["too_dull"], 1);
}

#[test]
fn a_transform_is_skipped_for_kinds_that_do_not_concern_it() {
    let log = Log::default();
    let mut chain = ChainBuilder::new().host(host("one", &log, fine)).build().unwrap();
    chain.run(checked(Kind::Narration, r#"{"category":"c","message":"m"}"#)).unwrap();
    assert!(log.lock().unwrap().is_empty());
}

#[test]
fn a_host_cannot_bring_back_what_redaction_takes_wherever_it_is_put() {
    fn leak(record: &mut Record) -> Result<(), Dropped> {
        record.tree_mut()?.insert("policy_identity", "c0ffee");
        Ok(())
    }
    let log = Log::default();
    let (mut late, notices) = ChainBuilder::from_specs([redact("policy_identity"), ensure("tick")])
        .host(host("leaky", &log, leak))
        .build_with_notices()
        .unwrap();
    assert_eq!(notices, [Notice::Moved { id: "leaky".into() }]);
    assert_eq!(late.ids().collect::<Vec<_>>(), ["leaky", "redact_fields", "ensure_fields"]);

    let mut pushed = Chain::standard().unwrap();
    pushed.push(host("leaky", &log, leak));
    assert_eq!(pushed.ids().nth(1), Some("leaky"));

    for chain in [&mut late, &mut pushed] {
        let left = out(chain, checked(Kind::Snapshot, r#"{"utilities":{"power":true,"water":true}}"#));
        assert!(!left.contains("c0ffee"), "{left}");
    }
    assert_eq!(log.lock().unwrap().len(), 2);
}

#[test]
fn a_host_that_puts_an_envelope_field_into_a_body_loses_the_record() {
    fn stamp(record: &mut Record) -> Result<(), Dropped> {
        record.tree_mut()?.insert("seq", 1_u64);
        Ok(())
    }
    let mut chain = ChainBuilder::new().host(host("stamp", &Log::default(), stamp)).build().unwrap();
    let dropped = chain.run(checked(Kind::Narration, r#"{"message":"m"}"#));
    assert!(dropped.is_ok(), "narrations do not concern it");
    let dropped = chain.run(checked(Kind::Snapshot, "{}")).unwrap_err();
    assert_eq!(dropped.to_string(), "invalid_payload: the body has a field `seq`, which belongs to the envelope");
}

#[test]
fn a_host_that_nests_too_deep_loses_the_record() {
    fn bury(record: &mut Record) -> Result<(), Dropped> {
        let deep = (0..10_000).fold(Json::Null, |inner, _| Json::Array(vec![inner]));
        record.tree_mut()?.insert("deep", deep);
        Ok(())
    }
    for specs in [vec![], vec![redact("**.x")], vec![ensure("tick")]] {
        let mut chain = ChainBuilder::from_specs(specs).host(host("bury", &Log::default(), bury)).build().unwrap();
        let dropped = chain.run(checked(Kind::Snapshot, "{}")).unwrap_err();
        assert_eq!(dropped.reason, DropReason::InvalidPayload, "{dropped}");
    }
}

#[test]
fn a_panic_of_a_host_passes_through_and_the_chain_goes_on_afterwards() {
    fn explode(record: &mut Record) -> Result<(), Dropped> {
        assert_ne!(record.tick(), 7, "a host's bug");
        Ok(())
    }
    let mut chain = ChainBuilder::new().host(host("explode", &Log::default(), explode)).build().unwrap();
    let body = r#"{"event":"e","payload":{}}"#;
    assert!(catch_unwind(AssertUnwindSafe(|| chain.run(checked(Kind::Event, body)))).is_err());
    let record = Record::checked(Head::event("e", "town", 8), body.into()).unwrap();
    assert!(chain.run(record).is_ok());
    assert_eq!(chain.stats().passed, 1);
}

#[test]
fn every_record_is_counted_once() {
    let mut chain = ChainBuilder::from_specs([ensure("a")]).build().unwrap();
    let (mut passed, mut dropped) = (0, 0);
    for n in 0..50 {
        let body = if n % 3 == 0 { "{}" } else { r#"{"a":null}"# };
        match chain.run(checked(Kind::Health, body)) {
            Ok(_) => passed += 1,
            Err(_) => dropped += 1,
        }
    }
    // One that never became a record.
    let nan = Record::typed(head(Kind::Snapshot), &nan_snapshot()).unwrap_err();
    chain.count_drop(Kind::Snapshot, &nan);
    let stats = chain.stats();
    assert_eq!((stats.passed, stats.dropped["missing_fields"], stats.dropped["non_finite"]), (passed, dropped, 1));
    assert_eq!(stats.dropped_total(), 18);
    assert_eq!(chain.counters().snapshot(), stats);
}

fn nan_snapshot() -> Snapshot {
    Snapshot { economy_settings: [("meal_cost".to_owned(), f64::NAN)].into(), ..Snapshot::default() }
}

#[test]
fn a_host_that_makes_up_reasons_cannot_fill_memory() {
    fn random_reason(record: &mut Record) -> Result<(), Dropped> {
        Err(Dropped::new(DropReason::Transform(format!("because_{}", record.tick()).into()), ""))
    }
    let mut chain = ChainBuilder::new().host(host("chatty", &Log::default(), random_reason)).build().unwrap();
    for tick in 0..1_000 {
        let record = Record::checked(Head::new(Kind::Health, "town", tick), b"{}".to_vec()).unwrap();
        chain.run(record).unwrap_err();
    }
    let stats = chain.stats();
    assert!(stats.dropped.len() <= 65, "{}", stats.dropped.len());
    assert_eq!(stats.dropped_total(), 1_000);
    assert_eq!(stats.dropped["other"], 1_000 - 64);
}

#[test]
fn ensure_looks_into_objects_takes_null_for_there_and_knows_the_envelope() {
    let spec = |fields: &[&str]| TransformSpec::EnsureFields {
        required_fields_by_kind: [
            (Kind::Diff, fields.iter().map(|f| (*f).to_owned()).collect()),
            (Kind::Snapshot, fields.iter().map(|f| (*f).to_owned()).collect()),
            (Kind::Run, vec![]),
        ]
        .into(),
        default_required_fields: vec!["x".into()],
    };
    let check = |fields: &[&str], kind, body: &str| {
        let mut chain = ChainBuilder::from_specs([spec(fields)]).build().unwrap();
        let by_text = chain.run(checked(kind, body)).map(drop);
        let Json::Object(tree) = Json::parse(body.as_bytes()).unwrap() else { panic!("an object") };
        let by_tree = chain.run(Record::from_tree(head(kind), tree).unwrap()).map(drop);
        assert_eq!(by_text, by_tree, "{body}");
        by_text.is_ok()
    };
    assert!(check(&["schema_version", "tick", "payload_type", "run_id", "stream", "seq"], Kind::Diff, "{}"));
    assert!(check(&["changes"], Kind::Diff, r#"{ "removed":[], "\u0063hanges" : null }"#));
    assert!(!check(&["changes"], Kind::Diff, r#"{"x":{"changes":1}}"#));
    assert!(check(&["changes"], Kind::Diff, r#"{"patch":{}}"#), "a diff of schema 1.1 says so what changed");
    assert!(!check(&["changes"], Kind::Snapshot, r#"{"patch":{}}"#));
    assert!(!check(&["changes.a"], Kind::Diff, r#"{"patch":{"a":1}}"#));
    assert!(check(&["a.b"], Kind::Diff, r#"{"a":{"c":1,"b":2}}"#));
    assert!(!check(&["a.b"], Kind::Diff, r#"{"a":[{"b":2}],"b":1}"#));
    assert!(check(&[], Kind::Run, "{}"), "an empty list turns the check off");
    assert!(!check(&[], Kind::Event, r#"{"event":"e"}"#), "other kinds have the default");
}

#[test]
fn a_captured_line_becomes_a_record_with_its_own_version() {
    let line =
        br#"{"schema_version":"0.9.0","tick":12,"jobs":{"a":{"tick":1}},"payload_type":"diff","changes":{"seq":2}}"#;
    let mut record = Record::from_line(line, "town").unwrap();
    let expected = Head { schema_version: SchemaVersion::new(0, 9, 0), ..Head::new(Kind::Diff, "town", 12) };
    assert_eq!(record.head(), &expected);
    assert_eq!(record.body_bytes().unwrap(), br#"{"jobs":{"a":{"tick":1}},"changes":{"seq":2}}"#);

    let line = br#"{"schema_version":"1.0.0","payload_type":"event","run_id":"r","stream":"s","seq":4,"tick":3,"event":"e","payload":{}}"#;
    let mut record = Record::from_line(line, "town").unwrap();
    assert_eq!((record.stream(), record.event(), record.tick()), ("s", Some("e"), 3));
    assert_eq!(record.body_bytes().unwrap(), br#"{"event":"e","payload":{}}"#);

    for (line, what) in [
        (&br#"{"status":"error","tick":3}"#[..], "payload_type"),
        (b"[1]", "object"),
        (br#"{"schema_version":"1.0.0","tick":1,"a":{"b":1,"b":2}}"#, "twice"),
    ] {
        let dropped = Record::from_line(line, "town").unwrap_err();
        assert!(dropped.reason == DropReason::InvalidPayload && dropped.detail.contains(what), "{dropped}");
    }
}

#[test]
fn a_chain_that_touches_nothing_gives_the_same_bytes() {
    let mut chain = Chain::standard().unwrap();
    let body = r#"{ "event":"e", "payload":{"z":1.50,"a":"\u00e9"} }"#;
    let record = Record::checked(Head::event("e", "town", 1), body.into()).unwrap();
    assert_eq!(out(&mut chain, record), body);
}

#[test]
fn neither_a_record_nor_what_comes_out_prints_its_content() {
    let record = checked(Kind::Snapshot, r#"{"policy_identity":"c0ffee"}"#);
    assert!(!format!("{record:?}").contains("c0ffee"));
    let redacted = ChainBuilder::from_specs([ensure("tick")]).without_redaction().build().unwrap().run(record).unwrap();
    assert!(!format!("{redacted:?}").contains("c0ffee"));
    assert!(redacted.into_tree().unwrap() != Object::new());
}
