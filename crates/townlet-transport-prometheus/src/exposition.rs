//! The text that Prometheus reads, format 0.0.4. The one place that knows the
//! crate that writes it.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use townlet_transport::{ErrorKind, TransportError};

use crate::families::{Family, Labels, Samples};

/// The media type of [`text`].
pub(crate) const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// Appends `families` as text; those without a sample are left out.
pub(crate) fn text(families: &[Family], out: &mut String) -> Result<(), TransportError> {
    let all: Vec<MetricFamily> = families.iter().map(family).filter(|f| !f.get_metric().is_empty()).collect();
    TextEncoder::new()
        .encode_utf8(&all, out)
        .map_err(|error| TransportError::new(ErrorKind::Io, format!("the figures cannot be written as text: {error}")))
}

fn family(family: &Family) -> MetricFamily {
    let (kind, metrics) = match &family.samples {
        Samples::Counters(all) => {
            let metric = |(labels, value): &(Labels, f64)| {
                let mut counter = Counter::default();
                counter.set_value(*value);
                let mut metric = labelled(labels);
                metric.set_counter(counter);
                metric
            };
            (MetricType::COUNTER, all.iter().map(metric).collect::<Vec<_>>())
        }
        Samples::Gauges(all) => {
            let metric = |(labels, value): &(Labels, f64)| {
                let mut gauge = Gauge::default();
                gauge.set_value(*value);
                let mut metric = labelled(labels);
                metric.set_gauge(gauge);
                metric
            };
            (MetricType::GAUGE, all.iter().map(metric).collect())
        }
        Samples::Histograms(all) => {
            let metric = |(labels, value): &(Labels, crate::families::Histogram)| {
                let mut histogram = Histogram::default();
                histogram.set_sample_sum(value.sum);
                histogram.set_sample_count(whole(value.count));
                let buckets = value.buckets.iter().map(|(bound, count)| {
                    let mut bucket = Bucket::default();
                    bucket.set_upper_bound(*bound);
                    bucket.set_cumulative_count(whole(*count));
                    bucket
                });
                histogram.set_bucket(buckets.collect());
                let mut metric = labelled(labels);
                metric.set_histogram(histogram);
                metric
            };
            (MetricType::HISTOGRAM, all.iter().map(metric).collect())
        }
    };
    let mut out = MetricFamily::default();
    out.set_name(family.name.clone());
    out.set_help(family.help.clone());
    out.set_field_type(kind);
    out.set_metric(metrics);
    out
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are whole and not negative")]
fn whole(count: f64) -> u64 {
    count as u64
}

fn labelled(labels: &Labels) -> Metric {
    let pair = |(name, value): &(String, String)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.clone());
        pair.set_value(value.clone());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}
