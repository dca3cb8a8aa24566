//! From messages to lines.

use std::error::Error;
use std::fmt;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use townlet_schema::Json;

use super::{Encoding, MAX_RUN_ID, Signal};

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

/// A body that is no request of its kind (400).
#[derive(Debug)]
pub struct DecodeError(String);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for DecodeError {}

/// Reads the body of a request, inflated where it came compressed. No line is
/// longer than `max_line_bytes`, its end not included.
///
/// # Errors
/// Where the body is no such message. It says where, and quotes no more than
/// the name of a field.
pub fn receive(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
    max_line_bytes: usize,
) -> Result<Received, DecodeError> {
    let mut out = Writer { received: Received::default(), signal, max_line_bytes };
    match signal {
        Signal::Logs => {
            for of in decode::<ExportLogsServiceRequest>(encoding, body)?.resource_logs {
                for scoped in of.scope_logs {
                    let about = About::new(&of.resource, &of.schema_url, &scoped.scope, &scoped.schema_url);
                    scoped.log_records.iter().for_each(|record| out.write(&about, record, 1));
                }
            }
        }
        Signal::Metrics => {
            for of in decode::<ExportMetricsServiceRequest>(encoding, body)?.resource_metrics {
                for scoped in of.scope_metrics {
                    let about = About::new(&of.resource, &of.schema_url, &scoped.scope, &scoped.schema_url);
                    scoped.metrics.iter().for_each(|metric| out.write(&about, metric, points(metric)));
                }
            }
        }
        Signal::Traces => {
            for of in decode::<ExportTraceServiceRequest>(encoding, body)?.resource_spans {
                for scoped in of.scope_spans {
                    let about = About::new(&of.resource, &of.schema_url, &scoped.scope, &scoped.schema_url);
                    scoped.spans.iter().for_each(|span| out.write(&about, span, 1));
                }
            }
        }
    }
    Ok(out.received)
}

fn decode<M: Message + Default + DeserializeOwned>(encoding: Encoding, body: &[u8]) -> Result<M, DecodeError> {
    match encoding {
        Encoding::Protobuf => M::decode(body).map_err(|error| DecodeError(error.to_string())),
        // An array is no message, although serde would take it for one.
        Encoding::Json if !body.trim_ascii_start().starts_with(b"{") => Err(DecodeError("no JSON object".into())),
        Encoding::Json => serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            // Its own text may quote a value.
            DecodeError(format!("no OTLP/JSON message of this kind, see line {line}, column {column}"))
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
    let id = resource.attributes.iter().find(|attribute| attribute.key == "service.instance.id")?;
    match id.value.as_ref()?.value.as_ref()? {
        Value::StringValue(id) if !id.is_empty() && id.len() <= MAX_RUN_ID => Some(id),
        _ => None,
    }
}

#[derive(Serialize)]
struct Line<'a, R> {
    payload_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
    stream: &'static str,
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

struct Writer {
    received: Received,
    signal: Signal,
    max_line_bytes: usize,
}

impl Writer {
    fn write<R: Serialize>(&mut self, about: &About<'_>, record: &R, count: u64) {
        let line = Line {
            payload_type: match self.signal {
                Signal::Logs => "otlp.log",
                Signal::Metrics => "otlp.metric",
                Signal::Traces => "otlp.span",
            },
            run_id: about.run_id,
            stream: self.signal.stream(),
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
                self.received.taken += count;
            }
            Some(reason) => {
                self.received.lines.truncate(start);
                self.received.rejected += count.max(1);
                self.received.reason.get_or_insert(reason);
            }
        }
    }
}
