//! The peer itself: a listener, a thread for each connection, and a log.

use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use super::serve::Connection;
use super::{Behaviour, Conversation, PeerTls};
use crate::sync::Watched;

/// A peer on a port that the kernel chose. Stops when dropped.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tls: Option<PeerTls>,
    pub(super) control: Watched<Control>,
    pub(super) log: Watched<Vec<Conversation>>,
}

#[derive(Debug)]
pub(super) struct Control {
    pub(super) stop: bool,
    up: bool,
    listening: bool,
    /// Goes up when all open connections have to end.
    pub(super) epoch: u64,
    next: VecDeque<Behaviour>,
    usual: Behaviour,
    /// By place in the log: a second handle, to end what a thread reads.
    open: Vec<(usize, TcpStream)>,
}

impl Peer {
    /// A plaintext peer on 127.0.0.1 that treats every connection alike.
    pub fn plain(behaviour: Behaviour) -> Self {
        Self::start("127.0.0.1:0", None, behaviour)
    }

    /// A TLS peer on 127.0.0.1 that treats every connection alike.
    pub fn tls(tls: PeerTls, behaviour: Behaviour) -> Self {
        Self::start("127.0.0.1:0", Some(tls), behaviour)
    }

    /// The same on an address of the caller's choice, such as `[::1]:0`.
    ///
    /// # Panics
    /// Where the address cannot be bound.
    pub fn start(bind: &str, tls: Option<PeerTls>, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(bind).expect("the loopback address can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        let control = Control {
            stop: false,
            up: true,
            listening: true,
            epoch: 0,
            next: VecDeque::new(),
            usual: behaviour,
            open: Vec::new(),
        };
        let shared = Arc::new(Shared { tls, control: Watched::new(control), log: Watched::new(Vec::new()) });
        let acceptor = spawn({
            let shared = Arc::clone(&shared);
            move || accept_all(listener, address, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Treats the next connection that has no behaviour of its own yet so.
    pub fn then(self, behaviour: Behaviour) -> Self {
        self.treat_next(behaviour);
        self
    }

    /// As [`then`](Self::then), on a running peer.
    pub fn treat_next(&self, behaviour: Behaviour) {
        self.shared.control.update(|c| c.next.push_back(behaviour));
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `127.0.0.1:port`, as a transport's endpoint.
    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// `localhost:port`.
    pub fn localhost(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// All connections so far, oldest first.
    pub fn conversations(&self) -> Vec<Conversation> {
        self.shared.log.lock().clone()
    }

    /// The whole lines of all connections, oldest first, without `\n`.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.shared.log.lock().iter().flat_map(|c| c.lines.iter().cloned()).collect()
    }

    /// Waits until `ready` holds for the connections; returns whether it does.
    #[must_use]
    pub fn wait_for(&self, limit: Duration, mut ready: impl FnMut(&[Conversation]) -> bool) -> bool {
        self.shared.log.wait_for(limit, |log| ready(log))
    }

    /// Waits until `count` whole lines came over all connections.
    #[must_use]
    pub fn wait_for_lines(&self, count: usize, limit: Duration) -> bool {
        self.wait_for(limit, |log| log.iter().map(|c| c.lines.len()).sum::<usize>() >= count)
    }

    /// Ends all open connections, politely, and goes on listening.
    pub fn hang_up(&self) {
        let open = self.shared.control.update(|c| {
            c.epoch += 1;
            std::mem::take(&mut c.open)
        });
        for (_, socket) in &open {
            // An error means that the connection is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        let ended = self.wait_for(Duration::from_secs(10), |log| log.iter().all(|c| c.ended));
        assert!(ended, "a peer's connection did not end within 10 s");
    }

    /// Ends all connections and stops listening: further connects are refused.
    pub fn go_down(&self) {
        self.shared.control.update(|c| c.up = false);
        self.wake();
        let down = self.shared.control.wait_for(Duration::from_secs(10), |c| !c.listening);
        assert!(down, "the peer still listens after 10 s");
        self.hang_up();
    }

    /// Listens again on the same address.
    pub fn come_back(&self) {
        self.shared.control.update(|c| c.up = true);
        let up = self.shared.control.wait_for(Duration::from_secs(10), |c| c.listening);
        assert!(up, "the peer does not listen again after 10 s");
    }

    /// Makes the acceptor look at its orders.
    fn wake(&self) {
        // Refused where it does not listen: then it looks anyway.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let open = self.shared.control.update(|c| {
            c.stop = true;
            std::mem::take(&mut c.open)
        });
        for (_, socket) in &open {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.wake();
        if let Some(acceptor) = self.acceptor.take() {
            // Its panic has been printed; a second one here would hide it.
            let _ = acceptor.join();
        }
    }
}

fn accept_all(listener: TcpListener, address: SocketAddr, shared: &Arc<Shared>) {
    let mut listener = Some(listener);
    let mut handlers = Vec::new();
    while !shared.control.lock().stop {
        if !shared.control.lock().up {
            listener = None;
            shared.control.update(|c| c.listening = false);
            shared.control.wait_for(Duration::from_secs(60), |c| c.up || c.stop);
            continue;
        }
        let Some(open) = &listener else {
            listener = TcpListener::bind(address).ok();
            let listening = listener.is_some();
            shared.control.update(|c| c.listening = listening);
            continue;
        };
        let Ok((socket, _)) = open.accept() else { continue };
        let index = shared.log.lock().len();
        let Some((behaviour, epoch)) = shared.control.update(|c| {
            if c.stop || !c.up {
                return None;
            }
            c.open.extend(socket.try_clone().map(|second| (index, second)));
            Some((c.next.pop_front().unwrap_or_else(|| c.usual.clone()), c.epoch))
        }) else {
            continue;
        };
        shared.log.update(|log| log.push(Conversation::default()));
        let shared = Arc::clone(shared);
        handlers.push(spawn(move || {
            let connection = Connection { shared: &shared, index, epoch };
            // How it ended is in the log; an error here is the transport's business.
            let _ = connection.serve(socket, &behaviour);
            // The socket closes with its last handle.
            shared.control.update(|c| c.open.retain(|(of, _)| *of != index));
            shared.log.update(|log| log[index].ended = true);
        }));
    }
    for handler in handlers {
        let _ = handler.join();
    }
}
