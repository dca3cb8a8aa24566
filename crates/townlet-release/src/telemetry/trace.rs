//! Where something stands: traces, spans, times.

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Of milliseconds since then; 0 for what is before.
    #[must_use]
    pub fn from_ms(ms: i64) -> Self {
        Self(u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000))
    }
}

impl From<SystemTime> for Nanos {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// The span of a caller, such as a job of a CI: what `TRACEPARENT` holds.
///
/// ```
/// use townlet_release::telemetry::TraceParent;
///
/// let job: TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
/// assert!(job.sampled);
/// assert!("00-00000000000000000000000000000000-b7ad6b7169203331-01".parse::<TraceParent>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// Whether the caller records spans; where it does not, neither do we.
    pub sampled: bool,
}

impl FromStr for TraceParent {
    type Err = String;

    /// By W3C Trace Context, level 1: of a newer version as much is read as this one has.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "TRACEPARENT is no trace context as W3C has it: 00-TRACE-SPAN-FLAGS".to_owned();
        let mut parts = text.trim().split('-');
        let mut part = |length: usize| {
            let part = parts.next().filter(|part| part.len() == length)?;
            part.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')).then_some(part)
        };
        let version = part(2).filter(|version| *version != "ff").ok_or_else(wrong)?;
        let some = |part: Option<&str>| part.filter(|id| id.bytes().any(|c| c != b'0')).map(str::to_owned);
        let (trace_id, span_id) = (some(part(32)).ok_or_else(wrong)?, some(part(16)).ok_or_else(wrong)?);
        let flags = part(2).and_then(|flags| u8::from_str_radix(flags, 16).ok()).ok_or_else(wrong)?;
        if version == "00" && parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}
