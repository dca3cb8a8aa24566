//! `tracing-appender`, lossy off. Given encoded lines, so that what is measured is
//! its queue and its thread, not the formatting of `tracing-subscriber`. Its
//! thread makes a write of each line, as it ships.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use super::{Pipeline, QUEUE_EVENTS, Share};
use crate::destination::Destination;
use crate::workload::{Lines, Reading};

/// Its guard gives up after a second; a slow machine gets more from us.
const PATIENCE: Duration = Duration::from_secs(60);

/// A non-blocking writer and the count of what came out of it.
#[derive(Debug)]
pub struct Appender {
    /// Cheap to clone, one for each producer.
    pub writer: NonBlocking,
    guard: WorkerGuard,
    sent: AtomicU64,
    written: Arc<AtomicU64>,
}

struct Counted<W> {
    inner: W,
    written: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        if n == bytes.len() {
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Appender {
    /// Starts its thread on any writer.
    pub fn over(out: impl Write + Send + 'static) -> Self {
        let written = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: out, written: Arc::clone(&written) };
        let builder = NonBlockingBuilder::default().lossy(false).buffered_lines_limit(QUEUE_EVENTS);
        let (writer, guard) = builder.finish(counted);
        Self { writer, guard, sent: AtomicU64::new(0), written }
    }

    /// Starts its thread.
    ///
    /// # Errors
    /// A destination that cannot be opened.
    pub fn start(destination: &Destination) -> anyhow::Result<Self> {
        Ok(Self::over(destination.writer()?))
    }
}

impl Pipeline for Appender {
    fn produce(&self, share: Share) -> anyhow::Result<()> {
        let (mut lines, mut line, mut writer) = (Lines::new(false), Vec::new(), self.writer.clone());
        let mut count = 0;
        for n in share {
            line.clear();
            lines.write(n, &Reading::at(n), &mut line);
            writer.write_all(&line)?;
            count += 1;
        }
        self.sent.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        let (sent, deadline) = (self.sent.load(Ordering::Relaxed), Instant::now() + PATIENCE);
        while self.written.load(Ordering::Relaxed) < sent && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_micros(100));
        }
        drop(self.guard);
        Ok(())
    }
}
