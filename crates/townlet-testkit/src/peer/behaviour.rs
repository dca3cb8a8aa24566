//! The ways in which a peer can treat a connection.

use std::time::Duration;

/// How a peer treats one connection.
///
/// Where the ALPN protocol `townlet-ack/1` was negotiated, every behaviour that
/// reads acknowledges what it read, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// Reads everything.
    Record,
    /// Accepts the connection and closes it at once.
    AcceptAndClose,
    /// Accepts the connection and does nothing more: no handshake, no reading.
    Stall,
    /// Answers the handshake with one byte of an endless record at a time, so
    /// that no single read takes long.
    Drip {
        /// The pause between two bytes.
        every: Duration,
    },
    /// After the handshake, reads a few bytes at a time.
    ReadSlowly {
        /// Bytes in one read.
        bytes: usize,
        /// The pause between two reads.
        every: Duration,
    },
    /// Reads so many bytes, in the middle of a line or not, then resets.
    ResetAfter {
        /// Bytes to read first.
        bytes: usize,
    },
    /// Reads so many lines, then closes; what it read beyond them it ignores.
    CloseAfter {
        /// Lines to read first.
        lines: usize,
    },
    /// Negotiates acknowledgements and sends none.
    NeverAck,
    /// Acknowledges the first lines, then closes although more has come.
    AckThenClose {
        /// Lines to acknowledge.
        lines: usize,
    },
    /// Sends these bytes after the first line, whatever was negotiated.
    Babble(Vec<u8>),
}
