//! What `townlet-readiness` tells its observers, told on.

use serde_json::Value;
use townlet_readiness::suite::{Event, Measure, Observer, Span, SpanStatus, span_id};

use super::names::convention;
use super::record::{Attributes, Matter, Place, Record};
use super::recorder::Recorder;
use super::trace::Nanos;

/// Passes everything on to another observer, and tells metrics and spans of it.
pub struct Watching<'a> {
    recorder: &'a Recorder,
    next: &'a mut dyn Observer,
    change_type: &'static str,
    run_id: &'a str,
    trace_id: String,
    actor: &'a str,
}

impl<'a> Watching<'a> {
    /// For a run of the suites.
    pub fn readiness(recorder: &'a Recorder, run_id: &'a str, actor: &'a str, next: &'a mut dyn Observer) -> Self {
        Self::over(recorder, "readiness", run_id, actor, next)
    }

    /// For a rehearsal of a rollback.
    pub fn rehearsal(recorder: &'a Recorder, run_id: &'a str, actor: &'a str, next: &'a mut dyn Observer) -> Self {
        Self::over(recorder, "rehearsal", run_id, actor, next)
    }

    fn over(
        recorder: &'a Recorder,
        change_type: &'static str,
        run_id: &'a str,
        actor: &'a str,
        next: &'a mut dyn Observer,
    ) -> Self {
        let trace_id = townlet_readiness::suite::trace_id(run_id);
        Self { recorder, next, change_type, run_id, trace_id, actor }
    }

    fn matter(&self, status: &str) -> Matter {
        Matter {
            artifact_id: self.run_id.to_owned(),
            change_type: self.change_type,
            status: status.to_owned(),
            actor: self.actor.to_owned(),
        }
    }

    fn measured(&self, measure: &Measure) -> Record {
        // A run is of no use as a label: every one of them would be a series of its own.
        let kept = measure.attributes.iter().filter(|(name, _)| *name != convention::RUN);
        let result = kept.clone().find(|(name, _)| name.ends_with(".result")).map_or("measured", |(_, result)| result);
        let place = Place { trace_id: self.trace_id.clone(), span_id: span_id(self.run_id, "") };
        let attributes = kept.map(|(name, value)| (*name, Value::from(value.as_str()))).collect();
        Record::new(self.matter(result), place, attributes).measured(measure.unit, measure.value)
    }

    fn span(&self, span: &Span) -> Record {
        let ok = span.status == SpanStatus::Ok;
        let result = span.attributes.iter().find(|(name, _)| name.ends_with(".result"));
        let status = result.map_or(if ok { "success" } else { "failure" }, |(_, result)| result.as_str());
        let mut attributes: Attributes =
            span.attributes.iter().map(|(name, value)| (*name, Value::from(value.as_str()))).collect();
        if span.attributes.iter().any(|(name, _)| *name == convention::TASK) {
            attributes.push((convention::TASK_RUN, span.span_id.as_str().into()));
        }
        if !ok {
            attributes.push((convention::ERROR, status.into()));
        }
        let place = Place { trace_id: span.trace_id.clone(), span_id: span.span_id.clone() };
        let start = Nanos::from_ms(span.start.as_ms());
        let took = u64::try_from(span.duration.as_nanos()).unwrap_or(u64::MAX);
        let end = Nanos(start.0.saturating_add(took));
        let message = if ok { "" } else { status };
        Record::new(self.matter(status), place, attributes).over(start, end, span.parent_id.clone(), ok, message)
    }
}

impl Observer for Watching<'_> {
    fn observe(&mut self, event: &Event<'_>) {
        self.next.observe(event);
        match event {
            Event::Measured(measure) => self.recorder.tell(measure.name, || self.measured(measure)),
            Event::Span(span) => self.recorder.tell(span.name, || self.span(span)),
            _ => {}
        }
    }
}
