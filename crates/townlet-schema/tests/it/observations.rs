//! The observation envelope, DTO 0.2.0.

use townlet_schema::observation::OBSERVATION_VERSION;
use townlet_schema::{Json, ObservationEnvelope, ReadErrorKind, Record, read_head, read_record};

use crate::samples::{file, lines};

fn observation(line: &[u8]) -> ObservationEnvelope {
    match read_record(line) {
        Ok(Record::Observation(envelope)) => *envelope,
        other => panic!("not an observation: {other:?}"),
    }
}

#[test]
fn the_ten_recorded_envelopes_are_written_again_as_they_were() {
    let bytes = file("docs/architecture_review/WP_NOTES/WP3/dto_parity/dto_baseline.jsonl");
    let lines = lines(&bytes);
    assert_eq!(lines.len(), 10);
    for (at, line) in lines.iter().enumerate() {
        let envelope = observation(line);
        assert_eq!((envelope.tick, envelope.dto_schema_version), (at as u64 + 1, OBSERVATION_VERSION));
        let wrapped = Json::parse(line).unwrap();
        assert_eq!(Some(&Json::from_serialize(&envelope).unwrap()), wrapped.get("envelope"));
    }
}

#[test]
fn the_sample_tick_is_read_without_its_wrapper() {
    let bytes = file("docs/architecture_review/WP_NOTES/WP3/dto_sample_tick.json");
    assert_eq!(read_head(&bytes).unwrap().dto_schema_version, Some(OBSERVATION_VERSION));
    let envelope = observation(&bytes);
    assert_eq!(envelope.tick, 5);
    assert_eq!(Json::from_serialize(&envelope).unwrap(), Json::parse(&bytes).unwrap());
}

#[test]
fn agents_with_every_field_are_read_and_written_again() {
    let line = br#"{"tick":1,"dto_schema_version":"0.2.0","agents":[{"agent_id":"ann","map":[[[0.0,1.0],[0.5,0.25]]],"features":[0.5,-1.0],"metadata":{"variant":"hybrid"},"rewards":{"total":0.5},"terminated":false,"position":[3,4],"needs":{"hunger":0.5},"wallet":1.5,"inventory":{"meals":1},"job":{"job_id":"grocer"},"personality":null,"queue_state":{"object_id":"shower_1"},"pending_intent":{"kind":"move"}}],"global":{},"actions":{"ann":{"kind":"wait"}},"terminated":{"ann":false},"termination_reasons":{"ann":""}}"#;
    let envelope = observation(line);
    let agent = &envelope.agents[0];
    assert_eq!(agent.map.as_ref().unwrap()[0][1][1], 0.25);
    assert_eq!(agent.needs.as_ref().unwrap()["hunger"], 0.5);
    assert!(envelope.global.rewards.is_empty());
    let again = Json::from_serialize(&envelope).unwrap();
    assert_eq!(again.read::<ObservationEnvelope>().unwrap(), envelope);
}

#[test]
fn the_dto_forbids_unknown_fields_and_other_versions() {
    for (line, path, kind) in [
        (
            r#"{"tick":1,"dto_schema_version":"0.2.0","agents":[],"global":{"weather":1}}"#,
            "global",
            ReadErrorKind::InvalidField,
        ),
        (
            r#"{"tick":1,"dto_schema_version":"0.3.0","agents":[],"global":{}}"#,
            "dto_schema_version",
            ReadErrorKind::UnsupportedVersion,
        ),
        (r#"{"tick":1,"dto_schema_version":"0.2.0","agents":[]}"#, "global", ReadErrorKind::MissingField),
        (
            r#"{"tick":2,"envelope":{"tick":1,"dto_schema_version":"0.2.0","agents":[],"global":{}}}"#,
            "tick",
            ReadErrorKind::InvalidField,
        ),
        (r#"{"tick":2,"envelope":{"tick":2}}"#, "envelope.dto_schema_version", ReadErrorKind::MissingField),
    ] {
        let error = read_record(line.as_bytes()).expect_err(line);
        assert_eq!((error.path().as_deref(), error.kind()), (Some(path), kind), "{line}: {error}");
    }
}
