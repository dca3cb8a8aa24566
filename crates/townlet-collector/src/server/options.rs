//! What a collector can be told.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use townlet_tls::ServerTls;

#[cfg(feature = "grpc")]
use super::grpc::GrpcOptions;
use super::intake::LineView;
use super::web::WebOptions;
#[cfg(feature = "nats")]
use crate::nats::NatsSource;
use crate::store::StoreOptions;

/// Called for each line that is new, on the thread of its connection, before the
/// line is acknowledged. A slow subscriber slows that connection down; one that
/// panics ends it.
pub type Subscriber = Arc<dyn Fn(&LineView<'_>) + Send + Sync>;

/// How bytes travel.
#[derive(Clone, Debug)]
pub enum Security {
    /// Under TLS. The collector follows the files that the [`ServerTls`] was
    /// loaded from: new handshakes use renewed ones within two seconds, and the
    /// connections that are open go on. Where the ALPN list of the [`ServerTls`] holds
    /// [`ACK_PROTOCOL`](crate::ACK_PROTOCOL), clients may ask for acknowledgements.
    Tls(ServerTls),
    /// In the open, and only on a loopback address. There is no ALPN then, so
    /// nothing is acknowledged.
    PlaintextOnLoopback,
}

/// Everything [`Collector::bind`](crate::Collector::bind) needs.
#[derive(Clone)]
pub struct CollectorOptions {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// How bytes travel.
    pub security: Security,
    /// Where lines go; without it they are checked and counted only.
    pub store: Option<StoreOptions>,
    /// Connections at a time, 256; one more is closed at once and counted.
    pub max_connections: usize,
    /// The longest line in bytes without its newline, 16 MiB: as much as the
    /// largest `max_buffer_bytes` of a producer. It bounds the memory of a
    /// connection; a longer line ends it. A higher limit than 16 MiB makes no
    /// longer line readable: it is counted as `too_large` and the connection goes on.
    pub max_line_bytes: usize,
    /// Distinct `(run_id, stream)` on one connection, 64; one more ends it.
    pub max_streams_per_connection: usize,
    /// Streams in memory, 4096. Idle ones leave for new ones and come back by
    /// reading their file.
    pub max_streams: usize,
    /// Gaps kept for each stream, 4096; more are counted only.
    pub gaps_per_stream: usize,
    /// For the TLS handshake as a whole, 10 s.
    pub handshake_timeout: Duration,
    /// From the first byte of a line to its newline, 30 s; longer ends the connection.
    pub line_timeout: Duration,
    /// How long a new connection may go without its first line. Whoever only holds it
    /// open takes the place of a producer.
    pub first_line_timeout: Duration,
    /// For a connection on which nothing comes; none by default, since a quiet
    /// producer is not a broken one (dead peers are found by TCP keep-alive).
    pub idle_timeout: Option<Duration>,
    /// For writing an acknowledgement, 5 s.
    pub write_timeout: Duration,
    /// Bytes of `@rejected.jsonl` in the store folder, which keeps the beginning
    /// of refused lines; 0, the default, keeps nothing.
    pub keep_rejected_bytes: u64,
    /// Called for each new line.
    pub subscriber: Option<Subscriber>,
    /// A second listener, for HTTP and WebSocket; none by default.
    pub web: Option<WebOptions>,
    /// A listener for OTLP over gRPC; none by default.
    #[cfg(feature = "grpc")]
    pub grpc: Option<GrpcOptions>,
    /// A stream of NATS JetStream to pull lines from; none by default.
    #[cfg(feature = "nats")]
    pub nats: Option<NatsSource>,
}

impl CollectorOptions {
    /// The defaults named at each field, without a store.
    pub fn new(listen: SocketAddr, security: Security) -> Self {
        Self {
            listen,
            security,
            store: None,
            max_connections: 256,
            max_line_bytes: townlet_schema::MAX_LINE_BYTES,
            max_streams_per_connection: 64,
            max_streams: 4096,
            gaps_per_stream: 4096,
            handshake_timeout: Duration::from_secs(10),
            line_timeout: Duration::from_secs(30),
            first_line_timeout: Duration::from_secs(120),
            idle_timeout: None,
            write_timeout: Duration::from_secs(5),
            keep_rejected_bytes: 0,
            subscriber: None,
            web: None,
            #[cfg(feature = "grpc")]
            grpc: None,
            #[cfg(feature = "nats")]
            nats: None,
        }
    }

    /// The same with a store.
    pub fn with_store(mut self, store: StoreOptions) -> Self {
        self.store = Some(store);
        self
    }

    /// The same with a stream of NATS to pull from.
    #[cfg(feature = "nats")]
    pub fn with_nats(mut self, nats: NatsSource) -> Self {
        self.nats = Some(nats);
        self
    }

    /// The same with a web listener.
    pub fn with_web(mut self, web: WebOptions) -> Self {
        self.web = Some(web);
        self
    }

    /// The same with a gRPC listener.
    #[cfg(feature = "grpc")]
    pub fn with_grpc(mut self, grpc: GrpcOptions) -> Self {
        self.grpc = Some(grpc);
        self
    }
}

impl fmt::Debug for CollectorOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorOptions")
            .field("listen", &self.listen)
            .field("security", &self.security)
            .field("store", &self.store)
            .field("max_connections", &self.max_connections)
            .field("max_line_bytes", &self.max_line_bytes)
            .field("subscriber", &self.subscriber.is_some())
            .finish_non_exhaustive()
    }
}
