//! Changes of arrays.

use townlet_schema::Json;

use super::writer::{Writer, is_scalar};

impl Writer<'_> {
    /// The change from `base` to `next`, both arrays, `new` being the items of
    /// `next`. False, with nothing written, where they are equal.
    ///
    /// Takes the shortest of: items off the front and new ones at the end; one
    /// place where items went and others came; each index on its own; the whole.
    /// The first of them where two are as long.
    pub(super) fn list(&mut self, base: &[Json], next: &Json, new: &[Json], level: usize) -> bool {
        let shorter = base.len().min(new.len());
        let head = base.iter().zip(new).take_while(|(old, new)| old == new).count();
        if head == base.len() && head == new.len() {
            return false;
        }
        let start = self.at();
        let kept = if head == base.len() { head } else { self.overlap(base, new) };
        if kept > 0 {
            self.slide(base.len() - kept, kept, new, level);
            // Most of it is kept: nothing else is shorter by more than a few bytes.
            if kept >= new.len() - new.len() / 4 {
                return true;
            }
        }
        let tail =
            base.iter().rev().zip(new.iter().rev()).take(shorter - head).take_while(|(old, new)| old == new).count();
        if head + tail > 0 {
            self.candidate(start, |writer| writer.splice(head, base.len() - tail, tail, new, level));
        }
        if base.len() == new.len() {
            self.candidate(start, |writer| writer.indices(base, new, head, tail, level));
        }
        self.or_whole(start, next, level);
        true
    }

    fn slide(&mut self, front: usize, kept: usize, new: &[Json], level: usize) {
        self.text(b"[");
        self.number(front);
        self.items(kept.checked_sub(1).map(|last| &new[last]), &new[kept..], level);
        self.text(b"]");
    }

    /// The items from `head` to `end` give way to those of `new` between its
    /// first `head` and its last `tail`.
    fn splice(&mut self, head: usize, end: usize, tail: usize, new: &[Json], level: usize) {
        self.text(b"[null,");
        self.number(head);
        self.text(b",");
        self.number(end - head);
        self.items(head.checked_sub(1).map(|last| &new[last]), &new[head..new.len() - tail], level);
        self.text(b"]");
    }

    fn items<'j>(&mut self, mut before: Option<&'j Json>, items: &'j [Json], level: usize) {
        for item in items {
            self.text(b",");
            match before {
                Some(before) if !is_scalar(item) && !is_scalar(before) => {
                    if !self.change(before, item, level + 1) {
                        self.text(b"{}");
                    }
                }
                _ => self.whole(item, level + 1),
            }
            before = Some(item);
        }
    }

    fn indices(&mut self, base: &[Json], new: &[Json], head: usize, tail: usize, level: usize) {
        let mut separator: &[u8] = b"{\"";
        for index in head..new.len() - tail {
            let mark = self.at();
            self.text(separator);
            self.number(index);
            self.text(b"\":");
            if self.change(&base[index], &new[index], level + 1) {
                separator = b",\"";
            } else {
                self.back_to(mark);
            }
        }
        self.text(b"}");
    }

    /// How many items at the end of `base` are the first ones of `new`: the most
    /// that there can be.
    ///
    /// By the borders of Knuth, Morris and Pratt, so that lists which repeat
    /// themselves take no longer than others.
    fn overlap(&mut self, base: &[Json], new: &[Json]) -> usize {
        let longest = base.len().min(new.len());
        let base = &base[base.len() - longest..];
        // The usual step of a full window, without a table.
        if longest > 1 && base[1..] == new[..longest - 1] && base[..] != new[..longest] {
            return longest - 1;
        }
        let borders = &mut self.borders;
        borders.clear();
        borders.resize(longest, 0);
        let mut matched = 0;
        for at in 1..longest {
            while matched > 0 && new[at] != new[matched] {
                matched = borders[matched - 1];
            }
            matched += usize::from(new[at] == new[matched]);
            borders[at] = matched;
        }
        matched = 0;
        for item in base {
            while matched == longest || matched > 0 && *item != new[matched] {
                matched = borders[matched - 1];
            }
            matched += usize::from(longest > 0 && *item == new[matched]);
        }
        matched
    }
}
