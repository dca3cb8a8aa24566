//! Messages from a stream, one consumer's share at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{self, AckPolicy, Consumer, StreamError, pull};
use async_nats::jetstream::context::GetStreamError;
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::jetstream::{self};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Mutex;
use townlet_transport::{ErrorKind, TransportError};

use crate::Link;
use crate::failure::of_jetstream;

/// A durable consumer, and how much of it is under way at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullOptions {
    /// The stream.
    pub stream: String,
    /// The consumer's name. It stands at the server and remembers what was acknowledged.
    pub durable: String,
    /// Which subjects of the stream it selects.
    pub filter: String,
    /// After so long without an acknowledgement the server delivers a message again.
    pub ack_wait: Duration,
    /// Messages without an acknowledgement, at most, over all who pull.
    pub max_ack_pending: usize,
    /// Messages that are asked for at a time.
    pub batch: usize,
}

/// Pulls from a durable consumer. Several may pull from one; each message goes to one of
/// them at a time.
pub struct Puller {
    link: Link,
    messages: Arc<Mutex<pull::Stream>>,
    peer: Arc<str>,
    standing: Arc<Cell>,
}

/// How far behind a consumer is, as its server said last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Messages that were never delivered yet.
    pub pending: u64,
    /// Messages that were delivered to somebody, and of which the server does not know yet
    /// what became: under way, or given back to come again.
    pub unacknowledged: u64,
}

#[derive(Default)]
struct Cell {
    pending: AtomicU64,
    unacknowledged: AtomicU64,
}

impl Cell {
    fn told(&self, info: &consumer::Info) {
        self.pending.store(info.num_pending, Ordering::Relaxed);
        self.unacknowledged.store(info.num_ack_pending as u64, Ordering::Relaxed);
    }
}

/// A message, to be answered for by [`Puller::answer`].
pub struct Delivery {
    /// Its content.
    pub payload: Bytes,
    /// How often it was delivered, this time included.
    pub delivered: u64,
    /// Messages that the consumer has still to deliver after this one.
    pub pending: u64,
    /// Its subject, whoever chose it.
    pub subject: String,
    /// Its number in the stream, by which `nats stream get` shows it.
    pub sequence: u64,
    message: jetstream::Message,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is ours, and need not come again.
    Taken,
    /// It is no message of ours and never will be: it must not come again.
    Never,
    /// It may come again after this time.
    Again(Duration),
}

impl Link {
    /// Pulls from a consumer, which is made where it is not there.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) where the stream is not there, or where a
    /// consumer of that name selects something else; retryable kinds otherwise.
    pub fn puller(&self, options: &PullOptions) -> Result<Puller, TransportError> {
        let (context, wanted) = (self.0.context.clone(), options.clone());
        let config = pull::Config {
            durable_name: Some(options.durable.clone()),
            filter_subject: options.filter.clone(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: options.ack_wait,
            max_ack_pending: i64::try_from(options.max_ack_pending).unwrap_or(i64::MAX),
            ..pull::Config::default()
        };
        // A message above this bound would never be delivered.
        let bytes = BATCH_BYTES.max(self.max_payload());
        let doing = format!("opening the consumer {} of {}", options.durable, options.stream);
        let opening = async move {
            let stream = context.get_stream(&wanted.stream).await.map_err(Opening::Stream)?;
            let found = stream.get_or_create_consumer(&wanted.durable, config).await;
            let consumer: Consumer<pull::Config> = found.map_err(Opening::Consumer)?;
            let filter = consumer.cached_info().config.filter_subject.clone();
            if filter != wanted.filter {
                return Ok(Err(filter));
            }
            let standing = Arc::new(Cell::default());
            standing.told(consumer.cached_info());
            let messages = consumer.stream().max_messages_per_batch(wanted.batch).max_bytes_per_batch(bytes);
            let messages = messages.expires(EXPIRES).heartbeat(HEARTBEAT).messages().await;
            let messages = messages.map_err(Opening::Messages)?;
            tokio::spawn(ask(consumer, Arc::downgrade(&standing)));
            Ok(Ok((messages, standing)))
        };
        match self.0.engine.call(self.0.patience.saturating_mul(2), opening) {
            None => Err(self.overdue(&doing)),
            Some(Err(Opening::Stream(error))) => Err(self.without_stream(&doing, &error)),
            Some(Err(Opening::Consumer(error))) => Err(match error.kind() {
                ConsumerErrorKind::JetStream(said) => of_jetstream(self.peer(), &doing, &said),
                _ => self.unanswered(&doing, &error),
            }),
            Some(Err(Opening::Messages(error))) => Err(self.unanswered(&doing, &error)),
            Some(Ok(Err(filter))) => {
                let message = format!(
                    "{doing} at {}: it selects {filter}, not {}; use the same partitions everywhere, or another group",
                    self.peer(),
                    options.filter
                );
                Err(TransportError::new(ErrorKind::Misconfigured, message))
            }
            Some(Ok(Ok((messages, standing)))) => Ok(Puller {
                link: self.clone(),
                messages: Arc::new(Mutex::new(messages)),
                peer: self.peer().into(),
                standing,
            }),
        }
    }
}

/// Asks how far behind a consumer is, for as long as somebody pulls from it. A question
/// that is not answered is asked again.
async fn ask(consumer: Consumer<pull::Config>, standing: Weak<Cell>) {
    loop {
        tokio::time::sleep(ASK).await;
        let Some(standing) = standing.upgrade() else { return };
        if let Ok(info) = consumer.get_info().await {
            standing.told(&info);
        }
    }
}

/// Where it ended.
enum Opening {
    Stream(GetStreamError),
    Consumer(ConsumerError),
    Messages(StreamError),
}

/// Bytes that are asked for at a time, where the server takes no larger messages.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A request for messages is made anew after this time, so that a server that has just
/// become the leader hears of it.
const EXPIRES: Duration = Duration::from_secs(5);
/// Between two questions how far behind a consumer is.
const ASK: Duration = Duration::from_secs(5);
/// Two that are missed are an error.
const HEARTBEAT: Duration = Duration::from_secs(2);

impl Puller {
    /// The messages that are here, at most so many; waits at most `wait` for the first.
    ///
    /// # Errors
    /// The connection has ended, or the consumer is no more: make another one.
    pub fn next(&self, at_most: usize, wait: Duration) -> Result<Vec<Delivery>, TransportError> {
        if !self.link.is_open() {
            return Err(self.link.gone());
        }
        let (messages, watch) = (Arc::clone(&self.messages), Arc::clone(&self.link.0.watch));
        let work = async move {
            let mut messages = messages.lock().await;
            let first = tokio::select! {
                first = tokio::time::timeout(wait, messages.next()) => first,
                () = watch.until_gone() => return Err(None),
            };
            let mut next = match first {
                Err(_) => return Ok(Vec::new()),
                Ok(next) => next,
            };
            let mut all = Vec::new();
            loop {
                match next {
                    None => return if all.is_empty() { Err(None) } else { Ok(all) },
                    Some(Err(error)) if all.is_empty() => return Err(Some(error)),
                    // It is told again, or has passed by then.
                    Some(Err(_)) => return Ok(all),
                    Some(Ok(message)) => all.push(message),
                }
                if all.len() >= at_most {
                    return Ok(all);
                }
                match messages.next().now_or_never() {
                    Some(more) => next = more,
                    None => return Ok(all),
                }
            }
        };
        match self.link.0.engine.call(wait.saturating_add(self.link.0.patience), work) {
            None => Err(self.link.overdue("waiting for messages")),
            Some(Err(None)) => Err(self.link.gone()),
            Some(Err(Some(error))) => Err(self.link.unanswered("waiting for messages", &error)),
            Some(Ok(messages)) => {
                let all: Vec<Delivery> = messages.into_iter().filter_map(delivery).collect();
                if let Some(last) = all.last() {
                    self.standing.pending.store(last.pending, Ordering::Relaxed);
                }
                Ok(all)
            }
        }
    }

    /// How far behind the consumer is: of the last message, and of a question that is asked
    /// every 5 s.
    pub fn standing(&self) -> Standing {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Standing { pending: read(&self.standing.pending), unacknowledged: read(&self.standing.unacknowledged) }
    }

    /// Tells the server what became of messages. It is told once: where that gets lost, the
    /// message comes again.
    ///
    /// # Errors
    /// The connection has ended, or nothing more can be sent.
    pub fn answer(&self, verdicts: Vec<(Delivery, Verdict)>) -> Result<(), TransportError> {
        let client = self.link.0.client.clone();
        let work = async move {
            for (delivery, verdict) in verdicts {
                let kind = match verdict {
                    Verdict::Taken => AckKind::Ack,
                    Verdict::Never => AckKind::Term,
                    Verdict::Again(pause) => AckKind::Nak(Some(pause)),
                };
                delivery.message.ack_with(kind).await?;
            }
            client.flush().await.map_err(|error| Box::new(error) as async_nats::Error)
        };
        match self.link.0.engine.call(self.link.0.patience, work) {
            None => Err(self.link.overdue("acknowledging messages")),
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => {
                let message = format!("acknowledging messages at {}: {error}", self.peer);
                Err(TransportError::new(ErrorKind::Disconnected, message))
            }
        }
    }
}

/// None for what is no message of a stream.
fn delivery(message: jetstream::Message) -> Option<Delivery> {
    let (delivered, pending, sequence) = match message.info() {
        Ok(info) => (u64::try_from(info.delivered).unwrap_or(1), info.pending, info.stream_sequence),
        Err(_) => return None,
    };
    let (payload, subject) = (message.payload.clone(), message.subject.to_string());
    Some(Delivery { payload, delivered, pending, subject, sequence, message })
}
