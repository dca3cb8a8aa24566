//! How large a message may be.

use townlet_transport::Frame;

/// Bounds of messages to one peer; they go down where the peer refuses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Lines are gathered up to so many bytes.
    pub(crate) message: usize,
    /// The longest line, its newline included.
    pub(crate) line: usize,
}

impl Limits {
    /// How many frames at the head of `batch` go into one message; at least one.
    pub(crate) fn gather(self, batch: &[Frame]) -> usize {
        let mut bytes = 0;
        let fits = batch.iter().take_while(|frame| {
            bytes += frame.len();
            bytes <= self.message && frame.len() <= self.line
        });
        fits.count().max(1)
    }

    /// Takes in that the peer refused a message for its size, and `largest`
    /// (bytes, lines) is the largest that it can have been.
    ///
    /// A message of one line shows a bound of lines: the refused one was not
    /// larger. One of several shows only that they must not be so many.
    pub(crate) fn refused(&mut self, largest: Option<(usize, usize)>) {
        match largest {
            Some((bytes, 1)) => {
                self.line = self.line.min(bytes.saturating_sub(1)).max(1);
                self.message = self.message.min(self.line);
            }
            Some((bytes, _)) => self.message = (self.message.min(bytes) / 2).max(1),
            None => self.message = (self.message / 2).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use townlet_transport::Label;

    use super::*;

    fn frames(lengths: &[usize]) -> Vec<Frame> {
        let label = Label::new("r", "s");
        (1..).zip(lengths).map(|(seq, len)| Frame::new(label.clone(), "event", seq, 1, vec![b'x'; *len])).collect()
    }

    #[test]
    fn lines_are_gathered_up_to_the_limit_and_a_long_one_goes_alone() {
        let limits = Limits { message: 10, line: 100 };
        assert_eq!(limits.gather(&frames(&[4, 6, 1])), 2);
        assert_eq!(limits.gather(&frames(&[50, 1])), 1);
        assert_eq!(limits.gather(&frames(&[3])), 1);
    }

    /// Against a peer with any limit: messages shrink until they fit, and no line
    /// that fits is ever given up.
    #[test]
    fn a_peers_limit_is_found_and_never_undercut() {
        for peer in [1, 2, 7, 64, 1000, 5000] {
            for line in [1, 3, 64, 999, 1000, 1001, 4000] {
                let mut limits = Limits { message: 4096, line: 16 * 1024 };
                let batch = frames(&[line; 40]);
                let mut refusals = 0;
                loop {
                    if line > limits.line {
                        assert!(line > peer, "a line of {line} bytes was given up, the peer takes {peer}");
                        break;
                    }
                    let lines = limits.gather(&batch);
                    if lines * line <= peer {
                        break;
                    }
                    refusals += 1;
                    assert!(refusals < 20, "{limits:?}");
                    limits.refused(Some((lines * line, lines)));
                }
            }
        }
    }
}
