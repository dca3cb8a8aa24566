//! Bodies that were compressed.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::budget::Share;

/// Bytes inflated at a time.
const PIECE: usize = 64 * 1024;

/// The largest window of Zstandard, as receivers over HTTP may refuse others (RFC 9659).
const WINDOW: u64 = 8 * 1024 * 1024;

/// How a body was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Zstd,
}

/// Why a body cannot be had as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is not what it says it is, or not whole.
    Broken,
    /// It is more than the limit.
    TooLarge,
    /// Others have the room at the moment.
    NoRoom,
}

impl Coding {
    /// By its name in HTTP; none for any other.
    pub(super) fn of(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            Some(Self::Gzip)
        } else {
            name.eq_ignore_ascii_case("zstd").then_some(Self::Zstd)
        }
    }

    /// What those who ask are told.
    pub(super) const NAMES: &str = "gzip, zstd";

    /// Inflates `body`, as far as `limit` and the share allow: some kilobytes can be
    /// the beginning of gigabytes.
    pub(super) fn undo(self, body: &[u8], limit: usize, share: &mut Share) -> Result<Vec<u8>, Unfit> {
        match self {
            Self::Gzip => {
                let mut out = Vec::new();
                drain(&mut MultiGzDecoder::new(body), &mut out, limit, share).map(|()| out)
            }
            Self::Zstd => frames(body, limit, share),
        }
    }
}

/// The frames of Zstandard, one behind the other (RFC 8878, section 3.1).
fn frames(mut body: &[u8], limit: usize, share: &mut Share) -> Result<Vec<u8>, Unfit> {
    let mut out = Vec::new();
    loop {
        if let Some(length) = skippable(body)? {
            body = body.get(length..).ok_or(Unfit::Broken)?;
        } else {
            // The decoder holds as much as the window before it gives the first byte out.
            let window = window(body).ok_or(Unfit::Broken)?;
            if window > WINDOW {
                return Err(Unfit::TooLarge);
            }
            let mut decoder = StreamingDecoder::new(body).map_err(|_| Unfit::Broken)?;
            drain(&mut decoder, &mut out, limit, share)?;
            body = decoder.into_inner();
        }
        if body.is_empty() {
            return Ok(out);
        }
    }
}

/// The length of a frame that says nothing, if this is one.
fn skippable(body: &[u8]) -> Result<Option<usize>, Unfit> {
    let [number, 0x2a, 0x4d, 0x18, rest @ ..] = body else { return Ok(None) };
    if number & 0xf0 != 0x50 {
        return Ok(None);
    }
    let (length, _) = rest.split_first_chunk::<4>().ok_or(Unfit::Broken)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Unfit::Broken)?;
    Ok(Some(length.saturating_add(8)))
}

/// The window that the frame at the front asks for (RFC 8878, section 3.1.1.1).
fn window(body: &[u8]) -> Option<u64> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = body else { return None };
    if descriptor & 0x20 == 0 {
        let exponent = rest.first()? >> 3;
        let base = 1_u64 << (10 + exponent);
        return Some(base + base / 8 * u64::from(rest.first()? & 7));
    }
    // A single segment: its window is its content.
    let skipped = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = rest.get(skipped..)?;
    let bytes = |count: usize| {
        let low = size.get(..count)?;
        Some(low.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    match descriptor >> 6 {
        0 => bytes(1),
        1 => Some(bytes(2)? + 256),
        2 => bytes(4),
        _ => bytes(8),
    }
}

fn drain(decoder: &mut impl Read, out: &mut Vec<u8>, limit: usize, share: &mut Share) -> Result<(), Unfit> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = decoder.read(&mut piece).map_err(|_| Unfit::Broken)?;
        if read == 0 {
            return Ok(());
        }
        if out.len() + read > limit {
            return Err(Unfit::TooLarge);
        }
        if !share.grow(read) {
            return Err(Unfit::NoRoom);
        }
        out.extend_from_slice(&piece[..read]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::budget::Budget;
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit_and_never_held() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bomb.len() < 4 << 10);
        let budget = Budget::new(usize::MAX);
        let mut share = budget.share();
        assert_eq!(Coding::Gzip.undo(&bomb, 200 << 10, &mut share), Err(Unfit::TooLarge));
        assert!(budget.used() <= 200 << 10);
        drop(share);
        let small = Budget::new(200 << 10);
        assert_eq!(Coding::Gzip.undo(&bomb, usize::MAX, &mut small.share()), Err(Unfit::NoRoom));
        assert_eq!(small.used(), 0);
    }

    #[test]
    fn whole_bodies_come_out_and_torn_ones_do_not() {
        let budget = Budget::new(usize::MAX);
        let body = gzip(b"one\ntwo\n");
        assert_eq!(Coding::Gzip.undo(&body, 8, &mut budget.share()).unwrap(), b"one\ntwo\n");
        assert_eq!(Coding::Gzip.undo(&[&body[..], &body[..]].concat(), 16, &mut budget.share()).unwrap().len(), 16);
        for torn in [&body[..body.len() - 1], &body[1..], &b"{}\n"[..], &[]] {
            assert_eq!(Coding::Gzip.undo(torn, 100, &mut budget.share()), Err(Unfit::Broken), "{torn:?}");
        }
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn frames_of_zstandard_come_out_whole_and_those_that_would_take_too_much_do_not() {
        let budget = Budget::new(usize::MAX);
        let undo = |body: &[u8], limit| Coding::Zstd.undo(body, limit, &mut budget.share());
        let body = zstd(b"one\ntwo\n");
        assert_eq!(undo(&body, 8).unwrap(), b"one\ntwo\n");
        let skipped = [&[0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7][..], &body].concat();
        assert_eq!(undo(&[&body[..], &skipped].concat(), 16).unwrap(), b"one\ntwo\none\ntwo\n");
        let bomb = zstd(&vec![0; 4 << 20]);
        assert!(bomb.len() < 64 << 10, "{}", bomb.len());
        assert_eq!(undo(&bomb, 200 << 10), Err(Unfit::TooLarge));
        let small = Budget::new(200 << 10);
        assert_eq!(Coding::Zstd.undo(&bomb, usize::MAX, &mut small.share()), Err(Unfit::NoRoom));
        assert_eq!((small.used(), budget.used()), (0, 0));
        for torn in [&body[..body.len() - 1], &body[1..], &skipped[..9], &skipped[..5], b"{}\n", &[]] {
            assert_eq!(undo(torn, 100), Err(Unfit::Broken), "{torn:?}");
        }
        // Windows of 3.75 TiB, and of a single segment of 4 GiB: refused before anything is held.
        for greedy in [&b"\x28\xb5\x2f\xfd\x00\xff"[..], b"\x28\xb5\x2f\xfd\xa0\xff\xff\xff\xff"] {
            assert_eq!(undo(greedy, usize::MAX), Err(Unfit::TooLarge), "{greedy:?}");
        }
    }
}
