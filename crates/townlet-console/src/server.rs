//! The listening side: one thread accepts, one serves each connection.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use townlet_pipeline::Telemetry;

use crate::endpoint::Endpoint;
use crate::error::ConsoleError;
use crate::reply::Refusal;
use crate::session;
use crate::socket::{Listener, Stream};
use crate::token::{Key, Token};

/// What connections may take to say goodbye when the console stops, and what
/// they may take after their sockets were closed.
const GRACE: Duration = Duration::from_millis(500);

/// The pause after the system refused a connection or a thread.
const PAUSE: Duration = Duration::from_millis(100);

/// Where to listen, for whom, and within which bounds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsoleOptions {
    /// Where.
    pub endpoint: Endpoint,
    /// Who has it may ask.
    pub token: Token,
    /// Connections at a time, default 16; further ones are told so and closed.
    pub max_connections: usize,
    /// How long a request may take to arrive, default 5 s.
    pub request_timeout: Duration,
    /// How long a client may take nothing of what waits for it, default 30 s.
    pub stall_timeout: Duration,
    /// Time between two answers to wrong tokens, default 1 s, whoever guesses.
    /// One that would wait for longer than 5 of these gets its answer then.
    pub refusal_interval: Duration,
}

impl ConsoleOptions {
    /// The defaults.
    pub fn new(endpoint: Endpoint, token: Token) -> Self {
        Self {
            endpoint,
            token,
            max_connections: 16,
            request_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            refusal_interval: Duration::from_secs(1),
        }
    }
}

/// A console that is listening. Dropping it ends every connection, within about a
/// second, and removes its socket.
///
/// It keeps the pipeline's handle: a pipeline that is shut down ends the taps,
/// one whose other handles are only dropped goes on until the console goes.
pub struct Console {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    wake: UnixStream,
    acceptor: Option<JoinHandle<()>>,
}

/// What the threads of a console share.
pub(crate) struct Shared {
    pub(crate) options: ConsoleOptions,
    pub(crate) key: Key,
    pub(crate) telemetry: Telemetry,
    refused: AtomicU64,
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    /// For a stop that cannot wait, the sockets.
    open: BTreeMap<u64, Stream>,
    accepted: u64,
    /// When the next wrong token may be answered.
    next_refusal: Option<Instant>,
    /// Until when connections may say goodbye.
    stop: Option<Instant>,
}

impl Console {
    /// Listens, and answers from now on.
    ///
    /// # Errors
    /// The endpoint is taken, cannot be listened on, or can be reached from other machines.
    pub fn start(options: ConsoleOptions, telemetry: Telemetry) -> Result<Self, ConsoleError> {
        let (listener, endpoint) = Listener::bind(&options.endpoint)?;
        let (wake, woken) = UnixStream::pair().map_err(ConsoleError::Thread)?;
        let shared = Arc::new(Shared {
            key: options.token.key(),
            options,
            telemetry,
            refused: AtomicU64::new(0),
            table: Mutex::default(),
            changed: Condvar::new(),
        });
        let acceptor = Arc::clone(&shared);
        let acceptor = thread::Builder::new()
            .name("console-accept".into())
            .spawn(move || accept(&acceptor, &listener, &woken))
            .map_err(ConsoleError::Thread)?;
        tracing::info!(%endpoint, "telemetry_console_listening");
        Ok(Self { endpoint, shared, wake, acceptor: Some(acceptor) })
    }

    /// Where it listens, with the port that the system chose.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Requests without the token, so far.
    pub fn refused(&self) -> u64 {
        self.shared.refused()
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let goodbye = Instant::now() + GRACE;
        self.shared.lock().stop = Some(goodbye);
        self.shared.changed.notify_all();
        let _ = self.wake.write_all(b"!");
        if let Some(acceptor) = self.acceptor.take() {
            // It waits for nothing but the wake-up.
            let _ = acceptor.join();
        }
        if !self.shared.wait_until_empty(goodbye) {
            self.shared.lock().open.values().for_each(Stream::shutdown);
            self.shared.wait_until_empty(Instant::now() + GRACE);
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None while the console runs; then, until when there is time for a goodbye.
    pub(crate) fn stopping(&self) -> Option<Instant> {
        self.lock().stop
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> usize {
        self.lock().open.len()
    }

    /// Counts a wrong token and waits until it may be answered.
    pub(crate) fn hold_back(&self, peer: &str) {
        let total = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(peer, total, "telemetry_console_refused");
        let interval = self.options.refusal_interval;
        let mut table = self.lock();
        let now = Instant::now();
        let turn = table.next_refusal.map_or(now, |next| next.max(now)) + interval;
        table.next_refusal = Some(turn);
        let until = turn.min(now + 5 * interval);
        while table.stop.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            table = self.changed.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn enter(&self, stream: &Stream) -> Option<u64> {
        let handle = stream.try_clone().ok()?;
        let mut table = self.lock();
        if table.open.len() >= self.options.max_connections || table.stop.is_some() {
            return None;
        }
        table.accepted += 1;
        let id = table.accepted;
        table.open.insert(id, handle);
        Some(id)
    }

    fn wait_until_empty(&self, deadline: Instant) -> bool {
        let mut table = self.lock();
        while !table.open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            table = self.changed.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Gives a connection's place back when its thread ends, however it ends.
struct Place {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.lock().open.remove(&self.id);
        self.shared.changed.notify_all();
    }
}

fn accept(shared: &Arc<Shared>, listener: &Listener, wake: &UnixStream) {
    loop {
        let waited = listener.wait(wake);
        if shared.stopping().is_some() {
            return;
        }
        let error = match waited.and_then(|()| listener.accept()) {
            Ok(stream) => {
                admit(shared, stream);
                continue;
            }
            Err(error) if crate::socket::is_pause(&error) => continue,
            Err(error) => error,
        };
        // Out of descriptors, perhaps: what waits stays in the queue.
        tracing::warn!(%error, "telemetry_console_accept");
        let table = shared.lock();
        drop(shared.changed.wait_timeout(table, PAUSE));
    }
}

fn admit(shared: &Arc<Shared>, mut stream: Stream) {
    if !stream.is_from_our_user() {
        let total = shared.refused.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(peer = "another user", total, "telemetry_console_refused");
        return;
    }
    let Some(id) = shared.enter(&stream) else {
        let most = shared.options.max_connections;
        let refusal = Refusal::conflict(format!("{most} connections are open, which is the limit: try again later"));
        // Nothing has been written yet, so there is room for this.
        let _ = stream.set_write_timeout(PAUSE).and_then(|()| stream.write_all(&refusal.line()));
        return;
    };
    let place = Place { shared: Arc::clone(shared), id };
    let serve = move || {
        let outcome = session::serve(&place.shared, &mut stream);
        // The socket first: who sees it closed finds the place free.
        stream.shutdown();
        if let Err(error) = outcome {
            tracing::debug!(%error, "telemetry_console_connection");
        }
    };
    if let Err(error) = thread::Builder::new().name(format!("console-{id}")).spawn(serve) {
        tracing::warn!(%error, "telemetry_console_thread");
    }
}
