//! Appending whole lines or nothing.

use std::fs::File;
use std::io::{self, Write};

/// How many bytes of small pieces are gathered before a write.
const BUFFER_BYTES: usize = 256 * 1024;

/// A piece of so many bytes is written as it lies: a call for it costs less than
/// a copy of it.
const LARGE: usize = 32 * 1024;

/// What appending needs of a file.
pub(crate) trait Appendable {
    /// Appends some of the bytes; returns how many.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the end off, so that `len` bytes are left.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Puts what was appended on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Appendable for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A write that did not get to its end.
#[derive(Debug)]
pub(crate) struct Torn {
    /// Whole lines that are in the file.
    pub(crate) whole: usize,
    /// Bytes of those lines.
    pub(crate) bytes: u64,
    /// True where nothing follows them in the file.
    pub(crate) clean: bool,
    /// Why no more could be written.
    pub(crate) error: io::Error,
}

/// Appends `pieces` to a file of `size` bytes, syncs where told, and returns the
/// bytes appended. Where that fails, cuts the file back to the last whole line
/// that counts; `lines` are the lengths of the lines in the pieces.
pub(crate) fn append_lines<'a>(
    file: &mut impl Appendable,
    size: u64,
    pieces: impl Iterator<Item = &'a [u8]>,
    lines: impl Iterator<Item = usize>,
    sync: bool,
    buffer: &mut Vec<u8>,
) -> Result<u64, Torn> {
    let mut written = 0;
    let result = write_gathered(file, pieces, buffer, &mut written);
    let synced = if sync { file.sync() } else { Ok(()) };
    let error = match (result, synced) {
        (Ok(()), Ok(())) => return Ok(written),
        // What could not be synced does not count, and must not come twice.
        (_, Err(error)) => return Err(Torn { whole: 0, bytes: 0, clean: file.cut(size).is_ok(), error }),
        (Err(error), Ok(())) => error,
    };
    let (mut whole, mut bytes) = (0, 0);
    for line in lines {
        let end = bytes + line as u64;
        if end > written {
            break;
        }
        (whole, bytes) = (whole + 1, end);
    }
    let clean = written == bytes || file.cut(size + bytes).is_ok();
    Err(Torn { whole, bytes, clean, error })
}

fn write_gathered<'a>(
    file: &mut impl Appendable,
    pieces: impl Iterator<Item = &'a [u8]>,
    buffer: &mut Vec<u8>,
    written: &mut u64,
) -> io::Result<()> {
    buffer.clear();
    for piece in pieces {
        let large = piece.len() >= LARGE;
        if large || buffer.len() + piece.len() > BUFFER_BYTES {
            write_all(file, buffer, written)?;
            buffer.clear();
        }
        if large {
            write_all(file, piece, written)?;
        } else {
            buffer.extend_from_slice(piece);
        }
    }
    write_all(file, buffer, written)
}

fn write_all(file: &mut impl Appendable, mut bytes: &[u8], written: &mut u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(some) => {
                *written += some as u64;
                bytes = &bytes[some..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most `step` bytes at a time and `room` in all.
    struct Small {
        content: Vec<u8>,
        room: usize,
        step: usize,
        sync_fails: bool,
        cut_fails: bool,
    }

    impl Appendable for Small {
        fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let free = self.room - self.content.len();
            if free == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let some = bytes.len().min(self.step).min(free);
            self.content.extend_from_slice(&bytes[..some]);
            Ok(some)
        }
        fn cut(&mut self, len: u64) -> io::Result<()> {
            if self.cut_fails {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            self.content.truncate(len as usize);
            Ok(())
        }
        fn sync(&mut self) -> io::Result<()> {
            if self.sync_fails { Err(io::Error::other("sync")) } else { Ok(()) }
        }
    }

    const LINES: [&[u8]; 4] = [b"one\n", b"\n", b"three three\n", b"four\n"];
    const HEAD: &[u8] = b"head\n";

    fn run(disk: &mut Small) -> Result<u64, Torn> {
        append_lines(
            disk,
            HEAD.len() as u64,
            LINES.into_iter(),
            LINES.map(<[u8]>::len).into_iter(),
            disk.sync_fails,
            &mut Vec::new(),
        )
    }

    fn disk(room: usize, step: usize) -> Small {
        Small { content: HEAD.to_vec(), room: HEAD.len() + room, step, sync_fails: false, cut_fails: false }
    }

    #[test]
    fn wherever_the_disk_fills_the_file_ends_with_the_lines_that_count() {
        let all = LINES.concat();
        for room in 0..=all.len() {
            for step in [1, 3, 7, 100] {
                let mut disk = disk(room, step);
                let whole = match run(&mut disk) {
                    Ok(bytes) => {
                        assert_eq!(bytes as usize, all.len());
                        LINES.len()
                    }
                    Err(torn) => {
                        assert!(torn.clean && torn.error.kind() == io::ErrorKind::StorageFull);
                        assert_eq!(torn.bytes as usize, LINES[..torn.whole].concat().len());
                        torn.whole
                    }
                };
                assert_eq!(disk.content, [HEAD, &LINES[..whole].concat()].concat(), "room {room}");
                // Greedy: the next line would not have fitted.
                assert!(whole == LINES.len() || LINES[..=whole].concat().len() > room);
            }
        }
    }

    #[test]
    fn what_could_not_be_synced_does_not_count_and_is_taken_back() {
        let mut disk = Small { sync_fails: true, ..disk(1000, 100) };
        let torn = run(&mut disk).unwrap_err();
        assert_eq!((torn.whole, torn.clean), (0, true));
        assert_eq!(disk.content, HEAD);
    }

    #[test]
    fn a_file_that_cannot_be_cut_is_reported_as_unclean() {
        let mut disk = Small { cut_fails: true, ..disk(6, 100) };
        let torn = run(&mut disk).unwrap_err();
        assert_eq!((torn.whole, torn.clean), (2, false));
        let mut disk = Small { cut_fails: true, ..self::disk(5, 100) };
        assert!(run(&mut disk).unwrap_err().clean, "nothing to cut");
    }
}
