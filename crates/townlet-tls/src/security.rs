//! Encrypted or not.

use crate::{ClientOptions, Plaintext};

/// Whether a client's bytes are encrypted on the way. There is no third way, and none
/// without TLS but by leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Under TLS 1.2 or 1.3.
    Tls(ClientOptions),
    /// Not at all: only where the plaintext rule has granted it.
    Plaintext(Plaintext),
}

impl Security {
    /// How, where it is under TLS.
    pub fn tls(self) -> Option<ClientOptions> {
        match self {
            Self::Tls(client) => Some(client),
            Self::Plaintext(_) => None,
        }
    }
}
