//! Errors that a worker can act on.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What went wrong, as far as it decides what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The peer cannot be reached: refused, no route, name not found.
    Unavailable,
    /// A time limit ran out.
    Timeout,
    /// An open connection ended: reset, closed, broken.
    Disconnected,
    /// The TLS handshake failed: certificate, name, version, protocol.
    Tls,
    /// The disk or quota is full.
    StorageFull,
    /// The sink was closed by its reader in the ordinary course (a pipe to
    /// `head`): a clean end, nothing more can be delivered there.
    Closed,
    /// The peer refuses the first unsettled frame, and will refuse it again.
    Rejected,
    /// The first unsettled frame is larger than the peer takes.
    TooLarge,
    /// The configuration can never work (a directory where a file should be).
    Misconfigured,
    /// Anything else the operating system reports.
    Io,
}

impl ErrorKind {
    /// True where the same frame may succeed later.
    pub fn is_retryable(self) -> bool {
        !self.is_about_frame() && self != Self::Closed
    }

    /// True where the head frame, not the sink, is at fault: it is dropped
    /// alone and counted, the rest goes on.
    pub fn is_about_frame(self) -> bool {
        matches!(self, Self::Rejected | Self::TooLarge)
    }

    /// A stable name for logs and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Disconnected => "disconnected",
            Self::Tls => "tls",
            Self::StorageFull => "storage_full",
            Self::Closed => "closed",
            Self::Rejected => "rejected",
            Self::TooLarge => "too_large",
            Self::Misconfigured => "misconfigured",
            Self::Io => "io",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure of a transport: a kind to act on, a message that names the peer
/// and the remedy, and the cause.
#[derive(Debug)]
pub struct TransportError {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    retry_after: Option<Duration>,
}

impl TransportError {
    /// The longest pause that a peer can ask for. What is asked for beyond it
    /// is a mistake, or an attempt to silence the sender.
    pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

    /// An error without a deeper cause. `message` names the peer or path and
    /// what to do; it never quotes payload bytes.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, retry_after: None }
    }

    /// The same with its cause.
    pub fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(source.into()), retry_after: None }
    }

    /// Classifies an I/O error; `doing` says what was tried and where, as in
    /// `sending to 127.0.0.1:9000`.
    pub fn from_io(doing: impl fmt::Display, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::ConnectionRefused | Io::HostUnreachable | Io::NetworkUnreachable | Io::AddrNotAvailable => {
                ErrorKind::Unavailable
            }
            Io::TimedOut | Io::WouldBlock => ErrorKind::Timeout,
            Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::NotConnected | Io::UnexpectedEof => {
                ErrorKind::Disconnected
            }
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::StorageFull,
            _ => ErrorKind::Io,
        };
        Self { kind, message: format!("{doing}: {error}"), source: Some(Box::new(error)), retry_after: None }
    }

    /// The same from a peer that asks to be left alone for so long, at most
    /// [`LONGEST_PAUSE`](Self::LONGEST_PAUSE).
    #[must_use]
    pub fn asking_to_wait(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause.min(Self::LONGEST_PAUSE));
        self
    }

    /// How long the peer asks to be left alone, where it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What to act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}

/// A failed send, with what is certain about the head of the batch.
#[derive(Debug)]
pub struct SendError {
    /// Frames at the head of the batch that certainly settled before the failure.
    pub settled: usize,
    /// How many frames behind those an error [about frames](ErrorKind::is_about_frame)
    /// is about. They are dropped; at least one is. Of no meaning for other errors.
    pub refused: usize,
    /// Why the next one did not.
    pub error: TransportError,
}

impl SendError {
    /// A failure after `settled` frames.
    pub fn after(settled: usize, error: TransportError) -> Self {
        Self { settled, refused: 1, error }
    }

    /// The peer took `settled` frames and refuses the next `refused` for one and
    /// the same reason.
    pub fn refusing(settled: usize, refused: usize, error: TransportError) -> Self {
        Self { settled, refused: refused.max(1), error }
    }
}

impl From<TransportError> for SendError {
    fn from(error: TransportError) -> Self {
        Self::after(0, error)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} settled frames)", self.error, self.settled)
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
