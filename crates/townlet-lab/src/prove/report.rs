//! An outcome as text and as JSON.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Effort, Figure, Finding};

/// A figure with what came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Which one.
    pub figure: Figure,
    /// How much was measured.
    pub effort: Effort,
    /// How long it took.
    pub seconds: f64,
    /// What was found, or why nothing was.
    pub found: anyhow::Result<Finding>,
}

/// The verdict on a promise; the later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Kept.
    Pass,
    /// Not kept.
    Miss,
    /// Unknown, which is no pass.
    NotMeasured,
}

impl Outcome {
    /// Whether the promise was kept.
    pub fn verdict(&self) -> Verdict {
        match &self.found {
            Ok(finding) if finding.misses.is_empty() => Verdict::Pass,
            Ok(_) => Verdict::Miss,
            Err(_) => Verdict::NotMeasured,
        }
    }

    /// One JSON object on one line: `name`, `promise`, `scale`, `measured`, `pass`
    /// (null where nothing could be measured), `misses`, `not_judged` where there are
    /// such times, `seconds`, and `error`.
    ///
    /// # Errors
    /// None that an outcome can cause; serde asks for it.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let finding = self.found.as_ref().ok();
        serde_json::to_string(&JsonOutcome {
            name: self.figure.name,
            promise: self.figure.promise,
            scale: self.effort.as_str(),
            measured: Measured(finding.map_or(&[], |finding| &finding.measured)),
            pass: finding.map(|finding| finding.misses.is_empty()),
            misses: finding.map_or(&[], |finding| &finding.misses),
            not_judged: finding.map_or(&[], |finding| &finding.unjudged),
            seconds: (self.seconds * 1e3).round() / 1e3,
            error: self.found.as_ref().err().map(|error| format!("{error:#}")),
        })
    }
}

#[derive(Serialize)]
struct JsonOutcome<'a> {
    name: &'static str,
    promise: &'static str,
    scale: &'static str,
    measured: Measured<'a>,
    pass: Option<bool>,
    misses: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    not_judged: &'a [String],
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A map in the order in which it was filled.
struct Measured<'a>(&'a [(String, Value)]);

impl Serialize for Measured<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict() {
            Verdict::Pass => "pass",
            Verdict::Miss => "MISS",
            Verdict::NotMeasured => "NOT MEASURED",
        };
        writeln!(f, "{:<12}{word}, {:.1} s, scale {}", self.figure.name, self.seconds, self.effort.as_str())?;
        writeln!(f, "  promised  {}", self.figure.promise)?;
        match &self.found {
            Ok(finding) => {
                for (at, (name, value)) in finding.measured.iter().enumerate() {
                    let heading = if at == 0 { "measured" } else { "" };
                    match value.as_str() {
                        Some(text) => writeln!(f, "  {heading:<8}  {name:<40} {text}")?,
                        None => writeln!(f, "  {heading:<8}  {name:<40} {value}")?,
                    }
                }
                finding.misses.iter().try_for_each(|miss| writeln!(f, "  missed    {miss}"))?;
                finding.unjudged.iter().try_for_each(|time| writeln!(f, "  unjudged  {time}"))
            }
            Err(error) => writeln!(f, "  because   {error:#}"),
        }
    }
}
