//! What can go wrong on the host's side.

use std::io;

/// Why [`emit`](crate::Stream::emit) did not take an event over. It is then on
/// no books; everything that was taken over is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The pipeline was shut down.
    #[error("telemetry was shut down; the event was not accepted")]
    Closed,
    /// A `schema_validator` in mode `raise` refused the payload.
    #[error("{kind} payload violates its schema: {detail}")]
    Invalid {
        /// The payload type.
        kind: &'static str,
        /// Where and why, without the offending value.
        detail: String,
    },
    /// The payload of a raising validator could not be encoded.
    #[error("{kind} payload cannot be encoded: {source}")]
    Unencodable {
        /// The payload type.
        kind: &'static str,
        /// Why.
        source: townlet_schema::EncodeError,
    },
}

/// Why a pipeline could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A thread could not be started.
    #[error("starting the thread of sink `{sink}`: {source}")]
    Thread {
        /// The sink.
        sink: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The producer's name makes no stream name.
    #[error("producer: {0}")]
    Producer(#[from] StreamError),
    /// The default transforms cannot be built.
    #[error("transforms: {0}")]
    Transforms(#[from] townlet_transform::BuildError),
    /// A ledger cannot be opened: another process has it, or its folder cannot be used.
    #[error("ledger {}: {detail}", path.display())]
    Ledger {
        /// Its folder.
        path: std::path::PathBuf,
        /// Why.
        detail: String,
    },
    /// A spill cannot be opened: another process has it, or its folder cannot be used.
    #[error("spill {}: {source}", path.display())]
    Spill {
        /// `buffer.spill.path`.
        path: std::path::PathBuf,
        /// Why.
        source: townlet_spill::SpillError,
    },
    /// Two sinks of one name, or none, or too many.
    #[error("{0}")]
    Sinks(String),
}

/// Why a sink did not get another transport.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplaceError {
    /// No sink has this name.
    #[error("there is no sink `{0}`")]
    NoSuchSink(String),
    /// The pipeline was shut down.
    #[error("telemetry was shut down; its sinks keep their transports")]
    Closed,
}

/// Why a stream could not be opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream exists with another payload type.
    #[error("stream `{0}` is already open with another payload type; one stream carries one type")]
    TypeMismatch(String),
    /// Names are 1 to 128 bytes of `a-z A-Z 0-9 . _ -`.
    #[error("`{0}` is not a stream name: use 1 to 128 of a-z, A-Z, 0-9, '.', '_', '-'")]
    BadName(String),
}
