//! Where batches go, and how nobody else gets in between.

use std::io::{self, Write};

/// A place to which one batch is written in one piece.
pub trait Output: Send {
    /// Runs `write` while nobody else in this process writes there. The writer
    /// it is given has no buffer: what it takes has left the process.
    ///
    /// # Errors
    /// What `write` reports, or what prevents it.
    fn exclusively(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()>;
}

impl<W: Write + Send> Output for W {
    fn exclusively(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        write(self)
    }
}

/// The standard output of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct StandardOutput;

impl Output for StandardOutput {
    fn exclusively(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        // What `print!` has buffered goes first, else it would come out later,
        // in the middle of something.
        let mut lock = io::stdout().lock();
        lock.flush()?;
        write(&mut unbuffered(&lock)?)
    }
}

/// Past the buffer of `Stdout`, which counts bytes as written that it only
/// keeps; the lock is still held.
#[cfg(unix)]
fn unbuffered(lock: &io::StdoutLock<'_>) -> io::Result<std::fs::File> {
    use std::os::fd::AsFd;
    lock.as_fd().try_clone_to_owned().map(Into::into)
}

#[cfg(windows)]
fn unbuffered(lock: &io::StdoutLock<'_>) -> io::Result<std::fs::File> {
    use std::os::windows::io::AsHandle;
    lock.as_handle().try_clone_to_owned().map(Into::into)
}
