//! A WebSocket server that keeps what it gets, and acknowledges where asked.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use townlet_tls::ServerTls;

use crate::serve::{serve, wait_for_the_end};

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) openings: usize,
    /// For each opening handshake that came to its end: its headers of interest.
    pub(crate) asked: Vec<Asked>,
    pub(crate) pings: usize,
    pub(crate) messages: usize,
    /// Connections that this side ended.
    pub(crate) closes: usize,
    up: bool,
    listening: bool,
    open: Vec<TcpStream>,
}

/// What a client asked for in its handshake.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) resume: Option<String>,
    pub(crate) settle: Option<String>,
    pub(crate) authorization: Option<String>,
}

pub(crate) type Shared = Arc<(Mutex<Seen>, Condvar)>;

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    shared: Shared,
}

/// How the peer behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Picks the subprotocol and acknowledges every line.
    Acknowledge,
    /// Knows no subprotocol.
    Plain,
    /// As `Acknowledge`, but takes messages of at most so many bytes (code 1009).
    Small(usize),
    /// As `Acknowledge`, but ends a connection that brings one of these lines.
    Refuses { code: u16, seqs: &'static [u64] },
    /// Ends each connection as soon as it is open.
    TurnsAway(u16),
    /// As `Acknowledge`, and promises to sync where it is asked to.
    Durable,
    /// Picks the subprotocol, acknowledges nothing, and answers pings.
    NeverAck,
    /// Picks the subprotocol and then neither reads nor writes: half open.
    Mute,
    /// Acknowledges so many lines of the first connection, reads on to the end
    /// of the message and hangs up. Tells who resumes that it has all up to `has`.
    Forgetful { acks: usize, has: u64 },
    /// Accepts the connection and says nothing.
    Silent,
    /// Answers the handshake with this, and closes.
    Answer(&'static str),
}

impl Peer {
    pub(crate) fn start(manner: Manner) -> Self {
        Self::run(manner, None)
    }

    pub(crate) fn secure(manner: Manner, tls: ServerTls) -> Self {
        Self::run(manner, Some(tls))
    }

    fn run(manner: Manner, tls: Option<ServerTls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen { up: true, listening: true, ..Seen::default() };
        let shared = Arc::new((Mutex::new(seen), Condvar::new()));
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept_all(listener, address, &accepting, manner, tls.as_ref()));
        Self { address, shared }
    }

    pub(crate) fn look<R>(&self, look: impl FnOnce(&Seen) -> R) -> R {
        look(&self.shared.0.lock().unwrap())
    }

    pub(crate) fn wait_for(&self, ready: impl Fn(&Seen) -> bool) {
        let seen = self.shared.0.lock().unwrap();
        let (_seen, late) =
            self.shared.1.wait_timeout_while(seen, Duration::from_secs(10), |seen| !ready(seen)).unwrap();
        assert!(!late.timed_out(), "the peer waited in vain");
    }

    pub(crate) fn hang_up(&self) {
        for socket in self.shared.0.lock().unwrap().open.drain(..) {
            // An error means that it is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn go_down(&self) {
        self.shared.0.lock().unwrap().up = false;
        let _ = TcpStream::connect(self.address);
        self.wait_for(|seen| !seen.listening);
        self.hang_up();
    }

    pub(crate) fn come_back(&self) {
        self.shared.0.lock().unwrap().up = true;
        self.shared.1.notify_all();
        self.wait_for(|seen| seen.listening);
    }
}

fn accept_all(listener: TcpListener, address: SocketAddr, shared: &Shared, manner: Manner, tls: Option<&ServerTls>) {
    let mut listener = Some(listener);
    loop {
        let Some(open) = &listener else {
            let seen = shared.0.lock().unwrap();
            drop(shared.1.wait_while(seen, |seen| !seen.up).unwrap());
            listener = Some(TcpListener::bind(address).unwrap());
            shared.0.lock().unwrap().listening = true;
            shared.1.notify_all();
            continue;
        };
        let (socket, _) = open.accept().unwrap();
        if !shared.0.lock().unwrap().up {
            listener = None;
            shared.0.lock().unwrap().listening = false;
            shared.1.notify_all();
            continue;
        }
        let mut seen = shared.0.lock().unwrap();
        seen.openings += 1;
        seen.open.push(socket.try_clone().unwrap());
        drop(seen);
        let (shared, tls) = (Arc::clone(shared), tls.cloned());
        let end = socket.try_clone().unwrap();
        std::thread::spawn(move || {
            treat(socket, &shared, manner, tls.as_ref());
            // An error means that it is gone already.
            let _ = end.shutdown(Shutdown::Both);
        });
    }
}

fn treat(socket: TcpStream, shared: &Shared, manner: Manner, tls: Option<&ServerTls>) {
    let Some(tls) = tls else { return serve(socket, shared, manner) };
    if manner == Manner::Silent {
        return wait_for_the_end(socket);
    }
    // A client that does not like the certificate is what some tests are about.
    if let Ok(stream) = tls.handshake(socket, "the client", Instant::now() + Duration::from_secs(10)) {
        serve(stream, shared, manner);
    }
}
