//! The compressed form of a connection's bytes.

use flate2::{Compress, Compression, FlushCompress};

/// What this transport offers by ALPN beside [`ACK_PROTOCOL`](crate::ACK_PROTOCOL)
/// where compression is asked for: the same conversation, whose lines travel as one
/// zlib stream (RFC 1950), flushed after each batch. Acknowledgements stay plain.
pub const ACK_DEFLATE_PROTOCOL: &[u8] = b"townlet-ack-deflate/1";

/// The effort, of 1 to 9: states sent as diffs are small, so effort is cheap here.
pub const DEFLATE_LEVEL: u32 = 8;

/// What is collected before it is written.
const OUT: usize = 64 * 1024;

/// One direction of a connection. What it has seen serves as the dictionary of what follows.
pub(crate) struct Deflater {
    stream: Compress,
    out: Vec<u8>,
}

impl Deflater {
    pub(crate) fn new() -> Self {
        Self { stream: Compress::new(Compression::new(DEFLATE_LEVEL), true), out: Vec::with_capacity(OUT) }
    }

    /// Takes in a part of a batch.
    pub(crate) fn put<E>(&mut self, bytes: &[u8], write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.run(bytes, FlushCompress::None, write)
    }

    /// Brings out all that was taken in, so that the peer can read it.
    pub(crate) fn flush<E>(&mut self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.run(&[], FlushCompress::Sync, &mut write)?;
        write(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn run<E>(
        &mut self,
        mut bytes: &[u8],
        flush: FlushCompress,
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let before = self.stream.total_in();
            // Fails only where a stream that was finished goes on; this one is never finished.
            let _ = self.stream.compress_vec(bytes, &mut self.out, flush);
            let taken = usize::try_from(self.stream.total_in() - before).unwrap_or(bytes.len());
            bytes = &bytes[taken.min(bytes.len())..];
            if self.out.len() < self.out.capacity() {
                // Room is left: it has no more to say.
                return Ok(());
            }
            write(&self.out)?;
            self.out.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Read;

    use flate2::read::ZlibDecoder;

    use super::*;

    fn compressed(batches: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut deflater = Deflater::new();
        let each = |batch: &Vec<u8>| {
            let mut wire = Vec::new();
            let mut write = |bytes: &[u8]| -> Result<(), Infallible> {
                wire.extend_from_slice(bytes);
                Ok(())
            };
            deflater
                .put(batch, &mut write)
                .and_then(|()| deflater.flush(&mut write))
                .unwrap_or_else(|never| match never {});
            wire
        };
        batches.iter().map(each).collect()
    }

    #[test]
    fn each_batch_can_be_read_as_soon_as_it_was_flushed() {
        // Noise does not become smaller, so that the buffer is filled many times over.
        let mut seed = 1_u64;
        let mut noise = |n: usize| -> Vec<u8> {
            let mut next = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) as u8
            };
            (0..n).map(|_| next()).collect()
        };
        let batches =
            [b"one\n".to_vec(), noise(5 * OUT + 1), Vec::new(), noise(OUT), b"one\n".repeat(100_000), noise(1)];
        let wires = compressed(&batches);
        for upto in 1..=batches.len() {
            let wire = wires[..upto].concat();
            let whole: Vec<u8> = batches[..upto].concat();
            let mut seen = vec![0; whole.len()];
            ZlibDecoder::new(&wire[..]).read_exact(&mut seen).expect("all of it, though the stream goes on");
            assert!(seen == whole, "{upto} batches");
        }
    }

    #[test]
    fn what_was_sent_before_makes_what_follows_smaller() {
        let line = br#"{"kind":"snapshot","tick":1,"payload":{"agents":{"ann":{"energy":0.5}}}}"#.to_vec();
        let wires = compressed(&[line.clone(), line.clone()]);
        assert!(wires[1].len() * 4 < wires[0].len(), "{} after {}", wires[1].len(), wires[0].len());
    }
}
