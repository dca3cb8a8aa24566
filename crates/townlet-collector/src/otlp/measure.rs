//! How much a message takes once it is decoded, before it is.
//!
//! Two bytes of protobuf can be a whole record, and a record takes hundreds of
//! bytes of memory: some megabytes could become gigabytes.

use std::mem::size_of;

use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, SummaryDataPoint, summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};

use super::{Encoding, Signal};

/// What an object of JSON is taken for: nearly the largest message.
const OBJECT: usize = 256;

/// prost stops at 100.
const DEEPEST: usize = 100;

/// What a body will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// Records, spans or metrics. 0 for JSON, where only decoding tells.
    pub(super) records: usize,
    /// Bytes beyond those of the body itself.
    pub(super) bytes: usize,
}

/// Measures `body`. What is broken is measured up to there: decoding will say so.
pub(super) fn measure(signal: Signal, encoding: Encoding, body: &[u8]) -> Measured {
    let mut measured = Measured::default();
    match encoding {
        Encoding::Protobuf => drop(walk(Kind::Request(signal), body, DEEPEST, &mut measured)),
        Encoding::Json => measured.bytes = objects(body).saturating_mul(OBJECT),
    }
    measured
}

/// Braces that open outside of texts.
fn objects(body: &[u8]) -> usize {
    let (mut count, mut text, mut escaped) = (0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'{' if !text => count += 1,
            _ => {}
        }
    }
    count
}

/// The messages of OTLP that can be many, or lead to some.
#[derive(Clone, Copy)]
enum Kind {
    Request(Signal),
    Resources(Signal),
    Scopes(Signal),
    Resource,
    Scope,
    Record(Signal),
    Reference,
    Pair,
    Value,
    List,
    Pairs,
    Event,
    Link,
    Data(Point),
    Point(Point),
    Buckets,
    Quantile,
    Exemplar,
    /// A number of one byte in a packed list takes eight.
    Packed,
    /// A text of a list.
    Text,
}

#[derive(Clone, Copy)]
enum Point {
    Number,
    Histogram,
    Exponential,
    Summary,
}

impl Kind {
    /// What the field with this number is, by opentelemetry-proto 1.x.
    fn field(self, number: u32) -> Option<Self> {
        Some(match (self, number) {
            (Self::Request(signal), 1) => Self::Resources(signal),
            (Self::Resources(_), 1) => Self::Resource,
            (Self::Resources(signal), 2) => Self::Scopes(signal),
            (Self::Scopes(_), 1) => Self::Scope,
            (Self::Scopes(signal), 2) => Self::Record(signal),
            (Self::Resource, 3) => Self::Reference,
            (Self::Reference, 3 | 4) => Self::Text,
            (Self::Resource | Self::Pairs, 1)
            | (Self::Scope | Self::Event, 3)
            | (Self::Link, 4)
            | (Self::Record(Signal::Logs), 6)
            | (Self::Record(Signal::Traces), 9)
            | (Self::Record(Signal::Metrics), 12)
            | (Self::Exemplar | Self::Point(Point::Number | Point::Summary), 7)
            | (Self::Point(Point::Histogram), 9)
            | (Self::Point(Point::Exponential), 1) => Self::Pair,
            (Self::Record(Signal::Logs), 5) | (Self::Pair, 2) | (Self::List, 1) => Self::Value,
            (Self::Value, 5) => Self::List,
            (Self::Value, 6) => Self::Pairs,
            (Self::Record(Signal::Traces), 11) => Self::Event,
            (Self::Record(Signal::Traces), 13) => Self::Link,
            (Self::Record(Signal::Metrics), 5 | 7) => Self::Data(Point::Number),
            (Self::Record(Signal::Metrics), 9) => Self::Data(Point::Histogram),
            (Self::Record(Signal::Metrics), 10) => Self::Data(Point::Exponential),
            (Self::Record(Signal::Metrics), 11) => Self::Data(Point::Summary),
            (Self::Data(point), 1) => Self::Point(point),
            (Self::Point(Point::Number), 5)
            | (Self::Point(Point::Histogram), 8)
            | (Self::Point(Point::Exponential), 11) => Self::Exemplar,
            (Self::Point(Point::Summary), 6) => Self::Quantile,
            (Self::Point(Point::Exponential), 8 | 9) => Self::Buckets,
            (Self::Buckets, 2) => Self::Packed,
            _ => return None,
        })
    }

    /// What one of them takes of memory.
    fn size(self, length: usize) -> usize {
        match self {
            Self::Request(_) | Self::Resource | Self::Scope | Self::Data(_) | Self::Buckets => 0,
            Self::Resources(Signal::Logs) => size_of::<ResourceLogs>(),
            Self::Resources(Signal::Metrics) => size_of::<ResourceMetrics>(),
            Self::Resources(Signal::Traces) => size_of::<ResourceSpans>(),
            Self::Scopes(Signal::Logs) => size_of::<ScopeLogs>(),
            Self::Scopes(Signal::Metrics) => size_of::<ScopeMetrics>(),
            Self::Scopes(Signal::Traces) => size_of::<ScopeSpans>(),
            Self::Record(Signal::Logs) => size_of::<LogRecord>(),
            Self::Record(Signal::Metrics) => size_of::<Metric>(),
            Self::Record(Signal::Traces) => size_of::<Span>(),
            Self::Reference => size_of::<EntityRef>(),
            Self::Text => size_of::<String>(),
            Self::Pair => size_of::<KeyValue>(),
            Self::Value | Self::List | Self::Pairs => size_of::<AnyValue>(),
            Self::Event => size_of::<Event>(),
            Self::Link => size_of::<Link>(),
            Self::Point(Point::Number) => size_of::<NumberDataPoint>(),
            Self::Point(Point::Histogram) => size_of::<HistogramDataPoint>(),
            Self::Point(Point::Exponential) => size_of::<ExponentialHistogramDataPoint>(),
            Self::Point(Point::Summary) => size_of::<SummaryDataPoint>(),
            Self::Quantile => size_of::<ValueAtQuantile>(),
            Self::Exemplar => size_of::<Exemplar>(),
            Self::Packed => length.saturating_mul(size_of::<u64>()),
        }
    }
}

/// None where it cannot go on.
fn walk(kind: Kind, mut body: &[u8], depth: usize, sum: &mut Measured) -> Option<()> {
    while body.has_remaining() {
        let (number, wire) = decode_key(&mut body).ok()?;
        let length = match wire {
            WireType::Varint => {
                decode_varint(&mut body).ok()?;
                // A number that stands for itself where a list may be packed.
                sum.bytes += kind.field(number).map_or(0, |field| field.size(1));
                continue;
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => usize::try_from(decode_varint(&mut body).ok()?).ok()?,
            // Groups are not in OTLP; prost reads over them.
            WireType::StartGroup | WireType::EndGroup => continue,
        };
        let (inner, rest) = body.split_at_checked(length)?;
        body = rest;
        if wire == WireType::LengthDelimited
            && let Some(field) = kind.field(number)
        {
            sum.bytes = sum.bytes.saturating_add(field.size(length));
            sum.records += usize::from(matches!(field, Kind::Record(_)));
            if !matches!(field, Kind::Packed | Kind::Text) {
                walk(field, inner, depth.checked_sub(1)?, sum)?;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Traces;
    use prost::Message;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn measured<M: Message + DeserializeOwned>(signal: Signal, value: &Value) -> Measured {
        let message: M = serde_json::from_value(value.clone()).unwrap();
        measure(signal, Encoding::Protobuf, &message.encode_to_vec())
    }

    #[test]
    fn every_list_of_the_messages_is_counted() {
        let pair = json!({"key": "k", "value": {"intValue": "1"}});
        let many = |one: &Value| Value::Array(vec![one.clone(); 50]);
        let logs = |record: Value, resource: Value| json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]});
        let metrics = |metric: Value| json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]});
        let spans = |span: Value| json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
        let least = measured::<Logs>(Signal::Logs, &logs(json!({}), json!({})));
        assert_eq!(least.records, 1);
        let floor = 50 * size_of::<u64>();
        for (name, value) in [
            ("resource", logs(json!({}), json!({"attributes": many(&pair)}))),
            ("attributes", logs(json!({"attributes": many(&pair)}), json!({}))),
            ("values", logs(json!({"body": {"arrayValue": {"values": many(&json!({"intValue": "1"}))}}}), json!({}))),
            ("pairs", logs(json!({"body": {"kvlistValue": {"values": many(&pair)}}}), json!({}))),
        ] {
            let sum = measured::<Logs>(Signal::Logs, &value);
            assert!(sum.bytes >= least.bytes + 50 * size_of::<AnyValue>(), "{name}: {sum:?}");
        }
        for (name, value) in [
            ("gauge", json!({"gauge": {"dataPoints": many(&json!({}))}})),
            ("sum", json!({"sum": {"dataPoints": many(&json!({})), "aggregationTemporality": 2, "isMonotonic": true}})),
            ("exemplars", json!({"gauge": {"dataPoints": [{"exemplars": many(&json!({}))}]}})),
            ("summary", json!({"summary": {"dataPoints": many(&json!({}))}})),
            ("metadata", json!({"metadata": many(&pair)})),
        ] {
            let sum = measured::<Metrics>(Signal::Metrics, &metrics(value));
            assert!(sum.bytes > floor * 3 && sum.records == 1, "{name}: {sum:?}");
        }
        for (name, value) in [
            ("attributes", json!({"attributes": many(&pair)})),
            ("events", json!({"events": many(&json!({}))})),
            ("links", json!({"links": many(&json!({}))})),
        ] {
            let sum = measured::<Traces>(Signal::Traces, &spans(value));
            assert!(sum.bytes > floor * 4 && sum.records == 1, "{name}: {sum:?}");
        }
    }

    #[test]
    fn braces_in_texts_are_no_objects_and_what_is_broken_is_measured_up_to_there() {
        assert_eq!(objects(br#"{"a":"{\"{","b":[{},{"c":{}}]}"#), 4);
        assert_eq!(objects(b"{\"{{{"), 1);
        let torn = [0x0a, 0x08, 0x12, 0x06, 0x12, 0x00, 0x12, 0x00, 0x12];
        assert_eq!(measure(Signal::Logs, Encoding::Protobuf, &torn).records, 0, "its length is not there");
        let whole = [0x0a, 0x06, 0x12, 0x04, 0x12, 0x00, 0x12, 0x00, 0xff];
        assert_eq!(measure(Signal::Logs, Encoding::Protobuf, &whole).records, 2);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_odd(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            for signal in Signal::ALL {
                for encoding in [Encoding::Protobuf, Encoding::Json] {
                    measure(signal, encoding, &body);
                }
            }
        }
    }
}
