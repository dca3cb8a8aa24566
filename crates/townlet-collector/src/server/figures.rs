//! What the collector measures of its own parsing, under the names that a
//! rollout watches.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts};

/// Milliseconds. A chunk of lines mostly takes less than one; the upper half is
/// for a machine in trouble.
const DURATIONS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0];

/// Lines taken at a time.
const BATCHES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

/// Histograms that all connections fill.
pub(super) struct Figures {
    durations: Option<Histogram>,
    batches: Option<Histogram>,
}

impl Figures {
    pub(super) fn new() -> Self {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            // Fails for names and buckets that are none, which a test shows ours are not.
            Histogram::with_opts(options).ok()
        };
        Self {
            durations: histogram(
                "parse_duration_ms",
                "Time to check, deduplicate and file the lines of one read or request.",
                DURATIONS,
            ),
            batches: histogram("parse_batch_size", "Lines of one read or request.", BATCHES),
        }
    }

    /// So many lines were taken in one go, in this time.
    pub(super) fn batch(&self, lines: u64, took: Duration) {
        if lines == 0 {
            return;
        }
        if let Some(durations) = &self.durations {
            durations.observe(took.as_secs_f64() * 1e3);
        }
        if let Some(batches) = &self.batches {
            #[expect(clippy::cast_precision_loss, reason = "lines of one read are few")]
            batches.observe(lines as f64);
        }
    }

    pub(super) fn families(&self) -> Vec<MetricFamily> {
        [&self.durations, &self.batches].into_iter().flatten().flat_map(Collector::collect).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_histograms_exist_and_a_read_without_a_line_is_none() {
        let figures = Figures::new();
        figures.batch(0, Duration::from_millis(3));
        figures.batch(7, Duration::from_millis(3));
        let families = figures.families();
        let names: Vec<_> = families.iter().map(MetricFamily::name).collect();
        assert_eq!(names, ["parse_duration_ms", "parse_batch_size"]);
        for family in &families {
            assert_eq!(family.get_metric()[0].get_histogram().get_sample_count(), 1);
        }
    }
}
