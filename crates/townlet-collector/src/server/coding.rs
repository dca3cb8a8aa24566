//! Bodies that were compressed.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::budget::Share;

/// Bytes inflated at a time.
const PIECE: usize = 64 * 1024;

/// How a body was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
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
    /// By its name in HTTP and in gRPC; none for any other.
    pub(super) fn of(name: &str) -> Option<Self> {
        (name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip")).then_some(Self::Gzip)
    }

    /// What those who ask are told.
    pub(super) const NAMES: &str = "gzip";

    /// Inflates `body`, as far as `limit` and the share allow: some kilobytes can be
    /// the beginning of gigabytes.
    pub(super) fn undo(self, body: &[u8], limit: usize, share: &mut Share) -> Result<Vec<u8>, Unfit> {
        match self {
            Self::Gzip => drain(MultiGzDecoder::new(body), limit, share),
        }
    }
}

fn drain(mut decoder: impl Read, limit: usize, share: &mut Share) -> Result<Vec<u8>, Unfit> {
    let mut out = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let read = decoder.read(&mut piece).map_err(|_| Unfit::Broken)?;
        if read == 0 {
            return Ok(out);
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
}
