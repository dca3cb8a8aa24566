//! Plain scalars by the YAML 1.2 core schema, and no further.

/// A number as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(i128),
    Real(f64),
}

/// Reads `12`, `-3`, `0x1f`, `0o17`, `1.5`, `.5`, `2e3`.
///
/// Not read as numbers: `1_000` and `017`, which YAML 1.1 reads (the second as
/// octal) and 1.2 does not; `.inf` and `.nan`; whole numbers beyond 128 bits.
pub(crate) fn number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let radix = [("0x", 16), ("0o", 8)].into_iter().find_map(|(prefix, radix)| {
        let digits = digits.strip_prefix(prefix)?;
        (!digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))).then_some((digits, radix))
    });
    if let Some((digits, radix)) = radix {
        // The core schema gives these no sign.
        return (digits.len() < 30 && !text.starts_with(['-', '+']))
            .then(|| i128::from_str_radix(digits, radix).ok())
            .flatten()
            .map(Number::Whole);
    }
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        let whole: i128 = digits.parse().ok()?;
        return Some(Number::Whole(if negative { -whole } else { whole }));
    }
    let starts_well = digits.starts_with(|c: char| c.is_ascii_digit())
        || (digits.starts_with('.') && digits[1..].starts_with(|c: char| c.is_ascii_digit()));
    let allowed = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !starts_well || !allowed {
        return None;
    }
    text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Number::Real)
}

/// `.inf`, `-.inf`, `.nan` and the like.
pub(crate) fn is_nan_or_infinite(text: &str) -> bool {
    let bare = text.trim_start_matches(['-', '+']).to_ascii_lowercase();
    matches!(bare.as_str(), ".inf" | ".nan" | "inf" | "nan" | "infinity")
}

#[cfg(test)]
mod tests {
    use super::{Number, number};

    #[test]
    fn numbers_follow_the_core_schema() {
        for (text, expected) in [
            ("0", Some(Number::Whole(0))),
            ("-12", Some(Number::Whole(-12))),
            ("0x1F", Some(Number::Whole(31))),
            ("0o17", Some(Number::Whole(15))),
            ("1.5", Some(Number::Real(1.5))),
            (".5", Some(Number::Real(0.5))),
            ("2e3", Some(Number::Real(2000.0))),
            ("5.", Some(Number::Real(5.0))),
            ("017", None),
            ("1_000", None),
            ("-0x1", None),
            ("1e999", None),
            (".", None),
            ("", None),
            ("1.2.3", None),
            ("12s", None),
            ("0x", None),
            ("é1", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
