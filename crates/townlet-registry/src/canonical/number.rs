//! Numbers as ECMAScript prints them (`Number::toString`, which RFC 8785 section 3.2.2.3 asks for).
//!
//! The digits of the standard library do not do: where two shortest texts are equally near, it takes the upper one,
//! ECMAScript the even one (1424953923781206.2, appendix B of the RFC).

/// Integers up to this magnitude are exact in every reader that holds numbers as doubles (RFC 7493, section 2.2).
pub(super) const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The text of a finite double; -0 is `0`.
pub(super) fn text(value: f64) -> String {
    ryu_js::Buffer::new().format_finite(value).to_owned()
}

/// Whether this is how its double is printed.
pub(super) fn is_canonical(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(|value| value.is_finite() && text(value) == number)
}
