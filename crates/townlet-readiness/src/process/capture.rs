//! One output of a process, read to its end in bounded memory.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Output;

/// The beginning and the end of a stream of bytes.
#[derive(Debug)]
pub(super) struct Bounded {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    total: u64,
}

impl Bounded {
    pub(super) fn new(limit: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), half: (limit / 2).max(1), total: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(first);
        // Of what is longer than the tail, only the end can stay.
        let rest = &rest[rest.len().saturating_sub(self.half)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    pub(super) fn output(&self, left_open: bool) -> Output {
        let held = (self.head.len() + self.tail.len()) as u64;
        let missing = self.total - held;
        let mut kept = self.head.clone();
        if missing > 0 {
            kept.extend_from_slice(format!("\n… {missing} bytes are left out here …\n").as_bytes());
        }
        kept.extend(&self.tail);
        Output { kept, total: self.total, shortened: missing > 0, left_open }
    }
}

/// Reads a pipe on a thread of its own.
pub(super) struct Capture {
    bytes: Arc<Mutex<Bounded>>,
    ended: Receiver<()>,
}

impl Capture {
    pub(super) fn start(pipe: impl Read + Send + 'static, limit: usize) -> io::Result<Self> {
        let bytes = Arc::new(Mutex::new(Bounded::new(limit)));
        let (at_end, ended) = sync_channel(1);
        let shared = Arc::clone(&bytes);
        thread::Builder::new().name("readiness-output".into()).spawn(move || drain(pipe, &shared, &at_end))?;
        Ok(Self { bytes, ended })
    }

    /// What came, once the pipe is closed, or after `patience`. Whoever still holds the pipe open then is left alone
    /// with the thread that reads it.
    pub(super) fn finish(self, patience: Duration) -> Output {
        let left_open = matches!(self.ended.recv_timeout(patience), Err(RecvTimeoutError::Timeout));
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).output(left_open)
    }
}

fn drain(mut pipe: impl Read, bytes: &Mutex<Bounded>, at_end: &SyncSender<()>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match pipe.read(&mut buffer) {
            Ok(n) if n > 0 => bytes.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    // Nobody may be waiting any more.
    let _ = at_end.send(());
}

#[cfg(test)]
mod tests {
    use super::Bounded;

    /// Every way to cut the same bytes gives the same output.
    #[test]
    fn the_beginning_and_the_end_stay_and_the_middle_is_counted() {
        let all: Vec<u8> = (0..=99).collect();
        for piece in [1, 3, 7, 40, 100] {
            let mut bounded = Bounded::new(20);
            all.chunks(piece).for_each(|chunk| bounded.push(chunk));
            let output = bounded.output(false);
            assert_eq!((output.total, output.shortened), (100, true), "{piece}");
            assert_eq!(output.kept[..10], all[..10], "{piece}");
            assert!(output.kept.ends_with(&all[90..]), "{piece}");
            assert!(String::from_utf8_lossy(&output.kept).contains("80 bytes"), "{piece}");
        }
    }

    #[test]
    fn what_fits_stays_whole() {
        let mut bounded = Bounded::new(20);
        bounded.push(b"twenty bytes, or so.");
        let output = bounded.output(false);
        assert_eq!((output.kept.as_slice(), output.shortened), (b"twenty bytes, or so.".as_slice(), false));
    }
}
