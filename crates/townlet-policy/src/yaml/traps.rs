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

/// The value in braces or brackets that begins at a place, if one does: up to the next comma or closing mark.
fn inner_value(line: &str, place: Place) -> Option<(usize, &str)> {
    let (start, _) = line.char_indices().nth((place.column as usize).checked_sub(1)?)?;
    let before = line[..start].trim_end();
    let opens = before.ends_with([':', ',', '[', '{']) && before.contains(['[', '{']);
    let value = line[start..].split([',', '}', ']']).next()?.trim_end();
    (opens && !value.is_empty()).then_some((start, value))
}

/// The trap behind an error at `place`, if one begins there, or its line or the one before holds one.
pub(super) fn explain(found: &Findings, place: Place) -> Option<Finding> {
    let inner = found.line(place.line).and_then(|line| {
        let (start, value) = inner_value(line, place)?;
        Some(finding(place.line, line, start, value, meaning(value)?))
    });
    if inner.is_some() {
        return inner;
    }
    // Block scalars fail on the line after their header.
    [place.line, place.line.saturating_sub(1)].into_iter().find_map(|number| {
        let line = found.line(number)?;
        let (start, value) = value_of(line)?;
        Some(finding(number, line, start, value, meaning(value)?))
    })
}

fn finding(number: u32, line: &str, start: usize, value: &str, meaning: &str) -> Finding {
    let column = line[..start].chars().count();
    let at = Place { line: number, column: 1, width: 1 }.shifted(column, value.chars().count());
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
