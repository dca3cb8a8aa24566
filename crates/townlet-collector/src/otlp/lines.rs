//! From messages to lines.

use std::error::Error;
use std::fmt;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use townlet_schema::Json;

use super::empty::with_values;
use super::measure::measure;
use super::{Encoding, MAX_BYTES, MAX_RECORDS, MAX_RUN_ID, Signal};
use crate::store::name::component;

/// What a request held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// A line for each record, span or metric, in order, each with its end.
    pub lines: Vec<u8>,
    /// Log records, spans, or data points in them.
    pub taken: u64,
    /// Log records, spans, or data points that no line can hold.
    pub rejected: u64,
    /// Why the first of them.
    pub reason: Option<String>,
}

/// Why there are no lines. It quotes no more of the body than the name of a field.
#[derive(Debug)]
pub struct DecodeError {
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NoRequest,
    TooMuch,
    NoRoom,
}

impl DecodeError {
    fn no_request(text: impl Into<String>) -> Self {
        Self { kind: Kind::NoRequest, text: text.into() }
    }

    fn too_much(text: impl Into<String>) -> Self {
        Self { kind: Kind::TooMuch, text: text.into() }
    }

    /// True where the request is one, and too much at once (413); false where the
    /// body is no request of its kind (400).
    pub fn is_too_much(&self) -> bool {
        self.kind == Kind::TooMuch
    }

    /// True where others take up the room at the moment.
    pub(crate) fn is_for_later(&self) -> bool {
        self.kind == Kind::NoRoom
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for DecodeError {}

/// What there is for so many more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// They are taken.
    Taken,
    /// Others have it at the moment.
    Later,
    /// There would not be so much even for one alone.
    Never,
}

/// Asked for room before memory is used.
pub(crate) type Rooms<'a> = &'a mut dyn FnMut(usize) -> Room;

/// Reads the body of a request, inflated where it came compressed. No line is
/// longer than `max_line_bytes`, its end not included. There are at most
/// [`MAX_RECORDS`] of them with at most [`MAX_BYTES`] in all, and what they are
/// decoded to takes at most as much again.
///
/// # Errors
/// Where the body is no such message: it says where. Where it is too much: then
/// nothing is taken of it, and the same in parts may be.
pub fn receive(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
    max_line_bytes: usize,
) -> Result<Received, DecodeError> {
    receive_within(signal, encoding, body, max_line_bytes, &mut |_| Room::Taken)
}

/// As [`receive`], where the room has to be asked for.
pub(crate) fn receive_within(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
    max_line_bytes: usize,
    rooms: Rooms<'_>,
) -> Result<Received, DecodeError> {
    let measured = measure(signal, encoding, body);
    if measured.records > MAX_RECORDS {
        return Err(too_many());
    }
    if measured.bytes > MAX_BYTES {
        return Err(DecodeError::too_much(format!("decoded, the request takes more than {MAX_BYTES} bytes")));
    }
    ask(rooms, measured.bytes)?;
    let mut out = Writer { received: Received::default(), records: 0, signal, max_line_bytes, rooms };
    match signal {
        Signal::Logs => {
            for of in decode::<ExportLogsServiceRequest>(encoding, body)?.resource_logs {
                for scoped in of.scope_logs {
                    let about = About::new(&of.resource, &of.schema_url, &scoped.scope, &scoped.schema_url);
                    let mut write = |record| out.write(&about, Numbered::of(record).as_ref(), record, 1);
                    scoped.log_records.iter().try_for_each(&mut write)?;
                }
            }
        }
        Signal::Metrics => {
            for of in decode::<ExportMetricsServiceRequest>(encoding, body)?.resource_metrics {
                for scoped in of.scope_metrics {
                    let about = About::new(&of.resource, &of.schema_url, &scoped.scope, &scoped.schema_url);
                    scoped.metrics.iter().try_for_each(|metric| out.write(&about, None, metric, points(metric)))?;
                }
            }
        }
        Signal::Traces => {
            for of in decode::<ExportTraceServiceRequest>(encoding, body)?.resource_spans {
                for scoped in of.scope_spans {
                    let about = About::new(&of.resource, &of.schema_url, &scoped.scope, &scoped.schema_url);
                    scoped.spans.iter().try_for_each(|span| out.write(&about, None, span, 1))?;
                }
            }
        }
    }
    Ok(out.received)
}

fn too_many() -> DecodeError {
    DecodeError::too_much(format!("a request may have {MAX_RECORDS} records"))
}

fn ask(rooms: Rooms<'_>, bytes: usize) -> Result<(), DecodeError> {
    match rooms(bytes) {
        Room::Taken => Ok(()),
        Room::Later => {
            Err(DecodeError { kind: Kind::NoRoom, text: "too many bytes of requests at a time; come again".to_owned() })
        }
        Room::Never => Err(DecodeError::too_much("decoded, the request takes more than there is room for")),
    }
}

fn decode<M: Message + Default + DeserializeOwned>(encoding: Encoding, body: &[u8]) -> Result<M, DecodeError> {
    match encoding {
        Encoding::Protobuf => M::decode(body).map_err(|error| DecodeError::no_request(error.to_string())),
        // An array is no message, although serde would take it for one.
        Encoding::Json if !body.trim_ascii_start().starts_with(b"{") => Err(DecodeError::no_request("no JSON object")),
        Encoding::Json => serde_json::from_slice(&with_values(body)).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            // Its own text may quote a value.
            DecodeError::no_request(format!("no OTLP/JSON message of this kind, see line {line}, column {column}"))
        }),
    }
}

fn points(metric: &Metric) -> u64 {
    let count = match &metric.data {
        None => 0,
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
    };
    count as u64
}

/// What the records of one scope have in common.
struct About<'a> {
    run_id: Option<&'a str>,
    resource: Option<&'a Resource>,
    resource_schema_url: &'a str,
    scope: Option<&'a InstrumentationScope>,
    scope_schema_url: &'a str,
}

impl<'a> About<'a> {
    fn new(
        resource: &'a Option<Resource>,
        resource_schema_url: &'a str,
        scope: &'a Option<InstrumentationScope>,
        scope_schema_url: &'a str,
    ) -> Self {
        let resource = resource.as_ref();
        let run_id = resource.and_then(instance);
        Self { run_id, resource, resource_schema_url, scope: scope.as_ref(), scope_schema_url }
    }
}

fn instance(resource: &Resource) -> Option<&str> {
    match value_of(&resource.attributes, "service.instance.id")? {
        Value::StringValue(id) if !id.is_empty() && id.len() <= MAX_RUN_ID => Some(id),
        _ => None,
    }
}

/// What a record of our own sender says of its place, so that one that is sent twice
/// is stored once.
struct Numbered {
    stream: String,
    seq: i64,
    tick: Option<i64>,
    rendering: Option<i64>,
}

impl Numbered {
    fn of(record: &LogRecord) -> Option<Self> {
        let attribute = |name| value_of(&record.attributes, name);
        let Some(Value::StringValue(stream)) = attribute("townlet.stream") else { return None };
        let seq = attribute("townlet.seq").and_then(number).filter(|seq| *seq > 0)?;
        let stream = format!("{}.{stream}", Signal::Logs.stream());
        // One that makes no name of a file is stored with the others.
        component(&stream)?;
        let line = match record.body.as_ref().and_then(|body| body.value.as_ref()) {
            Some(Value::KvlistValue(line)) => line.values.as_slice(),
            _ => &[],
        };
        let rendering = value_of(line, "rendering").and_then(number);
        Some(Self { stream, seq, tick: attribute("townlet.tick").and_then(number), rendering })
    }
}

fn value_of<'a>(pairs: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    pairs.iter().find(|pair| pair.key == name)?.value.as_ref()?.value.as_ref()
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::IntValue(number) => Some(*number).filter(|number| *number >= 0),
        _ => None,
    }
}

#[derive(Serialize)]
struct Line<'a, R> {
    payload_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
    stream: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tick: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rendering: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a Resource>,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource_schema_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a InstrumentationScope>,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope_schema_url: &'a str,
    record: &'a R,
}

struct Writer<'a> {
    received: Received,
    records: usize,
    signal: Signal,
    max_line_bytes: usize,
    rooms: Rooms<'a>,
}

impl Writer<'_> {
    fn write<R: Serialize>(
        &mut self,
        about: &About<'_>,
        numbered: Option<&Numbered>,
        record: &R,
        count: u64,
    ) -> Result<(), DecodeError> {
        self.records += 1;
        if self.records > MAX_RECORDS {
            return Err(too_many());
        }
        let line = Line {
            payload_type: match self.signal {
                Signal::Logs => "otlp.log",
                Signal::Metrics => "otlp.metric",
                Signal::Traces => "otlp.span",
            },
            run_id: about.run_id,
            stream: numbered.map_or(self.signal.stream(), |numbered| &numbered.stream),
            seq: numbered.map(|numbered| numbered.seq),
            tick: numbered.and_then(|numbered| numbered.tick),
            rendering: numbered.and_then(|numbered| numbered.rendering),
            resource: about.resource,
            resource_schema_url: about.resource_schema_url,
            scope: about.scope,
            scope_schema_url: about.scope_schema_url,
            record,
        };
        let start = self.received.lines.len();
        let reason = match Json::from_serialize(&line) {
            Ok(json) => {
                json.write(&mut self.received.lines);
                let length = self.received.lines.len() - start;
                (length > self.max_line_bytes).then(|| format!("a line of {length} bytes is above the limit"))
            }
            Err(error) => Some(error.to_string()),
        };
        match reason {
            None => {
                self.received.lines.push(b'\n');
                // What a resource or a scope says stands in every line: little can become much.
                if self.received.lines.len() > MAX_BYTES {
                    return Err(DecodeError::too_much(format!("the lines of a request may have {MAX_BYTES} bytes")));
                }
                ask(self.rooms, self.received.lines.len() - start)?;
                self.received.taken += count;
            }
            Some(reason) => {
                self.received.lines.truncate(start);
                self.received.rejected += count.max(1);
                self.received.reason.get_or_insert(reason);
            }
        }
        Ok(())
    }
}
