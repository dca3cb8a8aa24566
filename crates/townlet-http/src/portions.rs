//! How many frames go into one request. Pure.

/// Learns from refusals: how much the peer takes at once, and where among many
/// the frame is that it takes on no account.
#[derive(Debug)]
pub struct Portions {
    /// Never more frames than this; 1 where a request holds one.
    most: usize,
    /// At present no more frames than this.
    frames: usize,
    /// No more bytes than this, unless one frame alone has more.
    bytes: usize,
}

impl Portions {
    /// At most `most` frames at once.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, frames: most, bytes: usize::MAX }
    }

    /// How many of the frames with these lengths go next: at least one.
    pub fn next(&self, lengths: impl Iterator<Item = usize>) -> usize {
        let (mut count, mut bytes) = (0, 0_usize);
        for length in lengths.take(self.frames) {
            bytes = bytes.saturating_add(length);
            if count > 0 && bytes > self.bytes {
                break;
            }
            count += 1;
        }
        count.max(1)
    }

    /// The peer took what it was sent: the next may be more.
    pub fn taken(&mut self) {
        self.frames = self.frames.saturating_mul(2).min(self.most);
    }

    /// So many frames of so many bytes are too much at once. False where it was
    /// one frame, which is then itself too large.
    pub fn too_large(&mut self, frames: usize, bytes: usize) -> bool {
        if frames <= 1 {
            return false;
        }
        self.frames = frames.div_ceil(2);
        self.bytes = (bytes / 2).max(1);
        true
    }

    /// The peer refuses one of so many frames, and does not say which. False
    /// where it was one frame: that one.
    pub fn refused(&mut self, frames: usize) -> bool {
        self.frames = frames.div_ceil(2);
        frames > 1
    }

    /// Nothing is known any more of what the peer takes.
    pub fn forget(&mut self) {
        *self = Self::new(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A peer with a limit and with frames that it will never take.
    struct Peer {
        limit: usize,
        poison: Vec<bool>,
    }

    #[derive(PartialEq, Eq, Debug, Clone, Copy)]
    enum End {
        Taken,
        TooLarge,
        Refused,
    }

    /// Sends as the transport and the worker do; says how each frame ended, and
    /// with how many requests.
    fn run(peer: &Peer, lengths: &[usize], batch: usize) -> (Vec<End>, usize) {
        let (mut portions, mut ends, mut requests) = (Portions::new(batch), Vec::new(), 0);
        while ends.len() < lengths.len() {
            let at = ends.len();
            let waiting = &lengths[at..lengths.len().min(at + batch)];
            let count = portions.next(waiting.iter().copied());
            let bytes = waiting[..count].iter().sum::<usize>();
            requests += 1;
            assert!(count >= 1 && count <= waiting.len());
            assert!(requests < 10_000, "no end of requests");
            if bytes > peer.limit {
                if !portions.too_large(count, bytes) {
                    ends.push(End::TooLarge);
                }
            } else if peer.poison[at..at + count].contains(&true) {
                if !portions.refused(count) {
                    ends.push(End::Refused);
                }
            } else {
                portions.taken();
                ends.extend(std::iter::repeat_n(End::Taken, count));
            }
        }
        (ends, requests)
    }

    proptest! {
        #[test]
        fn every_frame_ends_as_it_would_alone(
            frames in prop::collection::vec((1usize..400, prop::bool::weighted(0.1)), 1..80),
            limit in 1usize..2_000,
            batch in 1usize..40,
        ) {
            let lengths: Vec<usize> = frames.iter().map(|(length, _)| *length).collect();
            let peer = Peer { limit, poison: frames.iter().map(|(_, poison)| *poison).collect() };
            let (ends, requests) = run(&peer, &lengths, batch);
            for ((length, poison), end) in frames.iter().zip(&ends) {
                let alone = match (*length > limit, *poison) {
                    (true, _) => End::TooLarge,
                    (_, true) => End::Refused,
                    _ => End::Taken,
                };
                prop_assert_eq!(*end, alone);
            }
            let bad = ends.iter().filter(|end| **end != End::Taken).count();
            prop_assert!(requests <= lengths.len() * 2 + bad * 14 + 20, "{} requests", requests);
        }
    }

    #[test]
    fn one_bad_frame_in_a_batch_costs_a_few_requests() {
        let mut poison = vec![false; 64];
        poison[37] = true;
        let (ends, requests) = run(&Peer { limit: usize::MAX, poison }, &[100; 64], 64);
        assert_eq!(ends.iter().filter(|end| **end == End::Taken).count(), 63);
        assert!(requests <= 20, "{requests} requests");
    }

    #[test]
    fn a_peer_that_refuses_everything_is_asked_about_once_for_each_frame() {
        let (_, requests) = run(&Peer { limit: usize::MAX, poison: vec![true; 100] }, &[100; 100], 32);
        assert!(requests <= 106, "{requests} requests");
    }

    #[test]
    fn a_limit_once_met_is_kept_to() {
        let (ends, requests) = run(&Peer { limit: 1_000, poison: vec![false; 1_000] }, &[100; 1_000], 500);
        assert!(ends.iter().all(|end| *end == End::Taken));
        assert!(requests <= 160, "{requests} requests where 100 would do with the limit known");
    }
}
