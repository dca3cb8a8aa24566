//! A tree back to the text of the grammar.

use std::fmt::Write as _;

use super::RESERVED;
use crate::metric::Metric;
use crate::rule::{Basis, Check, Condition, Limit, Rule};
use crate::time::Span;
use crate::unit::Unit;

/// The text of a condition, with the units of its metrics.
#[must_use]
pub fn condition(condition: &Condition, metrics: &[Metric]) -> String {
    let mut out = String::new();
    write_condition(condition, metrics, 0, &mut out);
    out
}

/// The text of a rule's condition with its clauses.
#[must_use]
pub fn rule(rule: &Rule, metrics: &[Metric]) -> String {
    let mut out = condition(&rule.condition, metrics);
    // `m absent` and a clause `for` would read as `absent for`.
    let ambiguous = !rule.timing.lasting.is_zero()
        && rule.condition.tests().last().is_some_and(|test| test.check == Check::Absent { lasting: None });
    if ambiguous {
        out = format!("({out})");
    }
    let _ = write!(out, "{}", rule.timing);
    out
}

/// `binding` is 0 at the top, 1 inside `or`, 2 inside `and`, 3 behind `not`.
fn write_condition(condition: &Condition, metrics: &[Metric], binding: u8, out: &mut String) {
    let (parts, word, own) = match condition {
        Condition::All(parts) => (parts, " and ", 1),
        Condition::Any(parts) => (parts, " or ", 0),
        Condition::Not(inner) => {
            out.push_str("not ");
            return write_condition(inner, metrics, 3, out);
        }
        Condition::Test(test) => {
            let unknown = Unit::Count;
            let metric = metrics.get(test.metric.0);
            let name = metric.map_or("?", |metric| metric.name.as_str());
            let unit = metric.map_or(&unknown, |metric| &metric.unit);
            out.push_str(name);
            return write_check(&test.check, unit, out);
        }
    };
    let brackets = binding > own;
    if brackets {
        out.push('(');
    }
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push_str(word);
        }
        write_condition(part, metrics, own + 1, out);
    }
    if brackets {
        out.push(')');
    }
}

fn write_check(check: &Check, unit: &Unit, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match check {
        Check::Compare { op, limit: written } => write!(out, " {} {}", op.as_str(), limit(*written, unit)),
        Check::In { low, high } => write!(out, " in {}..{}", limit(*low, unit), limit(*high, unit)),
        Check::Absent { lasting: None } => write!(out, " absent"),
        Check::Absent { lasting: Some(lasting) } => write!(out, " absent for {}", Span(*lasting)),
        Check::Fresh { within } => write!(out, " fresh < {}", Span(*within)),
    };
}

/// The text of one limit.
pub(crate) fn limit(limit: Limit, unit: &Unit) -> String {
    let number = limit.value.abs();
    let sign = match (limit.two_sided, limit.value < 0.0) {
        (true, _) => "±",
        (false, true) => "-",
        (false, false) => "+",
    };
    match limit.basis {
        Basis::Value => {
            let text = match unit {
                Unit::Bool if number == 1.0 => return "true".into(),
                Unit::Bool if number == 0.0 => return "false".into(),
                Unit::Ratio | Unit::Count | Unit::Bool => plain(number),
                unit => with_unit(number, unit),
            };
            if limit.value < 0.0 { format!("(-{text})") } else { text }
        }
        Basis::Relative => format!("{sign}{}%", percent(number).unwrap_or_else(|| plain(number * 100.0))),
        Basis::Difference => match unit {
            Unit::Ratio => {
                percent(number).map_or_else(|| format!("{sign}{}", plain(number)), |pp| format!("{sign}{pp}pp"))
            }
            Unit::Percent => format!("{sign}{}pp", plain(number)),
            Unit::Count | Unit::Bool => format!("{sign}{}", plain(number)),
            unit => format!("{sign}{}", with_unit(number, unit)),
        },
    }
}

/// A unit that cannot stand behind a number (`events/s`, `e3`) is left out: a bare number has it by itself.
fn with_unit(number: f64, unit: &Unit) -> String {
    let number = plain(number);
    if let Unit::Other(name) = unit {
        let mut letters = name.chars();
        let begins = letters.next().is_some_and(|c| c.is_alphabetic() && !matches!(c, 'e' | 'E') || c == '_');
        let word = begins && letters.all(|c| c.is_alphanumeric() || c == '_');
        if !word || name == "pp" || RESERVED.contains(&name.as_str()) {
            return number;
        }
    }
    format!("{number}{unit}")
}

fn plain(number: f64) -> String {
    format!("{number}")
}

/// A fraction as percent. Times 100 a decimal fraction may end in dust, which nobody wrote: what reads back as the same
/// fraction is what was written. `None` where nothing does.
fn percent(fraction: f64) -> Option<String> {
    let exact = fraction * 100.0;
    let rounded = (exact * 1e9).round() / 1e9;
    // A product may be off in its last digit.
    let all = [rounded, exact, exact.next_up(), exact.next_down()];
    all.into_iter().find(|percent| percent / 100.0 == fraction).map(plain)
}
