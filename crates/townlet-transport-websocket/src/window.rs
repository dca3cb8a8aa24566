//! What was sent on a connection and what its peer says it has taken.

use std::collections::VecDeque;
use std::str;

use townlet_transport::{Frame, Label};

use crate::goodbye::Fault;

/// An answer longer than this is no acknowledgement: 20 digits and room for
/// white space.
const MAX_LINE: usize = 64;

/// Unsettled frames in the order of their sending.
#[derive(Debug, Default)]
pub(crate) struct Window {
    frames: VecDeque<Entry>,
    /// Lines sent on this connection, and of these acknowledged and taken out.
    sent: u64,
    acked: u64,
    taken: u64,
}

#[derive(Debug)]
struct Entry {
    label: Label,
    seq: u64,
    /// A state is never skipped: what its peer has is known by no number alone.
    resumable: bool,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// On its way, in a message of so many bytes and lines.
    Sent { bytes: usize, lines: usize },
    /// Not sent: the peer said that it has it.
    Had,
    /// Not sent: the peer will never take it.
    Never(Fault),
}

/// The lowest and the highest number of a stream that wait to be settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsettled {
    pub(crate) label: Label,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Window {
    pub(crate) fn push(&mut self, frame: &Frame, fate: Fate) {
        self.sent += u64::from(matches!(fate, Fate::Sent { .. }));
        let resumable = is_resumable(frame);
        self.frames.push_back(Entry { label: frame.label().clone(), seq: frame.seq(), resumable, fate });
    }

    /// Takes a message of the peer, one acknowledgement a line. The error says
    /// what is wrong with it and does not quote it.
    pub(crate) fn hear(&mut self, message: &[u8]) -> Result<(), String> {
        let lines = message.strip_suffix(b"\n").unwrap_or(message).split(|byte| *byte == b'\n');
        for line in lines {
            let count = (line.len() <= MAX_LINE).then(|| parse(line)).flatten();
            let count = count.ok_or("a message that is no acknowledgement")?;
            if count < self.acked {
                return Err(format!("an acknowledgement of {count} lines after one of {}", self.acked));
            }
            if count > self.sent {
                return Err(format!("an acknowledgement of {count} lines when {} were sent", self.sent));
            }
            self.acked = count;
        }
        Ok(())
    }

    /// Takes out the frames at the head that are settled.
    ///
    /// # Errors
    /// None is, and the oldest never will be: it is taken out.
    pub(crate) fn take_settled(&mut self) -> Result<usize, Fault> {
        let mut settled = 0;
        while let Some(oldest) = self.frames.front() {
            match oldest.fate {
                Fate::Sent { .. } if self.taken == self.acked => break,
                Fate::Sent { .. } => self.taken += 1,
                Fate::Had => {}
                Fate::Never(_) if settled > 0 => break,
                Fate::Never(fault) => {
                    self.frames.pop_front();
                    return Err(fault);
                }
            }
            self.frames.pop_front();
            settled += 1;
        }
        Ok(settled)
    }

    /// True where frames wait to be settled.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Frames that wait to be settled.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Lines that were sent and are not acknowledged.
    pub(crate) fn outstanding(&self) -> u64 {
        self.sent - self.acked
    }

    /// The line that is not acknowledged, where it is one alone.
    pub(crate) fn alone(&self) -> Option<(Label, u64)> {
        let mut sent = self.frames.iter().rev().filter(|entry| matches!(entry.fate, Fate::Sent { .. }));
        (self.outstanding() == 1).then(|| sent.next()).flatten().map(|entry| (entry.label.clone(), entry.seq))
    }

    /// Bytes and lines of the largest message that is not acknowledged in whole.
    pub(crate) fn largest(&self) -> Option<(usize, usize)> {
        let messages = self.frames.iter().filter_map(|entry| match entry.fate {
            Fate::Sent { bytes, lines } => Some((bytes, lines)),
            _ => None,
        });
        messages.max()
    }

    /// What is not settled, by stream; `limit` streams at most.
    pub(crate) fn unsettled(&self, limit: usize) -> Vec<Unsettled> {
        let mut streams: Vec<Unsettled> = Vec::new();
        for Entry { label, seq, .. } in self.frames.iter().filter(|entry| entry.resumable) {
            match streams.iter().position(|known| known.label == *label) {
                Some(at) => {
                    let known = &mut streams[at];
                    (known.from, known.to) = (known.from.min(*seq), known.to.max(*seq));
                }
                None if streams.len() < limit => {
                    streams.push(Unsettled { label: label.clone(), from: *seq, to: *seq });
                }
                None => {}
            }
        }
        streams
    }
}

/// True where a number alone says whether the peer has it.
pub(crate) fn is_resumable(frame: &Frame) -> bool {
    !matches!(frame.kind(), "snapshot" | "diff")
}

/// `{"ack":N}`, with white space where JSON allows it.
fn parse(line: &[u8]) -> Option<u64> {
    let blank = [' ', '\t', '\r', '\n'];
    let text = str::from_utf8(line).ok()?.trim_matches(blank);
    let inner = text.strip_prefix('{')?.strip_suffix('}')?.trim_matches(blank);
    let number = inner.strip_prefix("\"ack\"")?.trim_start_matches(blank).strip_prefix(':')?.trim_start_matches(blank);
    let canonical = number.bytes().all(|b| b.is_ascii_digit()) && (number.len() == 1 || !number.starts_with('0'));
    if canonical { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stream: &str, seq: u64) -> Frame {
        Frame::new(Label::new("r", stream), "event", seq, seq, "{}\n")
    }

    const SENT: Fate = Fate::Sent { bytes: 10, lines: 2 };

    fn window(fates: &[Fate]) -> Window {
        let mut window = Window::default();
        for (seq, fate) in (1..).zip(fates) {
            window.push(&event("s", seq), *fate);
        }
        window
    }

    #[test]
    fn acknowledgements_are_cumulative_and_count_what_was_sent() {
        let mut window = window(&[SENT, SENT, Fate::Had, SENT]);
        assert_eq!(window.take_settled(), Ok(0));
        window.hear(b"{\"ack\":1}\n").unwrap();
        assert_eq!(window.take_settled(), Ok(1));
        window.hear(b"{ \"ack\" : 2 }\n{\"ack\":2}").unwrap();
        assert_eq!(window.take_settled(), Ok(2), "what the peer had is settled with what was sent before it");
        assert!(window.is_awaited());
        window.hear(b"{\"ack\":3}").unwrap();
        assert_eq!(window.take_settled(), Ok(1));
        assert!(!window.is_awaited());
    }

    #[test]
    fn a_frame_that_is_too_large_is_at_fault_once_it_is_the_oldest() {
        let mut window = window(&[SENT, Fate::Never(Fault::TooLarge(99)), SENT]);
        assert_eq!(window.take_settled(), Ok(0));
        window.hear(b"{\"ack\":2}").unwrap();
        assert_eq!(window.take_settled(), Ok(1));
        assert_eq!(window.take_settled(), Err(Fault::TooLarge(99)));
        assert_eq!(window.take_settled(), Ok(1));
    }

    #[test]
    fn a_line_is_alone_where_all_before_it_are_acknowledged_and_none_was_sent_after_it() {
        let mut two = window(&[SENT, SENT, Fate::Had]);
        assert_eq!((two.alone(), two.outstanding(), two.len()), (None, 2, 3));
        two.hear(b"{\"ack\":1}").unwrap();
        assert_eq!(
            two.alone(),
            Some((Label::new("r", "s"), 2)),
            "the first waits to be taken out, and is acknowledged"
        );
        two.hear(b"{\"ack\":2}").unwrap();
        assert_eq!((two.alone(), two.outstanding()), (None, 0));
    }

    #[test]
    fn what_cannot_be_true_is_an_error() {
        let mut one = window(&[SENT, Fate::Had]);
        assert!(one.hear(b"{\"ack\":2}").unwrap_err().contains("1 were sent"));
        one.hear(b"{\"ack\":1}").unwrap();
        assert!(one.hear(b"{\"ack\":0}").unwrap_err().contains("after one of 1"));
        for junk in
            ["", "{}", "{\"ack\":-1}", "{\"ack\":01}", "{\"ack\":}", "{\"ack\":1,\"x\":2}", "ok", "{\"ack\":1}\n\n"]
        {
            assert!(one.hear(junk.as_bytes()).is_err(), "{junk:?}");
        }
        assert!(one.hear(b"{\"ack\":99999999999999999999999}").is_err());
        assert!(one.hear(&[b' '; 100]).is_err());
        assert!(one.hear(b"\xff\xfe").is_err());
    }

    #[test]
    fn what_is_unsettled_is_known_by_stream_and_states_are_left_out() {
        let mut window = Window::default();
        for (stream, seq) in [("a", 7), ("b", 3), ("a", 8)] {
            window.push(&event(stream, seq), SENT);
        }
        window.push(&Frame::new(Label::new("r", "town"), "diff", 1, 1, "{}\n"), SENT);
        let unsettled = window.unsettled(16);
        let of = |stream, from, to| Unsettled { label: Label::new("r", stream), from, to };
        assert_eq!(unsettled, [of("a", 7, 8), of("b", 3, 3)]);
        assert_eq!(window.unsettled(1).len(), 1);
        assert_eq!(window.largest(), Some((10, 2)));
    }
}
