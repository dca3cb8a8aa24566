//! Where messages begin and end in the bytes of a WebSocket (RFC 6455, section 5.2).
//!
//! The library that reads them says nothing of a message before it is whole, and
//! hands out the pings that come in its middle.

/// Two bytes, eight more of length, four of the mask.
const LONGEST_HEAD: usize = 14;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; LONGEST_HEAD],
    /// Bytes of the head that are here.
    have: usize,
    /// The frame whose head was read, until its last byte.
    frame: Option<Frame>,
    /// A message was begun and is not whole.
    in_message: bool,
    gathered: usize,
    /// Messages that were read whole, pings and their like among them.
    whole: u64,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    left: u64,
    /// Part of a message, and no ping, pong or close.
    is_data: bool,
    is_last: bool,
}

impl Frames {
    /// Takes in what was read. True where there was a moment at which nothing was
    /// begun: what is begun now was begun just now.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> bool {
        let mut fresh = !self.is_begun();
        while !bytes.is_empty() || self.frame.is_some_and(|frame| frame.left == 0) {
            let Some(frame) = &mut self.frame else {
                self.head[self.have] = bytes[0];
                self.have += 1;
                bytes = &bytes[1..];
                if self.have == self.head_length() {
                    self.begin();
                }
                continue;
            };
            let part = bytes.len().min(usize::try_from(frame.left).unwrap_or(usize::MAX));
            frame.left -= part as u64;
            bytes = &bytes[part..];
            let Frame { left, is_data, is_last } = *frame;
            if is_data {
                self.gathered = self.gathered.saturating_add(part);
            }
            if left > 0 {
                continue;
            }
            self.frame = None;
            self.whole += u64::from(!is_data || is_last);
            if is_data && is_last {
                self.in_message = false;
                self.gathered = 0;
            }
            fresh |= !self.is_begun();
        }
        fresh
    }

    /// True where a message, or a frame of any kind, is not whole yet.
    pub(super) fn is_begun(&self) -> bool {
        self.in_message || self.frame.is_some() || self.have > 0
    }

    /// Messages that were read whole so far, pings and their like among them.
    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// Bytes of the message that is not whole.
    pub(super) fn gathered(&self) -> usize {
        self.gathered
    }

    fn head_length(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let length = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn begin(&mut self) {
        let long = &self.head[2..];
        let left = match self.head[1] & 0x7f {
            126 => long[..2].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            127 => long[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        let is_data = self.head[0] & 0x08 == 0;
        self.frame = Some(Frame { left, is_data, is_last: self.head[0] & 0x80 != 0 });
        self.in_message |= is_data;
        self.have = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut out = vec![first];
        match length {
            0..126 => out.push(0x80 | u8::try_from(length).unwrap()),
            126..65_536 => {
                out.push(0x80 | 126);
                out.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.resize(out.len() + 4 + length, 0);
        out
    }

    #[test]
    fn a_ping_in_its_middle_does_not_end_a_message() {
        let mut frames = Frames::default();
        assert!(frames.take(&frame(0x01, 70_000)) && frames.is_begun());
        assert!(!frames.take(&frame(0x89, 5)), "nothing was whole but the ping");
        assert_eq!((frames.is_begun(), frames.gathered()), (true, 70_000));
        assert!(!frames.take(&frame(0x00, 200)));
        assert_eq!(frames.gathered(), 70_200);
        assert!(frames.take(&frame(0x80, 0)), "the last one has nothing in it");
        assert_eq!((frames.is_begun(), frames.gathered(), frames.whole()), (false, 0, 2));
        assert!(frames.take(&frame(0x89, 0)) && !frames.is_begun(), "a ping between two messages");
    }

    #[test]
    fn the_end_of_one_message_and_the_beginning_of_the_next_may_come_together() {
        let mut frames = Frames::default();
        let both = [frame(0x82, 3), frame(0x82, 300)].concat();
        assert!(frames.take(&both[..20]) && frames.is_begun());
        assert!(!frames.take(&both[20..100]));
        assert!(frames.take(&both[100..]) && !frames.is_begun());
    }

    proptest::proptest! {
        /// However the bytes are cut, it ends in the same place.
        #[test]
        fn it_does_not_matter_how_the_bytes_come(
            lengths in proptest::collection::vec((0..4_usize, 0..70_000_usize), 1..5),
            piece in 1..9_000_usize,
            end in 0..300_000_usize,
        ) {
            let first = [0x01, 0x82, 0x00, 0x8a];
            let bytes: Vec<u8> = lengths.iter().flat_map(|(kind, length)| frame(first[*kind], *length)).collect();
            let bytes = &bytes[..end.min(bytes.len())];
            let (mut whole, mut cut) = (Frames::default(), Frames::default());
            whole.take(bytes);
            for piece in bytes.chunks(piece) {
                cut.take(piece);
            }
            proptest::prop_assert_eq!((whole.is_begun(), whole.gathered(), whole.whole()), (cut.is_begun(), cut.gathered(), cut.whole()));
        }
    }
}
