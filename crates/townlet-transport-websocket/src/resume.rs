//! Going on where an earlier connection ended.
//!
//! The client says in its handshake, for each stream, from which number on it
//! has no acknowledgement; the peer may answer up to which number it has them
//! all. Both are the header `Townlet-Resume`: `run/stream=number`, separated by
//! commas, names percent-encoded but for letters, digits, `-`, `.` and `_`.

use std::fmt::Write;

use townlet_transport::{Frame, Label};

use crate::window::{Unsettled, is_resumable};

/// Streams that are asked for; the rest is sent again without asking.
pub(crate) const MOST: usize = 16;

/// What the peer has already: for a stream, all numbers in a range.
#[derive(Debug, Default)]
pub(crate) struct Have(Vec<Unsettled>);

impl Have {
    /// Reads the peer's answer. What it says of others than the streams that it
    /// was asked for, and what cannot be read, says nothing; nor can it have what
    /// was never sent.
    pub(crate) fn parse(answer: Option<&str>, asked: &[Unsettled]) -> Self {
        let known = answer.unwrap_or_default().split(',').filter_map(|item| {
            let (name, up_to) = item.trim().split_once('=')?;
            let up_to: u64 = up_to.parse().ok()?;
            let one = asked.iter().find(|one| encoded(&one.label) == name)?;
            (up_to >= one.from).then(|| Unsettled { to: one.to.min(up_to), ..one.clone() })
        });
        Self(known.collect())
    }

    /// True where the peer said that it has this frame.
    pub(crate) fn holds(&self, frame: &Frame) -> bool {
        let has = |one: &Unsettled| one.label == *frame.label() && (one.from..=one.to).contains(&frame.seq());
        is_resumable(frame) && self.0.iter().any(has)
    }
}

/// The value of the header.
pub(crate) fn write_unsettled(unsettled: &[Unsettled]) -> String {
    let items: Vec<String> = unsettled.iter().map(|one| format!("{}={}", encoded(&one.label), one.from)).collect();
    items.join(", ")
}

fn encoded(label: &Label) -> String {
    let mut out = String::new();
    for (at, part) in [label.run_id(), label.stream()].into_iter().enumerate() {
        if at > 0 {
            out.push('/');
        }
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
                out.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_believed() {
        let of = |stream, from, to| Unsettled { label: Label::new("r", stream), from, to };
        let asked = [of("a b", 5, 8), of("c", 9, 9)];
        assert_eq!(write_unsettled(&asked), "r/a%20b=5, r/c=9");
        let have = Have::parse(Some("r/a%20b=7, r/c=8,r/d=99, r/c, =, r/c=x"), &asked);
        let holds = |stream: &str, kind, seq| have.holds(&Frame::new(Label::new("r", stream), kind, seq, 1, "{}\n"));
        assert!(holds("a b", "event", 5) && holds("a b", "event", 7));
        assert!(!holds("a b", "event", 4) && !holds("a b", "event", 8), "nothing outside what was asked for");
        assert!(!holds("a b", "snapshot", 6), "a state goes out again");
        assert!(!holds("c", "event", 8) && !holds("d", "event", 1));
        let have = Have::parse(Some("r/a%20b=18446744073709551615"), &asked);
        let frame = |seq| Frame::new(Label::new("r", "a b"), "event", seq, 1, "{}\n");
        assert!(have.holds(&frame(8)) && !have.holds(&frame(9)), "nothing that was never sent");
        assert!(!Have::parse(None, &asked).holds(&Frame::new(Label::new("r", "c"), "event", 9, 1, "{}\n")));
    }
}
