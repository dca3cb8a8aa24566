//! Memory for what callers encode: bytes one behind the other, in large chunks.
//!
//! Nothing is allocated for an event, and what lies together can leave in one
//! write. The host's side fills chunks, the stage takes them over as a whole and
//! gives them back when the last frame that lay in them is gone.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes after which a chunk is full.
pub(crate) const ARENA_CHUNK: usize = 64 * 1024;

/// The longest piece. A longer one gets memory of its own, so that a short one
/// that waits somewhere never keeps it.
pub(crate) const LONGEST_PIECE: usize = ARENA_CHUNK / 4;

/// Empty chunks kept for use.
const SPARES: usize = 4;

/// Chunks whose frames are under way that are looked at for their return.
const ISSUED: usize = 16;

/// Where a piece lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) chunk: u64,
    start: u32,
    end: u32,
}

impl Place {
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The host's side, under the pipeline's lock.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    /// The last one is open.
    chunks: VecDeque<Vec<u8>>,
    /// The number of the first of them; numbers go up by one.
    first: u64,
    spares: Vec<Vec<u8>>,
}

impl Arena {
    /// Lets `write` append one piece, of about `len` bytes.
    pub(crate) fn write(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) -> Place {
        if self.chunks.back().is_none_or(|chunk| chunk.len() + len > ARENA_CHUNK) {
            let chunk = self.spares.pop().unwrap_or_else(|| Vec::with_capacity(ARENA_CHUNK));
            self.chunks.push_back(chunk);
        }
        let number = self.first + self.chunks.len() as u64 - 1;
        let Some(chunk) = self.chunks.back_mut() else { return Place { chunk: number, start: 0, end: 0 } };
        let start = chunk.len() as u32;
        write(chunk);
        Place { chunk: number, start, end: chunk.len() as u32 }
    }

    /// Takes chunk `number` out; earlier ones hold nothing that anybody wants.
    pub(crate) fn take(&mut self, number: u64) -> Vec<u8> {
        self.forget_before(number);
        let chunk = self.chunks.pop_front();
        self.first += u64::from(chunk.is_some());
        chunk.unwrap_or_default()
    }

    /// Chunks before `number` hold nothing that anybody wants.
    pub(crate) fn forget_before(&mut self, number: u64) {
        while self.first < number
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.first += 1;
            self.keep(chunk);
        }
    }

    /// Takes an empty chunk for later use, where it has too few.
    pub(crate) fn keep(&mut self, mut chunk: Vec<u8>) {
        // What grew beyond the usual size must not stay.
        if self.spares.len() < SPARES && chunk.capacity() <= 2 * ARENA_CHUNK && chunk.capacity() >= ARENA_CHUNK {
            chunk.clear();
            self.spares.push(chunk);
        }
    }

    pub(crate) fn lacks_spares(&self) -> bool {
        self.spares.len() < SPARES
    }
}

/// The stage's side: chunks that frames lie in.
#[derive(Debug, Default)]
pub(crate) struct Issued {
    /// The chunk last taken from the host's side: further pieces may lie in it.
    current: Option<(u64, Bytes)>,
    /// Oldest first.
    under_way: VecDeque<Bytes>,
    spares: Vec<Vec<u8>>,
}

impl Issued {
    /// The chunk `number`, taken over from `arena` where it is not here yet.
    pub(crate) fn chunk(&mut self, number: u64, arena: &mut Arena) -> Bytes {
        if let Some((current, chunk)) = &self.current
            && *current == number
        {
            return chunk.clone();
        }
        if let Some((_, done)) = self.current.take() {
            self.watch(done);
        }
        let taken = arena.take(number);
        let chunk = self.seal(taken);
        self.current = Some((number, chunk.clone()));
        chunk
    }

    /// Makes a chunk shareable. One that is half empty is copied, so that few
    /// bytes never keep many in memory.
    pub(crate) fn seal(&mut self, chunk: Vec<u8>) -> Bytes {
        if chunk.len() < chunk.capacity() / 2 {
            let exact = Bytes::copy_from_slice(&chunk);
            self.keep(chunk);
            return exact;
        }
        Bytes::from(chunk)
    }

    /// Looks out for the return of a chunk.
    pub(crate) fn watch(&mut self, chunk: Bytes) {
        if chunk.len() >= ARENA_CHUNK / 2 {
            if self.under_way.len() == ISSUED {
                self.under_way.pop_front();
            }
            self.under_way.push_back(chunk);
        }
    }

    /// An empty chunk to write into.
    pub(crate) fn empty(&mut self) -> Vec<u8> {
        self.spares.pop().unwrap_or_else(|| Vec::with_capacity(ARENA_CHUNK))
    }

    /// Gathers chunks whose frames are gone.
    pub(crate) fn reclaim(&mut self) {
        while self.spares.len() < SPARES
            && let Some(oldest) = self.under_way.pop_front()
        {
            match oldest.try_into_mut() {
                Ok(chunk) => self.keep(emptied(chunk)),
                Err(still) => {
                    self.under_way.push_front(still);
                    break;
                }
            }
        }
    }

    /// Gives the host's side what it lacks.
    pub(crate) fn supply(&mut self, arena: &mut Arena) {
        while arena.lacks_spares()
            && let Some(spare) = self.spares.pop()
        {
            arena.keep(spare);
        }
    }

    fn keep(&mut self, mut chunk: Vec<u8>) {
        if self.spares.len() < SPARES && chunk.capacity() <= 2 * ARENA_CHUNK && chunk.capacity() >= ARENA_CHUNK {
            chunk.clear();
            self.spares.push(chunk);
        }
    }
}

fn emptied(mut chunk: BytesMut) -> Vec<u8> {
    chunk.clear();
    Vec::from(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(arena: &mut Arena, piece: &[u8]) -> Place {
        arena.write(piece.len(), |chunk| chunk.extend_from_slice(piece))
    }

    #[test]
    fn pieces_are_found_again_whichever_chunk_they_lie_in() {
        let (mut arena, mut issued) = (Arena::default(), Issued::default());
        let mut expected = VecDeque::new();
        for round in 0..200_u32 {
            for n in 0..(round * 7) % 40 {
                let piece = vec![(round + n) as u8; 100 + (round as usize * 97) % (LONGEST_PIECE - 100)];
                expected.push_back((fill(&mut arena, &piece), piece));
            }
            // Now and then the oldest are evicted instead of taken.
            if round % 5 == 0 {
                expected.drain(..expected.len() / 3);
                if let Some((place, _)) = expected.front() {
                    arena.forget_before(place.chunk);
                }
            }
            for _ in 0..expected.len() / 2 {
                let Some((place, piece)) = expected.pop_front() else { break };
                let chunk = issued.chunk(place.chunk, &mut arena);
                assert_eq!(chunk[place.range()], piece);
            }
            issued.reclaim();
            issued.supply(&mut arena);
        }
    }

    #[test]
    fn a_chunk_comes_back_when_its_last_frame_is_gone() {
        let (mut arena, mut issued) = (Arena::default(), Issued::default());
        let piece = [7; LONGEST_PIECE];
        let mut held = VecDeque::new();
        let mut addresses = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let place = fill(&mut arena, &piece);
            let chunk = issued.chunk(place.chunk, &mut arena);
            addresses.insert(chunk.as_ptr() as usize);
            held.push_back(chunk);
            if held.len() > 3 {
                held.pop_front();
            }
            issued.reclaim();
            issued.supply(&mut arena);
        }
        // A quarter of a chunk is less than half of it: each was copied, and its chunk used again.
        assert!(arena.spares.len() + issued.spares.len() >= 1);
        let four = [7; ARENA_CHUNK / 4];
        addresses.clear();
        held.clear();
        for _ in 0..200 {
            let places: Vec<_> = (0..4).map(|_| fill(&mut arena, &four)).collect();
            for place in places {
                held.push_back(issued.chunk(place.chunk, &mut arena));
            }
            addresses.insert(held.back().unwrap().as_ptr() as usize);
            while held.len() > 4 {
                held.pop_front();
            }
            issued.reclaim();
            issued.supply(&mut arena);
        }
        assert!(addresses.len() <= 2 * SPARES + 4, "{} chunks for 3 in use", addresses.len());
    }

    #[test]
    fn few_bytes_do_not_keep_a_chunk_in_memory() {
        let (mut arena, mut issued) = (Arena::default(), Issued::default());
        let place = fill(&mut arena, b"{}\n");
        let chunk = issued.chunk(place.chunk, &mut arena);
        assert_eq!(Vec::from(chunk.try_into_mut().unwrap_or_default()).capacity(), 0, "shared with `current`");
        let sealed = issued.seal(Vec::with_capacity(ARENA_CHUNK));
        assert!(sealed.is_empty());
    }
}
