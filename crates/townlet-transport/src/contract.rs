//! The trait a backend implements.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{Figures, Frame, SendError, TransportError};

/// How far a frame got. Ordered: a later level includes the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Handed to the kernel (a socket, a page cache, a pipe).
    Sent,
    /// The peer said that it has it.
    PeerAcked,
    /// On stable storage, here or there.
    Durable,
}

impl Level {
    /// The name used in configuration and status: `sent`, `peer_acked`, `durable`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::PeerAcked => "peer_acked",
            Self::Durable => "durable",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What [`Transport::connect`] achieved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connected {
    /// True where this call opened a new connection (or file), so that the peer
    /// may know nothing of what earlier ones carried.
    pub fresh: bool,
    /// The level at which this connection settles frames.
    pub level: Level,
    /// Who is at the other end, for logs and status (`127.0.0.1:9000`, a path).
    pub peer: String,
    /// True where the bytes travel under TLS.
    pub tls: bool,
    /// Until when the certificate that we show to the peer is good; none where we
    /// show none.
    pub certificate_until: Option<SystemTime>,
}

impl Connected {
    /// A connection that has just been opened to `peer`.
    pub fn fresh(peer: impl Into<String>, level: Level, tls: bool) -> Self {
        Self { fresh: true, level, peer: peer.into(), tls, certificate_until: None }
    }

    /// The connection of an earlier call, still open.
    pub fn reused(peer: impl Into<String>, level: Level, tls: bool) -> Self {
        Self { fresh: false, level, peer: peer.into(), tls, certificate_until: None }
    }

    /// The same with the end of the certificate that we show to the peer.
    #[must_use]
    pub fn showing(mut self, certificate_until: Option<SystemTime>) -> Self {
        self.certificate_until = certificate_until;
        self
    }

    /// A sink inside this process: nothing to open, settles at [`Level::Sent`].
    pub fn local() -> Self {
        Self::reused("local", Level::Sent, false)
    }
}

/// What a successful [`Transport::send`] means for the frames of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every frame of the batch reached this level.
    Settled(Level),
    /// Every frame was handed over; [`Transport::receipts`] will tell when the
    /// peer has them, in the order in which they were sent.
    Pending,
}

/// A backend: brings whole lines to one place.
///
/// Calls come from one thread at a time. Each call ends within the time limits
/// of the transport's configuration; none retries inside.
pub trait Transport: Send {
    /// Where to read the figures of the pipeline that this transport works for.
    /// Called at most once, before the first [`connect`](Self::connect); a worker
    /// of its own has none to give. Most transports have no use for them.
    fn watch(&mut self, figures: Arc<dyn Figures>) {
        let _ = figures;
    }

    /// Opens the sink where it is not open. Idempotent and cheap when it is.
    ///
    /// The worker calls it before each [`send`](Self::send), so construction
    /// must not touch the network or the disk: a peer that is down at start
    /// never stops the host.
    ///
    /// # Errors
    /// Any kind; a retryable one is tried again after a backoff.
    fn connect(&mut self) -> Result<Connected, TransportError>;

    /// Hands over a batch, in order.
    ///
    /// # Errors
    /// [`SendError::settled`] says how many frames at the head of the batch
    /// certainly reached the level that an `Ok(Settled)` would have reported.
    /// The worker keeps the others, in order, and sends them again. After any
    /// error but a rejection of the head frame the connection must be considered
    /// gone: the next `connect` opens a new one.
    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError>;

    /// Waits at most `wait` for receipts of frames whose send was
    /// [`Outcome::Pending`]; returns how many more were settled, oldest first.
    ///
    /// # Errors
    /// A lost connection: all unsettled frames are then sent again.
    fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        let _ = wait;
        Ok(0)
    }

    /// Makes what was sent as durable as the transport can. Idempotent.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    fn flush(&mut self) -> Result<(), TransportError> {
        Ok(())
    }

    /// Ends the connection, politely where that takes no more than the send
    /// timeout. Idempotent; a later `connect` opens a new one.
    fn close(&mut self);
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn watch(&mut self, figures: Arc<dyn Figures>) {
        (**self).watch(figures);
    }
    fn connect(&mut self) -> Result<Connected, TransportError> {
        (**self).connect()
    }
    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        (**self).send(batch)
    }
    fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        (**self).receipts(wait)
    }
    fn flush(&mut self) -> Result<(), TransportError> {
        (**self).flush()
    }
    fn close(&mut self) {
        (**self).close();
    }
}
