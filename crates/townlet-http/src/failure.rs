//! From errors of the HTTP client to errors that a worker can act on.

use std::error::Error;
use std::io;

use townlet_tls::{TlsErrorKind as Tls, classify};
use townlet_transport::{ErrorKind, TransportError};

use crate::Target;

/// The same failure in the contract's terms. Nothing of the URL's query is in it.
pub(crate) fn of(error: reqwest::Error, target: &Target) -> TransportError {
    let error = error.without_url();
    let peer = target.endpoint().to_string();
    if let Some(cause) = tls_cause(&error) {
        let classified = classify(&peer, cause.clone());
        tracing::error!(endpoint = %peer, kind = %classified.kind(), error = %classified, "telemetry_tls_error");
        let kind = match classified.kind() {
            Tls::PeerClosed => ErrorKind::Disconnected,
            _ => ErrorKind::Tls,
        };
        return TransportError::with_source(kind, classified.to_string(), classified);
    }
    let shown = target.shown();
    let (kind, what) = if error.is_timeout() && error.is_connect() {
        (ErrorKind::Timeout, format!("{peer} did not accept a connection in time"))
    } else if error.is_timeout() {
        return overdue(target);
    } else if error.is_builder() {
        (ErrorKind::Misconfigured, format!("a request to {shown} cannot be made: {}", chain(&error)))
    } else if error.is_dns() {
        (ErrorKind::Unavailable, format!("the host name of {peer} does not resolve: {}", chain(&error)))
    } else if error.is_connect() {
        (ErrorKind::Unavailable, format!("cannot connect to {peer}: {}", chain(&error)))
    } else {
        (ErrorKind::Disconnected, format!("the connection to {peer} ended without an answer: {}", chain(&error)))
    };
    TransportError::with_source(kind, what, error)
}

/// The peer did not answer by the deadline.
pub fn overdue(target: &Target) -> TransportError {
    let message = format!("{} did not answer within the time limit: it is slow or stuck", target.shown());
    TransportError::new(ErrorKind::Timeout, message)
}

/// The causes of an error, the outermost left out: that one says only that there was one.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let (mut causes, mut next) = (Vec::new(), error.source());
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}

/// The TLS error among the causes. An I/O error hides the one within it from `source`.
fn tls_cause(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return Some(found.clone());
        }
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = within.and_then(|within| tls_cause(within)) {
            return Some(found);
        }
        next = cause.source();
    }
    None
}
