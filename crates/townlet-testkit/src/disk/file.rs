//! One file: what reads show, what a crash leaves.

use super::random::Dice;
use super::{Survival, survives};

/// What disks write in one piece.
const SECTOR: u64 = 512;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Cut { len: u64 },
}

#[derive(Clone, Debug, Default)]
pub(super) struct SimFile {
    shown: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

impl SimFile {
    pub(super) fn durable(content: Vec<u8>) -> Self {
        Self { shown: content.clone(), durable: content, unsynced: Vec::new() }
    }

    pub(super) fn shown(&self) -> &[u8] {
        &self.shown
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        put(&mut self.shown, offset, bytes);
        self.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn cut(&mut self, len: u64) {
        cut(&mut self.shown, len);
        self.unsynced.push(Change::Cut { len });
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            apply(&mut self.durable, &change);
        }
    }

    /// The sync failed: what it was to write counts as clean from now on, and some of it
    /// was written.
    pub(super) fn lose(&mut self, dice: &mut Dice) {
        self.durable = self.after_crash(Survival::Any, dice);
        self.unsynced.clear();
    }

    /// What a restart finds.
    pub(super) fn after_crash(&self, survival: Survival, dice: &mut Dice) -> Vec<u8> {
        let mut content = self.durable.clone();
        for change in &self.unsynced {
            match change {
                Change::Cut { .. } if survives(survival, dice) => apply(&mut content, change),
                Change::Cut { .. } => {}
                Change::Write { offset, bytes } => {
                    for (at, piece) in sectors(*offset, bytes) {
                        if survives(survival, dice) {
                            put(&mut content, at, piece);
                        }
                    }
                }
            }
        }
        content
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => put(content, *offset, bytes),
        Change::Cut { len } => cut(content, *len),
    }
}

fn grow(content: &mut Vec<u8>, len: usize) {
    if content.len() < len {
        // Several times faster than `resize` in a build without optimisation.
        content.extend_from_slice(&vec![0; len - content.len()]);
    }
}

fn cut(content: &mut Vec<u8>, len: u64) {
    content.truncate(len as usize);
    grow(content, len as usize);
}

fn put(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (from, to) = (offset as usize, offset as usize + bytes.len());
    grow(content, to);
    content[from..to].copy_from_slice(bytes);
}

/// The pieces of a write that lie in one sector each.
fn sectors(offset: u64, mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let (mut at, mut pieces) = (offset, Vec::new());
    while !bytes.is_empty() {
        let room = (SECTOR - at % SECTOR) as usize;
        let (piece, rest) = bytes.split_at(room.min(bytes.len()));
        pieces.push((at, piece));
        at += piece.len() as u64;
        bytes = rest;
    }
    pieces
}
