//! One thing that is told, as its line has it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::trace::Nanos;

/// What it is about, and by whom. Every record has all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matter {
    pub(super) artifact_id: String,
    pub(super) change_type: &'static str,
    pub(super) status: String,
    pub(super) actor: String,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) trace_id: String,
    pub(super) span_id: String,
}

/// The payload of an event, in the form that `townlet-transport-otlp` knows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Record {
    artifact_id: String,
    change_type: &'static str,
    status: String,
    trace_id: String,
    span_id: String,
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) span: Option<Stretch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metric: Option<Reading>,
    attributes: BTreeMap<String, Value>,
}

/// Attributes as they are written down.
pub(super) type Attributes = Vec<(&'static str, Value)>;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Stretch {
    start_unix_nano: String,
    end_unix_nano: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_span_id: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Reading {
    unit: String,
    value: f64,
    instrument: &'static str,
}

impl Record {
    pub(super) fn new(matter: Matter, place: Place, attributes: Attributes) -> Self {
        let Matter { artifact_id, change_type, status, actor } = matter;
        let Place { trace_id, span_id } = place;
        // What is not known is not told, rather than told as nothing.
        let known = attributes.into_iter().filter(|(_, value)| !value.is_null());
        let attributes = known.map(|(name, value)| (name.to_owned(), value)).collect();
        Self { artifact_id, change_type, status, trace_id, span_id, actor, span: None, metric: None, attributes }
    }

    /// The same as a span.
    pub(super) fn over(mut self, start: Nanos, end: Nanos, parent: Option<String>, ok: bool, message: &str) -> Self {
        self.span = Some(Stretch {
            start_unix_nano: start.0.to_string(),
            end_unix_nano: end.0.max(start.0).to_string(),
            parent_span_id: parent,
            status: if ok { "ok" } else { "error" },
            message: message.to_owned(),
        });
        self
    }

    /// The same as a measurement. Durations are spread over buckets, anything else has a last value.
    pub(super) fn measured(mut self, unit: &str, value: f64) -> Self {
        let instrument = if unit == "s" { "histogram" } else { "gauge" };
        self.metric = Some(Reading { unit: unit.to_owned(), value, instrument });
        self
    }

    /// Puts it into the trace of a caller: what has no span around it is below the caller's.
    pub(super) fn join(&mut self, trace_id: &str, span_id: &str, sampled: bool) {
        if let Some(span) = &mut self.span {
            span.parent_span_id.get_or_insert_with(|| span_id.to_owned());
        }
        let own = std::mem::replace(&mut self.trace_id, trace_id.to_owned());
        self.attributes.insert(super::names::own::RUN_TRACE.to_owned(), own.into());
        if !sampled {
            self.span = None;
        }
    }
}
