//! Bytes that arrive in pieces.

use std::io::{self, Read};

/// A source that gives `bytes` in pieces whose sizes follow `pattern`, again and again; 0 in it stands for 256.
pub struct Pieces<'a> {
    rest: &'a [u8],
    pattern: &'a [u8],
    turn: usize,
}

impl<'a> Pieces<'a> {
    /// An empty pattern gives single bytes.
    pub fn new(bytes: &'a [u8], pattern: &'a [u8]) -> Self {
        Self { rest: bytes, pattern, turn: 0 }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let wanted = match self.pattern.get(self.turn % self.pattern.len().max(1)) {
            Some(0) => 256,
            Some(size) => usize::from(*size),
            None => 1,
        };
        self.turn += 1;
        let (piece, rest) = self.rest.split_at(wanted.min(self.rest.len()));
        self.rest = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.next() else { return Ok(0) };
        let taken = piece.len().min(out.len());
        out[..taken].copy_from_slice(&piece[..taken]);
        // What had no room comes again; nothing here is smaller than a piece, so this is for the contract alone.
        if taken < piece.len() {
            return Err(io::Error::other("a reader that asks for less than a piece"));
        }
        Ok(taken)
    }
}
