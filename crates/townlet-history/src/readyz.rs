//! What a probe of readiness saw: a line for each answer, and what they come to. It asks nobody; who calls does.

use serde::{Deserialize, Serialize};
use townlet_registry::Time;

/// One answer, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// When it was asked.
    pub at: Time,
    /// How long the answer took, or how long was waited for it.
    pub elapsed_ms: u64,
    /// The HTTP status; nothing where no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whether it said ready.
    pub ready: bool,
    /// What was said instead of ready, or why no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// What probes come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// When the first was asked.
    pub first: Time,
    /// When the last was asked.
    pub last: Time,
    /// How many there are.
    pub probes: u64,
    /// How many were answered with ready.
    pub ready: u64,
    /// How many were answered with something else.
    pub not_ready: u64,
    /// How many got no answer.
    pub unanswered: u64,
    /// How often two in a row differ in whether it was ready.
    pub changes: u64,
    /// The longest time without ready: from the first probe that was not to the next that was, or to the last of all.
    pub longest_unready_ms: u64,
    /// How long the slowest answer took, or the longest wait for one.
    pub slowest_ms: u64,
}

/// A raw record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct RawError {
    /// Which line, from 1; 0 for the whole.
    pub line: usize,
    /// Why.
    pub why: String,
}

/// What is kept of an answer's text.
const SHOWN: usize = 120;

impl Probe {
    /// An answer. It says ready with a status of 2xx, unless its body is a JSON object whose `status` is another word
    /// than `ready` or `ok`: there are endpoints that answer 200 whatever is the matter.
    #[must_use]
    pub fn answered(at: Time, elapsed_ms: u64, status: u16, body: &[u8]) -> Self {
        let word = serde_json::from_slice::<serde_json::Value>(body).ok();
        let word = word.as_ref().and_then(|body| body.get("status")?.as_str());
        let well = word.is_none_or(|word| word.eq_ignore_ascii_case("ready") || word.eq_ignore_ascii_case("ok"));
        let ready = (200..300).contains(&status) && well;
        let said = (!ready).then(|| cut(&String::from_utf8_lossy(body)));
        Self { at, elapsed_ms, status: Some(status), ready, said: said.filter(|said| !said.is_empty()) }
    }

    /// No answer.
    #[must_use]
    pub fn unanswered(at: Time, elapsed_ms: u64, why: &str) -> Self {
        Self { at, elapsed_ms, status: None, ready: false, said: Some(cut(why)) }
    }

    /// Its line in the raw record, with the end of the line.
    #[must_use]
    pub fn line(&self) -> String {
        // Numbers, texts and a flag: there is nothing that has no JSON.
        serde_json::to_string(self).map_or_else(|_| String::new(), |line| line + "\n")
    }
}

fn cut(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// Reads a raw record: a line for each probe, each later than the one before.
///
/// # Errors
/// [`RawError`] names the line that is none, goes back in time, or says ready without a status of 2xx.
pub fn read(raw: &[u8]) -> Result<Vec<Probe>, RawError> {
    let text = std::str::from_utf8(raw).map_err(|error| RawError { line: 0, why: error.to_string() })?;
    let mut probes: Vec<Probe> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let wrong = |why: String| RawError { line: at + 1, why };
        let probe: Probe = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        if probe.ready && !probe.status.is_some_and(|status| (200..300).contains(&status)) {
            return Err(wrong("it says ready without a status of 2xx".to_owned()));
        }
        if probes.last().is_some_and(|last| last.at >= probe.at) {
            return Err(wrong("it is not later than the line before".to_owned()));
        }
        probes.push(probe);
    }
    Ok(probes)
}

impl Summary {
    /// What probes in the order of their times come to; nothing, where there are none.
    #[must_use]
    pub fn of(probes: &[Probe]) -> Option<Self> {
        let (first, last) = (probes.first()?.at, probes.last()?.at);
        let count = |which: fn(&Probe) -> bool| probes.iter().filter(|probe| which(probe)).count() as u64;
        let mut longest = 0;
        for stretch in probes.chunk_by(|_, next| !next.ready).filter(|stretch| stretch.len() > 1 || !stretch[0].ready) {
            // A stretch begins with the probe before it fell, unless it begins the record.
            let from = if stretch[0].ready { stretch.get(1) } else { stretch.first() };
            let (Some(from), Some(end)) = (from, stretch.last()) else { continue };
            let after = probes.iter().find(|probe| probe.at > end.at).map_or(last, |probe| probe.at);
            longest = longest.max(since(after, from.at));
        }
        Some(Self {
            first,
            last,
            probes: probes.len() as u64,
            ready: count(|probe| probe.ready),
            not_ready: count(|probe| !probe.ready && probe.status.is_some()),
            unanswered: count(|probe| probe.status.is_none()),
            changes: probes.windows(2).filter(|two| two[0].ready != two[1].ready).count() as u64,
            longest_unready_ms: longest,
            slowest_ms: probes.iter().map(|probe| probe.elapsed_ms).max()?,
        })
    }

    /// Whether every probe was answered with ready.
    #[must_use]
    pub fn always_ready(&self) -> bool {
        self.ready == self.probes
    }
}

fn since(later: Time, earlier: Time) -> u64 {
    u64::try_from(later.as_ms().saturating_sub(earlier.as_ms())).unwrap_or(0)
}
