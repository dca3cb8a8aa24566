//! What did not arrive, apart from records: those are in the ledger.

use std::collections::BTreeMap;

/// What OTLP calls a kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Records.
    Logs,
    /// Data points.
    Metrics,
    /// Spans.
    Traces,
}

impl Signal {
    /// `logs`, `metrics`, `traces`: also the last part of its path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }

    /// Where it goes, below the endpoint.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Logs => "v1/logs",
            Self::Metrics => "v1/metrics",
            Self::Traces => "v1/traces",
        }
    }
}

/// Why data points or spans were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// The peer took the request and rejected these.
    Rejected,
    /// The peer refused the request.
    Refused,
    /// They could not be sent in their turn; of metrics, the next publication has
    /// newer ones.
    Unsent,
    /// There was no room for them.
    Overflow,
    /// They stood in a line that is no JSON.
    Unreadable,
}

impl Loss {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Unsent => "unsent",
            Self::Overflow => "overflow",
            Self::Unreadable => "unreadable",
        }
    }
}

/// How many were lost, by signal and reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct Losses(BTreeMap<(Signal, Loss), u64>);

impl Losses {
    pub(crate) fn add(&mut self, signal: Signal, loss: Loss, count: u64) {
        if count > 0 {
            *self.0.entry((signal, loss)).or_default() += count;
            tracing::warn!(signal = signal.as_str(), reason = loss.as_str(), count, "telemetry_otlp_lost");
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Signal, Loss, u64)> + '_ {
        self.0.iter().map(|((signal, loss), count)| (*signal, *loss, *count))
    }
}
