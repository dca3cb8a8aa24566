//! Reading acknowledgements.

use std::str;

/// The ALPN protocol under which a peer acknowledges lines.
pub const ACK_PROTOCOL: &[u8] = b"townlet-ack/1";

/// The longest line that can be an acknowledgement: 20 digits and room for
/// white space.
const MAX_LINE: usize = 64;

/// What was sent on a connection and what its peer says it has taken.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    sent: u64,
    acked: u64,
    reported: u64,
    line: Vec<u8>,
}

impl Acks {
    /// Notes that `lines` more are on their way.
    pub(crate) fn sent(&mut self, lines: usize) {
        self.sent += lines as u64;
    }

    /// Takes bytes from the peer. The error says what is wrong with them and
    /// does not quote them.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Result<(), String> {
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() == MAX_LINE {
                    return Err(format!("a line of more than {MAX_LINE} bytes where an acknowledgement belongs"));
                }
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let count = parse(&line).ok_or("a line that is no acknowledgement")?;
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

    /// Lines acknowledged since the last call.
    pub(crate) fn take_new(&mut self) -> usize {
        let new = self.acked - self.reported;
        self.reported = self.acked;
        // At most what `sent` counted up from `usize`s.
        usize::try_from(new).unwrap_or(usize::MAX)
    }

    /// True where lines wait for their acknowledgement.
    pub(crate) fn are_due(&self) -> bool {
        self.reported < self.sent
    }
}

/// `{"ack":N}`, with white space where JSON allows it.
fn parse(line: &[u8]) -> Option<u64> {
    // Not `trim`: Unicode knows more of it.
    let trim = |text| str::trim_matches(text, [' ', '\t', '\r', '\n']);
    let inner = trim(trim(str::from_utf8(line).ok()?).strip_prefix('{')?.strip_suffix('}')?);
    let number = trim(trim(inner.strip_prefix("\"ack\"")?).strip_prefix(':')?);
    let canonical = number.bytes().all(|b| b.is_ascii_digit()) && (number.len() == 1 || !number.starts_with('0'));
    if canonical { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(sent: usize, bytes: &[u8]) -> Result<usize, String> {
        let mut acks = Acks::default();
        acks.sent(sent);
        acks.hear(bytes).map(|()| acks.take_new())
    }

    #[test]
    fn acknowledgements_are_cumulative_and_may_come_in_pieces() {
        let mut acks = Acks::default();
        acks.sent(10);
        acks.hear(b"{\"ack\":3}\n{\"ac").unwrap();
        assert_eq!(acks.take_new(), 3);
        assert_eq!(acks.take_new(), 0);
        assert!(acks.are_due());
        acks.hear(b"k\":3}\n{ \"ack\" : 10 }\r\n").unwrap();
        assert_eq!(acks.take_new(), 7);
        assert!(!acks.are_due());
    }

    #[test]
    fn what_cannot_be_true_is_an_error() {
        assert!(hear(2, b"{\"ack\":3}\n").unwrap_err().contains("2 were sent"));
        assert!(hear(5, b"{\"ack\":3}\n{\"ack\":2}\n").unwrap_err().contains("after one of 3"));
        for junk in ["\n", "{}\n", "{\"ack\":-1}\n", "{\"ack\":01}\n", "{\"ack\":}\n", "{\"ack\":1,\"x\":2}\n", "ok\n"]
        {
            assert!(hear(5, junk.as_bytes()).is_err(), "{junk:?}");
        }
        for foreign in ["\u{b}", "\u{a0}", "\u{2003}"] {
            for line in ["{S\"ack\":3}\n", "{\"ack\"S:3}\n", "{\"ack\":S3}\n", "{\"ack\":3S}\n", "{\"ack\":3}S\n"] {
                let line = line.replace('S', foreign);
                assert!(hear(5, line.as_bytes()).is_err(), "{line:?} has white space that is none in JSON");
            }
        }
        assert!(hear(5, &[b'x'; 100]).is_err(), "a line without an end is not collected for ever");
        assert!(hear(5, b"{\"ack\":99999999999999999999999}\n").is_err());
        assert!(hear(5, b"\xff\xfe\n").is_err());
    }
}
