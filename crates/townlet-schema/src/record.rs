//! Typed records out of lines of any version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::head;
use crate::legacy::{ConsoleSnapshot, LegacyDiff, LegacyFailure, LegacySnapshot};
use crate::observation::{OBSERVATION_VERSION, ObservationEnvelope};
use crate::{
    ConsoleOutcome, ConsoleResult, Diff, EventRecord, Failure, Health, Json, Kind, NarrationRecord, Object, ReadError,
    ReadErrorKind, RunId, RunMarker, SchemaVersion, Snapshot, StateDiff,
};

/// What stands on every line since 1.0.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// Version of the schema.
    pub schema_version: SchemaVersion,
    /// Type of the body.
    pub payload_type: Kind,
    /// Run of the producer: a UUID.
    #[schemars(with = "String", length(equal = 36))]
    pub run_id: RunId,
    /// Name of the sequence within the run.
    pub stream: String,
    /// Place in the stream, from 1, without gaps at the source.
    pub seq: u64,
    /// The host's tick.
    pub tick: u64,
    /// On diffs: the `seq` of the state that the diff applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_seq: Option<u64>,
    /// On keyframes: which rendering of this `seq` it is, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendering: Option<u64>,
}

/// A line, read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Record {
    /// A state, since 1.0.0.
    Snapshot(Box<Snapshot>),
    /// A state of 0.9 or before.
    LegacySnapshot(Box<LegacySnapshot>),
    /// Changed sections, since 1.0.0; what they apply to is in the envelope.
    Diff(Diff),
    /// What changed inside the sections, since 1.1.0; what it applies to is in the envelope.
    StateDiff(Box<StateDiff>),
    /// Changes of 0.9.
    LegacyDiff(Box<LegacyDiff>),
    /// A named event.
    Event(EventRecord),
    /// Health of the loop.
    Health(Box<Health>),
    /// A failed tick, since 1.0.0.
    Failure(Box<Failure>),
    /// A failed tick of 0.9.
    LegacyFailure(Box<LegacyFailure>),
    /// A console command with its result.
    Console(Box<ConsoleResult>),
    /// A sentence.
    Narration(NarrationRecord),
    /// Observations, DTO 0.2.0.
    Observation(Box<ObservationEnvelope>),
    /// The start of a run.
    Run(RunMarker),
    /// What the predecessor's console answered to `telemetry_snapshot`.
    ConsoleSnapshot(Box<ConsoleSnapshot>),
}

/// A record with the envelope around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// None before 1.0.0.
    pub envelope: Option<Envelope>,
    /// The body.
    pub record: Record,
}

/// Reads a line of any version from 0.2.0 up into a typed record.
///
/// Unknown fields are ignored, as a newer minor may have them; on observation
/// envelopes they are refused, as that DTO forbids them. Lines that say neither
/// version nor type are told apart by their fields: `dto_schema_version` (also
/// inside `envelope`) is an observation, `status: "error"` with `error` and
/// `tick` a failure, `name` with `status` or `command` with `result` a console
/// result. Of a line that is read here, [`read_head`](crate::read_head) reads the head.
///
/// # Errors
/// Names the field and the reason, or the byte.
///
/// ```
/// use townlet_schema::{Record, read_record};
///
/// let old = br#"{"schema_version":"0.9.0","tick":3,"jobs":{}}"#;
/// assert!(matches!(read_record(old)?, Record::LegacySnapshot(_)));
///
/// let error = read_record(br#"{"schema_version":"0.9.7","payload_type":"diff","tick":null,"changes":{}}"#).unwrap_err();
/// assert_eq!(error.to_string(), "tick: expected an integer from 0 to 2^64-1, found null");
/// # Ok::<(), townlet_schema::ReadError>(())
/// ```
pub fn read_record(line: &[u8]) -> Result<Record, ReadError> {
    read_line(line).map(|line| line.record)
}

/// As [`read_record`], with the envelope.
///
/// # Errors
/// As [`read_record`].
pub fn read_line(line: &[u8]) -> Result<Line, ReadError> {
    let tree = Json::parse(line)?;
    let Some(object) = tree.as_object() else {
        let message = format!("a line is one object, and this is {}", tree.type_name());
        return Err(ReadError::whole(ReadErrorKind::NotAnObject, message));
    };
    let line = read_tree(&tree, object)?;
    // Last, because a reader of one kind says more of what is wrong with a field than the head does.
    head::check(object)?;
    Ok(line)
}

fn read_tree(tree: &Json, object: &Object) -> Result<Line, ReadError> {
    let Some(version) = object.get("schema_version") else {
        return unversioned(tree, object).map(|record| Line { envelope: None, record });
    };
    let version: SchemaVersion = version.read().map_err(|e| e.within_key("schema_version"))?;
    if !version.is_readable() {
        let (oldest, newest) = (SchemaVersion::OLDEST, SchemaVersion::CURRENT.major);
        let message = format!("there is no reader for {version}: versions from {oldest} to {newest}.x are read");
        return Err(ReadError::field(ReadErrorKind::UnsupportedVersion, "schema_version", message));
    }
    if version.major == 0 {
        return legacy(version, tree, object).map(|record| Line { envelope: None, record });
    }
    let kind = head::kind(object)?.ok_or_else(|| ReadError::missing("payload_type"))?;
    let envelope: Envelope = tree.read()?;
    if kind == Kind::Diff && envelope.base_seq.is_none() {
        return Err(ReadError::missing("base_seq"));
    }
    Ok(Line { envelope: Some(envelope), record: body(kind, tree)? })
}

fn body(kind: Kind, tree: &Json) -> Result<Record, ReadError> {
    Ok(match kind {
        Kind::Snapshot => Record::Snapshot(tree.read()?),
        Kind::Diff => match tree {
            Json::Object(line) if StateDiff::is_body(line) => {
                Record::StateDiff(StateDiff::from_body(line.clone())?.into())
            }
            _ => Record::Diff(tree.read()?),
        },
        Kind::Event => Record::Event(tree.read()?),
        Kind::Health => Record::Health(tree.read()?),
        Kind::Failure => Record::Failure(tree.read()?),
        Kind::Console => Record::Console(tree.read()?),
        Kind::Narration => Record::Narration(tree.read()?),
        Kind::Run => Record::Run(tree.read()?),
    })
}

/// 0.2 to 0.9: an absent type means a snapshot where there is a tick, and a
/// console snapshot where there is none.
fn legacy(version: SchemaVersion, tree: &Json, object: &Object) -> Result<Record, ReadError> {
    Ok(match head::kind(object)? {
        Some(Kind::Diff) => Record::LegacyDiff(LegacyDiff::read(version, object)?.into()),
        Some(Kind::Failure) => Record::LegacyFailure(tree.read()?),
        None if !object.contains_key("tick") => Record::ConsoleSnapshot(ConsoleSnapshot::read(version, object)?.into()),
        None | Some(Kind::Snapshot) => Record::LegacySnapshot(LegacySnapshot::read(version, object)?.into()),
        Some(other) => body(other, tree)?,
    })
}

/// Lines that say no version.
fn unversioned(tree: &Json, object: &Object) -> Result<Record, ReadError> {
    let has = |key: &str| object.contains_key(key);
    let is_error = object.get("status").and_then(Json::as_str) == Some("error");
    if has("dto_schema_version") {
        return observation(tree).map(Record::Observation);
    }
    if let Some(envelope) = object.get("envelope") {
        let observation = observation(envelope).map_err(|e| e.within_key("envelope"))?;
        return match object.get("tick").map(Json::as_u64) {
            Some(tick) if tick != Some(observation.tick) => {
                let message = format!("differs from envelope.tick, which is {}", observation.tick);
                Err(ReadError::field(ReadErrorKind::InvalidField, "tick", message))
            }
            _ => Ok(Record::Observation(observation)),
        };
    }
    if has("name") && has("status") && (has("result") || has("error")) {
        let result = tree.read()?;
        return Ok(Record::Console(ConsoleResult { command: None, result }.into()));
    }
    if is_error && has("error") {
        return Ok(Record::LegacyFailure(tree.read()?));
    }
    if has("command") && has("result") {
        return console(object).map(|result| Record::Console(result.into()));
    }
    Err(ReadError::field(
        ReadErrorKind::MissingField,
        "schema_version",
        "missing, and the line is neither a failure, an observation nor a console result",
    ))
}

fn observation(tree: &Json) -> Result<Box<ObservationEnvelope>, ReadError> {
    let observation: Box<ObservationEnvelope> = tree.read()?;
    if observation.dto_schema_version != OBSERVATION_VERSION {
        let message =
            format!("there is no reader for {}: {OBSERVATION_VERSION} is read", observation.dto_schema_version);
        return Err(ReadError::field(ReadErrorKind::UnsupportedVersion, "dto_schema_version", message));
    }
    Ok(observation)
}

/// A command with what came of it: an outcome, or what the predecessor's router
/// answered, which is the bare result or a bare `{error, message}`.
fn console(object: &Object) -> Result<ConsoleResult, ReadError> {
    let field = |key: &str| object.get(key).ok_or_else(|| ReadError::missing(key));
    let command: crate::ConsoleCommand = field("command")?.read().map_err(|e| e.within_key("command"))?;
    let bare = field("result")?;
    if bare.get("name").is_some() && bare.get("status").is_some() {
        let result = bare.read().map_err(|e| e.within_key("result"))?;
        return Ok(ConsoleResult { command: Some(command), result });
    }
    let code = bare.get("error").and_then(Json::as_str);
    let error = code.map(|code| crate::ConsoleError {
        code: code.to_owned().into(),
        message: bare.get("message").and_then(Json::as_str).unwrap_or_default().to_owned(),
        details: None,
    });
    let result = ConsoleOutcome {
        name: command.name.clone(),
        status: if error.is_some() { "error".into() } else { "ok".into() },
        cmd_id: command.cmd_id.clone(),
        issuer: command.issuer.clone(),
        result: error.is_none().then(|| bare.clone()),
        error,
        ..ConsoleOutcome::default()
    };
    Ok(ConsoleResult { command: Some(command), result })
}
