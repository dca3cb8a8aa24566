//! Samples under their names: what is published, before it is text.

/// The labels of a sample, and all it takes to tell two apart.
pub(crate) type Labels = Vec<(String, String)>;

/// All samples of one name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) samples: Samples,
}

/// Each with its labels, by kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Samples {
    Counters(Vec<(Labels, f64)>),
    Gauges(Vec<(Labels, f64)>),
    Histograms(Vec<(Labels, Histogram)>),
}

/// A distribution.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram {
    /// Upper bound in seconds, and how many are at most so much.
    pub(crate) buckets: Vec<(f64, f64)>,
    pub(crate) sum: f64,
    pub(crate) count: f64,
}

/// Adds a sample to the family of its name, which is the last one or a new one.
pub(crate) fn push(families: &mut Vec<Family>, name: &str, help: &str, sample: Sample) {
    if families.last().is_none_or(|family| family.name != name) {
        let samples = match &sample {
            Sample::Counter(..) => Samples::Counters(Vec::new()),
            Sample::Gauge(..) => Samples::Gauges(Vec::new()),
            Sample::Histogram(..) => Samples::Histograms(Vec::new()),
        };
        families.push(Family { name: name.to_owned(), help: help.to_owned(), samples });
    }
    let Some(family) = families.last_mut() else { return };
    match (&mut family.samples, sample) {
        (Samples::Counters(all), Sample::Counter(labels, value)) => all.push((labels, value)),
        (Samples::Gauges(all), Sample::Gauge(labels, value)) => all.push((labels, value)),
        (Samples::Histograms(all), Sample::Histogram(labels, value)) => all.push((labels, value)),
        // One name has one kind; a source that breaks this loses the sample, not the file.
        _ => {}
    }
}

/// One of a [`Family`].
pub(crate) enum Sample {
    Counter(Labels, f64),
    Gauge(Labels, f64),
    Histogram(Labels, Histogram),
}
