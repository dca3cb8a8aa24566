//! Ticks, requests and what events tell of as spans, waiting to be published.

use std::collections::VecDeque;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde::Deserialize;
use townlet_transport::{ErrorKind, Frame};

use crate::ids::Ids;
use crate::resource::{resource, scope};
use crate::told::Told;
use crate::value::{attribute, integer, string};

/// No more wait.
const ROOM: usize = 2048;

/// No more in one request.
pub(crate) const PER_REQUEST: usize = 512;

/// The longest text of an error in a span.
const LONGEST: usize = 256;

/// What a health or failure line says of its tick.
#[derive(Deserialize)]
struct Tick {
    duration_ms: f64,
    error: Option<String>,
}

/// One request that carried records, when it is over.
#[derive(Clone, Debug)]
pub(crate) struct Flush {
    /// In nanoseconds since the epoch.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) records: u64,
    /// Of the body, compressed where it is.
    pub(crate) bytes: u64,
    pub(crate) status: Option<u16>,
    pub(crate) failed: Option<ErrorKind>,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Spans that wait, oldest first, each with its run.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    waiting: VecDeque<(String, Span)>,
    flushes: u64,
}

impl Spans {
    /// Remembers the ticks that these lines tell of; true of each that had no room.
    pub(crate) fn ticks(&mut self, part: &[Frame], now: u64) -> u64 {
        let told = part.iter().filter(|frame| matches!(frame.kind(), "health" | "failure"));
        told.map(|frame| self.tick(frame, now)).sum()
    }

    fn tick(&mut self, frame: &Frame, now: u64) -> u64 {
        let Ok(tick) = serde_json::from_slice::<Tick>(frame.line()) else { return 0 };
        if !tick.duration_ms.is_finite() || tick.duration_ms < 0.0 {
            return 0;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "finite, not negative, and the cast saturates"
        )]
        let took = (tick.duration_ms * 1e6) as u64;
        let ids = Ids::tick(frame.label().run_id(), frame.tick());
        let message = tick.error.unwrap_or_default().chars().take(LONGEST).collect();
        let status = (frame.kind() == "failure").then(|| Status { message, code: StatusCode::Error.into() });
        let span = Span {
            trace_id: ids.trace.to_vec(),
            span_id: ids.span.to_vec(),
            name: "tick".into(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: now.saturating_sub(took),
            end_time_unix_nano: now,
            attributes: vec![
                attribute("townlet.tick", integer(frame.tick())),
                attribute("townlet.stream", string(frame.label().stream())),
                attribute("townlet.seq", integer(frame.seq())),
            ],
            status,
            ..Span::default()
        };
        self.push(frame.label().run_id(), span)
    }

    /// Remembers a request; 1 where an older span had to make room.
    pub(crate) fn flush(&mut self, run_id: &str, flush: &Flush) -> u64 {
        self.flushes += 1;
        let ids = Ids::flush(run_id, flush.start, self.flushes);
        // By the semantic conventions of HTTP clients.
        let mut attributes = vec![
            attribute("http.request.method", string("POST")),
            attribute("server.address", string(flush.host.as_str())),
            attribute("server.port", integer(flush.port.into())),
            attribute("http.request.body.size", integer(flush.bytes)),
            attribute("townlet.records", integer(flush.records)),
        ];
        attributes.extend(flush.status.map(|code| attribute("http.response.status_code", integer(code.into()))));
        attributes.extend(flush.failed.map(|kind| attribute("error.type", string(kind.as_str()))));
        let span = Span {
            trace_id: ids.trace.to_vec(),
            span_id: ids.span.to_vec(),
            name: "flush".into(),
            kind: SpanKind::Client.into(),
            start_time_unix_nano: flush.start,
            end_time_unix_nano: flush.end.max(flush.start),
            attributes,
            status: flush.failed.map(|_| Status { message: String::new(), code: StatusCode::Error.into() }),
            ..Span::default()
        };
        self.push(run_id, span)
    }

    /// Remembers what an event tells of; 1 where an older span had to make room.
    pub(crate) fn told(&mut self, run_id: &str, told: &Told) -> u64 {
        let (Some((trace, span)), Some(stretch)) = (told.place, &told.span) else { return 0 };
        let status = stretch.ok.map(|ok| Status {
            message: stretch.message.clone(),
            code: if ok { StatusCode::Ok } else { StatusCode::Error }.into(),
        });
        let span = Span {
            trace_id: trace.to_vec(),
            span_id: span.to_vec(),
            parent_span_id: stretch.parent.map(|id| id.to_vec()).unwrap_or_default(),
            name: told.name.clone(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: stretch.start,
            end_time_unix_nano: stretch.end,
            attributes: told.attributes.clone(),
            status,
            ..Span::default()
        };
        self.push(run_id, span)
    }

    fn push(&mut self, run_id: &str, span: Span) -> u64 {
        let full = self.waiting.len() >= ROOM;
        if full {
            self.waiting.pop_front();
        }
        self.waiting.push_back((run_id.to_owned(), span));
        full.into()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The oldest that wait, at most so many, and how many those are.
    pub(crate) fn request(&self, attributes: &[(String, String)], most: usize) -> (ExportTraceServiceRequest, usize) {
        let mut runs: Vec<(&str, Vec<Span>)> = Vec::new();
        let count = self.waiting.len().min(most);
        for (run_id, span) in self.waiting.iter().take(count) {
            match runs.iter_mut().find(|(of, _)| of == run_id) {
                Some((_, spans)) => spans.push(span.clone()),
                None => runs.push((run_id, vec![span.clone()])),
            }
        }
        let resource_spans = runs
            .into_iter()
            .map(|(run_id, spans)| ResourceSpans {
                resource: Some(resource(attributes, run_id)),
                scope_spans: vec![ScopeSpans { scope: Some(scope()), spans, schema_url: String::new() }],
                schema_url: String::new(),
            })
            .collect();
        (ExportTraceServiceRequest { resource_spans }, count)
    }

    /// The oldest so many are done with.
    pub(crate) fn done(&mut self, count: usize) {
        self.waiting.drain(..count.min(self.waiting.len()));
    }
}
