//! Why a peer ends a connection, and what that says of what it was sent.

use std::error::Error;
use std::fmt;

use townlet_tls::Endpoint;
use townlet_transport::{ErrorKind, TransportError};
use tungstenite::protocol::CloseFrame;

/// The cause of an error after which something about messages has to change
/// (RFC 6455, section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// 1009: a message was too big.
    Size,
    /// 1003, 1007, 1008: the peer does not take what a message says.
    Content(u16),
}

impl Refused {
    fn of(code: u16) -> Option<Self> {
        match code {
            1009 => Some(Self::Size),
            1003 | 1007 | 1008 => Some(Self::Content(code)),
            _ => None,
        }
    }

    /// What stands behind an error, where it is a refusal.
    pub(crate) fn behind(error: &TransportError) -> Option<Self> {
        error.source().and_then(|source| source.downcast_ref()).copied()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self {
            Self::Size => 1009,
            Self::Content(code) => *code,
        };
        write!(f, "WebSocket close code {code}")
    }
}

impl Error for Refused {}

/// The peer ended the connection in this way. Its reason is not quoted: it may say
/// what was sent.
pub(crate) fn goodbye(endpoint: &Endpoint, frame: Option<&CloseFrame>) -> TransportError {
    let Some(code) = frame.map(|frame| u16::from(frame.code)) else {
        return TransportError::new(ErrorKind::Disconnected, format!("{endpoint} closed the connection"));
    };
    let Some(refused) = Refused::of(code) else {
        let message = format!("{endpoint} closed the connection with code {code}");
        return TransportError::new(ErrorKind::Disconnected, message);
    };
    let message = match refused {
        Refused::Size => format!("{endpoint} closed the connection: a message was too big for it (1009)"),
        Refused::Content(_) => format!("{endpoint} closed the connection with code {code}: {}", meaning(code)),
    };
    TransportError::with_source(ErrorKind::Disconnected, message, refused)
}

/// The name of a code that refuses content, as the registry of IANA has it.
fn meaning(code: u16) -> &'static str {
    match code {
        1003 => "unsupported data",
        1007 => "invalid payload",
        _ => "policy violation",
    }
}

/// A frame that the peer will never take: why it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// So many bytes are more than the peer takes.
    TooLarge(usize),
    /// The peer ended two connections with this code for this line alone.
    Refused(u16),
}

impl Fault {
    pub(crate) fn at(self, endpoint: &Endpoint) -> TransportError {
        match self {
            Self::TooLarge(bytes) => {
                let message = format!("a line of {bytes} bytes is larger than {endpoint} takes");
                TransportError::new(ErrorKind::TooLarge, message)
            }
            Self::Refused(code) => {
                let why = meaning(code);
                let message = format!("{endpoint} refuses this line: it ended two connections for it ({code}, {why})");
                TransportError::new(ErrorKind::Rejected, message)
            }
        }
    }
}
