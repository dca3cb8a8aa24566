//! Lines and their heads.

use townlet_schema::{
    Kind, LineExtra, LinePrefix, ReadErrorKind, Record, RunId, SchemaVersion, read_head, read_line, read_record,
};

use crate::samples::{failure, health, line, one_of_each, run, snapshot};

#[test]
fn a_line_of_each_kind_reads_back_as_it_was_written() {
    for (kind, line) in one_of_each() {
        let head = read_head(&line).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(head.payload_type, Some(kind));
        assert_eq!(head.schema_version, Some(SchemaVersion::CURRENT));
        assert_eq!(head.run_id.as_deref(), Some(run().as_str()));
        assert_eq!((head.seq, head.tick), (Some(7), Some(42)));
        let read = read_line(&line).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let envelope = read.envelope.expect("an envelope");
        assert_eq!((envelope.payload_type, envelope.seq, envelope.tick), (kind, 7, 42));
        assert_eq!((envelope.base_seq, envelope.rendering), (head.base_seq, head.rendering));
        match (kind, read.record) {
            (Kind::Snapshot, Record::Snapshot(read)) => assert_eq!(*read, snapshot()),
            (Kind::Diff, Record::Diff(read)) => assert_eq!(read, crate::samples::diff()),
            (Kind::Event, Record::Event(read)) => assert_eq!(read.event, "door.opened"),
            (Kind::Health, Record::Health(read)) => assert_eq!(*read, health()),
            (Kind::Failure, Record::Failure(read)) => assert_eq!(*read, failure()),
            (Kind::Console, Record::Console(read)) => assert_eq!(*read, crate::samples::console()),
            (Kind::Narration, Record::Narration(read)) => assert_eq!(read, crate::samples::narration().into()),
            (Kind::Run, Record::Run(read)) => assert_eq!(read, crate::samples::run_marker()),
            (kind, other) => panic!("{kind} was read as {other:?}"),
        }
    }
}

#[test]
fn w23_a_failure_line_carries_version_type_and_envelope() {
    let line = line(&failure(), LineExtra::default());
    assert!(
        line.starts_with(br#"{"schema_version":"1.1.0","payload_type":"failure","run_id":""#),
        "{}",
        String::from_utf8_lossy(&line)
    );
}

#[test]
fn the_summary_of_health_says_the_queue_of_the_transport() {
    let line = line(&health(), LineExtra::default());
    let Record::Health(health) = read_record(&line).unwrap() else { panic!("not health") };
    assert_eq!(health.summary.queue_length, health.transport.queue_length);
}

#[test]
fn the_envelope_has_a_fixed_order_and_only_the_keys_it_needs() {
    let prefix = LinePrefix::new(SchemaVersion::new(1, 0, 0), Kind::Event, &RunId::from_u128(0), "a\"b\n");
    let mut out = b"kept".to_vec();
    prefix.write_line(1, 0, LineExtra::default(), b"{}", &mut out);
    prefix.write_line(u64::MAX, 2, LineExtra { base_seq: Some(3), rendering: Some(0) }, br#"{"x":1}"#, &mut out);
    let expected = concat!(
        r#"kept{"schema_version":"1.0.0","payload_type":"event","run_id":"00000000-0000-0000-0000-000000000000","#,
        r#""stream":"a\"b\n","seq":1,"tick":0}"#,
        "\n",
        r#"{"schema_version":"1.0.0","payload_type":"event","run_id":"00000000-0000-0000-0000-000000000000","#,
        r#""stream":"a\"b\n","seq":18446744073709551615,"tick":2,"base_seq":3,"rendering":0,"x":1}"#,
        "\n",
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_head_is_read_from_lines_of_every_age() {
    let head = read_head(br#" { "tick" : 5 , "schema_version":"0.9.0", "x":[{"tick":"inner"}] } "#).unwrap();
    assert_eq!((head.payload_type, head.tick), (None, Some(5)));
    let head = read_head(br#"{"dto_schema_version":"0.2.0","tick":1}"#).unwrap();
    assert_eq!(head.dto_schema_version, Some(SchemaVersion::new(0, 2, 0)));
    let head = read_head(br#"{"event":"caf\u00e9 \ud83d\ude00"}"#).unwrap();
    assert_eq!(head.event.as_deref(), Some("café 😀"));
    assert_eq!(read_head(b"{}").unwrap(), Default::default());
}

#[test]
fn a_head_with_a_wrong_field_is_refused_by_name() {
    let cases: [(&str, &str, ReadErrorKind); 9] = [
        (r#"{"tick":-1}"#, "tick", ReadErrorKind::InvalidField),
        (r#"{"tick":null}"#, "tick", ReadErrorKind::InvalidField),
        (r#"{"seq":1.0}"#, "seq", ReadErrorKind::InvalidField),
        (r#"{"seq":18446744073709551616}"#, "seq", ReadErrorKind::InvalidField),
        (r#"{"run_id":7}"#, "run_id", ReadErrorKind::InvalidField),
        (r#"{"schema_version":"one"}"#, "schema_version", ReadErrorKind::InvalidField),
        (r#"{"payload_type":"dream"}"#, "payload_type", ReadErrorKind::UnknownKind),
        (r#"{"tick":1,"tick":1}"#, "tick", ReadErrorKind::DuplicateKey),
        (r#"{"seq":1,"se\u0071":1}"#, "seq", ReadErrorKind::DuplicateKey),
    ];
    for (text, field, kind) in cases {
        let error = read_head(text.as_bytes()).expect_err(text);
        assert_eq!((error.kind(), error.path().as_deref()), (kind, Some(field)), "{text}: {error}");
    }
}

#[test]
fn a_current_line_without_part_of_its_envelope_is_refused_by_name() {
    let whole =
        String::from_utf8(line(&crate::samples::diff(), LineExtra { base_seq: Some(6), rendering: None })).unwrap();
    let parts = [
        (r#""payload_type":"diff","#, "payload_type"),
        (r#""run_id":"01932c07-1d3a-7cc2-8f6e-0123456789ab","#, "run_id"),
        (r#""stream":"town","#, "stream"),
        (r#""seq":7,"#, "seq"),
        (r#""tick":42,"#, "tick"),
        (r#""base_seq":6,"#, "base_seq"),
    ];
    for (part, field) in parts {
        let line = whole.replacen(part, "", 1);
        assert_ne!(line, whole, "{part} is not in {whole}");
        let error = read_record(line.as_bytes()).expect_err(field);
        assert_eq!((error.kind(), error.path().as_deref()), (ReadErrorKind::MissingField, Some(field)), "{error}");
    }
}

#[test]
fn fields_of_a_newer_minor_are_ignored_and_wrong_types_are_named() {
    let new = br#"{"schema_version":"1.9.0","payload_type":"snapshot","run_id":"01932c07-1d3a-7cc2-8f6e-0123456789ab","stream":"town","seq":1,"tick":1,"weather":{"rain":true},"utilities":{"power":false,"gas":true}}"#;
    let Record::Snapshot(snapshot) = read_record(new).unwrap() else { panic!("not a snapshot") };
    assert!(!snapshot.utilities.power && snapshot.utilities.water);
    let text = String::from_utf8(new.to_vec()).unwrap();
    for (from, to, path) in [
        (r#""power":false"#, r#""power":0"#, "utilities.power"),
        (r#""weather":{"rain":true}"#, r#""jobs":{"ann":{"wallet":"***"}}"#, "jobs.ann.wallet"),
        (r#""weather":{"rain":true}"#, r#""events":[{"event":"a"},{"tick":1}]"#, "events[1].event"),
    ] {
        let error = read_record(text.replace(from, to).as_bytes()).expect_err(path);
        assert_eq!(error.path().as_deref(), Some(path), "{error}");
    }
}

/// Found by fuzzing: a host's state may have a section of this name, and no reader took its lines.
#[test]
fn a_field_of_the_body_called_event_is_no_event_name_unless_it_is_text() {
    for value in ["[{\"e\":1}]", "{\"tick\":\"x\"}", "7", "null"] {
        let line = format!(
            r#"{{"schema_version":"1.0.0","payload_type":"snapshot","run_id":"01932c07-1d3a-7cc2-8f6e-0123456789ab","stream":"town","seq":1,"event":{value},"tick":4}}"#
        );
        let head = read_head(line.as_bytes()).unwrap();
        assert_eq!((head.event, head.tick), (None, Some(4)), "{line}");
        assert!(read_line(line.as_bytes()).is_ok(), "{line}");

        let event = line.replace("snapshot", "event");
        assert_eq!(read_line(event.as_bytes()).unwrap_err().path().as_deref(), Some("event"), "{event}");
    }
    assert!(read_head(br#"{"event":[1,}"#).is_err());
    assert!(read_head(br#"{"event":1,"event":"x"}"#).is_err());
}
