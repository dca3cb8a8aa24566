//! The stream at the server: is it there, and making it where that was asked for.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, StorageType};
use townlet_transport::{ErrorKind, TransportError};

use crate::Link;
use crate::failure::{chain, of_jetstream, said_by_jetstream};

/// A stream to make where there is none of its name. One that is there is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStream {
    /// What it takes.
    pub subjects: Vec<String>,
    /// Servers that have a copy, 1 to 5 and odd.
    pub replicas: usize,
    /// Bytes that it keeps; the oldest messages go for new ones. None: no limit of its own.
    pub max_bytes: Option<u64>,
    /// For how long a message that comes again is known by its id, 2 minutes at the server
    /// where nobody says otherwise. It costs memory for each message of that time.
    pub duplicate_window: Duration,
}

impl Link {
    /// Checks that the stream is there, and makes it where it is not and `create` is given.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) where it is not there, JetStream is off,
    /// or we may not ask; retryable kinds where the servers are choosing a leader.
    pub fn ensure_stream(&self, name: &str, create: Option<&NewStream>) -> Result<(), TransportError> {
        let (context, stream) = (self.0.context.clone(), name.to_owned());
        let asked = self.0.engine.call(self.0.patience, async move { context.get_stream(stream).await.map(drop) });
        let error = match asked {
            None => return Err(self.overdue("asking for a stream")),
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => error,
        };
        match (error.kind(), create) {
            (GetStreamErrorKind::JetStream(said), Some(create)) if said.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                self.create_stream(name, create)
            }
            _ => Err(self.without_stream(&format!("looking for the stream {name}"), &error)),
        }
    }

    /// Why there is no stream to go on with.
    pub(crate) fn without_stream(&self, doing: &str, error: &GetStreamError) -> TransportError {
        match error.kind() {
            GetStreamErrorKind::JetStream(said) => of_jetstream(self.peer(), doing, &said),
            GetStreamErrorKind::InvalidStreamName | GetStreamErrorKind::EmptyName => TransportError::new(
                ErrorKind::Misconfigured,
                format!("{doing}: that is no name of a stream (nats.stream)"),
            ),
            _ => self.unanswered(doing, error),
        }
    }

    fn create_stream(&self, name: &str, create: &NewStream) -> Result<(), TransportError> {
        let config = Config {
            name: name.to_owned(),
            subjects: create.subjects.clone(),
            num_replicas: create.replicas,
            max_bytes: create.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            duplicate_window: create.duplicate_window,
            storage: StorageType::File,
            ..Config::default()
        };
        let context = self.0.context.clone();
        let made = self.0.engine.call(self.0.patience, async move { context.create_stream(config).await.map(drop) });
        match made {
            None => Err(self.overdue("creating a stream")),
            Some(Ok(())) => {
                tracing::info!(stream = name, "telemetry_nats_stream_created");
                Ok(())
            }
            Some(Err(error)) => match error.kind() {
                // Somebody else made it between our question and this.
                CreateStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NAME_EXIST => Ok(()),
                CreateStreamErrorKind::JetStream(said) => {
                    Err(of_jetstream(self.peer(), &format!("creating the stream {name}"), &said))
                }
                _ => Err(self.unanswered(&format!("creating the stream {name}"), &error)),
            },
        }
    }

    /// An answer that did not come, or that nobody was there to give.
    pub(crate) fn unanswered(&self, doing: &str, error: &(dyn std::error::Error + 'static)) -> TransportError {
        if !self.is_open() {
            return self.gone();
        }
        if let Some(said) = said_by_jetstream(self.peer(), doing, error) {
            return said;
        }
        let what = chain(error);
        if what.to_ascii_lowercase().contains("timed out") {
            return self.overdue(doing);
        }
        let message = format!("{doing} at {}: {what}; is JetStream enabled there?", self.peer());
        TransportError::new(ErrorKind::Unavailable, message)
    }
}
