//! The way back from `townlet-ack-deflate/1`.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};

use crate::lines::CHUNK;

/// Lines of telemetry become at most some fifty times smaller; more than this
/// is made to fill our disk.
const MAX_RATIO: u64 = 400;
/// Below so many bytes of lines the ratio says nothing.
const GRACE: u64 = 8 << 20;

/// Reads one zlib stream (RFC 1950) that is flushed, and never finished, by its
/// writer. Holds no more than one piece of what came, however large its content.
pub(super) struct Inflating<R> {
    source: R,
    stream: Box<Decompress>,
    piece: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<R> Inflating<R> {
    pub(super) fn new(source: R) -> Self {
        let piece = vec![0; CHUNK / 4].into_boxed_slice();
        Self { source, stream: Box::new(Decompress::new(true)), piece, start: 0, end: 0 }
    }

    pub(super) fn source(&self) -> &R {
        &self.source
    }

    pub(super) fn source_mut(&mut self) -> &mut R {
        &mut self.source
    }
}

impl<R: Read> Read for Inflating<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let mut waited = false;
        loop {
            // Also without new input: the stream may still hold what did not fit last time.
            let (took_in, gave_out) = (self.stream.total_in(), self.stream.total_out());
            let step = self.stream.decompress(&self.piece[self.start..self.end], out, FlushDecompress::Sync);
            let took = self.stream.total_in() - took_in;
            self.start += usize::try_from(took).unwrap_or(self.end - self.start);
            let (all_in, all_out) = (self.stream.total_in(), self.stream.total_out());
            let given = usize::try_from(all_out - gave_out).unwrap_or(out.len());
            match step {
                Err(error) => return Err(wrong(format!("its compressed stream is damaged: {error}"))),
                Ok(_) if all_out > GRACE && all_out / MAX_RATIO > all_in => {
                    return Err(wrong(format!(
                        "{all_in} bytes of it hold {all_out}, more than {MAX_RATIO} times as many"
                    )));
                }
                Ok(_) if given > 0 => return Ok(given),
                Ok(Status::StreamEnd) => return Ok(0),
                Ok(_) => {}
            }
            if self.start == self.end {
                // Blocks without content must not keep the caller from its clocks.
                if std::mem::replace(&mut waited, true) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                self.start = 0;
                self.end = 0;
                self.end = self.source.read(&mut self.piece)?;
                if self.end == 0 {
                    return Ok(0);
                }
            } else if took == 0 {
                return Err(wrong("its compressed stream is damaged: it leads nowhere".to_owned()));
            }
        }
    }
}

fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::super::wire::is_pause;
    use super::*;

    fn deflated(content: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(8));
        encoder.write_all(content).and_then(|()| encoder.flush()).expect("into memory");
        encoder.get_ref().clone()
    }

    /// Gives at most so many bytes at a time, and pauses once in between.
    struct Drip<'a>(&'a [u8], usize, bool);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let n = self.1.min(self.0.len()).min(out.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn content_comes_out_whole_in_whatever_pieces_it_comes_and_is_taken() {
        let content: Vec<u8> = (0..20_000_u32).flat_map(|n| format!("{{\"tick\":{n}}}\n").into_bytes()).collect();
        let wire = deflated(&content);
        for (come, take) in [(1, 4096), (7, 1), (1000, 65536), (1 << 20, 3), (1 << 20, 1 << 20)] {
            let mut reader = Inflating::new(Drip(&wire, come, true));
            let (mut seen, mut buf) = (Vec::new(), vec![0; take]);
            while seen.len() < content.len() {
                match reader.read(&mut buf) {
                    Ok(0) => break,
                    Ok(n) => seen.extend_from_slice(&buf[..n]),
                    Err(error) => assert!(is_pause(&error), "a pause is passed on, {error} is none"),
                }
            }
            assert!(seen == content, "{come} at a time, {take} asked for: {} of {}", seen.len(), content.len());
        }
    }

    #[test]
    fn a_bomb_is_cut_long_before_it_is_unfolded() {
        let wire = deflated(&vec![b'\n'; 12 << 20]);
        assert!(wire.len() < 20_000, "{}", wire.len());
        let mut reader = Inflating::new(&wire[..]);
        let mut buf = vec![0; CHUNK];
        let mut seen = 0_u64;
        let error = loop {
            match reader.read(&mut buf) {
                Ok(n) => seen += n as u64,
                Err(error) => break error,
            }
            assert!(seen <= GRACE + CHUNK as u64, "{seen}");
        };
        assert!(error.kind() == io::ErrorKind::InvalidData && error.to_string().contains("400 times"), "{error}");
    }

    #[test]
    fn blocks_without_content_come_back_to_the_caller_each_time() {
        // A header, and then for ever what a flush of nothing looks like.
        let mut wire = vec![0x78, 0x9c];
        wire.extend([0x00, 0x00, 0x00, 0xff, 0xff].repeat(100_000));
        let mut reader = Inflating::new(Drip(&wire, 50, true));
        for _ in 0..1000 {
            let error = reader.read(&mut [0; 64]).expect_err("there is no content");
            assert!(is_pause(&error), "{error}");
        }
        assert!(reader.source().0.len() > wire.len() - 100_000, "a bounded amount is read in each call");
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let wire = deflated(&b"{\"tick\":1}\n".repeat(1000));
        for at in 0..wire.len() {
            let mut bad = wire.clone();
            bad[at] ^= 0x55;
            let mut seen = Vec::new();
            // Where the damage leaves a stream that can be read, lines are checked as all others.
            let _ = Inflating::new(&bad[..]).take(1 << 20).read_to_end(&mut seen);
        }
        let error = Inflating::new(&b"GET / HTTP/1.1\r\n"[..]).read(&mut [0; 64]).expect_err("no zlib");
        assert!(error.to_string().contains("damaged"), "{error}");
    }
}
