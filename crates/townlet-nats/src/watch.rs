//! What happens on a connection beside the answers to our calls.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::{Event, ServerError};
use tokio::sync::watch;
use townlet_transport::{ErrorKind, TransportError};

/// One for a connection. The client would connect again by itself; here a connection
/// that ended is over.
#[derive(Debug)]
pub(crate) struct Watch {
    gone: watch::Sender<bool>,
    /// The last that the server complained about.
    complaint: Mutex<Option<String>>,
}

impl Watch {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { gone: watch::Sender::new(false), complaint: Mutex::default() })
    }

    pub(crate) fn happened(&self, event: Event) {
        match event {
            Event::Disconnected | Event::Closed => self.end(),
            Event::ServerError(ServerError::AuthorizationViolation) => {
                self.complain("Authorization Violation".into());
                self.end();
            }
            Event::ServerError(ServerError::Other(said)) => self.complain(said),
            _ => {}
        }
    }

    fn complain(&self, said: String) {
        tracing::warn!(said, "telemetry_nats_server_error");
        *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }

    pub(crate) fn end(&self) {
        self.gone.send_replace(true);
    }

    pub(crate) fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    /// Comes back when the connection has ended.
    pub(crate) async fn until_gone(&self) {
        // Fails only where the sender is dropped, which is `self`.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// The error of whoever finds the connection at its end, with what the server said of it.
    pub(crate) fn ended(&self, peer: &str) -> TransportError {
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let message = match &*complaint {
            Some(said) => format!("the connection to {peer} ended; the server had said: {said}"),
            None => format!("the connection to {peer} ended"),
        };
        TransportError::new(ErrorKind::Disconnected, message)
    }

    /// Of an error that says only that no answer came: whether the server said why.
    pub(crate) fn explain(&self, peer: &str, error: TransportError) -> TransportError {
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        match &*complaint {
            Some(said) if error.kind() == ErrorKind::Timeout && said.to_ascii_lowercase().contains("permissions") => {
                let message = format!(
                    "{peer} refuses what we ask ({said}): let this user publish to the subjects of nats.subject and \
                     to $JS.API.>, and subscribe to _INBOX.>"
                );
                TransportError::with_source(ErrorKind::Misconfigured, message, error)
            }
            _ => error,
        }
    }
}

/// How many publishes the server has acknowledged, in the order of their sending, and
/// why no more.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    settled: usize,
    failure: Option<TransportError>,
}

impl Receipts {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settle(&self) {
        self.lock().settled += 1;
        self.changed.notify_all();
    }

    /// The oldest that is not settled never will be here.
    pub(crate) fn fail(&self, error: TransportError) {
        self.lock().failure.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Takes what has come, after at most `wait` of nothing.
    pub(crate) fn take(&self, wait: Duration) -> Result<usize, TransportError> {
        let until = Instant::now().checked_add(wait);
        let mut state = self.lock();
        loop {
            if state.settled > 0 {
                return Ok(std::mem::take(&mut state.settled));
            }
            if let Some(error) = state.failure.take() {
                return Err(error);
            }
            let left = until.map_or(wait, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(0);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_settled_is_told_before_why_no_more_does() {
        let receipts = Receipts::default();
        assert_eq!(receipts.take(Duration::ZERO).unwrap(), 0);
        receipts.settle();
        receipts.settle();
        receipts.fail(TransportError::new(ErrorKind::Timeout, "first"));
        receipts.fail(TransportError::new(ErrorKind::Io, "second"));
        assert_eq!(receipts.take(Duration::MAX).unwrap(), 2);
        assert_eq!(receipts.take(Duration::MAX).unwrap_err().kind(), ErrorKind::Timeout);
    }

    #[test]
    fn a_silence_is_explained_by_what_the_server_complained_about() {
        let watch = Watch::new();
        let silence = || TransportError::new(ErrorKind::Timeout, "no answer");
        assert_eq!(watch.explain("a:1", silence()).kind(), ErrorKind::Timeout);
        watch.happened(Event::ServerError(ServerError::Other("Permissions Violation for Publish to \"t\"".into())));
        let explained = watch.explain("a:1", silence());
        assert_eq!(explained.kind(), ErrorKind::Misconfigured);
        assert!(explained.to_string().contains("Publish to \"t\""), "{explained}");
        let other = watch.explain("a:1", TransportError::new(ErrorKind::Disconnected, "gone"));
        assert_eq!(other.kind(), ErrorKind::Disconnected);
        assert!(!watch.is_gone());
        watch.happened(Event::Disconnected);
        assert!(watch.is_gone());
    }
}
