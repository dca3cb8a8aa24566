//! The readers of a line: `read_head`, `read_line` and `read_record` agree, and what they read can be written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townlet_schema::{
    EncodeErrorKind, Envelope, Kind, Line, LineExtra, LineHead, LinePrefix, ReadError, Record, RunId, SchemaVersion,
    encode_body_into, encode_into, read_head, read_line, read_record,
};

fuzz_target!(|bytes: &[u8]| {
    let (head, line) = (read_head(bytes), read_line(bytes));
    assert_eq!(read_record(bytes), line.clone().map(|line| line.record), "read_record and read_line differ");
    for error in [head.as_ref().err(), line.as_ref().err()].into_iter().flatten() {
        is_presentable(error, bytes);
    }
    let Ok(line) = line else { return };
    let head = head.unwrap_or_else(|error| panic!("read_line takes what read_head refuses: {error}"));
    if let Some(envelope) = &line.envelope {
        says_the_same(&head, envelope);
    }
    if let Some(again) = written(&line) {
        let text = String::from_utf8_lossy(&again);
        let back = read_line(&again).unwrap_or_else(|error| panic!("written and not readable: {error}\n{text}"));
        assert_eq!(back.record, line.record, "written differently: {text}");
        assert_eq!(back.envelope, line.envelope, "written under another envelope: {text}");
        read_head(&again).unwrap_or_else(|error| panic!("written and refused by read_head: {error}\n{text}"));
    }
});

fn is_presentable(error: &ReadError, bytes: &[u8]) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.chars().all(|c| !c.is_control()), "{text:?}");
    assert!(error.offset().is_none_or(|at| at <= bytes.len()), "{text}");
}

fn says_the_same(head: &LineHead<'_>, envelope: &Envelope) {
    assert_eq!(head.schema_version, Some(envelope.schema_version));
    assert_eq!(head.payload_type, Some(envelope.payload_type));
    assert_eq!(head.run_id.as_deref().and_then(|id| id.parse::<RunId>().ok()), Some(envelope.run_id));
    assert_eq!(head.stream.as_deref(), Some(envelope.stream.as_str()));
    assert_eq!((head.seq, head.tick), (Some(envelope.seq), Some(envelope.tick)));
    assert_eq!((head.base_seq, head.rendering), (envelope.base_seq, envelope.rendering));
}

/// The line written from what was read; `None` where the writer says that it is too deep to be written.
fn written(line: &Line) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let encoded = match &line.record {
        // These serialise to whole lines.
        Record::LegacySnapshot(record) => return whole(record),
        Record::LegacyDiff(record) => return whole(record),
        Record::ConsoleSnapshot(record) => return whole(record),
        Record::Observation(record) => return whole(record),
        Record::Snapshot(record) => encode_body_into(record, &mut body),
        Record::Diff(record) => encode_body_into(record, &mut body),
        Record::Event(record) => encode_body_into(record, &mut body),
        Record::Health(record) => encode_body_into(record, &mut body),
        Record::Failure(record) => encode_body_into(record, &mut body),
        Record::LegacyFailure(record) => encode_into(record, &mut body),
        Record::Console(record) => encode_body_into(record, &mut body),
        Record::Narration(record) => encode_body_into(record, &mut body),
        Record::Run(record) => encode_body_into(record, &mut body),
        other => panic!("a record that this target does not know: {other:?}"),
    };
    written_or_too_deep(encoded)?;
    let mut out = Vec::new();
    match &line.envelope {
        Some(envelope) => {
            let Envelope { schema_version, payload_type, run_id, stream, seq, tick, base_seq, rendering } = envelope;
            let extra = LineExtra { base_seq: *base_seq, rendering: *rendering };
            let prefix = LinePrefix::new(*schema_version, *payload_type, run_id, stream);
            prefix.write_line(*seq, *tick, extra, &body, &mut out);
        }
        None => {
            // Before 1.0.0 a line may say its type and nothing else.
            let start =
                format!(r#"{{"schema_version":"{}","payload_type":"{}""#, SchemaVersion::LEGACY, kind(&line.record));
            out.extend_from_slice(start.as_bytes());
            if body.len() > 2 {
                out.push(b',');
            }
            out.extend_from_slice(&body[1..]);
        }
    }
    Some(out)
}

fn whole(record: &impl serde::Serialize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    written_or_too_deep(encode_into(record, &mut out))?;
    Some(out)
}

/// A result of the predecessor's router is put one level deeper than it stood: at the limit it cannot be written.
fn written_or_too_deep(encoded: Result<(), townlet_schema::EncodeError>) -> Option<()> {
    match encoded {
        Ok(()) => Some(()),
        Err(error) if error.kind() == EncodeErrorKind::TooDeep => None,
        Err(error) => panic!("read and not writable: {error}"),
    }
}

fn kind(record: &Record) -> Kind {
    match record {
        Record::Event(_) => Kind::Event,
        Record::Health(_) => Kind::Health,
        Record::Failure(_) | Record::LegacyFailure(_) => Kind::Failure,
        Record::Console(_) => Kind::Console,
        Record::Narration(_) => Kind::Narration,
        Record::Run(_) => Kind::Run,
        other => panic!("a record that has no line without an envelope: {other:?}"),
    }
}
