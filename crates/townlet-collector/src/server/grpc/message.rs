//! The one message of a call, out of the bytes that it comes in.
//!
//! A byte that says whether it is compressed, four with its length, and the message
//! (gRPC over HTTP/2, "Length-Prefixed-Message").

use super::status::{Code, Status};
use crate::server::budget::Share;

const HEAD: usize = 5;

/// Seconds after which there may be room.
const SOON: u32 = 1;

/// A message as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) compressed: bool,
    pub(super) bytes: Vec<u8>,
}

/// A message that is coming in. What is announced takes nothing; what comes takes
/// of the share.
pub(super) struct Assembly {
    limit: usize,
    head: [u8; HEAD],
    head_len: usize,
    bytes: Vec<u8>,
}

impl Assembly {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, head: [0; HEAD], head_len: 0, bytes: Vec::new() }
    }

    /// Takes the next bytes of the body.
    pub(super) fn push(&mut self, mut piece: &[u8], share: &mut Share) -> Result<(), Status> {
        if self.head_len < HEAD {
            let taken = piece.len().min(HEAD - self.head_len);
            self.head[self.head_len..self.head_len + taken].copy_from_slice(&piece[..taken]);
            self.head_len += taken;
            piece = &piece[taken..];
            if self.head_len < HEAD {
                return Ok(());
            }
            if self.head[0] > 1 {
                return Err(broken("the first byte of a message is 0 or 1"));
            }
            if self.length() > self.limit {
                return Err(too_large(self.limit));
            }
            if !share.has_room_for(self.length()) {
                return Err(no_room());
            }
        }
        if piece.len() > self.length() - self.bytes.len() {
            return Err(broken("a call of this service brings one message"));
        }
        if !share.grow(piece.len()) {
            return Err(no_room());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The message, once the body came to its end.
    pub(super) fn finish(self) -> Result<Message, Status> {
        if self.head_len < HEAD || self.bytes.len() < self.length() {
            return Err(broken("the body ends within a message"));
        }
        Ok(Message { compressed: self.head[0] == 1, bytes: self.bytes })
    }

    fn length(&self) -> usize {
        let [_, length @ ..] = self.head;
        usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX)
    }
}

/// A message as it goes, uncompressed.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

pub(super) fn broken(what: &str) -> Status {
    Status::new(Code::Internal, what)
}

pub(super) fn too_large(limit: usize) -> Status {
    let text = format!("a message may have {limit} bytes, inflated too: send smaller batches");
    Status::new(Code::ResourceExhausted, text)
}

pub(super) fn no_room() -> Status {
    Status::later(SOON, "too many bytes of messages at a time; come again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::budget::Budget;

    fn assembled(body: &[u8], piece: usize, room: usize) -> Result<Message, Code> {
        let budget = Budget::new(room);
        let mut share = budget.share();
        let mut assembly = Assembly::new(10);
        for bytes in body.chunks(piece) {
            assembly.push(bytes, &mut share).map_err(|status| status.code)?;
        }
        let message = assembly.finish().map_err(|status| status.code)?;
        assert_eq!(share.held(), message.bytes.len());
        Ok(message)
    }

    #[test]
    fn a_message_comes_out_whole_in_whatever_pieces_it_comes() {
        for bytes in [&b""[..], b"hello", b"0123456789"] {
            for piece in 1..20 {
                let message = assembled(&framed(bytes), piece, 10).unwrap();
                assert_eq!(message, Message { compressed: false, bytes: bytes.to_vec() });
            }
        }
        assert!(assembled(b"\x01\0\0\0\x01x", 99, 10).unwrap().compressed);
    }

    #[test]
    fn what_is_not_framed_is_refused_and_a_length_alone_takes_nothing() {
        for (body, code) in [
            (&b""[..], Code::Internal),
            (b"\0\0\0", Code::Internal),
            (b"\0\0\0\0\x02x", Code::Internal),
            (b"\0\0\0\0\x01xx", Code::Internal),
            (b"\0\0\0\0\x01x\0\0\0\0\x01x", Code::Internal),
            (b"\x02\0\0\0\x01x", Code::Internal),
            (b"\0\0\0\0\x0b", Code::ResourceExhausted),
            (b"\0\xff\xff\xff\xff", Code::ResourceExhausted),
            (b"\0\0\0\0\x09", Code::Unavailable),
        ] {
            for piece in 1..7 {
                assert_eq!(assembled(body, piece, 8), Err(code), "{body:?} in pieces of {piece}");
            }
        }
    }
}
