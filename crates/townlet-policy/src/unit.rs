//! Units of metrics, and what a limit written in another unit means.

use std::fmt;

/// What a metric is counted in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// A time, stored in multiples of this many nanoseconds.
    Time(TimeUnit),
    /// An amount of data, stored in multiples of this many bytes.
    Data(DataUnit),
    /// A share between 0 and 1. Limits may be written `0.995` or `99.5%`.
    Ratio,
    /// A share or a change between 0 and 100. Limits may be written `99.5` or `99.5%`.
    Percent,
    /// A number of things, or no unit.
    Count,
    /// 0 or 1. Limits may be written `true` and `false`.
    Bool,
    /// Any other word; limits carry the same word or none.
    Other(String),
}

/// Units of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
    /// Minutes.
    Min,
    /// Hours.
    H,
    /// Days of 24 hours.
    D,
}

/// Units of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataUnit {
    /// Bytes.
    B,
    /// 1000 bytes.
    KB,
    /// 1024 bytes.
    KiB,
    /// 1000 KB.
    MB,
    /// 1024 KiB.
    MiB,
    /// 1000 MB.
    GB,
    /// 1024 MiB.
    GiB,
}

const TIMES: [(&str, TimeUnit, f64); 9] = [
    ("ns", TimeUnit::Ns, 1.0),
    ("us", TimeUnit::Us, 1e3),
    ("µs", TimeUnit::Us, 1e3),
    ("ms", TimeUnit::Ms, 1e6),
    ("s", TimeUnit::S, 1e9),
    ("min", TimeUnit::Min, 6e10),
    ("m", TimeUnit::Min, 6e10),
    ("h", TimeUnit::H, 3.6e12),
    ("d", TimeUnit::D, 8.64e13),
];

const DATA: [(&str, DataUnit, f64); 7] = [
    ("B", DataUnit::B, 1.0),
    ("KB", DataUnit::KB, 1e3),
    ("KiB", DataUnit::KiB, 1024.0),
    ("MB", DataUnit::MB, 1e6),
    ("MiB", DataUnit::MiB, 1_048_576.0),
    ("GB", DataUnit::GB, 1e9),
    ("GiB", DataUnit::GiB, 1_073_741_824.0),
];

impl Unit {
    /// Reads the `unit` of a metric. Every word is one; the known ones convert.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if let Some((_, unit, _)) = TIMES.iter().find(|(name, ..)| *name == text) {
            return Self::Time(*unit);
        }
        if let Some((_, unit, _)) = DATA.iter().find(|(name, ..)| *name == text) {
            return Self::Data(*unit);
        }
        match text {
            "ratio" => Self::Ratio,
            "%" | "percent" => Self::Percent,
            "count" | "" => Self::Count,
            "bool" => Self::Bool,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Whether percentage points mean anything here.
    #[must_use]
    pub fn has_points(&self) -> bool {
        matches!(self, Self::Ratio | Self::Percent)
    }

    /// A number written with `suffix` (empty for none), in this unit.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn convert(&self, number: f64, suffix: &str) -> Result<f64, String> {
        // In its own unit a number stays as it was written, to the last digit.
        let factor = |table: f64, own: f64| if table == own { number } else { number * table / own };
        match (self, suffix) {
            (_, "") => Ok(number),
            (Self::Ratio, "%") => Ok(number / 100.0),
            (Self::Percent, "%" | "percent") | (Self::Ratio, "ratio") | (Self::Count, "count") => Ok(number),
            (Self::Time(own), suffix) => {
                let given = TIMES.iter().find(|(name, ..)| *name == suffix);
                let own = TIMES.iter().find(|(_, unit, _)| unit == own);
                given.zip(own).map(|(g, o)| factor(g.2, o.2)).ok_or_else(|| self.mismatch(suffix))
            }
            (Self::Data(own), suffix) => {
                let given = DATA.iter().find(|(name, ..)| *name == suffix);
                let own = DATA.iter().find(|(_, unit, _)| unit == own);
                given.zip(own).map(|(g, o)| factor(g.2, o.2)).ok_or_else(|| self.mismatch(suffix))
            }
            (Self::Other(own), suffix) if own == suffix => Ok(number),
            _ => Err(self.mismatch(suffix)),
        }
    }

    fn mismatch(&self, suffix: &str) -> String {
        let suffix = crate::time::shorten(suffix);
        if suffix == "%" {
            return format!(
                "a bare percentage is a value, and this metric is in {self}; write +5% or -5% for a change against the \
                 baseline"
            );
        }
        format!("the limit is in {suffix} and the metric in {self}")
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time(own) => TIMES.iter().find(|(_, unit, _)| unit == own).map_or("", |found| found.0),
            Self::Data(own) => DATA.iter().find(|(_, unit, _)| unit == own).map_or("", |found| found.0),
            Self::Ratio => "ratio",
            Self::Percent => "%",
            Self::Count => "count",
            Self::Bool => "bool",
            Self::Other(name) => name,
        })
    }
}
