//! A collector without its sockets and files.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use townlet_state::State;

use super::intake::{Intake, Session};
use super::live::Live;
use super::options::{CollectorOptions, Security};
use crate::report::LineCounts;

/// Who brings lines where there is no network.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What a collector does with lines, without a network and without a store: each is
/// checked, told from those that were here before, and followed where it is a state.
///
/// The same code as behind a [`Collector`](crate::Collector), for simulations of what
/// brings the lines, and for programs that read them from somewhere else.
///
/// ```
/// use townlet_collector::{Receiver, Took};
///
/// let receiver = Receiver::new(16, 16);
/// let line = br#"{"run_id":"r1","stream":"town","seq":1,"tick":1}"#;
/// assert_eq!(receiver.connect().take(line), Took::New);
/// let mut another = receiver.connect();
/// assert_eq!(another.take(line), Took::Duplicate);
/// assert_eq!(another.take(b"{}}"), Took::Refused);
/// ```
pub struct Receiver(Arc<Intake>);

/// One connection of a [`Receiver`]: lines in the order in which it brings them.
pub struct Connection(Session);

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// It was new, and a store would have it now.
    New,
    /// It was here before.
    Duplicate,
    /// It is no line, or of one stream more than a connection may have.
    Refused,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.0.counts).finish()
    }
}

impl Receiver {
    /// Keeps at most `gaps_per_stream` gaps of a stream, and follows at most
    /// `live_streams` streams of states.
    pub fn new(gaps_per_stream: usize, live_streams: usize) -> Self {
        let nowhere = CollectorOptions::new(NOBODY, Security::PlaintextOnLoopback);
        let options = CollectorOptions { gaps_per_stream, ..nowhere };
        Self(Arc::new(Intake::unstored(&options, Live::new(live_streams))))
    }

    /// A connection.
    pub fn connect(&self) -> Connection {
        Connection(Session::new(Arc::clone(&self.0), 0, NOBODY))
    }

    /// The state of a stream of a run, as its lines led to it.
    pub fn state(&self, run_id: &str, stream: &str) -> Option<State> {
        self.0.live.as_ref()?.state(run_id, stream)
    }
}

impl Connection {
    /// Takes one line, with or without its newline.
    pub fn take(&mut self, line: &[u8]) -> Took {
        let before = self.0.counts;
        if self.0.take(line).is_err() {
            return Took::Refused;
        }
        let LineCounts { stored, duplicates, .. } = self.0.counts;
        match (stored > before.stored, duplicates > before.duplicates) {
            (true, _) => Took::New,
            (_, true) => Took::Duplicate,
            _ => Took::Refused,
        }
    }
}
