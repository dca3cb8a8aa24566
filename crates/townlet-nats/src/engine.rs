//! The thread that the client lives on.
//!
//! The client is asynchronous and reconnects for ever once it is connected. Each
//! connection has a runtime of its own on a thread of its own, so that callers wait by
//! their own deadline, hosts with and without a runtime may use it, and nothing of a
//! connection is left once it is dropped.

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use townlet_transport::TransportError;

/// A client keeps to its own time limits; only where that fails is it left alone.
const GRACE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Engine {
    handle: Handle,
    /// Its end is the thread's end.
    _stop: oneshot::Sender<()>,
}

impl Engine {
    pub(crate) fn start() -> Result<Self, TransportError> {
        let failed = |error| TransportError::from_io("starting a thread for NATS", error);
        let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("telemetry-nats".into());
        thread
            .spawn(move || {
                // An error means that the other end was dropped, which is the sign.
                let _ = runtime.block_on(stopped);
                // A resolver may be stuck; nobody waits for it.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self { handle, _stop: stop })
    }

    /// Runs `work` and waits for it, at most so long; none where it took longer.
    pub(crate) fn call<T, F>(&self, within: Duration, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (answer, answered) = mpsc::sync_channel(1);
        let task = self.handle.spawn(async move {
            // Where nobody waits any more, nobody is to be told.
            let _ = answer.send(work.await);
        });
        let outcome = answered.recv_timeout(within.saturating_add(GRACE)).ok();
        if outcome.is_none() {
            task.abort();
        }
        outcome
    }

    /// Runs `work` for as long as the connection is there.
    pub(crate) fn spawn<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.handle.spawn(work));
    }
}
