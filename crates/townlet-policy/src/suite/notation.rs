//! The values of a series as `promtool test rules` writes them.

/// What a series has at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Point {
    /// `_`: no sample.
    Missing,
    /// `stale`: the series ends here.
    Stale,
    /// A sample.
    Value(f64),
}

/// What is wrong with a notation, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotationError {
    /// Characters before the item at fault.
    pub column: usize,
    /// Characters of the item, at least 1.
    pub width: usize,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for NotationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "column {}: {}", self.column + 1, self.message)
    }
}

impl std::error::Error for NotationError {}

/// The most points of one series: more than two months of minutes.
const MOST: usize = 100_000;

/// Reads `1 2 _ stale`, `5x3` (5 and three times 5 more), `1+2x3` (1 3 5 7), `9-3x2` (9 6 3), `_x4` (four missing),
/// `NaN`, `Inf` and `-Inf`. Native histograms, and numbers with a leading zero (which Go reads as octal), are refused.
///
/// # Errors
/// The first item that is none of these, with its column.
pub fn points(text: &str) -> Result<Vec<Point>, NotationError> {
    let mut all = Vec::new();
    let mut column = 0;
    for part in text.split_inclusive(char::is_whitespace) {
        let item = part.trim_end();
        let fault = |message: String| NotationError { column, width: item.chars().count().max(1), message };
        if !item.is_empty() {
            one(item, &mut all).map_err(fault)?;
        }
        column += part.chars().count();
    }
    Ok(all)
}

fn one(item: &str, all: &mut Vec<Point>) -> Result<(), String> {
    let wrong = || {
        let hint = "write 5, 5x3, 1+2x3, _, _x3, stale, NaN, Inf or -Inf";
        format!("'{}' is no value; {hint}", crate::time::shorten(item))
    };
    let mut repeat = |points: &mut dyn FnMut() -> Point, times: usize| {
        if all.len().saturating_add(times) > MOST {
            return Err(format!("more than {MOST} values"));
        }
        all.extend((0..times).map(|_| points()));
        Ok(())
    };
    if item == "stale" {
        return repeat(&mut || Point::Stale, 1);
    }
    if let Some(rest) = item.strip_prefix('_') {
        let times = if rest.is_empty() { 1 } else { times(rest).ok_or_else(wrong)? };
        return repeat(&mut || Point::Missing, times);
    }
    let (mut value, rest) = number(item).ok_or_else(wrong)?;
    if rest.is_empty() {
        return repeat(&mut || Point::Value(value), 1);
    }
    let (step, rest) = if rest.starts_with('x') { (0.0, rest) } else { number(rest).ok_or_else(wrong)? };
    let more = times(rest).ok_or_else(wrong)?;
    // Added up one by one, as promtool does, so that even the last digit is the same.
    let mut next = || {
        let point = Point::Value(value);
        value += step;
        point
    };
    repeat(&mut next, more.saturating_add(1))
}

/// `x3`
fn times(text: &str) -> Option<usize> {
    let digits = text.strip_prefix('x')?;
    // What does not fit is too many anyway.
    let number = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty();
    number.then(|| digits.parse().unwrap_or(usize::MAX))
}

/// A number with an optional sign, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1.0, &text[1..]),
        b'-' => (-1.0, &text[1..]),
        _ => (1.0, text),
    };
    let letters = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
    match rest[..letters].to_ascii_lowercase().as_str() {
        "nan" => return Some((f64::NAN, &rest[letters..])),
        "inf" => return Some((sign * f64::INFINITY, &rest[letters..])),
        _ => {}
    }
    let digits = |from: usize| rest[from..].bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(0);
    let mut length = whole;
    if rest[length..].starts_with('.') {
        let fraction = digits(length + 1);
        if whole + fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    }
    if length == 0 || whole > 1 && rest.starts_with('0') {
        return None;
    }
    if rest[length..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[length + 1..].starts_with(['+', '-']));
        let exponent = digits(length + 1 + sign);
        if exponent == 0 {
            return None;
        }
        length += 1 + sign + exponent;
    }
    let number: f64 = rest[..length].parse().ok()?;
    number.is_finite().then_some((sign * number, &rest[length..]))
}
