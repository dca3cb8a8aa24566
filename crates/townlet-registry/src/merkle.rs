//! The Merkle tree of RFC 6962: what lets a few hashes prove that an entry is in a log of any size, and that one log
//! is the beginning of another.
//!
//! Leaves and inner nodes are hashed with different first bytes, so that none can pass for the other. Pure: nodes come
//! from a closure, proofs are slices. The walks are those of RFC 9162, sections 2.1.3 and 2.1.4.

use crate::digest::Digest;

/// The hash of an entry.
#[must_use]
pub fn leaf(entry: &[u8]) -> Digest {
    Digest::of_all(&[&[0], entry])
}

/// The hash of two subtrees.
#[must_use]
pub fn node(left: &Digest, right: &Digest) -> Digest {
    Digest::of_all(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// A tree that grows: the roots of its complete subtrees, largest first. Their sizes are the bits of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    /// A tree without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of `size` entries, whose complete subtrees `nodes` knows by level and place.
    ///
    /// # Errors
    /// Those of `nodes`.
    pub fn of<E>(size: u64, mut nodes: impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Self, E> {
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        // The subtree of a bit lies behind those of all higher ones.
        let peaks = levels.map(|level| nodes(level, (size >> level) - 1)).collect::<Result<_, E>>()?;
        Ok(Self { size, peaks })
    }

    /// How many entries it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds an entry, and tells of every subtree that it completes: level (0 is the leaf), place in the level, hash.
    pub fn push(&mut self, leaf: Digest, mut complete: impl FnMut(u32, u64, Digest)) {
        let mut hash = leaf;
        complete(0, self.size, hash);
        let mut level = 0;
        while self.size >> level & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node(&left, &hash);
            level += 1;
            complete(level, self.size >> level, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The hash of the whole.
    #[must_use]
    pub fn root(&self) -> Digest {
        let joined = self.peaks.iter().rev().copied().reduce(|right, left| node(&left, &right));
        joined.unwrap_or_else(|| Digest::of(b""))
    }
}

/// Where a tree of `size` entries, at least two, is split: the largest power of two below.
fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// The hash of the entries from `begin` up to `end`, as they stand together in the tree.
fn subtree<E>(begin: u64, end: u64, nodes: &mut impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Digest, E> {
    let size = end - begin;
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return nodes(level, begin >> level);
    }
    let middle = begin + split(size);
    let left = subtree(begin, middle, nodes)?;
    Ok(node(&left, &subtree(middle, end, nodes)?))
}

/// What proves that entry `index` is in the tree of the first `size` entries.
///
/// # Errors
/// Those of `nodes`. For an entry outside the tree the proof is empty, and proves nothing.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    nodes: &mut impl FnMut(u32, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let (mut begin, mut end) = (0, size);
    let mut beside = Vec::new();
    while index < size && end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            beside.push((middle, end));
            end = middle;
        } else {
            beside.push((begin, middle));
            begin = middle;
        }
    }
    beside.into_iter().rev().map(|(begin, end)| subtree(begin, end, nodes)).collect()
}

/// The root of a tree of `size` entries in which `leaf` is entry `index`, if `proof` is right. `None` where no proof of
/// this length exists.
#[must_use]
pub fn root_by_inclusion(leaf: &Digest, index: u64, size: u64, proof: &[Digest]) -> Option<Digest> {
    if index >= size {
        return None;
    }
    let mut walk = Walk { at: index, last: size - 1 };
    let mut root = *leaf;
    for beside in proof {
        root = if walk.up()? { node(beside, &root) } else { node(&root, beside) };
    }
    (walk.last == 0).then_some(root)
}

/// What proves that the tree of the first `old` entries is the beginning of the one of the first `size`.
///
/// # Errors
/// Those of `nodes`. Empty, and proving nothing, where `old` is 0 or not less than `size`.
pub fn consistency<E>(
    old: u64,
    size: u64,
    nodes: &mut impl FnMut(u32, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    if old == 0 || old >= size {
        return Ok(Vec::new());
    }
    let (mut begin, mut end) = (0, size);
    let mut parts = Vec::new();
    while end != old {
        let middle = begin + split(end - begin);
        if old <= middle {
            parts.push((middle, end));
            end = middle;
        } else {
            parts.push((begin, middle));
            begin = middle;
        }
    }
    // The old tree as a whole is what the verifier holds.
    if begin > 0 {
        parts.push((begin, end));
    }
    parts.into_iter().rev().map(|(begin, end)| subtree(begin, end, nodes)).collect()
}

/// Whether `proof` shows that the tree of `old` entries with root `old_root` is the beginning of that of `size` with
/// `root`. Of equal sizes the roots are compared; every tree begins with the empty one.
#[must_use]
pub fn is_beginning(old: u64, old_root: &Digest, size: u64, root: &Digest, proof: &[Digest]) -> bool {
    if old == 0 || old >= size {
        let empty = old == 0 && *old_root == Digest::of(b"");
        return proof.is_empty() && (empty || old == size && old_root == root);
    }
    let (mut walk, mut rest) = (Walk { at: old - 1, last: size - 1 }, proof);
    let start = if old.is_power_of_two() {
        *old_root
    } else {
        let Some((first, more)) = proof.split_first() else { return false };
        rest = more;
        *first
    };
    let lowest = walk.at.trailing_ones();
    walk.at = walk.at.checked_shr(lowest).unwrap_or(0);
    walk.last = walk.last.checked_shr(lowest).unwrap_or(0);
    let (mut was, mut is) = (start, start);
    for beside in rest {
        match walk.up() {
            None => return false,
            Some(true) => (was, is) = (node(beside, &was), node(beside, &is)),
            Some(false) => is = node(&is, beside),
        }
    }
    walk.last == 0 && was == *old_root && is == *root
}

/// A walk from a leaf to the root: where it is in its level, and the last place there.
struct Walk {
    at: u64,
    last: u64,
}

impl Walk {
    /// Goes up over one node of a proof. True where that node lies on the left. `None` above the root.
    fn up(&mut self) -> Option<bool> {
        if self.last == 0 {
            return None;
        }
        let left = self.at & 1 == 1 || self.at == self.last;
        if left && self.at & 1 == 0 {
            // Levels in which nothing stands to the right have no node in the proof.
            let levels = self.at.trailing_zeros();
            self.at >>= levels;
            self.last >>= levels;
        }
        self.at >>= 1;
        self.last >>= 1;
        Some(left)
    }
}
