//! Messages on their way to a stream, many at a time, with acknowledgements in order.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishAckFuture;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use townlet_transport::{ErrorKind, TransportError};

use crate::Link;
use crate::failure::{Refusal, of_publishing};
use crate::watch::Receipts;

const MESSAGE_ID: &str = "Nats-Msg-Id";
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// What the server knows a message by that comes a second time within its window of
    /// duplicates: `Nats-Msg-Id`. Visible ASCII.
    pub id: String,
    /// Its content.
    pub payload: Bytes,
}

impl Message {
    /// Its length at the server, headers included, where it goes to `stream`.
    fn len_with_headers(&self, stream: &str) -> usize {
        let header = |name: &str, value: &str| name.len() + ": ".len() + value.len() + "\r\n".len();
        let headers = header(MESSAGE_ID, &self.id) + header(EXPECTED_STREAM, stream);
        "NATS/1.0\r\n".len() + headers + "\r\n".len() + self.payload.len()
    }
}

/// Publishes to one stream over one connection.
pub struct Publisher {
    link: Link,
    stream: Arc<str>,
    in_flight: Arc<Semaphore>,
    flights: mpsc::UnboundedSender<Flight>,
    receipts: Arc<Receipts>,
}

enum Flight {
    Sent {
        ack: PublishAckFuture,
        subject: String,
        _room: OwnedSemaphorePermit,
    },
    /// Not sent, and never will be.
    TooLarge(usize),
}

impl Link {
    /// A publisher that has at most `in_flight` messages without an acknowledgement.
    pub fn publisher(&self, stream: &str, in_flight: usize) -> Publisher {
        let (flights, landing) = mpsc::unbounded_channel();
        let receipts = Arc::new(Receipts::default());
        let reaper = reap(self.downgraded(), landing, Arc::clone(&receipts));
        self.0.engine.spawn(reaper);
        Publisher {
            link: self.clone(),
            stream: stream.into(),
            in_flight: Arc::new(Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS))),
            flights,
            receipts,
        }
    }
}

impl Publisher {
    /// The connection that it publishes over.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Hands over messages, in order. Returns when all are with the client, which is
    /// when there was room in flight for the last of them.
    ///
    /// A message that the server would not take for its size is not sent: where its turn
    /// comes, [`receipts`](Self::receipts) says so.
    ///
    /// # Errors
    /// They are not all handed over within `within`, or the connection has ended. How many
    /// were is not known then; the publisher is of no further use.
    pub fn publish(&self, messages: Vec<Message>, within: Duration) -> Result<(), TransportError> {
        if !self.link.is_open() {
            return Err(self.link.gone());
        }
        let (context, largest) = (self.link.0.context.clone(), self.link.max_payload());
        let (in_flight, flights, stream) =
            (Arc::clone(&self.in_flight), self.flights.clone(), Arc::clone(&self.stream));
        let watch = Arc::clone(&self.link.0.watch);
        let work = async move {
            for message in messages {
                let length = message.len_with_headers(&stream);
                let flight = if length > largest {
                    Flight::TooLarge(length)
                } else {
                    let room = tokio::select! {
                        room = Arc::clone(&in_flight).acquire_owned() => room,
                        () = watch.until_gone() => return Err(None),
                    };
                    // Fails only where it is closed, which nobody does.
                    let Ok(room) = room else { return Err(None) };
                    let mut headers = HeaderMap::new();
                    headers.insert(MESSAGE_ID, message.id.as_str());
                    headers.insert(EXPECTED_STREAM, &*stream);
                    let subject = message.subject.clone();
                    let sent = context.publish_with_headers(message.subject, headers, message.payload).await;
                    Flight::Sent { ack: sent.map_err(Some)?, subject, _room: room }
                };
                // Fails only where an earlier one has failed, which the receipts tell.
                let _ = flights.send(flight);
            }
            Ok(())
        };
        match self.link.0.engine.call(within, work) {
            Some(Ok(())) => Ok(()),
            Some(Err(None)) => Err(self.link.gone()),
            Some(Err(Some(error))) => Err(match of_publishing(self.link.peer(), error) {
                Refusal::Said(error) => error,
                Refusal::Nobody => self.link.gone(),
            }),
            None => Err(self.link.overdue("publishing")),
        }
    }

    /// How many more messages the stream has, oldest first; waits at most `wait` for one.
    ///
    /// # Errors
    /// The oldest that is not acknowledged never will be on this connection.
    /// [`TooLarge`](ErrorKind::TooLarge) is about that message, everything else about the
    /// stream or the connection. The publisher is of no further use.
    pub fn receipts(&self, wait: Duration) -> Result<usize, TransportError> {
        self.receipts.take(wait)
    }
}

/// Takes acknowledgements in the order of sending. The first that is none is the end:
/// what comes after it may be in the stream, and is sent again all the same.
async fn reap(link: WeakLink, mut landing: mpsc::UnboundedReceiver<Flight>, receipts: Arc<Receipts>) {
    while let Some(flight) = landing.recv().await {
        let failure = match flight {
            Flight::TooLarge(length) => Some(link.too_large(length)),
            Flight::Sent { ack, subject, _room } => {
                let outcome = tokio::select! {
                    outcome = ack => Some(outcome),
                    () = link.watch.until_gone() => None,
                };
                match outcome {
                    Some(Ok(_)) => None,
                    None => Some(link.gone()),
                    Some(Err(error)) => Some(match of_publishing(&link.peer, error) {
                        Refusal::Said(error) => link.watch.explain(&link.peer, error),
                        Refusal::Nobody => link.nobody(&subject).await,
                    }),
                }
            }
        };
        match failure {
            None => receipts.settle(),
            Some(error) => return receipts.fail(error),
        }
    }
}

/// What a task needs of its connection, without keeping it open.
struct WeakLink {
    watch: Arc<crate::watch::Watch>,
    context: async_nats::jetstream::Context,
    peer: String,
    largest: usize,
}

impl Link {
    fn downgraded(&self) -> WeakLink {
        WeakLink {
            watch: Arc::clone(&self.0.watch),
            context: self.0.context.clone(),
            peer: self.0.peer.clone(),
            largest: self.max_payload(),
        }
    }
}

impl WeakLink {
    fn gone(&self) -> TransportError {
        self.watch.ended(&self.peer)
    }

    fn too_large(&self, length: usize) -> TransportError {
        let message = format!(
            "a message of {length} bytes with its headers; {} takes {}: raise max_payload there, or emit smaller events",
            self.peer, self.largest
        );
        TransportError::new(ErrorKind::TooLarge, message)
    }

    /// Nobody took a message: because there is no such stream, or because it has no
    /// leader at the moment. The server knows which.
    async fn nobody(&self, subject: &str) -> TransportError {
        match self.context.stream_by_subject(subject).await {
            Err(error) if is_not_found(&error) => TransportError::new(
                ErrorKind::Misconfigured,
                format!(
                    "no stream at {} takes the subject {subject}: create one (nats stream add), correct nats.subject, \
                     or set nats.create: true",
                    self.peer
                ),
            ),
            // Found, or nobody to ask either: the one who would know may be being chosen.
            _ => TransportError::new(
                ErrorKind::Unavailable,
                format!("no stream at {} takes {subject} at the moment (no responders)", self.peer),
            ),
        }
    }
}

fn is_not_found(error: &async_nats::jetstream::context::GetStreamByNameError) -> bool {
    use async_nats::jetstream::context::GetStreamByNameErrorKind as Kind;
    error.kind() == Kind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_count_as_the_server_counts_them() {
        let message = Message { subject: "t".into(), id: "r/s/1".into(), payload: Bytes::from_static(b"{}") };
        let wire = "NATS/1.0\r\nNats-Msg-Id: r/s/1\r\nNats-Expected-Stream: T\r\n\r\n{}";
        assert_eq!(message.len_with_headers("T"), wire.len());
    }
}
