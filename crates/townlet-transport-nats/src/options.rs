//! What the transport needs to know.

use std::time::Duration;

use townlet_nats::{NatsOptions, NewStream, Subject};
use townlet_transport::{BrokerSettings, ErrorKind, Settings, TransportError};

/// Publishes without an acknowledgement, at most. The worker's own bounds hold beside it.
const IN_FLIGHT: usize = 4096;

/// The settings of a [`NatsTransport`](crate::NatsTransport).
#[derive(Clone, Debug)]
pub struct NatsTransportOptions {
    /// The connection.
    pub nats: NatsOptions,
    /// The JetStream stream that messages must land in.
    pub stream: String,
    /// The subject of each stream of telemetry.
    pub subject: Subject,
    /// How to make the JetStream stream where it is not there; none: that is an error.
    pub create: Option<NewStream>,
    /// For handing over a batch and, by itself, for each acknowledgement; above zero.
    pub send_timeout: Duration,
    /// Messages without an acknowledgement, at most, 4096; at least 1.
    pub in_flight: usize,
}

impl NatsTransportOptions {
    /// The stream `TOWNLET` with `townlet.{partition}.{stream}` in 16 partitions, which has
    /// to be there.
    ///
    /// # Errors
    /// None that the defaults would cause.
    pub fn new(nats: NatsOptions) -> Result<Self, TransportError> {
        let defaults = BrokerSettings::default();
        Ok(Self {
            nats,
            subject: Subject::parse(&defaults.subject, defaults.partitions)?,
            stream: defaults.stream,
            create: None,
            send_timeout: Duration::from_secs(5),
            in_flight: IN_FLIGHT,
        })
    }

    /// What the settings of a sink stand for.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key at fault.
    pub fn from_settings(settings: &Settings) -> Result<Self, TransportError> {
        let broker = &settings.broker;
        let mut nats = NatsOptions::from_settings(settings)?;
        nats.request_timeout = settings.send_timeout.max(settings.connect_timeout);
        let subject = Subject::parse(&broker.subject, broker.partitions)?;
        let create = broker.create.as_ref().map(|create| NewStream {
            subjects: vec![subject.filter(None)],
            replicas: create.replicas,
            max_bytes: create.max_bytes,
            duplicate_window: create.duplicate_window,
        });
        Ok(Self {
            nats,
            stream: broker.stream.clone(),
            subject,
            create,
            send_timeout: settings.send_timeout,
            in_flight: IN_FLIGHT,
        })
    }

    pub(crate) fn check(&self) -> Result<(), TransportError> {
        let wrong = |message: String| Err(TransportError::new(ErrorKind::Misconfigured, message));
        if self.send_timeout.is_zero() {
            return wrong(
                "send_timeout_seconds must be above 0: without a limit a stuck server would block the worker".into(),
            );
        }
        let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '/' | '\\');
        if self.stream.is_empty() || self.stream.chars().any(bad) {
            return wrong(format!(
                "nats.stream: {:?} is no name of a stream: no dots, spaces, slashes, * or >",
                self.stream
            ));
        }
        match &self.create {
            Some(create) if create.replicas == 0 || create.replicas > 5 => {
                wrong(format!("nats.replicas: {} is not from 1 to 5", create.replicas))
            }
            _ => Ok(()),
        }
    }
}
