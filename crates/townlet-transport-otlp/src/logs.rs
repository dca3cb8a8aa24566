//! Lines as log records.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use townlet_transport::Frame;

use crate::ids::Ids;
use crate::resource::{resource, scope};
use crate::told::Told;
use crate::value::{attribute, body, integer, string};

/// One record for each frame, in order within each run, and what events say beyond
/// that, each with its run. `now` is in nanoseconds since the epoch; `traced` says
/// whether ticks have spans.
pub(crate) fn request(
    part: &[Frame],
    attributes: &[(String, String)],
    now: u64,
    traced: bool,
) -> (ExportLogsServiceRequest, Vec<(String, Told)>) {
    let mut all_told = Vec::new();
    // What an earlier run left in the spill keeps its name; mostly there is one run.
    let mut runs: Vec<(&str, Vec<LogRecord>)> = Vec::new();
    for frame in part {
        let run_id = frame.label().run_id();
        let at = runs.iter().position(|(of, _)| *of == run_id).unwrap_or_else(|| {
            runs.push((run_id, Vec::with_capacity(part.len())));
            runs.len() - 1
        });
        let (record, told) = record(frame, now, traced);
        runs[at].1.push(record);
        all_told.extend(told.map(|told| (run_id.to_owned(), told)));
    }
    let resource_logs = runs
        .into_iter()
        .map(|(run_id, log_records)| ResourceLogs {
            resource: Some(resource(attributes, run_id)),
            scope_logs: vec![ScopeLogs { scope: Some(scope()), log_records, schema_url: String::new() }],
            schema_url: String::new(),
        })
        .collect();
    (ExportLogsServiceRequest { resource_logs }, all_told)
}

fn record(frame: &Frame, now: u64, traced: bool) -> (LogRecord, Option<Told>) {
    let body = body(frame.line());
    let told = (frame.kind() == "event").then(|| Told::read(&body)).flatten();
    let event_name = match named(&body) {
        Some(name) if frame.kind() == "event" => name.to_owned(),
        _ => format!("townlet.{}", frame.kind()),
    };
    let failed = frame.kind() == "failure" || told.as_ref().is_some_and(Told::failed);
    let severity = if failed { SeverityNumber::Error } else { SeverityNumber::Info };
    let ids = match told.as_ref().and_then(|told| told.place) {
        Some((trace, span)) => Some(Ids { trace, span }),
        None => traced.then(|| Ids::tick(frame.label().run_id(), frame.tick())),
    };
    let (trace_id, span_id) = ids.map(|ids| (ids.trace.to_vec(), ids.span.to_vec())).unwrap_or_default();
    let mut attributes = vec![
        attribute("townlet.stream", string(frame.label().stream())),
        attribute("townlet.seq", integer(frame.seq())),
        attribute("townlet.tick", integer(frame.tick())),
        attribute("townlet.kind", string(frame.kind())),
    ];
    attributes.extend(told.iter().flat_map(|told| told.attributes.iter().cloned()));
    let record = LogRecord {
        time_unix_nano: 0,
        observed_time_unix_nano: now,
        severity_number: severity.into(),
        severity_text: if severity == SeverityNumber::Error { "ERROR" } else { "INFO" }.to_owned(),
        body: Some(body),
        attributes,
        trace_id,
        span_id,
        event_name,
        ..LogRecord::default()
    };
    (record, told)
}

/// The name of an event, as its line says it.
fn named(body: &AnyValue) -> Option<&str> {
    let Some(Value::KvlistValue(list)) = &body.value else { return None };
    let event = list.values.iter().find(|kv| kv.key == "event")?;
    match &event.value.as_ref()?.value {
        Some(Value::StringValue(name)) if !name.is_empty() => Some(name),
        _ => None,
    }
}
