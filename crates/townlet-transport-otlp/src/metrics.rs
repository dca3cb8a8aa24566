//! Figures, payload fields and measurements of events as metrics.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use townlet_fields::Fields;
use townlet_transport::{Durations, Figures, Reading};

use crate::losses::Losses;
use crate::resource::{resource, scope};
use crate::series::{BOUNDS, Held, One, Series};
use crate::value::{attribute, string};

/// What stands in front of every name.
const PREFIX: &str = "townlet.telemetry.";

/// From when to when counters count, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) now: u64,
}

/// Everything there is to publish, and how many points that are.
pub(crate) fn request(
    figures: Option<&dyn Figures>,
    fields: &Fields,
    series: &Series,
    losses: &Losses,
    attributes: &[(String, String)],
    run_id: &str,
    span: Span,
) -> (ExportMetricsServiceRequest, u64) {
    let mut metrics = Metrics { all: Vec::new(), span, points: 0 };
    if let Some(figures) = figures {
        figures.read(&mut |figure| {
            let labels = figure.labels.iter().map(|(name, value)| attribute(name, string(*value))).collect();
            match figure.reading {
                Reading::Counter(n) => metrics.counter(figure.name, figure.help, labels, n),
                Reading::Gauge(value) => metrics.gauge(figure.name, figure.help, labels, value),
                Reading::Durations(durations) => metrics.durations(figure.name, figure.help, labels, durations),
                // A kind that is newer than this crate.
                _ => {}
            }
        });
    }
    for (stream, path, value) in fields.iter() {
        let labels = vec![attribute("path", string(path)), attribute("stream", string(stream))];
        metrics.gauge("field", "Newest value of a numeric payload field.", labels, value);
    }
    series.iter().for_each(|one| metrics.one(one));
    for (signal, loss, count) in losses.iter() {
        let labels = vec![attribute("reason", string(loss.as_str())), attribute("signal", string(signal.as_str()))];
        metrics.counter("otlp.lost_total", "Data points and spans that did not arrive.", labels, count);
    }
    let Metrics { all, points, .. } = metrics;
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics: all, schema_url: String::new() }];
    let resource = Some(resource(attributes, run_id));
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, schema_url: String::new() }];
    (ExportMetricsServiceRequest { resource_metrics }, points)
}

struct Metrics {
    all: Vec<Metric>,
    span: Span,
    points: u64,
}

impl Metrics {
    fn counter(&mut self, name: &str, help: &str, attributes: Vec<KeyValue>, n: u64) {
        // The receiving side has signed integers alone.
        let point = self.point(attributes, Value::AsInt(i64::try_from(n).unwrap_or(i64::MAX)));
        let point = NumberDataPoint { start_time_unix_nano: self.span.start, ..point };
        let name = name.strip_suffix("_total").unwrap_or(name);
        let empty = || {
            let aggregation_temporality = AggregationTemporality::Cumulative.into();
            Data::Sum(Sum { data_points: Vec::new(), aggregation_temporality, is_monotonic: true })
        };
        if let Data::Sum(sum) = self.family(name, help, empty) {
            sum.data_points.push(point);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, attributes: Vec<KeyValue>, value: f64) {
        // JSON has no word for them, and no figure means them.
        if !value.is_finite() {
            return;
        }
        let point = self.point(attributes, Value::AsDouble(value));
        if let Data::Gauge(gauge) = self.family(name, help, || Data::Gauge(Gauge::default())) {
            gauge.data_points.push(point);
        }
    }

    fn durations(&mut self, name: &str, help: &str, attributes: Vec<KeyValue>, durations: &Durations) {
        let (mut explicit_bounds, mut bucket_counts, mut below) = (Vec::new(), Vec::new(), 0);
        for (bound, cumulative) in durations.cumulative() {
            explicit_bounds.push(bound.as_secs_f64());
            bucket_counts.push(cumulative - below);
            below = cumulative;
        }
        bucket_counts.push(durations.count() - below);
        let point = HistogramDataPoint {
            attributes,
            start_time_unix_nano: self.span.start,
            time_unix_nano: self.span.now,
            count: durations.count(),
            sum: Some(durations.total().as_secs_f64()),
            bucket_counts,
            explicit_bounds,
            ..HistogramDataPoint::default()
        };
        self.points += 1;
        let empty = || {
            let aggregation_temporality = AggregationTemporality::Cumulative.into();
            Data::Histogram(Histogram { data_points: Vec::new(), aggregation_temporality })
        };
        if let Data::Histogram(histogram) = self.family(name, help, empty) {
            histogram.data_points.push(point);
        }
    }

    /// What events measured goes under its own name.
    fn one(&mut self, one: &One) {
        let attributes = one.attributes.clone();
        let data = match &one.held {
            Held::Last(value) => {
                let point = self.point(attributes, Value::AsDouble(*value));
                Data::Gauge(Gauge { data_points: vec![point] })
            }
            Held::All(values) => {
                self.points += 1;
                let point = HistogramDataPoint {
                    attributes,
                    start_time_unix_nano: self.span.start,
                    time_unix_nano: self.span.now,
                    count: values.count,
                    sum: Some(values.sum),
                    min: Some(values.least),
                    max: Some(values.most),
                    bucket_counts: values.buckets.to_vec(),
                    explicit_bounds: BOUNDS.to_vec(),
                    ..HistogramDataPoint::default()
                };
                let aggregation_temporality = AggregationTemporality::Cumulative.into();
                Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality })
            }
        };
        match (self.all.last_mut().filter(|last| last.name == one.name).and_then(|last| last.data.as_mut()), data) {
            (Some(Data::Gauge(last)), Data::Gauge(more)) => last.data_points.extend(more.data_points),
            (Some(Data::Histogram(last)), Data::Histogram(more)) => last.data_points.extend(more.data_points),
            (_, data) => {
                let (name, unit) = (one.name.clone(), one.unit.clone());
                self.all.push(Metric { name, unit, data: Some(data), ..Metric::default() });
            }
        }
    }

    fn point(&mut self, attributes: Vec<KeyValue>, value: Value) -> NumberDataPoint {
        self.points += 1;
        NumberDataPoint { attributes, time_unix_nano: self.span.now, value: Some(value), ..NumberDataPoint::default() }
    }

    /// Figures of one name follow each other, so the family is the last or a new one.
    fn family(&mut self, name: &str, help: &str, empty: impl FnOnce() -> Data) -> &mut Data {
        let name = format!("{PREFIX}{name}");
        if self.all.last().is_none_or(|last| last.name != name) {
            // UCUM, as OpenTelemetry has it.
            let unit = if name.contains("_seconds") {
                "s"
            } else if name.contains("bytes") {
                "By"
            } else {
                "1"
            };
            let (description, unit) = (help.to_owned(), unit.to_owned());
            self.all.push(Metric { name, description, unit, data: Some(empty()), ..Metric::default() });
        }
        let at = self.all.len() - 1;
        self.all[at].data.get_or_insert_with(|| Data::Gauge(Gauge::default()))
    }
}
