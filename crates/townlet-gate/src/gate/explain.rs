//! A decision in words, for people.

use std::fmt;

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
    row(&mut out, format_args!("{name}: {release} {verdict} {}, as of {}", decision.environment, decision.as_of));
    if let Some(manifest) = decision.manifest {
        row(&mut out, format_args!("  manifest {manifest}"));
    }
    for condition in &decision.conditions {
        describe(&mut out, condition);
    }
    if !decision.not_counted.is_empty() {
        row(&mut out, format_args!("what does not count"));
        for one in &decision.not_counted {
            row(&mut out, format_args!("  {} {}: {}: {}", one.kind, one.statement, one.code, one.text));
        }
    }
    match &decision.flip {
        Some(flip) if flip.changes.is_empty() => {
            row(&mut out, format_args!("no change of the evidence approves it"));
        }
        Some(flip) => {
            let sure = if flip.exact { "what would approve it, and nothing less" } else { "what would approve it" };
            row(&mut out, format_args!("{sure}"));
            for change in &flip.changes {
                row(&mut out, format_args!("  - {}", change.advice()));
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
    row(out, format_args!("  {mark} {}{rule}", condition.id));
    for one in &condition.observed {
        row(out, format_args!("            {} was {} at {}", one.metric, one.value, one.at));
    }
    for reason in &condition.reasons {
        row(out, format_args!("            {}: {}", reason.code, reason.text));
        if condition.standing.blocks() {
            row(out, format_args!("            -> {}", reason.code.remedy()));
        }
    }
}

/// A code with what it means and what to do.
#[must_use]
pub fn explain_code(code: Code) -> String {
    format!("{code}\n  {}\n  -> {}\n", code.meaning(), code.remedy())
}

fn row(out: &mut String, text: fmt::Arguments<'_>) {
    out.push_str(&on_one_row(&text.to_string()));
    out.push('\n');
}

/// A text as one row, whatever stands in it: everybody who signs writes texts, and theirs must neither look like a row of
/// whoever shows them nor steer a terminal. What ends a line, controls a terminal or turns the direction is escaped.
#[must_use]
pub fn on_one_row(text: &str) -> String {
    let mut row = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                row.extend(c.escape_unicode())
            }
            c if c.is_control() => row.extend(c.escape_default()),
            c => row.push(c),
        }
    }
    row
}
