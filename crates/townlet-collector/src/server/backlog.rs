//! Lines that were taken and could not be written: how many bytes of them there
//! may be.
//!
//! A stream whose file cannot be written keeps what it took, one line or 256 KiB,
//! and cannot leave memory. Over thousands of streams that would be a lot.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::directory::{Directory, Stream};
use crate::store::{Store, StoreError};

/// Bytes over all streams from which on no further line is taken.
const LIMIT: usize = 64 * 1024 * 1024;

type Key = (Option<Box<str>>, Option<Box<str>>);

#[derive(Default)]
pub(super) struct Backlog {
    /// Read for every line, so apart from the table.
    total: AtomicUsize,
    streams: Mutex<BTreeMap<Key, usize>>,
    /// Held by whoever tries to write.
    relief: Mutex<()>,
}

impl Backlog {
    /// So many more bytes of this stream could not be written.
    pub(super) fn failed(&self, stream: &Stream, bytes: usize) {
        let mut streams = self.streams();
        *streams.entry(key(stream)).or_default() += bytes;
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// All of this stream is written.
    pub(super) fn written(&self, stream: &Stream) {
        if self.total.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Some(bytes) = self.streams().remove(&key(stream)) {
            self.total.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.total.load(Ordering::Relaxed) >= LIMIT
    }

    /// Makes room where there is none, by writing what waits as far as that goes.
    pub(super) fn relieve(&self, directory: &Directory, store: &Store) -> Result<(), StoreError> {
        // One tries, the others wait for what comes of it.
        let _one = self.relief.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_full() {
            return Ok(());
        }
        let mut failure = None;
        let waiting: Vec<Key> = self.streams().keys().cloned().collect();
        for stream in directory.all().0.iter().filter(|stream| waiting.contains(&key(stream))) {
            match stream.write_out(store) {
                Ok(()) => self.written(stream),
                Err(error) => failure = Some(error),
            }
            if !self.is_full() {
                return Ok(());
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<Key, usize>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(stream: &Stream) -> Key {
    (stream.run_id.clone(), stream.stream.clone())
}
