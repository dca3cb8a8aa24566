//! Keeps what was refused, for whoever has to find the sender's mistake.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::store::StoreError;

/// Bytes of a refused line that are kept.
const EXCERPT: usize = 4096;

/// `@rejected.jsonl`: one JSON object for each refused line, until the cap.
pub(super) struct RejectedLog {
    out: Mutex<Out>,
    cap: u64,
    kept: AtomicU64,
}

struct Out {
    file: File,
    size: u64,
}

#[derive(Serialize)]
struct Entry<'a> {
    peer: SocketAddr,
    connection: u64,
    line: u64,
    reason: &'a str,
    bytes: usize,
    /// The beginning of the line, what is no UTF-8 replaced.
    text: &'a str,
}

impl RejectedLog {
    pub(super) fn open(path: &Path, cap: u64) -> Result<Self, StoreError> {
        let open = || {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            let size = file.metadata()?.len();
            Ok(Out { file, size })
        };
        let out = open().map_err(|error| StoreError::new("opening", path, error))?;
        Ok(Self { out: Mutex::new(out), cap, kept: AtomicU64::new(0) })
    }

    /// Best effort: what finds no room under the cap, or no working disk, is
    /// counted with the other refused lines and not kept.
    pub(super) fn keep(&self, peer: SocketAddr, connection: u64, number: u64, reason: &str, line: &[u8]) {
        let excerpt = &line[..line.len().min(EXCERPT)];
        let text = String::from_utf8_lossy(excerpt);
        let entry = Entry { peer, connection, line: number, reason, bytes: line.len(), text: &text };
        let Ok(mut bytes) = serde_json::to_vec(&entry) else { return };
        bytes.push(b'\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let size = out.size + bytes.len() as u64;
        if size <= self.cap && out.file.write_all(&bytes).is_ok() {
            out.size = size;
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }
}
