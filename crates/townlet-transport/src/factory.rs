//! How a backend is built from configuration without anyone knowing all backends.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::{Level, Transport, TransportError};

/// The `transport:` keys of a sink, already parsed and bounded, that a factory
/// may need. A backend reads those it knows and ignores the rest; which keys a
/// type may carry is checked by the configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// `endpoint`: `host:port` or a URL.
    pub endpoint: Option<String>,
    /// `file_path`.
    pub file_path: Option<PathBuf>,
    /// `connect_timeout_seconds`: name resolution, connect and TLS handshake, together.
    pub connect_timeout: Duration,
    /// `send_timeout_seconds`: one send of a batch.
    pub send_timeout: Duration,
    /// `enable_tls`.
    pub enable_tls: bool,
    /// `verify_hostname`.
    pub verify_hostname: bool,
    /// `ca_file`: trusted beside nothing else; absent means the platform's roots.
    pub ca_file: Option<PathBuf>,
    /// `cert_file`: client certificate chain, PEM.
    pub cert_file: Option<PathBuf>,
    /// `key_file`: its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// `allow_plaintext` and `dev_allow_plaintext`, both given.
    pub plaintext_acknowledged: bool,
    /// `acks`: ask the peer for acknowledgements where the protocol knows them.
    pub acks: bool,
    /// `settle_at`: the level that the sink asks for; a backend whose peer can be
    /// asked passes it on.
    pub settle_at: Level,
    /// `fsync`: how eagerly a file is synced.
    pub fsync: Fsync,
    /// `rotate_bytes`: start a new file above this size.
    pub rotate_bytes: Option<u64>,
    /// `rotate_seconds`: start a new file at this age.
    pub rotate_after: Option<Duration>,
    /// `keep_files`: rotated files to keep; absent keeps all.
    pub keep_files: Option<usize>,
    /// `keep_bytes`: bytes that rotated files may take together.
    pub keep_bytes: Option<u64>,
    /// `keep_seconds`: how long a rotated file is kept.
    pub keep_for: Option<Duration>,
    /// `compression`: of request bodies, of a connection, or of rotated files.
    pub compression: Compression,
    /// `format`: how frames are put into a request.
    pub format: Format,
    /// `auth`: what the peer is shown.
    pub auth: Option<Auth>,
    /// `scrape_listen`: where to answer those who fetch figures, `127.0.0.1:9464`.
    pub scrape_listen: Option<String>,
    /// `scrape_token_file`: the bearer token that they must know.
    pub scrape_token_file: Option<PathBuf>,
    /// `export_fields`: paths of numeric payload fields to publish.
    pub export_fields: Vec<String>,
    /// `export_max_series`: the most of them.
    pub export_max_series: usize,
    /// `labels`: names and values that every published figure carries.
    pub labels: Vec<(String, String)>,
    /// `publish_metrics`: send figures beside lines, where the backend has a place for them.
    pub publish_metrics: bool,
    /// `publish_traces`: the same of ticks and requests.
    pub publish_traces: bool,
    /// `publish_interval_seconds`: the least time between two publications of them.
    pub publish_interval: Duration,
    /// `nats`: where a broker keeps what it is sent.
    pub broker: BrokerSettings,
    /// A line that opens each file, so that runs stay apart; made by the pipeline.
    pub run_marker: Option<Bytes>,
}

/// When a file transport calls `fdatasync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// Never: the kernel decides. Frames settle as `sent`.
    #[default]
    Never,
    /// When a file is finished: before it is set aside, and on close. Frames settle as `sent`.
    OnRotation,
    /// On `flush` too. Frames settle as `sent`.
    OnFlush,
    /// At most so long after a batch, not waited for, and on `flush`. Frames settle as `sent`.
    Interval(Duration),
    /// After each batch. Frames settle as `durable`.
    EachBatch,
}

/// How bytes are made fewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Each request, or file, by itself (RFC 1952).
    Gzip,
    /// Each request by itself (RFC 8878), where the transport was built with it.
    Zstd,
    /// A connection as one stream, flushed after each batch (RFC 1950).
    Deflate,
}

/// What stands in the body of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A batch, one frame a line.
    #[default]
    Ndjson,
    /// One frame, without its line end; of OTLP, a batch as protobuf's JSON.
    Json,
    /// A batch, as binary protobuf: of OTLP alone.
    Protobuf,
}

/// What a peer is shown to let us in. It says where secrets are and holds none,
/// so that it may be printed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// A bearer token (RFC 6750).
    Bearer(SecretSource),
    /// A user's name, without a colon, and password (RFC 7617).
    Basic(String, SecretSource),
    /// Headers of any name, as `name=value,name=value` with values in percent
    /// encoding: the form of `OTEL_EXPORTER_OTLP_HEADERS`.
    Headers(SecretSource),
    /// A user's JWT together with the seed of its key, as NATS keeps them in a
    /// `.creds` file.
    Credentials(SecretSource),
    /// The seed of a user's key alone, as NATS keeps it in an `.nk` file.
    NkeySeed(SecretSource),
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSource {
    /// The content of a file, without the white space around it.
    File(PathBuf),
    /// The value of an environment variable.
    Env(String),
}

impl SecretSource {
    /// True for a file that everybody on this machine may read. Worth a warning where it is as good as an identity, and
    /// no error: some platforms mount secrets so, and keep everybody else off the machine.
    #[cfg(unix)]
    pub fn is_open_to_all(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Self::File(path) = self else { return false };
        std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o004 != 0)
    }

    /// True for a file that everybody on this machine may read; not known here.
    #[cfg(not(unix))]
    pub fn is_open_to_all(&self) -> bool {
        false
    }
}

impl Default for Settings {
    /// The defaults of the `telemetry.transport` block.
    fn default() -> Self {
        Self {
            endpoint: None,
            file_path: None,
            connect_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(1),
            enable_tls: true,
            verify_hostname: true,
            ca_file: None,
            cert_file: None,
            key_file: None,
            plaintext_acknowledged: false,
            acks: true,
            settle_at: Level::Sent,
            fsync: Fsync::Never,
            rotate_bytes: None,
            rotate_after: None,
            keep_files: None,
            keep_bytes: None,
            keep_for: None,
            compression: Compression::None,
            format: Format::Ndjson,
            auth: None,
            scrape_listen: None,
            scrape_token_file: None,
            export_fields: Vec::new(),
            export_max_series: 256,
            labels: Vec::new(),
            publish_metrics: true,
            publish_traces: true,
            publish_interval: Duration::from_secs(10),
            broker: BrokerSettings::default(),
            run_marker: None,
        }
    }
}

/// Where a broker keeps what it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerSettings {
    /// `stream`: the broker's own name for it.
    pub stream: String,
    /// `subject`: that of each stream of telemetry, with placeholders in it.
    pub subject: String,
    /// `partitions`: into how many parts streams are shared out.
    pub partitions: u32,
    /// `create: true`: make the broker's stream where it is not there.
    pub create: Option<BrokerStream>,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self { stream: "TOWNLET".into(), subject: "townlet.{partition}.{stream}".into(), partitions: 16, create: None }
    }
}

/// A stream that a broker is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerStream {
    /// `replicas`: servers that have a copy.
    pub replicas: usize,
    /// `max_bytes`: what it keeps; the oldest goes for the newest.
    pub max_bytes: Option<u64>,
    /// `duplicate_window_seconds`: for how long a message is known that comes again.
    pub duplicate_window: Duration,
}

impl Default for BrokerStream {
    /// One copy, no limit, two minutes.
    fn default() -> Self {
        Self { replicas: 1, max_bytes: None, duplicate_window: Duration::from_secs(120) }
    }
}

/// Builds one kind of transport. Each backend crate exports one; the program
/// registers those it links.
pub trait Factory: Send + Sync {
    /// The value of `transport.type` that selects this backend.
    fn kind(&self) -> &'static str;

    /// Builds a transport. Reads certificate files, touches no network and
    /// opens no sink.
    ///
    /// # Errors
    /// [`Misconfigured`](crate::ErrorKind::Misconfigured) or
    /// [`Tls`](crate::ErrorKind::Tls), naming the key at fault.
    fn build(&self, settings: &Settings) -> Result<Box<dyn Transport>, TransportError>;
}
