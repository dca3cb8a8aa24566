//! From a frame to a message.

use std::collections::HashMap;
use std::fmt::Write;

use townlet_nats::{Message, Subject};
use townlet_transport::{Frame, Label};

/// Subjects that are kept at hand; more than a pipeline has streams.
const KEPT: usize = 1024;

/// The longest part of a line in which its envelope stands.
const ENVELOPE: usize = 1024;

/// Makes messages, and remembers which subject a stream has.
#[derive(Debug)]
pub(crate) struct Addresser {
    subject: Subject,
    known: HashMap<Label, String>,
}

impl Addresser {
    pub(crate) fn new(subject: Subject) -> Self {
        Self { subject, known: HashMap::new() }
    }

    /// The frame without its line end, under its subject and id.
    pub(crate) fn message(&mut self, frame: &Frame) -> Message {
        if self.known.len() >= KEPT {
            self.known.clear();
        }
        let subject = self.known.entry(frame.label().clone()).or_insert_with(|| self.subject.of(frame.label()));
        let line = frame.bytes();
        let payload = match line.strip_suffix(b"\n") {
            Some(inner) => line.slice_ref(inner),
            None => line,
        };
        Message { subject: subject.clone(), id: id_of(frame), payload }
    }
}

/// `run_id/stream/seq`, and `/rendering` where the line is a whole state: the same state
/// may go out several times, rendered anew for each connection, and none of these is the
/// other's duplicate.
fn id_of(frame: &Frame) -> String {
    let label = frame.label();
    let mut id = String::with_capacity(label.run_id().len() + label.stream().len() + 24);
    for part in [label.run_id(), label.stream()] {
        for byte in part.bytes() {
            // What no header can carry, and what would make two names one: the server takes the second of two
            // messages with one id for the first again, and throws it away.
            if byte.is_ascii_graphic() && !matches!(byte, b'/' | b'%') {
                id.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(id, "%{byte:02X}");
            }
        }
        id.push('/');
    }
    id.push_str(&frame.seq().to_string());
    if let Some(rendering) = rendering(frame) {
        id.push('/');
        id.push_str(rendering);
    }
    id
}

/// The rendering that stands in the envelope of a state's line.
fn rendering(frame: &Frame) -> Option<&str> {
    const KEY: &[u8] = b"\"rendering\":";
    if !matches!(frame.kind(), "snapshot" | "diff") {
        return None;
    }
    // Within a JSON string the quotes of this would be escaped.
    let envelope = &frame.line()[..frame.line().len().min(ENVELOPE)];
    let at = envelope.windows(KEY.len()).position(|window| window == KEY)?;
    let after = &envelope[at + KEY.len()..];
    let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&after[..digits]).ok().filter(|digits| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &'static str, line: &str) -> Message {
        let subject = Subject::parse("t.{stream}", 1).unwrap();
        let frame = Frame::new(Label::new("run-1", "town.events"), kind, 7, 1, line.to_owned());
        Addresser::new(subject).message(&frame)
    }

    #[test]
    fn an_event_is_known_by_run_stream_and_number() {
        let message = message("event", "{\"seq\":7,\"rendering\":3}\n");
        assert_eq!((message.subject.as_str(), message.id.as_str()), ("t.town.events", "run-1/town.events/7"));
        assert_eq!(&message.payload[..], b"{\"seq\":7,\"rendering\":3}", "the message is the line, without its end");
    }

    #[test]
    fn a_whole_state_is_known_by_its_rendering_too() {
        for (line, id) in [
            ("{\"seq\":7,\"rendering\":12,\"x\":1}\n", "run-1/town.events/7/12"),
            ("{\"seq\":7,\"base_seq\":6}\n", "run-1/town.events/7"),
            ("{\"s\":\"\\\"rendering\\\":9\",\"seq\":7}\n", "run-1/town.events/7"),
            ("{\"seq\":7,\"rendering\":\"x\"}\n", "run-1/town.events/7"),
        ] {
            assert_eq!(message("snapshot", line).id, id, "{line}");
        }
    }

    #[test]
    fn names_that_no_header_can_carry_are_encoded_and_no_two_make_one_id() {
        let id = |run: &str, stream: &str, seq| id_of(&Frame::new(Label::new(run, stream), "event", seq, 1, "{}\n"));
        assert_eq!(id("r 1", "t\u{f6}\r\nwn", 1), "r%201/t%C3%B6%0D%0Awn/1");
        let names = [
            "\u{441}\u{435}\u{432}\u{435}\u{440}",
            "\u{437}\u{430}\u{43f}\u{430}\u{434}",
            "a b",
            "a_b",
            "a%20b",
            "a",
            "a/1",
            "",
        ];
        let mut ids = std::collections::BTreeSet::new();
        for run in names {
            for stream in names {
                for seq in [1, 11] {
                    assert!(ids.insert(id(run, stream, seq)), "{run:?} {stream:?} {seq}");
                }
            }
        }
    }
}
