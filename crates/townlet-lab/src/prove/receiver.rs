//! The far end of a TCP sink: it looks at every line that arrives.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use anyhow::Context;

/// A thread that takes one connection after the other and hands each whole line on.
#[derive(Debug)]
pub(super) struct Receiver<S> {
    addr: SocketAddr,
    /// From where the last connection comes, which says that no other will.
    last: Arc<OnceLock<SocketAddr>>,
    thread: JoinHandle<io::Result<S>>,
}

impl<S: Send + 'static> Receiver<S> {
    /// Listens on a free port of this machine. `each` sees every line, without its end.
    pub(super) fn start(mut state: S, mut each: impl FnMut(&mut S, &[u8]) + Send + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("listening on 127.0.0.1")?;
        let addr = listener.local_addr()?;
        let last = Arc::new(OnceLock::new());
        let goodbye = Arc::clone(&last);
        let run = move || {
            loop {
                let (socket, peer) = listener.accept()?;
                lines(socket, |line| each(&mut state, line))?;
                // It is set before that connection ends, and those before it have been read.
                if goodbye.get() == Some(&peer) {
                    return Ok(state);
                }
            }
        };
        let thread = thread::Builder::new().name("receiver".into()).spawn(run)?;
        Ok(Self { addr, last, thread })
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes in what is under way and ends. Call it when the sender has closed.
    pub(super) fn finish(self) -> anyhow::Result<S> {
        match TcpStream::connect(self.addr).and_then(|goodbye| Ok((goodbye.local_addr()?, goodbye))) {
            Ok((from, goodbye)) => {
                let _ = self.last.set(from);
                drop(goodbye);
            }
            // It has ended by itself, which its result explains.
            Err(_) if self.thread.is_finished() => {}
            Err(error) => return Err(error).context("ending the receiver"),
        }
        let state = self.thread.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))?;
        state.context("receiving on 127.0.0.1")
    }
}

/// A line without its end was cut off, and will come again; a reset is an end as well.
fn lines(socket: TcpStream, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut from = BufReader::with_capacity(256 * 1024, socket);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                if let Some(line) = line.strip_suffix(b"\n") {
                    each(line);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The number after `"key":` in a line.
pub(super) fn number_of(line: &[u8], key: &str) -> Option<u64> {
    let at = memchr::memmem::find(line, format!("\"{key}\":").as_bytes())? + key.len() + 3;
    let digits = line[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&line[at..at + digits]).ok()?.parse().ok()
}

/// The ids that arrived, as they came.
#[derive(Debug, Default)]
pub(super) struct Ids {
    pub(super) came: Vec<u64>,
    /// Lines without an id.
    pub(super) garbled: u64,
}

/// What the ids say about `0..events`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Audit {
    pub(super) unique: u64,
    pub(super) duplicates: u64,
    /// Ids that came after a larger one.
    pub(super) late: u64,
    /// Ids that nobody has sent, and lines without any.
    pub(super) spurious: u64,
    /// How many at the end of `0..events` came without a gap.
    pub(super) unbroken_end: u64,
}

impl Ids {
    pub(super) fn audit(&self, events: u64) -> Audit {
        let mut seen = vec![false; events as usize];
        let mut audit = Audit { spurious: self.garbled, ..Audit::default() };
        let mut largest = 0;
        for &id in &self.came {
            match seen.get_mut(id as usize) {
                None => audit.spurious += 1,
                Some(seen) if *seen => audit.duplicates += 1,
                Some(seen) => {
                    *seen = true;
                    audit.unique += 1;
                    audit.late += u64::from(id < largest);
                    largest = largest.max(id);
                }
            }
        }
        audit.unbroken_end = seen.iter().rev().take_while(|seen| **seen).count() as u64;
        audit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_tells_twice_late_spurious_and_missing_apart() {
        let ids = Ids { came: vec![0, 1, 4, 2, 4, 9, 5, 6], garbled: 1 };
        let expected = Audit { unique: 6, duplicates: 1, late: 1, spurious: 2, unbroken_end: 3 };
        assert_eq!(ids.audit(7), expected);
    }

    #[test]
    fn a_number_is_read_behind_its_key_alone() {
        let line = br#"{"seq":7,"payload":{"samples":1,"sample":1000042,"x":2}}"#;
        assert_eq!(number_of(line, "sample"), Some(1_000_042));
        assert_eq!(number_of(line, "y"), None);
    }
}
