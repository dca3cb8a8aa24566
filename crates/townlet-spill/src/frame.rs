//! One record on disk: a header with its own checksum, then head and body.
//!
//! Little-endian: magic 4, header checksum 4, content checksum 4, head length 4,
//! body length 4, targets 8, position 8, head, body. Two checksums, so that a
//! flipped bit in the content costs one record and not the way to the next.

pub(crate) const HEADER: usize = 36;
/// 0xF5 is in no UTF-8 text, so a JSON body never looks like a header.
pub(crate) const MAGIC: [u8; 4] = [0xF5, b'T', b'F', 0x1A];
/// Longest head.
pub(crate) const MAX_HEAD: usize = 64 << 10;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    content_crc: u32,
    pub(crate) head_len: u32,
    pub(crate) body_len: u32,
    pub(crate) targets: u64,
    pub(crate) position: u64,
}

impl FrameHead {
    /// The header at the start of `bytes`, if it is whole and its checksum right.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER>()?;
        if bytes[..4] != MAGIC || u32_at(bytes, 4) != crc32fast::hash(&bytes[8..]) {
            return None;
        }
        Some(Self {
            content_crc: u32_at(bytes, 8),
            head_len: u32_at(bytes, 12),
            body_len: u32_at(bytes, 16),
            targets: u64_at(bytes, 20),
            position: u64_at(bytes, 28),
        })
    }

    /// Head and body together.
    pub(crate) fn content_len(&self) -> u64 {
        u64::from(self.head_len) + u64::from(self.body_len)
    }

    /// All of the frame.
    pub(crate) fn total_len(&self) -> u64 {
        HEADER as u64 + self.content_len()
    }

    /// Whether `content` (head and body) is what was written.
    pub(crate) fn matches(&self, content: &[u8]) -> bool {
        content.len() as u64 == self.content_len() && crate::planted::is("the checksum of a record is not looked at")
            || content.len() as u64 == self.content_len() && crc32fast::hash(content) == self.content_crc
    }
}

/// Appends a frame to `out`. Lengths were checked by the caller.
pub(crate) fn encode_into(out: &mut Vec<u8>, position: u64, targets: u64, head: &[u8], body: &[u8]) {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(body);
    let start = out.len();
    out.reserve(HEADER + head.len() + body.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&crc.finalize().to_le_bytes());
    out.extend_from_slice(&(head.len() as u32).to_le_bytes());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&targets.to_le_bytes());
    out.extend_from_slice(&position.to_le_bytes());
    let header_crc = crc32fast::hash(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&header_crc.to_le_bytes());
    out.extend_from_slice(head);
    out.extend_from_slice(body);
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}
