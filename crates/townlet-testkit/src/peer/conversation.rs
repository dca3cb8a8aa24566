//! What a peer saw of one connection.

/// The record of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conversation {
    /// Whole lines that were read, without their `\n`.
    pub lines: Vec<Vec<u8>>,
    /// What came after the last `\n`.
    pub tail: Vec<u8>,
    /// The negotiated ALPN protocol.
    pub alpn: Option<Vec<u8>>,
    /// The TLS version, as in `TLSv1_3`.
    pub version: Option<String>,
    /// True where the client showed a certificate that was accepted.
    pub client_certificate: bool,
    /// Why the handshake failed, where it did.
    pub handshake_error: Option<String>,
    /// Lines acknowledged so far.
    pub acked: usize,
    /// True once the connection is over.
    pub ended: bool,
}

impl Conversation {
    /// Adds bytes as they came.
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let mut line = std::mem::take(&mut self.tail);
            line.extend_from_slice(&bytes[..end]);
            self.lines.push(line);
            bytes = &bytes[end + 1..];
        }
        self.tail.extend_from_slice(bytes);
    }
}
