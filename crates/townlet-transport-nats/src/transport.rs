//! The transport: publishes batches, reports what the stream has stored.

use std::fmt;
use std::time::Duration;

use townlet_nats::{Connector, Publisher};
use townlet_tls::{ClientTls, Reload};
use townlet_transport::{Connected, ErrorKind, Frame, Level, Outcome, SendError, Transport, TransportError};

use crate::NatsTransportOptions;
use crate::message::Addresser;

/// Publishes frames to one JetStream stream.
pub struct NatsTransport {
    options: NatsTransportOptions,
    connector: Connector,
    addresser: Addresser,
    /// None where there is no connection, and after any error.
    publisher: Option<Publisher>,
}

impl NatsTransport {
    /// Builds a transport. Reads certificate files and the secret, touches no network.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) for a timeout of zero, a name that no
    /// stream can have, TLS settings that do not fit the scheme, and a file that is
    /// missing, unreadable or without its content.
    pub fn new(options: NatsTransportOptions) -> Result<Self, TransportError> {
        options.check()?;
        let connector = Connector::new(options.nats.clone())?;
        let addresser = Addresser::new(options.subject.clone());
        Ok(Self { options, connector, addresser, publisher: None })
    }

    /// The certificate files in use and what became of their renewals; none over plaintext.
    pub fn certificates(&self) -> Option<&Reload<ClientTls>> {
        self.connector.certificates()
    }

    fn connected(&self, fresh: bool) -> Connected {
        let (peer, tls) = (self.options.nats.servers.to_string(), self.options.nats.servers.is_secure());
        let connected = match fresh {
            true => Connected::fresh(peer, Level::PeerAcked, tls),
            false => Connected::reused(peer, Level::PeerAcked, tls),
        };
        connected.showing(self.certificates().and_then(Reload::good_until))
    }

    fn not_connected(&self) -> TransportError {
        let message = format!("no connection to {}: connect first", self.options.nats.servers);
        TransportError::new(ErrorKind::Disconnected, message)
    }
}

impl Transport for NatsTransport {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        if self.publisher.as_ref().is_some_and(|publisher| publisher.link().is_open()) {
            self.connector.refresh();
            return Ok(self.connected(false));
        }
        // What was under way is sent again on the new connection.
        self.publisher = None;
        let link = self.connector.open()?;
        link.ensure_stream(&self.options.stream, self.options.create.as_ref())?;
        self.publisher = Some(link.publisher(&self.options.stream, self.options.in_flight));
        Ok(self.connected(true))
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        let Some(publisher) = self.publisher.take() else { return Err(self.not_connected().into()) };
        if !batch.is_empty() {
            let messages = batch.iter().map(|frame| self.addresser.message(frame)).collect();
            publisher.publish(messages, self.options.send_timeout)?;
        }
        self.publisher = Some(publisher);
        Ok(if batch.is_empty() { Outcome::Settled(Level::PeerAcked) } else { Outcome::Pending })
    }

    fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        let Some(publisher) = &self.publisher else { return Ok(0) };
        let received = publisher.receipts(wait);
        if received.is_err() {
            self.publisher = None;
        }
        received
    }

    /// Ends the connection. What is not acknowledged is sent again on the next.
    fn close(&mut self) {
        self.publisher = None;
    }
}

impl fmt::Debug for NatsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsTransport")
            .field("servers", &self.options.nats.servers)
            .field("connected", &self.publisher.is_some())
            .finish_non_exhaustive()
    }
}
