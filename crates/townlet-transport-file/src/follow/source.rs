//! One file that is being read, as it is or compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::position::{Position, WINDOW, Window, Windows};
use crate::target::identity;

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// What one look for a line found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A line, its end included.
    Line,
    /// A line longer than the limit, passed over.
    Overlong,
    /// Nothing more for now. True where a line is begun.
    End(bool),
    /// What was read is no longer there: somebody has cut the file.
    Cut,
}

enum Content {
    Plain(BufReader<File>),
    Packed(Box<BufReader<MultiGzDecoder<BufReader<File>>>>),
}

/// An open file, and how far it was read: always to the end of a line.
pub(super) struct Source {
    content: Content,
    pub(super) identity: Option<(u64, u64)>,
    pub(super) offset: u64,
    pub(super) windows: Windows,
    /// True where the next read has to find its place first.
    unsure: bool,
}

impl Source {
    pub(super) fn open(path: &Path, is_packed: bool) -> io::Result<Self> {
        let file = File::open(path)?;
        let identity = identity(&file.metadata()?);
        let content = if is_packed {
            let unpacked = MultiGzDecoder::new(BufReader::with_capacity(CHUNK, file));
            Content::Packed(Box::new(BufReader::with_capacity(CHUNK, unpacked)))
        } else {
            Content::Plain(BufReader::with_capacity(CHUNK, file))
        };
        Ok(Self { content, identity, offset: 0, windows: Windows::default(), unsure: false })
    }

    /// Goes to a position; false where this is not the file of it.
    pub(super) fn go_to(&mut self, position: &Position) -> io::Result<bool> {
        self.offset = position.offset;
        match self.read_windows(position) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
        let Windows { head, tail } = &self.windows;
        Ok(Window::of(head) == position.head && Window::of(tail) == position.tail)
    }

    fn read_windows(&mut self, position: &Position) -> io::Result<()> {
        let (head, tail) = (position.head.len.min(WINDOW as u64), position.tail.len.min(WINDOW as u64));
        let mut windows = Windows { head: vec![0; head as usize], tail: vec![0; tail as usize] };
        match &mut self.content {
            Content::Plain(file) => {
                file.read_exact(&mut windows.head)?;
                file.seek(SeekFrom::Start(position.offset - tail))?;
                file.read_exact(&mut windows.tail)?;
            }
            Content::Packed(file) => {
                // There is no way back in it, and the two may overlap.
                let mut seen = Windows::default();
                let mut left = file.as_mut().take(position.offset);
                loop {
                    let piece = left.fill_buf()?;
                    let len = piece.len();
                    if len == 0 {
                        break;
                    }
                    seen.add(piece);
                    left.consume(len);
                }
                if left.limit() > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                windows = seen;
            }
        }
        self.windows = windows;
        Ok(())
    }

    /// Looks for the next line and puts it into `line`.
    pub(super) fn next(&mut self, line: &mut Vec<u8>, longest: usize) -> io::Result<Step> {
        line.clear();
        // Until a line is complete, and after whatever fails, the place is looked for again.
        if std::mem::replace(&mut self.unsure, true) && !self.find_place()? {
            return Ok(Step::Cut);
        }
        let read = match &mut self.content {
            Content::Plain(file) => file.take(longest as u64 + 1).read_until(b'\n', line)?,
            Content::Packed(file) => file.take(longest as u64 + 1).read_until(b'\n', line)?,
        };
        if line.ends_with(b"\n") {
            self.offset += read as u64;
            self.windows.add(line);
            self.unsure = false;
            return Ok(Step::Line);
        }
        if read <= longest {
            // What is there of a line may still be taken back, so it is read anew.
            return Ok(Step::End(read > 0));
        }
        self.pass_over(line)
    }

    /// Goes to the end of a line of which `line` is the beginning.
    fn pass_over(&mut self, line: &mut Vec<u8>) -> io::Result<Step> {
        let mut windows = self.windows.clone();
        let mut offset = self.offset;
        loop {
            windows.add(line);
            offset += line.len() as u64;
            let ended = line.ends_with(b"\n");
            line.clear();
            if ended {
                (self.windows, self.offset, self.unsure) = (windows, offset, false);
                return Ok(Step::Overlong);
            }
            let read = match &mut self.content {
                Content::Plain(file) => file.take(CHUNK as u64).read_until(b'\n', line)?,
                Content::Packed(file) => file.take(CHUNK as u64).read_until(b'\n', line)?,
            };
            if read == 0 {
                return Ok(Step::End(true));
            }
        }
    }

    /// Goes back to the end of the last line; false where that line is not there.
    fn find_place(&mut self) -> io::Result<bool> {
        // What is compressed does not grow.
        let Content::Plain(file) = &mut self.content else { return Ok(true) };
        let tail = &self.windows.tail;
        file.seek(SeekFrom::Start(self.offset - tail.len() as u64))?;
        let mut there = vec![0; tail.len()];
        match file.read_exact(&mut there) {
            Ok(()) => Ok(there == *tail),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// After a cut: goes to the place from which to read on. What was taken back from
    /// the end of the file comes again; a file that begins otherwise begins anew.
    pub(super) fn recover(&mut self) -> io::Result<()> {
        let end = self.unchanged()?;
        let Content::Plain(file) = &mut self.content else { return Ok(()) };
        file.seek(SeekFrom::Start(0))?;
        let mut windows = Windows::default();
        let mut left = file.take(end);
        // Only to the end of a whole line.
        let (mut offset, mut line) = (0, Vec::new());
        while left.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            offset += line.len() as u64;
            windows.add(&line);
            line.clear();
        }
        (self.offset, self.windows, self.unsure) = (offset, windows, true);
        Ok(())
    }

    /// Up to where the file is certainly as it was read.
    fn unchanged(&mut self) -> io::Result<u64> {
        let Content::Plain(file) = &mut self.content else { return Ok(self.offset) };
        let Windows { head, tail } = &self.windows;
        let len = file.get_ref().metadata()?.len();
        let same_head = common(file, 0, head)? as u64 == len.min(head.len() as u64);
        let start = self.offset - tail.len() as u64;
        if start > 0 && (!same_head || len == 0) {
            return Ok(0);
        }
        if start > 0 && len <= start {
            return Ok(len);
        }
        match common(file, start, tail)? as u64 {
            // It was cut before the window and has grown again: nobody knows where.
            0 => Ok(0),
            same => Ok(start + same),
        }
    }

    /// Bytes from here to the end, counted no further than `most`.
    pub(super) fn remaining(&mut self, most: u64) -> io::Result<u64> {
        match &mut self.content {
            Content::Plain(file) => io::copy(&mut file.take(most), &mut io::sink()),
            Content::Packed(file) => io::copy(&mut file.take(most), &mut io::sink()),
        }
    }

    /// Bytes of the file as it is now; of a compressed one those on the disk.
    pub(super) fn len(&self) -> io::Result<u64> {
        let file = match &self.content {
            Content::Plain(file) => file.get_ref(),
            Content::Packed(file) => file.get_ref().get_ref().get_ref(),
        };
        Ok(file.metadata()?.len())
    }

    pub(super) fn is_packed(&self) -> bool {
        matches!(self.content, Content::Packed(_))
    }

    pub(super) fn position(&self) -> Position {
        Position {
            done: None,
            identity: self.identity,
            offset: self.offset,
            head: Window::of(&self.windows.head),
            tail: Window::of(&self.windows.tail),
        }
    }
}

/// How many bytes of the file from `start` on are those of `expected`.
fn common(file: &mut BufReader<File>, start: u64, expected: &[u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(start))?;
    let mut there = Vec::with_capacity(expected.len());
    file.take(expected.len() as u64).read_to_end(&mut there)?;
    Ok(there.iter().zip(expected).take_while(|(there, expected)| there == expected).count())
}
