//! Acknowledgements as the TCP transport reads them, and lines as the collector cuts them: the pieces in which bytes
//! arrive do not matter, and both say what a reader of the whole text says.
//!
//! An input is the number of lines sent, a limit, four sizes of pieces, then the bytes.

#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use townlet_fuzz::json::Reference;
use townlet_fuzz::pieces::Pieces;

// Both are private to their crates and know nothing of them, so they are taken by their paths and stay private.
#[allow(dead_code, reason = "the transport uses more of it")]
#[path = "../../../crates/townlet-transport-tcp/src/acks.rs"]
mod acks;
#[allow(dead_code, reason = "the collector uses more of it")]
#[path = "../../../crates/townlet-collector/src/lines.rs"]
mod lines;

use acks::Acks;
use lines::{Found, LineBuffer};

fuzz_target!(|input: &[u8]| {
    let [sent, limit, pattern @ ..] = input else { return };
    let Some((pattern, bytes)) = pattern.split_at_checked(4) else { return };
    acknowledgements(usize::from(*sent), bytes, pattern);
    cut_lines(usize::from(*limit), bytes, pattern);
});

fn acknowledgements(sent: usize, bytes: &[u8], pattern: &[u8]) {
    let mut at_once = Acks::default();
    at_once.sent(sent);
    let verdict = at_once.hear(bytes);
    let taken = at_once.take_new();
    assert!(taken <= sent, "{taken} of {sent}");
    assert_eq!(at_once.are_due(), taken < sent);

    let mut piecemeal = Acks::default();
    piecemeal.sent(sent);
    let mut sum = 0;
    let mut heard = Ok(());
    for piece in Pieces::new(bytes, pattern) {
        heard = piecemeal.hear(piece);
        sum += piecemeal.take_new();
        if heard.is_err() {
            break;
        }
    }
    assert_eq!((heard, sum, piecemeal.are_due()), (verdict.clone(), taken, at_once.are_due()));

    // The second opinion reads whole lines, each as JSON.
    let mut last = 0;
    let whole = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    for line in whole {
        let ack = match Reference::parse(line) {
            Ok(Reference::Members(members)) if members.len() == 1 => members.get("ack").and_then(Reference::as_u64),
            _ => None,
        };
        let acceptable = ack.filter(|count| line.len() <= 65 && (last..=sent as u64).contains(count));
        match acceptable {
            Some(count) => last = count,
            None => {
                assert!(verdict.is_err(), "took {:?}", String::from_utf8_lossy(line));
                break;
            }
        }
        // JSON may spell the key in ways that no peer of ours uses; those are refused, and that is the end.
        if line.contains(&b'\\') {
            assert!(verdict.is_err());
            return;
        }
    }
    assert_eq!(taken as u64, last);
}

fn cut_lines(limit: usize, bytes: &[u8], pattern: &[u8]) {
    let mut buffer = LineBuffer::new(limit);
    let mut source = Pieces::new(bytes, pattern);
    let mut expected = bytes.split_inclusive(|byte| *byte == b'\n');
    while fill(&mut buffer, &mut source) {
        while let Some(found) = buffer.next_line() {
            let line = expected.next().unwrap_or_else(|| panic!("a line too many"));
            assert!(line.ends_with(b"\n"), "a line that has not ended");
            match found {
                Found::Line(range) => {
                    assert_eq!(buffer.bytes(range), line);
                    assert!(line.len() - 1 <= limit);
                }
                Found::Overlong(len) => {
                    assert_eq!(len, line.len() as u64);
                    assert!(line.len() - 1 > limit);
                }
            }
        }
    }
    let rest = expected.next().unwrap_or_default();
    assert!(!rest.ends_with(b"\n"), "a line was not found: {:?}", String::from_utf8_lossy(rest));
    assert_eq!(buffer.partial_len(), rest.len() as u64);
    assert_eq!(buffer.is_discarding(), rest.len() > limit);
    if !buffer.is_discarding() {
        assert_eq!(buffer.partial(), rest);
    }
}

fn fill(buffer: &mut LineBuffer, source: &mut impl Read) -> bool {
    buffer.fill(source).unwrap_or_else(|error| panic!("a source that cannot fail: {error}")) > 0
}
