//! A network between client and collector that can be told to fail.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::spawn;

use crate::support::{PATIENCE, anywhere};

/// Passes bytes on, both ways, until it is told otherwise. Stops when dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Where connections lead, the next one first; the last stays.
    targets: VecDeque<SocketAddr>,
    swallow_replies: bool,
    /// Bytes that still pass to the collector; none is no limit.
    budget: Option<usize>,
    /// Bytes that came for the collector.
    passed_up: u64,
    open: Vec<TcpStream>,
    stop: bool,
}

impl Relay {
    /// The first connection leads to the first of `targets`, and so on.
    pub(crate) fn to(targets: &[SocketAddr]) -> Self {
        let listener = TcpListener::bind(anywhere()).unwrap();
        let address = listener.local_addr().unwrap();
        let targets = targets.iter().copied().collect();
        let state =
            State { targets, swallow_replies: false, budget: None, passed_up: 0, open: Vec::new(), stop: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        spawn(move || {
            for client in listener.incoming() {
                if accepting.lock().stop {
                    return;
                }
                accepting.join(client.unwrap());
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing that the collector says arrives.
    pub(crate) fn swallow_replies(&self) {
        self.shared.lock().swallow_replies = true;
    }

    /// So many bytes still reach the collector, then the network stands still.
    pub(crate) fn stall_after(&self, bytes: usize) {
        self.shared.lock().budget = Some(bytes);
    }

    /// Bytes that went to the collector, so far.
    pub(crate) fn passed_up(&self) -> u64 {
        self.shared.lock().passed_up
    }

    /// Waits until the last byte that may pass has passed.
    pub(crate) fn wait_until_stalled(&self) {
        let waiting = self.shared.lock();
        let (state, late) =
            self.shared.changed.wait_timeout_while(waiting, PATIENCE, |state| state.budget != Some(0)).unwrap();
        assert!(!late.timed_out(), "bytes left to pass: {:?}", state.budget);
    }

    /// Ends every connection without a word. New ones work, and lead to `target`.
    pub(crate) fn cut(&self, target: SocketAddr) {
        let mut state = self.shared.lock();
        for socket in state.open.drain(..) {
            // An error means that it is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        state.swallow_replies = false;
        state.budget = None;
        state.targets = VecDeque::from([target]);
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.cut(self.address);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn join(self: &Arc<Self>, client: TcpStream) {
        let mut state = self.lock();
        let target = if state.targets.len() > 1 { state.targets.pop_front() } else { state.targets.front().copied() };
        // A collector that is down shows as a connection that ends at once.
        let Some(Ok(server)) = target.map(TcpStream::connect) else { return };
        for socket in [&client, &server] {
            socket.set_nodelay(true).unwrap();
            state.open.push(socket.try_clone().unwrap());
        }
        drop(state);
        let ends = [(client.try_clone().unwrap(), server.try_clone().unwrap(), true), (server, client, false)];
        for (from, to, upwards) in ends {
            let shared = Arc::clone(self);
            spawn(move || shared.pass(from, to, upwards));
        }
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, upwards: bool) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(got @ 1..) = from.read(&mut buffer) {
            let mut bytes = &buffer[..got];
            while !bytes.is_empty() {
                let state = self.lock();
                let now = match state.budget {
                    Some(left) if upwards => left.min(bytes.len()),
                    _ => bytes.len(),
                };
                if now == 0 {
                    // Until the cut lifts the limit; then this connection is gone.
                    drop(self.changed.wait_while(state, |state| state.budget == Some(0)).unwrap());
                    break;
                }
                let passes = upwards || !state.swallow_replies;
                drop(state);
                if passes && to.write_all(&bytes[..now]).is_err() {
                    break;
                }
                bytes = &bytes[now..];
                let mut state = self.lock();
                if upwards {
                    state.passed_up += now as u64;
                    if let Some(left) = &mut state.budget {
                        *left = left.saturating_sub(now);
                        self.changed.notify_all();
                    }
                }
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}
