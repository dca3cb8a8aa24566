//! The sums of a queue, kept from one admission to the next.

/// What an admission has to look at, as the last one left it. Most of the hundreds of events that hosts emit between
/// two looks of the stage find it here; whatever else happens to the queue makes the next one count again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    len: usize,
    bytes: usize,
    /// The bounds; none where every admission has to count.
    most: (usize, usize),
}

impl Counted {
    /// A queue of so many events and bytes, that may have so many.
    pub(super) fn new((len, bytes): (usize, usize), most: (usize, usize)) -> Self {
        Self { len, bytes, most }
    }

    /// True where one more event, of `weight` bytes, fits for certain.
    #[inline]
    pub(super) fn fits(&self, weight: usize) -> bool {
        self.len < self.most.0 && self.bytes.saturating_add(weight) <= self.most.1
    }

    #[inline]
    pub(super) fn add(&mut self, weight: usize) {
        self.len += 1;
        self.bytes += weight;
    }

    /// Events and bytes.
    #[inline]
    pub(super) fn amount(&self) -> (usize, usize) {
        (self.len, self.bytes)
    }
}
