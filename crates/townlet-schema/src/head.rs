//! The envelope of a line, without a tree.

mod reader;

use std::borrow::Cow;

pub use self::reader::HeadReader;

use crate::encode::MAX_DEPTH;
use crate::error::{ReadError, ReadErrorKind};
use crate::json::MAX_LINE_BYTES;
use crate::json::parse::{duplicate, key, too_deep};
use crate::json::scan::{NumberText, Scanner};
use crate::{Kind, Object, SchemaVersion};

/// What the envelope of a line says. Every key may be absent: older versions
/// have few of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineHead<'a> {
    /// `schema_version`; absent on the predecessor's failure lines and observations.
    pub schema_version: Option<SchemaVersion>,
    /// `payload_type`; absent means a snapshot where there is a tick.
    pub payload_type: Option<Kind>,
    /// `run_id`, as written.
    pub run_id: Option<Cow<'a, str>>,
    /// `stream`.
    pub stream: Option<Cow<'a, str>>,
    /// `seq`, from 1 within the stream.
    pub seq: Option<u64>,
    /// `tick` of the host.
    pub tick: Option<u64>,
    /// `base_seq`, on diffs.
    pub base_seq: Option<u64>,
    /// `rendering`, on keyframes.
    pub rendering: Option<u64>,
    /// `dto_schema_version`, on observation envelopes.
    pub dto_schema_version: Option<SchemaVersion>,
    /// `event`, the name on event lines; none where it is no text, which on other lines a body may have.
    pub event: Option<Cow<'a, str>>,
}

/// Reads the envelope and checks that the whole line is one valid JSON object.
///
/// Builds no tree. Keys of the envelope must not stand twice; other duplicates
/// are found by [`read_record`](crate::read_record) and
/// [`Json::parse`](crate::Json::parse) only, and numbers beyond the range of a
/// float likewise.
///
/// # Errors
/// The byte or the field at fault; [`UnknownKind`](ReadErrorKind::UnknownKind)
/// for a `payload_type` of a later version.
pub fn read_head(line: &[u8]) -> Result<LineHead<'_>, ReadError> {
    read_from(line, Start::default()).map(|(head, _)| head)
}

/// Where reading begins: behind what is known to be there, with what that says.
#[derive(Default)]
struct Start<'a> {
    /// The first byte of a key.
    at: usize,
    head: LineHead<'a>,
    seen: u16,
}

/// Where the keys end that lines of one stream have in common.
struct Opening {
    end: usize,
    seen: u16,
}

/// As [`read_head`], from `start` on. Tells how far the keys go that name the stream, where others follow them.
fn read_from<'a>(line: &'a [u8], start: Start<'a>) -> Result<(LineHead<'a>, Option<Opening>), ReadError> {
    let mut scanner = Scanner::new(line, MAX_LINE_BYTES)?;
    let Start { at, mut head, mut seen } = start;
    scanner.at = at;
    if at == 0 {
        if scanner.next_token() != Some(b'{') {
            return Err(not_an_object(&mut scanner));
        }
        scanner.at += 1;
        if scanner.next_token() == Some(b'}') {
            scanner.at += 1;
            scanner.end()?;
            return Ok((head, None));
        }
    } else {
        scanner.next_token();
    }
    let mut opening = None;
    loop {
        let at = scanner.at;
        let span = key(&mut scanner)?;
        let known =
            if span.escaped { field(&scanner.unescape(span)) } else { field(scanner.slice(span.start, span.end)) };
        if opening.is_none() && !known.is_some_and(Field::names_the_stream) {
            opening = Some(Opening { end: at, seen });
        }
        match known {
            None => skip_value(&mut scanner)?,
            Some(field) => {
                let bit = 1 << field as u16;
                if seen & bit != 0 {
                    return Err(duplicate(field.name(), at));
                }
                seen |= bit;
                field.read(&mut scanner, &mut head).map_err(|e| e.within_key(field.name()))?;
            }
        }
        match scanner.next_token() {
            Some(b',') => {
                scanner.at += 1;
                scanner.next_token();
            }
            Some(b'}') => {
                scanner.at += 1;
                break;
            }
            _ => return Err(scanner.syntax("',' or '}'")),
        }
    }
    scanner.end()?;
    Ok((head, opening))
}

/// Refuses what [`read_head`] would refuse in a line that has been read into a tree, so that whatever is read typed
/// has a head. Unknown fields are ignored in bodies; the keys of a head are never unknown.
pub(crate) fn check(line: &Object) -> Result<(), ReadError> {
    for (key, value) in line.iter() {
        let Some(field) = field(key) else { continue };
        let expected = match field {
            Field::SchemaVersion | Field::DtoSchemaVersion => {
                value.read::<SchemaVersion>().map_err(|e| e.within_key(key))?;
                continue;
            }
            Field::PayloadType => {
                kind(line)?;
                continue;
            }
            Field::Event => continue,
            Field::RunId | Field::Stream if value.as_str().is_some() => continue,
            Field::RunId | Field::Stream => "a string",
            Field::Seq | Field::Tick | Field::BaseSeq | Field::Rendering if value.as_u64().is_some() => continue,
            Field::Seq | Field::Tick | Field::BaseSeq | Field::Rendering => "an integer from 0 to 2^64-1",
        };
        let message = format!("expected {expected}, found {}", value.type_name());
        return Err(ReadError::field(ReadErrorKind::InvalidField, key, message));
    }
    Ok(())
}

/// The `payload_type` of a line that has been read into a tree.
pub(crate) fn kind(line: &Object) -> Result<Option<Kind>, ReadError> {
    let Some(kind) = line.get("payload_type") else { return Ok(None) };
    let Some(name) = kind.as_str() else {
        let message = format!("expected a string, found {}", kind.type_name());
        return Err(ReadError::field(ReadErrorKind::InvalidField, "payload_type", message));
    };
    name.parse()
        .map(Some)
        .map_err(|e: crate::KindError| ReadError::field(ReadErrorKind::UnknownKind, "payload_type", e.to_string()))
}

#[cold]
fn not_an_object(scanner: &mut Scanner<'_>) -> ReadError {
    let (at, error) = (scanner.at, scanner.syntax("an object"));
    match skip_value(scanner).and_then(|()| scanner.end()) {
        Ok(()) => ReadError::at(ReadErrorKind::NotAnObject, at, "a line is one object, and this is another value"),
        Err(_) => error,
    }
}

/// The keys that a head has.
#[derive(Clone, Copy)]
enum Field {
    SchemaVersion,
    PayloadType,
    RunId,
    Stream,
    Seq,
    Tick,
    BaseSeq,
    Rendering,
    DtoSchemaVersion,
    Event,
}

#[inline]
fn field(key: &str) -> Option<Field> {
    Some(match key {
        "schema_version" => Field::SchemaVersion,
        "payload_type" => Field::PayloadType,
        "run_id" => Field::RunId,
        "stream" => Field::Stream,
        "seq" => Field::Seq,
        "tick" => Field::Tick,
        "base_seq" => Field::BaseSeq,
        "rendering" => Field::Rendering,
        "dto_schema_version" => Field::DtoSchemaVersion,
        "event" => Field::Event,
        _ => return None,
    })
}

impl Field {
    /// Alike on all lines of a stream, and written before all others.
    fn names_the_stream(self) -> bool {
        matches!(self, Self::SchemaVersion | Self::PayloadType | Self::RunId | Self::Stream)
    }

    fn name(self) -> &'static str {
        match self {
            Self::SchemaVersion => "schema_version",
            Self::PayloadType => "payload_type",
            Self::RunId => "run_id",
            Self::Stream => "stream",
            Self::Seq => "seq",
            Self::Tick => "tick",
            Self::BaseSeq => "base_seq",
            Self::Rendering => "rendering",
            Self::DtoSchemaVersion => "dto_schema_version",
            Self::Event => "event",
        }
    }

    fn read<'a>(self, scanner: &mut Scanner<'a>, head: &mut LineHead<'a>) -> Result<(), ReadError> {
        match self {
            Self::SchemaVersion => head.schema_version = Some(version(scanner)?),
            Self::DtoSchemaVersion => head.dto_schema_version = Some(version(scanner)?),
            Self::PayloadType => {
                let name = text(scanner)?;
                let kind = name.parse();
                head.payload_type = Some(
                    kind.map_err(|e: crate::KindError| ReadError::whole(ReadErrorKind::UnknownKind, e.to_string()))?,
                );
            }
            Self::RunId => head.run_id = Some(text(scanner)?),
            Self::Stream => head.stream = Some(text(scanner)?),
            Self::Seq => head.seq = Some(integer(scanner)?),
            Self::Tick => head.tick = Some(integer(scanner)?),
            Self::BaseSeq => head.base_seq = Some(integer(scanner)?),
            Self::Rendering => head.rendering = Some(integer(scanner)?),
            // On lines that are no events it is a field of the body like any other.
            Self::Event if scanner.next_token() != Some(b'"') => skip_value(scanner)?,
            Self::Event => head.event = Some(text(scanner)?),
        }
        Ok(())
    }
}

fn text<'a>(scanner: &mut Scanner<'a>) -> Result<Cow<'a, str>, ReadError> {
    if scanner.next_token() != Some(b'"') {
        return Err(wrong_type(scanner, "a string"));
    }
    let span = scanner.string()?;
    Ok(scanner.unescape(span))
}

fn version(scanner: &mut Scanner<'_>) -> Result<SchemaVersion, ReadError> {
    let text = text(scanner)?;
    text.parse().map_err(|e: crate::VersionError| ReadError::whole(ReadErrorKind::InvalidField, e.to_string()))
}

fn integer(scanner: &mut Scanner<'_>) -> Result<u64, ReadError> {
    if !matches!(scanner.next_token(), Some(b'0'..=b'9')) {
        return Err(wrong_type(scanner, "an integer from 0 to 2^64-1"));
    }
    let start = scanner.at;
    let shape = scanner.number()?;
    let value = scanner.slice(start, scanner.at).parse();
    match (shape, value) {
        (NumberText::Integer, Ok(value)) => Ok(value),
        _ => Err(ReadError::at(ReadErrorKind::InvalidField, start, "expected an integer from 0 to 2^64-1")),
    }
}

#[cold]
fn wrong_type(scanner: &mut Scanner<'_>, expected: &str) -> ReadError {
    let (at, error) = (scanner.at, scanner.syntax(expected));
    match skip_value(scanner) {
        Ok(()) => ReadError::at(ReadErrorKind::InvalidField, at, format!("expected {expected}")),
        Err(_) => error,
    }
}

/// Walks over one value inside the top-level object. The stack of brackets is
/// a bit a level, so that no input can make it grow.
fn skip_value(scanner: &mut Scanner<'_>) -> Result<(), ReadError> {
    const { assert!(MAX_DEPTH <= 128, "one bit a level") };
    let mut objects = 0u128;
    let mut depth = 0;
    loop {
        // A value is due.
        match scanner.next_token() {
            Some(b'"') => {
                scanner.string()?;
            }
            Some(bracket @ (b'{' | b'[')) => {
                // The top-level object is a level of its own.
                if depth + 1 == MAX_DEPTH {
                    return Err(too_deep(scanner.at));
                }
                let is_object = bracket == b'{';
                scanner.at += 1;
                depth += 1;
                objects = (objects << 1) | u128::from(is_object);
                let close = if is_object { b'}' } else { b']' };
                if scanner.next_token() != Some(close) {
                    if is_object {
                        key(scanner)?;
                    }
                    continue;
                }
                scanner.at += 1;
                depth -= 1;
                objects >>= 1;
            }
            Some(b'-' | b'0'..=b'9') => {
                scanner.number()?;
            }
            Some(b't') => scanner.word("true")?,
            Some(b'f') => scanner.word("false")?,
            Some(b'n') => scanner.word("null")?,
            _ => return Err(scanner.syntax("a value")),
        }
        // A value has ended: close what ends with it.
        loop {
            if depth == 0 {
                return Ok(());
            }
            let in_object = objects & 1 == 1;
            match scanner.next_token() {
                Some(b',') => {
                    scanner.at += 1;
                    if in_object {
                        key(scanner)?;
                    }
                    break;
                }
                Some(b'}') if in_object => {}
                Some(b']') if !in_object => {}
                _ => return Err(scanner.syntax(if in_object { "',' or '}'" } else { "',' or ']'" })),
            }
            scanner.at += 1;
            depth -= 1;
            objects >>= 1;
        }
    }
}
