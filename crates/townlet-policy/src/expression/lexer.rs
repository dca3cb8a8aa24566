//! Text to words, each with its column.

use crate::time::shorten;

/// What is wrong with an expression, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// Characters before the fault.
    pub column: usize,
    /// Characters at fault, at least 1.
    pub width: usize,
    /// Whether it is a unit, a metric or the grammar.
    pub kind: ErrorKind,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// What an expression can be wrong about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The grammar.
    Grammar,
    /// A metric that the policy does not declare.
    UnknownMetric,
    /// A limit that does not fit the unit of its metric.
    Unit,
}

impl std::fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "column {}: {}", self.column + 1, self.message)
    }
}

impl std::error::Error for ExpressionError {}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) text: &'a str,
    /// Characters before it.
    pub(super) column: usize,
    /// Whether white space stands before it.
    pub(super) spaced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind<'a> {
    /// A name or a keyword; `no-data` is one word.
    Word(&'a str),
    /// A number without a sign.
    Number(f64),
    /// `<`, `<=`, `(`, `..`, `+`, `±`, `%` …
    Mark(&'a str),
    End,
}

/// `..` before `.`-anything, `<=` before `<`.
const MARKS: [&str; 16] = ["<=", ">=", "==", "!=", "..", "+-", "+/-", "±", "<", ">", "(", ")", "+", "-", "%", "="];

/// The longest expression, in bytes.
const LONGEST: usize = 4096;

pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ExpressionError> {
    let fault = |column: usize, message: String| ExpressionError {
        column,
        width: 1,
        kind: ErrorKind::Grammar,
        message,
        help: None,
    };
    if text.len() > LONGEST {
        return Err(fault(0, format!("a rule is at most {LONGEST} bytes long")));
    }
    let (mut tokens, mut at, mut column, mut spaced) = (Vec::new(), 0, 0, false);
    while at < text.len() {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else { break };
        if first.is_whitespace() {
            (at, column, spaced) = (at + first.len_utf8(), column + 1, true);
            continue;
        }
        let (kind, length) = if first.is_ascii_digit() {
            let length = number_length(rest);
            let number: f64 = rest[..length].parse().unwrap_or(f64::INFINITY);
            if !number.is_finite() {
                return Err(fault(column, format!("'{}' is no number that can be compared", shorten(&rest[..length]))));
            }
            (Kind::Number(number), length)
        } else if first.is_alphabetic() || first == '_' {
            let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
            let mut length = 0;
            for (i, c) in rest.char_indices() {
                let dotted = c == '.'
                    && !rest[i..].starts_with("..")
                    && rest[i + 1..].starts_with(|c: char| c.is_alphanumeric());
                if !inside(c) && !dotted {
                    break;
                }
                length = i + c.len_utf8();
            }
            if rest[..length].eq("no") && rest[length..].starts_with("-data") {
                length += "-data".len();
            }
            (Kind::Word(&rest[..length]), length)
        } else {
            let longest = MARKS.iter().filter(|mark| rest.starts_with(**mark)).max_by_key(|mark| mark.len());
            let Some(mark) = longest else {
                return Err(fault(column, format!("'{}' means nothing in a rule", shorten(&first.to_string()))));
            };
            (Kind::Mark(mark), mark.len())
        };
        let text = &rest[..length];
        tokens.push(Token { kind, text, column, spaced });
        (at, column, spaced) = (at + length, column + text.chars().count(), false);
    }
    tokens.push(Token { kind: Kind::End, text: "", column, spaced });
    Ok(tokens)
}

/// The length of `12`, `1.5`, `2e3`, `1.5e-3`; the `..` of a range does not belong to it.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut length = digits(0);
    if text[length..].starts_with('.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if text[length..].starts_with(['e', 'E']) {
        let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}
