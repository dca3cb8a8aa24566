//! The pipeline under test, set up as a host of this workload would set it up.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use townlet_pipeline::{Backpressure, FinalStatement, Options, SinkInfo, Stream, Telemetry};
use townlet_tls::{ClientOptions, Endpoint, Plaintext, PlaintextFlags};
use townlet_transform::{BuildError, Chain, ChainBuilder, TransformSpec};
use townlet_transport::{Connected, Frame, Level, Outcome, SendError, Transport, TransportError};
use townlet_transport_file::{FileOptions, FileTransport};
use townlet_transport_tcp::{Security, TcpOptions, TcpTransport};

use crate::destination::Destination;
use crate::rivals::{Pipeline, QUEUE_EVENTS, Share};
use crate::workload::{Reading, tick_of};

/// No cell of the bench takes so long; a machine that does is not measured.
const DRAIN: Duration = Duration::from_secs(60);

/// Lossless, with room for a burst and batches worth a system call.
///
/// The defaults of the configuration hold 256 kB and send 32 events at a time:
/// they are for ticks, not for hundreds of thousands of events a second.
pub fn lossless() -> Options {
    Options {
        backpressure: Backpressure::Block,
        block_timeout: DRAIN,
        max_queue_length: QUEUE_EVENTS,
        max_buffer_bytes: 32 << 20,
        max_batch_size: 1024,
        // As patient as the mutex-batch queue: less than a batch waits so long.
        flush_interval: Duration::from_millis(50),
        ..Options::default()
    }
}

/// The configuration's defaults, but lossless.
pub fn defaults_but_lossless() -> Options {
    Options { backpressure: Backpressure::Block, block_timeout: DRAIN, ..Options::default() }
}

/// Whether the default transforms run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transforms {
    /// Normalise, redact, ensure, validate.
    Default,
    /// None at all.
    Off,
}

impl Transforms {
    fn chain(self) -> Result<Chain, BuildError> {
        match self {
            Self::Default => Chain::standard(),
            Self::Off => {
                // A step that concerns nothing: an empty pipeline would stand for the default one.
                let nothing = TransformSpec::EnsureFields {
                    required_fields_by_kind: Default::default(),
                    default_required_fields: Vec::new(),
                };
                ChainBuilder::new().spec(nothing).without_redaction().build()
            }
        }
    }
}

/// A pipeline whose sink takes everything at once and keeps nothing.
///
/// # Errors
/// Threads that the system refuses.
pub fn into_nothing(options: Options, transforms: Transforms) -> anyhow::Result<Telemetry> {
    let builder = Telemetry::builder().transforms(transforms.chain()?);
    Ok(builder.sink(options, SinkInfo::new("null"), || Ok(Box::new(Null))).start()?)
}

/// Ends a pipeline; its books must balance and nothing may be lost.
///
/// # Errors
/// Books that say otherwise.
pub fn end(telemetry: &Telemetry) -> anyhow::Result<FinalStatement> {
    let books = telemetry.shutdown(DRAIN);
    ensure!(books.residual() == 0, "the books do not balance: {books:?}");
    let lost: u64 = books.sinks.iter().map(|(_, statement)| statement.account.dropped()).sum();
    ensure!(lost == 0, "a lossless pipeline dropped {lost} events: {books:?}");
    Ok(books)
}

/// How events go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Moved, encoded by the worker.
    Owned,
    /// Encoded by the producer.
    Encoded,
}

/// Our pipeline to a real destination.
#[derive(Debug)]
pub struct Ours {
    telemetry: Telemetry,
    stream: Stream<Reading>,
    way: Way,
}

impl Ours {
    /// Starts it.
    ///
    /// # Errors
    /// A destination that the transport refuses.
    pub fn start(to: &Destination, options: Options, transforms: Transforms, way: Way) -> anyhow::Result<Self> {
        let builder = Telemetry::builder().transforms(transforms.chain()?);
        let builder = match to.clone() {
            Destination::File(path) => builder.sink(options, SinkInfo::new("file"), move || {
                Ok(Box::new(FileTransport::new(FileOptions::new(&path))?))
            }),
            Destination::Tcp(addr) => tcp(builder, options, plaintext(addr)?),
            Destination::Tls(addr, ca) => {
                let client = ClientOptions { ca_file: Some(ca), ..ClientOptions::default() };
                let to = TcpOptions::new(Endpoint::parse(&addr.to_string())?, Security::Tls(client));
                tcp(builder, options, patient(to))
            }
        };
        let telemetry = builder.start()?;
        let stream = telemetry.stream("load")?;
        Ok(Self { telemetry, stream, way })
    }
}

/// How a receiver of this machine is reached in the open.
///
/// # Errors
/// An address that may not be reached without TLS.
pub fn plaintext(addr: SocketAddr) -> anyhow::Result<TcpOptions> {
    let both = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    let leave = Plaintext::allow(both, &Endpoint::parse(&addr.to_string())?)?;
    Ok(patient(TcpOptions::plaintext(leave)))
}

/// A shared machine may stall the receiver for longer than the default second.
fn patient(to: TcpOptions) -> TcpOptions {
    TcpOptions { send_timeout: Duration::from_secs(20), ..to }
}

fn tcp(builder: townlet_pipeline::Builder, options: Options, to: TcpOptions) -> townlet_pipeline::Builder {
    builder.sink(options, SinkInfo::new("tcp"), move || Ok(Box::new(TcpTransport::new(to.clone())?)))
}

impl Pipeline for Ours {
    fn produce(&self, share: Share) -> anyhow::Result<()> {
        for n in share {
            let event = Reading::at(n);
            match self.way {
                Way::Owned => self.stream.emit(tick_of(n), event)?,
                Way::Encoded => self.stream.emit_ref(tick_of(n), &event)?,
            };
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        end(&self.telemetry).map(drop)
    }
}

/// Takes everything, keeps nothing.
#[derive(Debug)]
struct Null;

impl Transport for Null {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Ok(Connected::local())
    }

    fn send(&mut self, _: &[Frame]) -> Result<Outcome, SendError> {
        Ok(Outcome::Settled(Level::Sent))
    }

    fn close(&mut self) {}
}
