//! The transport in memory that a script directs.

use std::sync::Arc;
use std::time::Duration;

use townlet_transport::{Connected, ErrorKind, Frame, Outcome, SendError, Transport, TransportError};

use crate::script::{Script, Step};

/// An in-memory transport that follows a [`Script`].
#[derive(Debug)]
pub struct Scripted {
    pub(crate) script: Script,
    pub(crate) open: bool,
    pub(crate) unacked: usize,
}

impl Scripted {
    fn error(kind: ErrorKind, call: &str) -> TransportError {
        TransportError::new(kind, format!("scripted failure of {call}"))
    }

    fn lose(&mut self) {
        self.open = false;
        self.unacked = 0;
    }
}

impl Transport for Scripted {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        let reused = self.open;
        let result = self.script.shared.update(|s| {
            if reused {
                return Ok(Connected::reused("script", s.level, false));
            }
            s.attempts += 1;
            if let Some(kind) = s.connect_failures.pop_front() {
                return Err(Self::error(kind, "connect"));
            }
            s.connections += 1;
            s.cut = None;
            s.acks = 0;
            Ok(Connected::fresh("script", s.level, false))
        });
        self.open = result.is_ok();
        result
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        let shared = Arc::clone(&self.script.shared);
        let open = self.open;
        let step = shared.update(|s| {
            s.sends += 1;
            s.batches.push(batch.len());
            if !open {
                s.misuse.push(format!("send {} without a connection", s.sends));
                return Step::Fail { settled: 0, kind: ErrorKind::Disconnected };
            }
            if let Some(kind) = s.cut.take() {
                return Step::Fail { settled: 0, kind };
            }
            s.steps.pop_front().unwrap_or(Step::Take)
        });
        let (taken, failure) = match step {
            Step::Take => (batch.len(), None),
            Step::Fail { settled, kind } => (settled.min(batch.len()), Some((settled.min(batch.len()), kind))),
            Step::TakeButFail { taken, kind } => (taken.min(batch.len()), Some((0, kind))),
            Step::Panic => panic!("scripted panic in send"),
            Step::Hold => {
                shared.update(|s| s.holding += 1);
                // A forgotten release must fail the test, not hang it.
                let released = shared.wait_for(Duration::from_secs(60), |s| s.released > 0);
                shared.update(|s| {
                    s.holding -= 1;
                    s.released = s.released.saturating_sub(1);
                });
                assert!(released, "a held send was not released within 60 s");
                (batch.len(), None)
            }
        };
        let (pending, level) = shared.update(|s| {
            s.received.extend(batch[..taken].iter().map(Frame::bytes));
            (s.pending, s.level)
        });
        match failure {
            Some((settled, kind)) => {
                if !kind.is_about_frame() {
                    self.lose();
                }
                Err(SendError::after(settled, Self::error(kind, "send")))
            }
            None if pending => {
                self.unacked += batch.len();
                Ok(Outcome::Pending)
            }
            None => Ok(Outcome::Settled(level)),
        }
    }

    fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        if !self.open {
            return Ok(0);
        }
        let shared = Arc::clone(&self.script.shared);
        if self.unacked == 0 && shared.lock().cut.is_none() {
            return Ok(0);
        }
        shared.wait_for(wait, |s| s.acks > 0 || s.cut.is_some());
        let unacked = self.unacked;
        let result = shared.update(|s| {
            let acked = s.acks.min(unacked);
            s.acks -= acked;
            match s.cut {
                Some(kind) if acked == 0 => {
                    s.cut = None;
                    Err(Self::error(kind, "receipts"))
                }
                _ => Ok(acked),
            }
        });
        match &result {
            Ok(acked) => self.unacked -= acked,
            Err(_) => self.lose(),
        }
        result
    }

    fn flush(&mut self) -> Result<(), TransportError> {
        self.script.shared.update(|s| s.flushes += 1);
        Ok(())
    }

    fn close(&mut self) {
        if self.open {
            self.script.shared.update(|s| s.closes += 1);
        }
        self.lose();
    }
}
