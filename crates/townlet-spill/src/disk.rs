//! What the log asks of a disk: one folder, files by name.

use std::io;
use std::time::Duration;

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its name in the folder.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
}

/// The operations that the log uses, all inside one folder.
///
/// [`OsDisk`](crate::OsDisk) is the real one; a simulated one lets a test crash
/// at every step. What may be assumed of it is little, as in life:
/// - Reads and writes may be short; both return how many bytes they moved.
/// - What was written is lost by a crash unless [`sync_data`](Disk::sync_data)
///   returned `Ok` after it, and then in any order and in parts.
/// - After a failed `sync_data` the bytes written since the one before may be
///   lost even if a later one succeeds.
/// - A created, renamed or removed name is as before after a crash unless
///   [`sync_dir`](Disk::sync_dir) returned `Ok`.
///
/// Calls come from one thread at a time.
pub trait Disk: Send {
    /// The regular files of the folder, in any order.
    ///
    /// # Errors
    /// Those of the system.
    fn list(&mut self) -> io::Result<Vec<FileInfo>>;

    /// Creates an empty file.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists), and those of the system.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Reads from `offset`; 0 bytes mean that the file ends there.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound), and those of the system.
    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes at `offset`, growing the file where needed.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound), [`StorageFull`](io::ErrorKind::StorageFull), and those of the system.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Makes the content of a file durable; returns how long that took, which
    /// is what the commit window goes by.
    ///
    /// # Errors
    /// Those of the system; see above for what an error means.
    fn sync_data(&mut self, name: &str) -> io::Result<Duration>;

    /// Makes the names of the folder durable.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_dir(&mut self) -> io::Result<()>;

    /// Cuts a file to `len` bytes.
    ///
    /// # Errors
    /// Those of the system.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;

    /// Renames a file, replacing what had the name before.
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the system.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Takes the folder for this process, until the value is dropped. `false`
    /// if another one has it.
    ///
    /// # Errors
    /// Those of the system, a folder that cannot be written among them.
    fn lock(&mut self) -> io::Result<bool>;
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_full(disk: &mut dyn Disk, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match disk.read_at(name, offset + done as u64, &mut buffer[done..]) {
            Ok(0) => break,
            Ok(count) => done += count.min(buffer.len() - done),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of `bytes`, however short the single writes are.
pub(crate) fn write_full(disk: &mut dyn Disk, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match disk.write_at(name, offset + done as u64, &bytes[done..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
