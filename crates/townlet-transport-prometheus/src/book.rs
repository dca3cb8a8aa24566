//! What was counted so far, with what stood in the last file before it.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use townlet_fields::{Fields, Line};
use townlet_transport::{Durations, Figures, Frame, Reading, TransportError};

use crate::exposition;
use crate::families::{Family, Histogram, Labels, Sample, push};
use crate::last::{BEFORE, Counts, EPOCH, Last, PREFIX};
use crate::options::PrometheusOptions;

/// What this transport itself has counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    messages: u64,
    bytes: u64,
    by_kind: BTreeMap<&'static str, u64>,
    overflow: u64,
    unreadable: u64,
    newest_tick: Option<u64>,
}

pub(crate) struct Book {
    labels: Labels,
    figures: Option<Arc<dyn Figures>>,
    /// What our own counters stood at when this transport began.
    own_before: Counts,
    /// What the pipeline's counters stood at when its run began.
    run_before: Counts,
    totals: Totals,
    fields: Fields,
}

impl Book {
    pub(crate) fn new(options: &PrometheusOptions) -> Self {
        Self {
            labels: options.labels.clone(),
            figures: None,
            own_before: Counts::new(),
            run_before: Counts::new(),
            totals: Totals::default(),
            fields: Fields::new(options.fields.clone(), options.max_series),
        }
    }

    pub(crate) fn watch(&mut self, figures: Arc<dyn Figures>) {
        self.figures = Some(figures);
    }

    /// Goes on where an earlier file ended.
    pub(crate) fn resume(&mut self, last: Last) {
        let same_books = self.figures.as_ref().is_some_and(|figures| last.epoch.as_deref() == Some(figures.epoch()));
        // The counters of a run that goes on contain what that file says of it.
        self.run_before = if same_books { last.before } else { last.counts.clone() };
        self.own_before = last.counts;
    }

    /// The totals as they are once `batch` counts too.
    pub(crate) fn staged(&mut self, batch: &[Frame]) -> Totals {
        let mut next = self.totals.clone();
        for frame in batch {
            let line = if frame.kind() == "diff" { Line::Diff(frame.line()) } else { Line::Whole(frame.line()) };
            let left = self.fields.take(frame.label().stream(), line);
            next.overflow += left.overflow;
            next.unreadable += left.unreadable;
            next.messages += 1;
            next.bytes += frame.len() as u64;
            *next.by_kind.entry(frame.kind()).or_default() += 1;
            next.newest_tick = Some(next.newest_tick.map_or(frame.tick(), |tick| tick.max(frame.tick())));
        }
        next
    }

    pub(crate) fn commit(&mut self, totals: Totals) {
        self.totals = totals;
    }

    /// What is published at this moment.
    pub(crate) fn text(&self) -> Result<String, TransportError> {
        self.text_with(&self.totals)
    }

    /// The same, had `totals` been committed.
    pub(crate) fn text_with(&self, totals: &Totals) -> Result<String, TransportError> {
        let mut families = Vec::new();
        self.own(totals, &mut families);
        let mut out =
            String::from("# Written by townlet-transport-prometheus; the next run goes on from these counts.\n");
        if let Some(figures) = &self.figures {
            let mut before = String::new();
            figures.read(&mut |figure| {
                let name = format!("{PREFIX}{}", figure.name);
                let labels = self.labelled(figure.labels);
                let sample = match figure.reading {
                    Reading::Counter(n) => Sample::Counter(labels.clone(), self.since(&name, labels, n, &mut before)),
                    Reading::Gauge(value) => Sample::Gauge(labels, value),
                    Reading::Durations(durations) => {
                        let histogram = self.histogram(&name, &labels, durations, &mut before);
                        Sample::Histogram(labels, histogram)
                    }
                    // A kind that is newer than this crate.
                    _ => return,
                };
                push(&mut families, &name, figure.help, sample);
            });
            let _ = writeln!(out, "{EPOCH}{}", figures.epoch());
            out.push_str(&before);
        }
        self.payload_fields(&mut families);
        exposition::text(&families, &mut out)?;
        Ok(out)
    }

    fn own(&self, totals: &Totals, families: &mut Vec<Family>) {
        let mut counter = |name: &str, help: &str, labels: &[(&str, &str)], n: u64| {
            let (name, labels) = (format!("{PREFIX}{name}"), self.labelled(labels));
            let before = self.own_before.get(&(name.clone(), labels.clone())).copied().unwrap_or_default();
            push(families, &name, help, Sample::Counter(labels, before + float(n)));
        };
        counter("messages_total", "Payloads that went into this sink.", &[], totals.messages);
        counter("bytes_total", "Bytes of the payloads that went into this sink.", &[], totals.bytes);
        // Kinds of earlier runs stay, or their counters would begin again.
        let name = format!("{PREFIX}messages_by_kind_total");
        let earlier = self.own_before.keys().filter(|(of, _)| *of == name);
        let earlier = earlier.flat_map(|(_, labels)| labels.iter().find(|(name, _)| name == "kind"));
        let mut kinds: BTreeMap<&str, u64> = earlier.map(|(_, kind)| (kind.as_str(), 0)).collect();
        kinds.extend(totals.by_kind.iter().map(|(kind, n)| (*kind, *n)));
        for (kind, n) in kinds {
            counter("messages_by_kind_total", "Payloads that went into this sink, by kind.", &[("kind", kind)], n);
        }
        if self.fields.wanted() {
            let help =
                "Values of payload fields that were not published: more fields than max_series, or too long a path.";
            counter("field_overflow_total", help, &[], totals.overflow);
            let help = "Lines whose fields could not be read: no JSON.";
            counter("unreadable_lines_total", help, &[], totals.unreadable);
        }
        if let Some(tick) = totals.newest_tick {
            let sample = Sample::Gauge(self.labels.clone(), float(tick));
            push(families, &format!("{PREFIX}newest_tick"), "The newest tick that went into this sink.", sample);
        }
    }

    fn payload_fields(&self, families: &mut Vec<Family>) {
        if !self.fields.wanted() {
            return;
        }
        for (stream, path, value) in self.fields.iter() {
            let sample = Sample::Gauge(self.labelled(&[("path", path), ("stream", stream)]), value);
            push(families, &format!("{PREFIX}field"), "Newest value of a numeric payload field.", sample);
        }
        let sample = Sample::Gauge(self.labels.clone(), float(self.fields.held() as u64));
        push(families, &format!("{PREFIX}field_series"), "Payload fields that are published.", sample);
    }

    /// A counter of the run together with what stood there before it, which is
    /// noted in `notes` for whoever reads the file back within the run.
    fn since(&self, name: &str, labels: Labels, now: u64, notes: &mut String) -> f64 {
        float(now) + self.noted(name, labels, notes)
    }

    fn noted(&self, name: &str, labels: Labels, notes: &mut String) -> f64 {
        let key = (name.to_owned(), labels);
        let before = self.run_before.get(&key).copied().unwrap_or_default();
        if before > 0.0 {
            let _ = writeln!(notes, "{BEFORE}{} {before}", Shown(name, &key.1));
        }
        before
    }

    fn histogram(&self, name: &str, labels: &Labels, durations: &Durations, notes: &mut String) -> Histogram {
        let mut buckets = Vec::new();
        let bucket_name = format!("{name}_bucket");
        for (bound, count) in durations.cumulative() {
            let bound = bound.as_secs_f64();
            let before = self.noted(&bucket_name, with(labels, "le", &bound.to_string()), notes);
            buckets.push((bound, float(count) + before));
        }
        let sum = durations.total().as_secs_f64() + self.noted(&format!("{name}_sum"), labels.clone(), notes);
        let count = self.since(&format!("{name}_count"), labels.clone(), durations.count(), notes);
        Histogram { buckets, sum, count }
    }

    /// The operator's labels and these, in order.
    fn labelled(&self, labels: &[(&str, &str)]) -> Labels {
        let mut all = self.labels.clone();
        all.extend(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all.sort();
        all
    }
}

fn with(labels: &Labels, name: &str, value: &str) -> Labels {
    let mut all = labels.clone();
    all.push((name.to_owned(), value.to_owned()));
    all.sort();
    all
}

#[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double: exact up to 2^53")]
fn float(n: u64) -> f64 {
    n as f64
}

/// A sample's name and labels as text.
struct Shown<'a>(&'a str, &'a Labels);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        for (n, (name, value)) in self.1.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{}{name}=\"{value}\"", if n == 0 { '{' } else { ',' })?;
        }
        f.write_str(if self.1.is_empty() { "" } else { "}" })
    }
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book").field("totals", &self.totals).finish_non_exhaustive()
    }
}
