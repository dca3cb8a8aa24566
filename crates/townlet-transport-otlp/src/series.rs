//! Measurements that events told of, by name and attributes, with a bound.

use opentelemetry_proto::tonic::common::v1::KeyValue;

use crate::told::{Instrument, Told};

/// Upper bounds of the buckets, in the unit of what is measured; meant for seconds, from a tenth to a week.
pub(crate) const BOUNDS: [f64; 13] =
    [0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 604_800.0];

/// What was measured under one name with the same attributes.
#[derive(Clone, Debug)]
pub(crate) struct One {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) held: Held,
}

/// What is kept of the values.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    /// The last.
    Last(f64),
    /// All of them, in buckets.
    All(Values),
}

/// How the values are spread.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// One more than there are [`BOUNDS`].
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
}

impl Values {
    fn new() -> Self {
        let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { count: 0, sum: 0.0, least, most, buckets: [0; BOUNDS.len() + 1] }
    }

    fn take(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        (self.least, self.most) = (self.least.min(value), self.most.max(value));
        // A bucket has its upper bound in it.
        self.buckets[BOUNDS.partition_point(|bound| *bound < value)] += 1;
    }
}

/// All series, those of one name together.
#[derive(Debug)]
pub(crate) struct Series {
    all: Vec<One>,
    most: usize,
}

impl Series {
    /// At most so many are held.
    pub(crate) fn new(most: usize) -> Self {
        Self { all: Vec::new(), most }
    }

    /// Takes over what an event tells; 1 where there was no room for it.
    pub(crate) fn take(&mut self, told: &Told) -> u64 {
        let Some(reading) = &told.metric else { return 0 };
        let known = self.all.iter_mut().find(|one| one.name == told.name && one.attributes == told.attributes);
        if let Some(one) = known {
            match &mut one.held {
                Held::Last(value) => *value = reading.value,
                Held::All(values) => values.take(reading.value),
            }
            return 0;
        }
        if self.all.len() >= self.most {
            return 1;
        }
        let held = match reading.kind {
            Instrument::Gauge => Held::Last(reading.value),
            Instrument::Histogram => {
                let mut values = Values::new();
                values.take(reading.value);
                Held::All(values)
            }
        };
        // A name has one kind and unit: that of its first series, beside which the others stand.
        let beside = self.all.iter().rposition(|one| one.name == told.name);
        let (unit, attributes) = (reading.unit.clone(), told.attributes.clone());
        let one = One { name: told.name.clone(), unit, attributes, held };
        match beside {
            Some(at) if std::mem::discriminant(&self.all[at].held) != std::mem::discriminant(&one.held) => return 1,
            Some(at) => self.all.insert(at + 1, one),
            None => self.all.push(one),
        }
        0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &One> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::told::Reading;
    use crate::value::{attribute, string};

    fn told(name: &str, suite: &str, value: f64, kind: Instrument) -> Told {
        Told {
            name: name.into(),
            place: None,
            attributes: vec![attribute("suite", string(suite))],
            span: None,
            metric: Some(Reading { unit: "s".into(), value, kind }),
        }
    }

    #[test]
    fn every_value_stands_in_one_bucket_and_a_bound_belongs_to_the_bucket_below() {
        let mut series = Series::new(9);
        for value in [0.1, 0.11, 604_800.0, 604_801.0, -1.0] {
            assert_eq!(series.take(&told("took", "unit", value, Instrument::Histogram)), 0);
        }
        let Held::All(values) = &series.iter().next().unwrap().held else { panic!() };
        assert_eq!((values.count, values.least, values.most), (5, -1.0, 604_801.0));
        assert_eq!((values.buckets[0], values.buckets[1], values.buckets[12], values.buckets[13]), (2, 1, 1, 1));
        assert_eq!(values.buckets.iter().sum::<u64>(), values.count);
    }

    #[test]
    fn series_of_a_name_stand_together_and_what_has_no_room_is_counted() {
        let mut series = Series::new(3);
        for (name, suite) in [("passed", "a"), ("took", "a"), ("passed", "b"), ("took", "b")] {
            series.take(&told(name, suite, 1.0, Instrument::Gauge));
        }
        let names: Vec<&str> = series.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["passed", "passed", "took"]);
        assert_eq!(series.take(&told("took", "b", 1.0, Instrument::Gauge)), 1);
        assert_eq!(series.take(&told("passed", "b", 2.0, Instrument::Gauge)), 0);
        let held = series.iter().map(|one| if let Held::Last(value) = one.held { value } else { panic!() });
        assert_eq!(held.collect::<Vec<_>>(), [1.0, 2.0, 1.0]);
        // One name, one kind.
        assert_eq!(Series::new(9).take(&told("took", "c", 1.0, Instrument::Histogram)), 0);
        let mut mixed = Series::new(9);
        mixed.take(&told("took", "a", 1.0, Instrument::Gauge));
        assert_eq!(mixed.take(&told("took", "b", 1.0, Instrument::Histogram)), 1);
    }
}
