//! A shared buffer under a mutex, encoded in place by the producers and swapped
//! by the writer: the least that a lossless pipeline can do. It keeps no books,
//! tells no order, retries nothing and loses its buffer with the connection.

use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{GATHERED, Pipeline, Share, joined};
use crate::destination::Destination;
use crate::workload::{Lines, Reading};

/// Bytes that producers may run ahead.
const MOST: usize = 16 << 20;

/// The longest that a line waits for others.
const PATIENCE: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct Shared {
    buffer: Vec<u8>,
    closed: bool,
}

/// The queue.
#[derive(Debug, Default)]
pub struct MutexBatch {
    shared: Mutex<Shared>,
    filled: Condvar,
    emptied: Condvar,
}

impl MutexBatch {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `encode` append to the shared buffer; waits while that is full.
    pub fn push(&self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut shared = self.lock();
        while shared.buffer.len() >= MOST {
            shared = self.emptied.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        let before = shared.buffer.len();
        encode(&mut shared.buffer);
        // One wake-up for each high-water mark that is passed, none for a line.
        if before < GATHERED && shared.buffer.len() >= GATHERED {
            self.filled.notify_one();
        }
    }

    /// No more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// Writes until the queue is closed and empty.
    ///
    /// # Errors
    /// The writer's.
    pub fn drain(&self, mut out: impl Write) -> std::io::Result<()> {
        let mut mine = Vec::with_capacity(2 * GATHERED);
        loop {
            let mut shared = self.lock();
            if shared.buffer.len() < GATHERED && !shared.closed {
                shared = self.filled.wait_timeout(shared, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
            }
            let closed = shared.closed;
            std::mem::swap(&mut mine, &mut shared.buffer);
            drop(shared);
            self.emptied.notify_all();
            if mine.is_empty() && closed {
                return out.flush();
            }
            out.write_all(&mine)?;
            mine.clear();
        }
    }
}

/// The queue with a writer's thread.
#[derive(Debug)]
pub struct MutexBatchPipeline {
    queue: std::sync::Arc<MutexBatch>,
    writer: JoinHandle<std::io::Result<()>>,
    envelope: bool,
}

impl MutexBatchPipeline {
    /// Starts the writer.
    ///
    /// # Errors
    /// A destination that cannot be opened.
    pub fn start(destination: &Destination, envelope: bool) -> anyhow::Result<Self> {
        let queue = std::sync::Arc::new(MutexBatch::default());
        let (out, drained) = (destination.writer()?, std::sync::Arc::clone(&queue));
        let writer = std::thread::spawn(move || drained.drain(out));
        Ok(Self { queue, writer, envelope })
    }
}

impl Pipeline for MutexBatchPipeline {
    fn produce(&self, share: Share) -> anyhow::Result<()> {
        let mut lines = Lines::new(self.envelope);
        for n in share {
            let event = Reading::at(n);
            self.queue.push(|buffer| lines.write(n, &event, buffer));
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        self.queue.close();
        joined(self.writer)
    }
}
