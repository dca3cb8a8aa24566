//! Which line it is that a peer ends connections for.
//!
//! A close code refuses a message and does not say which. So after such an end what
//! was unsettled goes out one line at a time. A line that the peer refuses alone, on
//! two connections in a row that it had shown to be good before, is the one. Who is
//! turned away for another reason with the same code (1008 also stands for a token
//! that is refused) is turned away before a line was sent, and loses none.

use townlet_transport::{Frame, Label};

use crate::window::Window;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Suspect {
    label: Label,
    seq: u64,
    code: u16,
}

/// What is remembered from one connection to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suspicion {
    /// So many lines go out one at a time, each once the one before it is settled.
    pub(crate) careful: usize,
    suspect: Option<Suspect>,
    convicted: Option<Suspect>,
}

impl Suspicion {
    /// The peer ended a connection with this code, and left this behind. A line counts
    /// as refused alone only where the connection was `proven` before it went out.
    pub(crate) fn refused(&mut self, code: u16, window: &Window, proven: bool) {
        self.careful = self.careful.max(window.len());
        let Some((label, seq)) = window.alone().filter(|_| proven) else { return };
        let again = self.suspect.take().is_some_and(|before| (&before.label, before.seq) == (&label, seq));
        let this = Some(Suspect { label, seq, code });
        if again {
            self.convicted = this;
        } else {
            self.suspect = this;
        }
    }

    /// The code, where it is this frame that the peer never takes.
    pub(crate) fn convicts(&self, frame: &Frame) -> Option<u16> {
        let this = |one: &&Suspect| one.label == *frame.label() && one.seq == frame.seq();
        self.convicted.as_ref().filter(this).map(|one| one.code)
    }

    /// It was given up.
    pub(crate) fn given_up(&mut self) {
        self.careful = self.careful.saturating_sub(1);
        self.convicted = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Fate;

    const SENT: Fate = Fate::Sent { bytes: 3, lines: 1 };

    fn frame(seq: u64) -> Frame {
        Frame::new(Label::new("r", "s"), "event", seq, seq, "{}\n")
    }

    fn left(seqs: &[u64]) -> Window {
        let mut window = Window::default();
        seqs.iter().for_each(|seq| window.push(&frame(*seq), SENT));
        window
    }

    #[test]
    fn a_line_is_given_up_after_two_refusals_of_it_alone_and_no_sooner() {
        let mut suspicion = Suspicion::default();
        suspicion.refused(1007, &left(&[1, 2, 3]), true);
        assert_eq!((suspicion.careful, suspicion.convicts(&frame(1))), (3, None), "any of them may be it");
        suspicion.refused(1007, &left(&[2]), true);
        assert_eq!(suspicion.convicts(&frame(2)), None, "once is no proof");
        suspicion.refused(1007, &left(&[3]), true);
        suspicion.refused(1007, &left(&[2]), true);
        assert_eq!(suspicion.convicts(&frame(2)), None, "another one came between");
        suspicion.refused(1008, &left(&[2]), true);
        assert_eq!((suspicion.convicts(&frame(2)), suspicion.convicts(&frame(3))), (Some(1008), None));
        suspicion.given_up();
        assert_eq!((suspicion.careful, suspicion.convicts(&frame(2))), (2, None));
    }

    #[test]
    fn who_is_turned_away_before_or_without_proof_of_a_good_connection_loses_nothing() {
        let mut suspicion = Suspicion::default();
        for _ in 0..10 {
            suspicion.refused(1008, &left(&[]), true);
            suspicion.refused(1008, &left(&[1]), false);
        }
        assert_eq!(suspicion.convicts(&frame(1)), None);
    }
}
