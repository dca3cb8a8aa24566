//! Reading back what was published last, so that counters go on.

use std::collections::BTreeMap;

use crate::families::Labels;

/// What every name of ours begins with.
pub(crate) const PREFIX: &str = "townlet_telemetry_";

/// The comment that names the books which a file was written from.
pub(crate) const EPOCH: &str = "# townlet books ";

/// The comment that keeps what a counter stood at before them.
pub(crate) const BEFORE: &str = "# townlet before ";

/// Counters, by name and labels.
pub(crate) type Counts = BTreeMap<(String, Labels), f64>;

/// The content of a file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Last {
    /// The books that it was written from; none in a file of the predecessor.
    pub(crate) epoch: Option<String>,
    /// What the counters stood at before them.
    pub(crate) before: Counts,
    /// What they stand at.
    pub(crate) counts: Counts,
    /// Lines that begin like ours and cannot be read.
    pub(crate) damaged: usize,
    /// Lines that are not ours.
    pub(crate) foreign: usize,
}

impl Last {
    /// Reads a file, as far as it can be read.
    pub(crate) fn read(text: &str) -> Self {
        let mut last = Self::default();
        // By name, whether it is published as something that only grows.
        let mut growing: BTreeMap<&str, bool> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if let Some(epoch) = line.strip_prefix(EPOCH) {
                last.epoch = Some(epoch.trim().to_owned());
            } else if let Some(rest) = line.strip_prefix(BEFORE) {
                match sample(rest) {
                    Some((key, value)) => {
                        last.before.insert(key, value);
                    }
                    None => last.damaged += 1,
                }
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let mut words = rest.split(' ');
                if let (Some(name), Some(kind)) = (words.next(), words.next()) {
                    growing.insert(name, matches!(kind, "counter" | "histogram"));
                }
            } else if line.starts_with('#') {
            } else if !line.starts_with(PREFIX) {
                last.foreign += 1;
            } else if let Some(((name, labels), value)) = sample(line) {
                let plain = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                let family = plain.filter(|plain| growing.contains_key(plain)).unwrap_or(&name);
                // The predecessor wrote no types.
                let counts = growing.get(family).copied().unwrap_or_else(|| name.ends_with("_total"));
                if counts {
                    last.counts.insert((name, labels), value);
                }
            } else {
                last.damaged += 1;
            }
        }
        last
    }

    /// True where the file is none of ours, and must not be written over.
    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign > 0 || (self.epoch.is_none() && self.counts.is_empty() && self.damaged > 0)
    }
}

/// A sample as we write it: `name{label="value",…} number`.
fn sample(line: &str) -> Option<((String, Labels), f64)> {
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
    }
    let value: f64 = rest.trim().parse().ok()?;
    // What counts is finite and not negative.
    let good = !name.is_empty() && value.is_finite() && value >= 0.0;
    labels.sort();
    good.then(|| ((name.to_owned(), labels), value))
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            _ => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, labels: &[(&str, &str)]) -> (String, Labels) {
        (name.into(), labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn counters_and_their_beginnings_are_read_back_and_gauges_are_not() {
        let text = "# townlet books r-1\n# townlet before townlet_telemetry_a_total{sink=\"m\"} 4\n\
             # HELP townlet_telemetry_a_total A.\n# TYPE townlet_telemetry_a_total counter\n\
             townlet_telemetry_a_total{sink=\"m\"} 7\n# TYPE townlet_telemetry_g gauge\ntownlet_telemetry_g 3\n\
             # TYPE townlet_telemetry_h_seconds histogram\ntownlet_telemetry_h_seconds_bucket{le=\"+Inf\",sink=\"m\"} 2\n\
             townlet_telemetry_h_seconds_sum{sink=\"m\"} 0.25\n";
        let last = Last::read(text);
        assert_eq!(last.epoch.as_deref(), Some("r-1"));
        assert_eq!(last.before, Counts::from([(key("townlet_telemetry_a_total", &[("sink", "m")]), 4.0)]));
        assert_eq!(last.counts.len(), 3, "{last:?}");
        assert_eq!(last.counts[&key("townlet_telemetry_h_seconds_sum", &[("sink", "m")])], 0.25);
        assert!(!last.is_foreign());
    }

    #[test]
    fn a_file_of_the_predecessor_is_ours_and_anybody_elses_is_not() {
        let old = Last::read("townlet_telemetry_messages_total 12\ntownlet_telemetry_bytes_total 3400\n");
        assert_eq!(old.counts[&key("townlet_telemetry_messages_total", &[])], 12.0);
        assert!(!old.is_foreign());
        for foreign in ["node_load1 3\n", "hello\n", "townlet_telemetry_x{ broken\n"] {
            assert!(Last::read(foreign).is_foreign(), "{foreign}");
        }
        assert!(!Last::read("").is_foreign());
    }

    #[test]
    fn labels_are_read_as_they_were_written_and_damage_is_counted() {
        let line = r#"townlet_telemetry_a_total{b="x\"y\\z\nw",a="}"} 1"#;
        let last = Last::read(line);
        assert_eq!(last.counts[&key("townlet_telemetry_a_total", &[("a", "}"), ("b", "x\"y\\z\nw")])], 1.0);
        let last = Last::read(
            "# townlet books r\ntownlet_telemetry_a_total 1\ntownlet_telemetry_b_total{x=\"1} 2\n\
             townlet_telemetry_c_total NaN\n# townlet before rubbish\n",
        );
        assert_eq!((last.counts.len(), last.damaged, last.is_foreign()), (1, 3, false));
    }
}
