//! What members of a group tell each other: plain messages that nobody keeps.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Mutex;
use townlet_transport::{ErrorKind, TransportError};

use crate::Link;
use crate::failure::chain;

/// Hears what is said under a subject, also by itself.
pub struct Gossip {
    link: Link,
    heard: Arc<Mutex<Subscriber>>,
}

impl Link {
    /// Listens for messages of these subjects.
    ///
    /// # Errors
    /// Any kind.
    pub fn gossip(&self, subjects: &str) -> Result<Gossip, TransportError> {
        let (client, subjects) = (self.0.client.clone(), subjects.to_owned());
        match self.0.engine.call(self.0.patience, async move { client.subscribe(subjects).await }) {
            None => Err(self.overdue("subscribing")),
            Some(Err(error)) => {
                let message = format!("subscribing at {}: {}", self.peer(), chain(&error));
                Err(TransportError::new(ErrorKind::Misconfigured, message))
            }
            Some(Ok(subscriber)) => Ok(Gossip { link: self.clone(), heard: Arc::new(Mutex::new(subscriber)) }),
        }
    }
}

impl Gossip {
    /// Says something to everybody who listens.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn say(&self, subject: &str, what: Bytes) -> Result<(), TransportError> {
        if !self.link.is_open() {
            return Err(self.link.gone());
        }
        let (client, subject) = (self.link.0.client.clone(), subject.to_owned());
        match self.link.0.engine.call(self.link.0.patience, async move { client.publish(subject, what).await }) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(self.link.gone()),
            None => Err(self.link.overdue("saying that we are here")),
        }
    }

    /// Subjects and contents of what was said; waits at most `wait` for the first.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn hear(&self, wait: Duration) -> Result<Vec<(String, Bytes)>, TransportError> {
        let (heard, watch) = (Arc::clone(&self.heard), Arc::clone(&self.link.0.watch));
        let work = async move {
            let mut heard = heard.lock().await;
            let mut next = tokio::select! {
                first = tokio::time::timeout(wait, heard.next()) => match first {
                    Ok(first) => first,
                    Err(_) => return Some(Vec::new()),
                },
                () = watch.until_gone() => return None,
            };
            let mut all = Vec::new();
            while let Some(message) = next {
                all.push((message.subject.to_string(), message.payload));
                match heard.next().now_or_never() {
                    Some(more) => next = more,
                    None => return Some(all),
                }
            }
            (!all.is_empty()).then_some(all)
        };
        match self.link.0.engine.call(wait.saturating_add(self.link.0.patience), work) {
            Some(Some(all)) => Ok(all),
            Some(None) => Err(self.link.gone()),
            None => Err(self.link.overdue("listening")),
        }
    }
}
