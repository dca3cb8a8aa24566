//! The listening side: one thread accepts, one thread serves each connection.

mod backlog;
mod batch;
mod budget;
mod certificates;
mod coding;
mod connection;
mod directory;
mod error;
mod figures;
mod foreign;
#[cfg(feature = "grpc")]
pub(crate) mod grpc;
mod inflate;
mod intake;
mod live;
#[cfg(feature = "nats")]
mod nats;
mod options;
mod receiver;
mod rejected;
mod shown;
mod slots;
pub(crate) mod web;
mod wire;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::report::{CollectorReport, EndKind, Ending, ShardReport};
use crate::sequence;
use certificates::{Certificates, Watcher};
pub use error::CollectorError;
#[cfg(feature = "grpc")]
use grpc::Grpc;
use intake::Intake;
pub use intake::LineView;
pub(crate) use intake::reason_key;
#[cfg(feature = "nats")]
use nats::Nats;
pub use options::{CollectorOptions, Security, Subscriber};
pub use receiver::{Connection, Receiver, Took};
use slots::{Door, Slot, Slots};
use web::Web;

/// How long a quiet connection waits before it looks whether it should stop.
const LOOK_AROUND: Duration = Duration::from_millis(200);

/// After which silence TCP asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Address space of a connection's thread. What it does not touch costs nothing;
/// the deepest line that is read needs a tenth of it.
const STACK: usize = 1024 * 1024;

/// What the system may hold of acknowledgements that a peer does not read.
const SEND_BUFFER: usize = 64 * 1024;

/// A collector that is listening. Dropping it stops it without waiting;
/// [`shutdown`](Self::shutdown) waits and reports.
pub struct Collector {
    address: SocketAddr,
    web_address: Option<SocketAddr>,
    #[cfg(feature = "grpc")]
    grpc_address: Option<SocketAddr>,
    shared: Arc<Shared>,
    _watchers: Vec<Watcher>,
}

/// What all threads of a collector share.
struct Shared {
    options: CollectorOptions,
    /// Present under TLS.
    certificates: Option<Arc<Certificates>>,
    intake: Arc<Intake>,
    slots: Slots,
    stop: Stop,
    web: Option<Web>,
    #[cfg(feature = "grpc")]
    grpc: Option<Arc<Grpc>>,
    /// Present where lines are pulled from there.
    #[cfg(feature = "nats")]
    nats: Option<Arc<Nats>>,
}

/// One listener that accepts, for as long as this lives: until its thread ends, or where none could be started.
struct Accepting(Arc<Shared>);

impl Accepting {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.slots.listener_opened();
        Self(Arc::clone(shared))
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.slots.listener_closed();
    }
}

/// The wish to stop, and until when connections may read what has arrived.
#[derive(Default)]
struct Stop {
    asked: AtomicBool,
    drain_until: OnceLock<Instant>,
}

impl Stop {
    fn ask(&self, drain_until: Instant) {
        let _ = self.drain_until.set(drain_until);
        self.asked.store(true, Ordering::Release);
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    fn is_overdue(&self, now: Instant) -> bool {
        self.drain_until.get().is_some_and(|until| now >= *until)
    }
}

impl Collector {
    /// Opens the store, listens, and starts to accept.
    ///
    /// # Errors
    /// The address is taken or not ours, plaintext was asked for beyond
    /// loopback, the store folder cannot be made or another collector uses it.
    pub fn bind(options: CollectorOptions) -> Result<Self, CollectorError> {
        admissible(options.listen, &options.security)?;
        if let Some(web) = &options.web {
            guarded(web.listen, &web.security, web.token.is_some())?;
        }
        #[cfg(feature = "grpc")]
        if let Some(grpc) = &options.grpc {
            guarded(grpc.listen, &grpc.security, grpc.token.is_some())?;
        }
        let intake = Arc::new(Intake::new(&options).map_err(CollectorError::Store)?);
        let (listener, address) = listen(options.listen)?;
        let mut watchers = Vec::new();
        let certificates = follow(&options.security, &mut watchers)?;
        let (web_listener, web) = match &options.web {
            Some(web) => {
                let bound = listen(web.listen)?;
                let certificates = follow(&web.security, &mut watchers)?;
                (Some(bound), Some(Web::new(web.clone(), certificates)))
            }
            None => (None, None),
        };
        #[cfg(feature = "grpc")]
        let (grpc_listener, grpc) = match &options.grpc {
            Some(grpc) => {
                let (bound, address) = listen(grpc.listen)?;
                let certificates = follow(&grpc.security, &mut watchers)?;
                let grpc = Arc::new(Grpc::new(grpc.clone(), certificates));
                (Some((grpc::Listening::new(bound)?, address)), Some(grpc))
            }
            None => (None, None),
        };
        let (slots, stop) = (Slots::default(), Stop::default());
        #[cfg(feature = "nats")]
        let pulling = options.nats.clone().map(nats::Pulling::new).transpose().map_err(CollectorError::Nats)?;
        let shared = Arc::new(Shared {
            options,
            certificates,
            intake,
            slots,
            stop,
            web,
            #[cfg(feature = "grpc")]
            grpc,
            #[cfg(feature = "nats")]
            nats: pulling.as_ref().map(nats::Pulling::seen),
        });
        let web_address = web_listener.as_ref().map(|(_, address)| *address);
        #[cfg(feature = "grpc")]
        let grpc_address = grpc_listener.as_ref().map(|(_, address)| *address);
        // From here on, dropping it stops what was started.
        let collector = Self {
            address,
            web_address,
            #[cfg(feature = "grpc")]
            grpc_address,
            shared,
            _watchers: watchers,
        };
        collector.start("townlet-accept", listener, Door::Lines)?;
        if let Some((listener, _)) = web_listener {
            collector.start("townlet-web", listener, Door::Web)?;
        }
        #[cfg(feature = "grpc")]
        if let Some(((listening, _), grpc)) = grpc_listener.zip(collector.shared.grpc.as_ref()) {
            grpc::start(&collector.shared, grpc, listening)?;
        }
        #[cfg(feature = "nats")]
        if let Some(pulling) = pulling {
            pulling.start(Arc::clone(&collector.shared)).map_err(CollectorError::Thread)?;
        }
        Ok(collector)
    }

    fn start(&self, name: &str, listener: TcpListener, door: Door) -> Result<(), CollectorError> {
        let thread = thread::Builder::new().name(name.to_owned());
        let accepting = Accepting::begin(&self.shared);
        let spawned = thread.spawn(move || {
            // The listener goes first, whatever ends this.
            let (accepting, listener) = (accepting, listener);
            accept(&accepting.0, &listener, door);
        });
        spawned.map(drop).map_err(CollectorError::Thread)
    }

    /// Where it listens, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where the web listener listens, if there is one.
    pub fn web_addr(&self) -> Option<SocketAddr> {
        self.web_address
    }

    /// Where the gRPC listener listens, if there is one.
    #[cfg(feature = "grpc")]
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc_address
    }

    /// The streams in memory in short: gaps, losses, and since when nothing came.
    pub fn shards(&self) -> Vec<ShardReport> {
        self.shared.shards()
    }

    /// The numbers so far.
    pub fn report(&self) -> CollectorReport {
        self.shared.report()
    }

    /// Stops: accepts no more, ends the connections, writes what waits, and
    /// reports. Takes at most `within`; where every connection ended in time, also
    /// what the last writes to the disk take.
    ///
    /// A connection with acknowledgements ends after the chunk it is working on;
    /// its client has the rest still. Others are read until they pause, at most
    /// for three quarters of `within`. Connections that did not end in time (a
    /// disk that hangs) stand in
    /// [`connections_open`](CollectorReport::connections_open), and what they hold
    /// in `unwritten`. Where the listeners closed in time, which they do unless no descriptor
    /// is left to wake them with, their addresses are free for another collector.
    pub fn shutdown(self, within: Duration) -> CollectorReport {
        let now = Instant::now();
        self.stop(now + within / 4 * 3);
        self.shared.slots.wait_for_listeners(now + within / 4);
        if self.shared.slots.wait_for_none(now + within) {
            self.shared.intake.finish();
        }
        self.shared.report()
    }

    fn stop(&self, drain_until: Instant) {
        self.shared.stop.ask(drain_until);
        self.shared.slots.end_handshakes();
        let listeners = [
            Some(self.address),
            self.web_address,
            #[cfg(feature = "grpc")]
            self.grpc_address,
        ];
        for address in listeners.into_iter().flatten() {
            // A connection to ourselves wakes the accepting thread.
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
                ip => ip,
            };
            let _ = TcpStream::connect_timeout(&SocketAddr::new(ip, address.port()), LOOK_AROUND);
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if !self.shared.stop.is_asked() {
            self.stop(Instant::now());
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shared {
    fn report(&self) -> CollectorReport {
        let mut report = self.slots.report();
        let (streams, retired) = self.intake.directory.all();
        report.streams = streams.iter().map(|stream| stream.report()).collect();
        report.streams_retired = retired.streams;
        report.totals.stored = retired.stored + report.streams.iter().map(|stream| stream.stored).sum::<u64>();
        report.totals.unwritten = report.streams.iter().map(|stream| stream.unwritten).sum();
        report.totals.duplicates = retired.duplicates + report.streams.iter().map(|s| s.duplicates).sum::<u64>();
        let missing = report.streams.iter().map(|stream| stream.sequence.missing);
        report.missing = missing.fold(retired.missing, u64::saturating_add);
        report.restarts = sequence::restarts(
            report.streams.iter().filter_map(|stream| Some((stream.run_id.as_deref()?, stream.stream.as_deref()?))),
        );
        let failures = self.intake.failures().clone();
        report.invalid_by_reason = failures.invalid;
        report.store_error = failures.store;
        report.certificate = self.certificates.as_ref().map(|certificates| certificates.report(SystemTime::now()));
        #[cfg(feature = "nats")]
        {
            report.nats = self.nats.as_ref().map(|nats| nats.report());
        }
        report.rejected_kept = self.intake.rejected.as_ref().map_or(0, |rejected| rejected.kept());
        report
    }

    fn shards(&self) -> Vec<ShardReport> {
        let now = Instant::now();
        self.intake.directory.all().0.iter().map(|stream| stream.shard(now)).collect()
    }
}

fn admissible(listen: SocketAddr, security: &Security) -> Result<(), CollectorError> {
    match security {
        Security::PlaintextOnLoopback if !listen.ip().is_loopback() => Err(CollectorError::PlaintextExposed(listen)),
        _ => Ok(()),
    }
}

/// As [`admissible`], and with a token wherever others than this machine connect.
fn guarded(listen: SocketAddr, security: &Security, has_token: bool) -> Result<(), CollectorError> {
    admissible(listen, security)?;
    if has_token || listen.ip().is_loopback() { Ok(()) } else { Err(CollectorError::TokenMissing(listen)) }
}

fn listen(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), CollectorError> {
    let bind = |source| CollectorError::Bind { listen, source };
    let listener = TcpListener::bind(listen).map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    Ok((listener, address))
}

fn follow(security: &Security, watchers: &mut Vec<Watcher>) -> Result<Option<Arc<Certificates>>, CollectorError> {
    let Security::Tls(tls) = security else { return Ok(None) };
    let (certificates, watcher) = Certificates::follow(tls).map_err(CollectorError::Thread)?;
    watchers.push(watcher);
    Ok(Some(certificates))
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, door: Door) {
    while !shared.stop.is_asked() {
        match listener.accept() {
            Ok(_) if shared.stop.is_asked() => return,
            Ok((socket, peer)) => welcome(shared, socket, peer, door),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::warn!(%error, "collector_accept_failed");
                shared.slots.accept_failed();
                // Too many open files, mostly: trying again at once would spin.
                thread::park_timeout(LOOK_AROUND);
            }
        }
    }
}

/// Without these a connection works all the same.
fn tune<'s, S>(socket: &'s S)
where
    socket2::SockRef<'s>: From<&'s S>,
{
    let options = socket2::SockRef::from(socket);
    let _ = options.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE));
    let _ = options.set_send_buffer_size(SEND_BUFFER);
    let _ = options.set_tcp_nodelay(true);
}

fn note_cut(peer: SocketAddr, ending: &Ending) {
    if ending.kind.is_cut() {
        tracing::warn!(%peer, reason = ending.kind.as_str(), detail = %ending.detail, "collector_connection_cut");
    }
}

fn welcome(shared: &Arc<Shared>, socket: TcpStream, peer: SocketAddr, door: Door) {
    let limit = match (door, &shared.web) {
        (Door::Web, Some(web)) => web.options.max_connections,
        _ => shared.options.max_connections,
    };
    let Some(slot) = shared.slots.enter(peer, door, limit) else {
        tracing::warn!(%peer, limit, "collector_connection_refused");
        return;
    };
    tune(&socket);
    let worker = Arc::clone(shared);
    let id = slot.id;
    let thread = thread::Builder::new().name(format!("townlet-peer-{id}")).stack_size(STACK);
    let spawned = thread.spawn(move || {
        // Leaves its slot even if serving panics.
        let mut leaving = worker.slots.leave_at_end(&slot);
        let ending = match (door, &worker.web) {
            (Door::Web, Some(web)) => web::serve(&worker, web, &slot, socket),
            _ => connection::serve(&worker, &slot, socket),
        };
        note_cut(peer, &ending);
        leaving.ending = ending;
    });
    if let Err(error) = spawned {
        tracing::error!(%peer, %error, "collector_thread_failed");
        shared.slots.leave(id, Ending { kind: EndKind::Broken, detail: format!("no thread: {error}") });
    }
}
