//! A decision in words, for people.

use std::fmt::Write as _;

use super::code::Code;
use super::decision::Decision;
use super::verdict::{Condition, Standing, Verdict};

/// A decision with every condition, what does not count, and what would change it.
#[must_use]
pub fn explain(decision: &Decision) -> String {
    let mut out = String::new();
    let release = decision.release.as_deref().unwrap_or("a release without a manifest");
    let verdict = match decision.verdict {
        Verdict::Approve => "may go to",
        Verdict::Reject => "may not go to",
        Verdict::WaiverRequired => "needs a waiver to go to",
    };
    let name = decision.verdict.as_str();
    let _ = writeln!(out, "{name}: {release} {verdict} {}, as of {}", decision.environment, decision.as_of);
    if let Some(manifest) = decision.manifest {
        let _ = writeln!(out, "  manifest {manifest}");
    }
    for condition in &decision.conditions {
        describe(&mut out, condition);
    }
    if !decision.not_counted.is_empty() {
        let _ = writeln!(out, "what does not count");
        for one in &decision.not_counted {
            let _ = writeln!(out, "  {} {}: {}: {}", one.kind, one.statement, one.code, one.text);
        }
    }
    match &decision.flip {
        Some(flip) if flip.changes.is_empty() => {
            let _ = writeln!(out, "no change of the evidence approves it");
        }
        Some(flip) => {
            let sure = if flip.exact { "what would approve it, and nothing less" } else { "what would approve it" };
            let _ = writeln!(out, "{sure}");
            for change in &flip.changes {
                let _ = writeln!(out, "  - {}", change.advice());
            }
        }
        None => {}
    }
    out
}

fn describe(out: &mut String, condition: &Condition) {
    let mark = match condition.standing {
        Standing::Met => "ok     ",
        Standing::Unmet => "FAILS  ",
        Standing::Unknown => "UNKNOWN",
        Standing::Waived => "waived ",
    };
    let rule = condition.rule.as_deref().map_or(String::new(), |rule| format!(": {rule}"));
    let _ = writeln!(out, "  {mark} {}{rule}", condition.id);
    for one in &condition.observed {
        let _ = writeln!(out, "            {} was {} at {}", one.metric, one.value, one.at);
    }
    for reason in &condition.reasons {
        let _ = writeln!(out, "            {}: {}", reason.code, reason.text);
        if condition.standing.blocks() {
            let _ = writeln!(out, "            -> {}", reason.code.remedy());
        }
    }
}

/// A code with what it means and what to do.
#[must_use]
pub fn explain_code(code: Code) -> String {
    format!("{code}\n  {}\n  -> {}\n", code.meaning(), code.remedy())
}
