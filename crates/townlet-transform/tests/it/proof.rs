//! Why validation of shipped types may be skipped: their values always satisfy the bundled schema.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use townlet_schema::snapshot::SocialEvent;
use townlet_schema::{
    ConsoleResult, Diff, ENVELOPE_KEYS, Event, EventPayload, EventRecord, Failure, Health, Json, Kind, NarrationRecord,
    Payload, PolicyAnnealUpdate, PolicyMetadata, PolicyPossession, RivalryEvents, RunMarker, Snapshot, StabilityUpdate,
    encode_into,
};
use townlet_transform::{Chain, ChainBuilder, Dropped, Record, Transform, TransformSpec, Validator, ValidatorMode};

use crate::arbitrary::arbitrary;
use crate::documents::head;

/// The bundled schemas, which `check` never skips.
fn bundled() -> Validator {
    Validator::new(&BTreeMap::new()).unwrap()
}

fn satisfies<P: Payload>(validator: &Validator, payload: &P) {
    let mut record = Record::typed(head(P::KIND), payload).unwrap();
    let head = record.head().clone();
    let body = record.body_bytes().unwrap();
    if let Err(error) = validator.check(&head, body) {
        panic!("{}: {error}: {}", P::KIND, String::from_utf8_lossy(body));
    }
}

/// Tells social events apart by a tag, which no input that is made up as it is read can guess.
fn any_snapshot(seed: u64) -> Snapshot {
    let (one, other, quality) = (arbitrary::<String>(seed), arbitrary::<String>(!seed), arbitrary::<f64>(seed));
    let mut snapshot: Snapshot = arbitrary(seed);
    snapshot.social_events = vec![
        SocialEvent::ChatSuccess { speaker: one.clone(), listener: other.clone(), quality },
        SocialEvent::ChatFailure { speaker: other.clone(), listener: one.clone(), quality: -quality },
        SocialEvent::RivalryAvoidance { agent: one.clone(), object: other, reason: one },
    ];
    snapshot
}

fn any_of<P: Payload + DeserializeOwned>(validator: &Validator, seed: u64) {
    satisfies(validator, &arbitrary::<P>(seed));
}

fn any_event_of<P: EventPayload + DeserializeOwned>(validator: &Validator, seed: u64) {
    satisfies(validator, &Event(arbitrary::<P>(seed)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_value_of_a_shipped_type_satisfies_the_bundled_schema_of_its_kind(seed in any::<u64>()) {
        let validator = bundled();
        satisfies(&validator, &any_snapshot(seed));
        any_of::<Diff>(&validator, seed);
        any_of::<EventRecord>(&validator, seed);
        any_of::<Health>(&validator, seed);
        any_of::<Failure>(&validator, seed);
        any_of::<ConsoleResult>(&validator, seed);
        any_of::<NarrationRecord>(&validator, seed);
        any_of::<RunMarker>(&validator, seed);
        any_event_of::<PolicyMetadata>(&validator, seed);
        any_event_of::<PolicyPossession>(&validator, seed);
        any_event_of::<PolicyAnnealUpdate>(&validator, seed);
        any_event_of::<StabilityUpdate>(&validator, seed);
        any_event_of::<RivalryEvents>(&validator, seed);
    }

    #[test]
    fn a_body_that_begins_with_an_events_name_satisfies_the_event_schema_whatever_follows(seed in any::<u64>()) {
        let (name, more) = (arbitrary::<String>(seed), arbitrary::<BTreeMap<String, Json>>(!seed));
        let mut body = br#"{"event":"#.to_vec();
        encode_into(&name, &mut body).unwrap();
        for (key, value) in more.iter().filter(|(key, _)| *key != "event" && !ENVELOPE_KEYS.contains(&key.as_str())) {
            body.push(b',');
            encode_into(key, &mut body).unwrap();
            body.push(b':');
            encode_into(value, &mut body).unwrap();
        }
        body.push(b'}');
        let record = Record::checked(head(Kind::Event), body).unwrap();
        let head = record.head().clone();
        prop_assert_eq!(bundled().check(&head, record.clone().body_bytes().unwrap()), Ok(()));
    }

    #[test]
    fn what_the_default_chain_lets_out_of_a_shipped_type_satisfies_it_too(seed in any::<u64>()) {
        let mut chain = Chain::standard().unwrap();
        let validator = bundled();
        let snapshot = any_snapshot(seed);
        let record = Record::typed(head(Snapshot::KIND), &snapshot).unwrap().proven_by_type();
        let redacted = chain.run(record).unwrap();
        prop_assert_eq!(validator.check(redacted.head(), redacted.body_bytes()), Ok(()));
        let left = Json::parse(redacted.body_bytes()).unwrap();
        prop_assert!(left.get("policy_identity").is_none());
        prop_assert_eq!(left.read::<Snapshot>().unwrap().jobs.len(), snapshot.jobs.len());
    }
}

/// Notes whether the record that reaches it is proven.
struct Watch(std::sync::Arc<std::sync::Mutex<Vec<bool>>>);

impl Transform for Watch {
    fn id(&self) -> &str {
        "watch"
    }
    fn concerns(&self, _: townlet_schema::Kind) -> bool {
        true
    }
    fn apply(&mut self, record: &mut Record) -> Result<(), Dropped> {
        self.0.lock().unwrap().push(record.is_proven());
        Ok(())
    }
}

/// Alters the body into something that no snapshot may be.
struct Vandal;

impl Transform for Vandal {
    fn id(&self) -> &str {
        "vandal"
    }
    fn concerns(&self, _: townlet_schema::Kind) -> bool {
        true
    }
    fn apply(&mut self, record: &mut Record) -> Result<(), Dropped> {
        record.tree_mut()?.insert("jobs", "none");
        Ok(())
    }
}

fn snapshot() -> Record {
    Record::typed(head(Snapshot::KIND), &Snapshot::default()).unwrap().proven_by_type()
}

#[test]
fn a_host_that_alters_a_proven_body_ends_the_proof_and_the_body_is_checked() {
    let mut chain = ChainBuilder::new().host(Box::new(Vandal)).build().unwrap();
    let dropped = chain.run(snapshot()).unwrap_err();
    assert_eq!(dropped.to_string(), "schema_invalid: snapshot breaks schema snapshot 1.1: `type` at /jobs");
}

#[test]
fn a_host_that_only_looks_keeps_the_proof() {
    let seen = std::sync::Arc::default();
    let mut chain = ChainBuilder::new().host(Box::new(Watch(std::sync::Arc::clone(&seen)))).build().unwrap();
    chain.run(snapshot()).unwrap();
    assert_eq!(*seen.lock().unwrap(), [true]);
}

#[test]
fn proof_speaks_of_the_bundled_schema_only() {
    let own = townlet_transform::SchemaSource::Text { name: "own".into(), text: r#"{"required":["nope"]}"#.into() };
    let spec =
        TransformSpec::SchemaValidator { schemas: BTreeMap::from([(Snapshot::KIND, own)]), mode: ValidatorMode::Drop };
    let mut chain = ChainBuilder::from_specs([spec]).build().unwrap();
    assert_eq!(chain.run(snapshot()).unwrap_err().reason.as_str(), "schema_invalid");
}

#[test]
fn a_record_of_another_version_is_never_proven() {
    let old =
        townlet_transform::Head { schema_version: townlet_schema::SchemaVersion::new(0, 9, 0), ..head(Snapshot::KIND) };
    assert!(!Record::typed(old, &Snapshot::default()).unwrap().proven_by_type().is_proven());
}

/// Events of a host's own types are what a loop emits most of: they pass the
/// bundled schema by a look at their beginning, and anything else is checked.
#[test]
fn an_event_whose_name_is_no_string_is_still_refused() {
    let validator = bundled();
    for body in [&br#"{"event":7}"#[..], br#"{"payload":{}}"#, br#"{"event":null,"payload":{}}"#] {
        let mut record = Record::checked(head(Kind::Event), body.to_vec()).unwrap();
        assert!(validator.check_record(&mut record).is_err(), "{}", String::from_utf8_lossy(body));
    }
    let mut record = Record::checked(head(Kind::Event), br#"{"event":"door","payload":7}"#.to_vec()).unwrap();
    assert_eq!(validator.check_record(&mut record), Ok(()));
}
