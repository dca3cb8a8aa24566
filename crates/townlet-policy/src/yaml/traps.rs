//! Where YAML reads a rule as something that its author did not write.
//!
//! A rule begins with `<`, `>`, `=`, `!` or a digit. YAML gives a meaning of its
//! own to half of these, and says so in words that help nobody. So the line of
//! an error is looked at, and the trap is named.

use crate::finding::{Code, Finding, Findings, Level, Place};

/// What may start an unquoted value and means something to YAML.
fn meaning(value: &str) -> Option<&'static str> {
    Some(match value.chars().next()? {
        '>' => "YAML reads > as the start of folded text, so the limit is lost or the file does not parse",
        '|' => "YAML reads | as the start of literal text",
        '!' => "YAML reads ! as the start of a tag",
        '%' => "YAML keeps % for directives",
        '@' | '`' => "YAML keeps this character for itself",
        '&' => "YAML reads & as the start of an anchor",
        '*' => "YAML reads * as an alias",
        _ => return None,
    })
}

/// The value part of a line: what follows `key: ` or `- `, and its column from 0.
fn value_of(line: &str) -> Option<(usize, &str)> {
    let mut start = line.len() - line.trim_start().len();
    while let Some(rest) = line[start..].strip_prefix("- ") {
        start = line.len() - rest.trim_start().len();
    }
    if let Some(colon) = line[start..].find(": ").or_else(|| line[start..].find(":\t")) {
        let after = start + colon + 1;
        start = after + (line[after..].len() - line[after..].trim_start().len());
    }
    let value = line[start..].trim_end();
    (!value.is_empty()).then_some((start, value))
}

/// The trap behind an error at `place`, if its line or the one before holds one.
pub(super) fn explain(found: &Findings, place: Place) -> Option<Finding> {
    // Block scalars fail on the line after their header.
    [place.line, place.line.saturating_sub(1)].into_iter().find_map(|number| {
        let line = found.line(number)?;
        let (start, value) = value_of(line)?;
        let meaning = meaning(value)?;
        let column = line[..start].chars().count();
        let at = Place { line: number, column: 1, width: 1 }.shifted(column, value.chars().count());
        Some(trap(at, meaning, value))
    })
}

fn trap(at: Place, meaning: &str, value: &str) -> Finding {
    let value = value.split(" #").next().unwrap_or(value).trim_end();
    let quoted = format!("write \"{}\", in quotes", crate::time::shorten(value));
    Finding::new(Code::YamlTrap, Level::Error, at, meaning).help(quoted)
}

/// `>5` is a block with an indentation indicator: it parses, and the limit is gone. Nobody needs that indicator here.
pub(super) fn swallowed(found: &Findings, place: Place) -> Option<Finding> {
    let finding = explain(found, place)?;
    let line = found.line(finding.place.line)?;
    let (_, value) = value_of(line)?;
    let header = value.strip_prefix(['>', '|'])?;
    header.starts_with(|c: char| c.is_ascii_digit()).then_some(finding)
}
