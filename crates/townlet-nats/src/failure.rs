//! From what the client and the server report to errors that a worker can act on.

use std::error::Error;
use std::io;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{ConnectError, ConnectErrorKind};
use townlet_tls::{TlsErrorKind as Tls, classify};
use townlet_transport::{ErrorKind, TransportError};

/// A connection did not come about.
/// `advice` is for the case that the server does not let us in.
pub(crate) fn of_connecting(peer: &str, advice: &str, error: ConnectError) -> TransportError {
    if let Some(cause) = tls_cause(&error) {
        let classified = classify(peer, cause);
        tracing::error!(endpoint = %peer, kind = %classified.kind(), error = %classified, "telemetry_tls_error");
        let kind = if classified.kind() == Tls::PeerClosed { ErrorKind::Disconnected } else { ErrorKind::Tls };
        return TransportError::with_source(kind, classified.to_string(), classified);
    }
    let (kind, message) = match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            (ErrorKind::Misconfigured, format!("{peer} does not let us in{advice}"))
        }
        ConnectErrorKind::Dns => {
            (ErrorKind::Unavailable, format!("the host name of {peer} does not resolve: {}", chain(&error)))
        }
        ConnectErrorKind::TimedOut => (
            ErrorKind::Timeout,
            format!("{peer} did not greet us within the connect timeout: it is slow, stuck, or no NATS server"),
        ),
        ConnectErrorKind::ServerParse => (ErrorKind::Misconfigured, format!("{peer} is no address: {}", chain(&error))),
        ConnectErrorKind::Tls => (
            ErrorKind::Tls,
            format!(
                "{peer} and we do not agree about TLS: write tls:// where the server has it, and nats:// where not ({})",
                chain(&error)
            ),
        ),
        _ => {
            return of_io(peer, &error).unwrap_or_else(|| {
                let message = format!("cannot connect to {peer}: {}", chain(&error));
                TransportError::new(ErrorKind::Unavailable, message)
            });
        }
    };
    TransportError::with_source(kind, message, error)
}

fn of_io(peer: &str, error: &ConnectError) -> Option<TransportError> {
    let found = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>())?;
    let copy = io::Error::new(found.kind(), found.to_string());
    Some(TransportError::from_io(format_args!("connecting to {peer}"), copy))
}

/// What the server says of one message, or that it says nothing.
pub(crate) enum Refusal {
    /// Nobody listens for that subject: no stream takes it, or it has no leader now.
    Nobody,
    /// Anything else.
    Said(TransportError),
}

pub(crate) fn of_publishing(peer: &str, error: PublishError) -> Refusal {
    let said = match error.kind() {
        PublishErrorKind::StreamNotFound => return Refusal::Nobody,
        PublishErrorKind::TimedOut => {
            let message =
                format!("{peer} did not acknowledge in time: its stream may be choosing a leader, or is overloaded");
            TransportError::with_source(ErrorKind::Timeout, message, error)
        }
        PublishErrorKind::BrokenPipe => {
            TransportError::with_source(ErrorKind::Disconnected, format!("the connection to {peer} ended"), error)
        }
        PublishErrorKind::MaxPayloadExceeded => {
            TransportError::with_source(ErrorKind::TooLarge, format!("{peer} takes no message so large"), error)
        }
        _ => said_by_jetstream(peer, "publishing", &error).unwrap_or_else(|| {
            let message = format!("publishing to {peer}: {}", chain(&error));
            TransportError::with_source(ErrorKind::Io, message, error)
        }),
    };
    Refusal::Said(said)
}

/// The answer of JetStream among the causes of an error, where there is one.
pub(crate) fn said_by_jetstream(peer: &str, doing: &str, error: &(dyn Error + 'static)) -> Option<TransportError> {
    let said = causes(error).find_map(|cause| cause.downcast_ref::<jetstream::Error>())?;
    Some(of_jetstream(peer, doing, said))
}

/// An answer of JetStream that is an error.
pub(crate) fn of_jetstream(peer: &str, doing: &str, error: &jetstream::Error) -> TransportError {
    let (kind, advice) = match error.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => {
            (ErrorKind::TooLarge, "raise the stream's max_msg_size, or emit smaller events")
        }
        ErrorCode::STREAM_NOT_FOUND => (
            ErrorKind::Misconfigured,
            "create the stream (nats stream add), correct nats.stream, or set nats.create: true",
        ),
        ErrorCode::STREAM_NOT_MATCH => {
            (ErrorKind::Misconfigured, "another stream takes this subject: correct nats.stream or nats.subject")
        }
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            (ErrorKind::Misconfigured, "enable JetStream at the server, and for this account")
        }
        ErrorCode::STREAM_SUBJECT_OVERLAP => {
            (ErrorKind::Misconfigured, "another stream has these subjects already: name that one in nats.stream")
        }
        ErrorCode::STREAM_SEALED => (ErrorKind::Misconfigured, "the stream is sealed: name another in nats.stream"),
        ErrorCode::STREAM_STORE_FAILED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED => (
            ErrorKind::StorageFull,
            "the stream or the account is full: raise its limits, or let it discard old messages",
        ),
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED | ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED => {
            (ErrorKind::StorageFull, "the account has used what it may: raise its limits")
        }
        _ => (ErrorKind::Unavailable, "it may work later"),
    };
    TransportError::new(kind, format!("{doing} at {peer}: {error}; {advice}"))
}

/// The causes of an error, the error itself first. An I/O error hides the one within it.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        let within = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = within.map(|within| within as &(dyn Error + 'static)).or_else(|| current.source());
        Some(current)
    })
}

fn tls_cause(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>().cloned())
}

/// What went wrong, from the outside to the inside.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in causes(error).map(ToString::to_string) {
        if said.last().is_none_or(|last| !last.contains(&cause)) {
            said.push(cause);
        }
    }
    said.join(": ")
}
