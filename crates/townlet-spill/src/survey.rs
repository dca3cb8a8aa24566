//! What is in the folder: the part of a start that only reads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::disk::{Disk, FileInfo, read_full};
use crate::error::SpillError;
use crate::recovery::{Damage, RepairStep, StateFound};
use crate::segment::{Header, MAX_HEADER, QUARANTINE, SUFFIX, Segment, file_name, parse_name};
use crate::state::{self, SlotState, State};
use crate::two_slot::{SlotHealth, TwoSlot};

/// Takes a fraction of a second to read.
const SMALL: u64 = 64 << 20;

/// Of so many segments at most the headers are read although the names are in
/// order, to find files that were given each other's names.
const VERIFY: usize = 256;

/// What the folder holds, and what has to be done to make it whole.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) two_slot: TwoSlot,
    pub(crate) state: Option<State>,
    pub(crate) found: StateFound,
    /// As they will be once `steps` are done.
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) slots: Vec<SlotState>,
    pub(crate) next: u64,
    pub(crate) next_ordinal: u64,
    pub(crate) tail_records: u64,
    pub(crate) tail_bytes: u64,
    pub(crate) torn_bytes: u64,
    pub(crate) damage: Vec<Damage>,
    pub(crate) steps: Vec<RepairStep>,
    pub(crate) quarantined: Vec<FileInfo>,
}

impl Survey {
    /// Reads the state, the names, and what was written after the last checkpoint.
    /// `visit` sees targets and head of each record of that tail.
    pub(crate) fn take(
        disk: &mut dyn Disk,
        chunk: usize,
        visit: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<Self, SpillError> {
        let files = disk.list().map_err(|error| SpillError::io("cannot list the spill folder", error))?;
        let (two_slot, payload, health) = TwoSlot::load(disk, state::FILE);
        let state = payload.as_deref().and_then(State::parse);
        let found = match (health, &state) {
            (SlotHealth::OneDamaged, Some(_)) => StateFound::Older,
            (_, Some(_)) => StateFound::Good,
            (SlotHealth::Empty, None) if is_first_life(&files) => StateFound::Fresh,
            (_, None) => StateFound::Rebuilt,
        };
        let quarantined = files.iter().filter(|file| file.name.ends_with(QUARANTINE)).cloned().collect();
        let mut shelf = Shelf::new(files, state.as_ref().map_or(0, |state| state.first_ordinal));
        shelf.sort(disk, state.as_ref());
        let segments: VecDeque<Segment> = shelf
            .kept
            .iter()
            .map(|(ordinal, (first, len))| Segment::new(file_name(*ordinal, *first), *ordinal, *first, *len))
            .collect();
        let after_names = segments.back().map_or(1, |last| last.ordinal + 1);
        let mut survey = Self {
            two_slot,
            found,
            next: state.as_ref().map_or(0, |state| state.next),
            next_ordinal: state.as_ref().map_or(1, |state| state.next_ordinal).max(after_names),
            slots: state.as_ref().map(|state| state.slots.clone()).unwrap_or_default(),
            state,
            segments,
            tail_records: 0,
            tail_bytes: 0,
            torn_bytes: 0,
            damage: Vec::new(),
            steps: shelf.steps,
            quarantined,
        };
        if survey.found == StateFound::Rebuilt {
            survey.steps.push(RepairStep::RewriteState);
        }
        survey.place_cursors(disk);
        survey.read_tail(disk, chunk, visit);
        Ok(survey)
    }

    /// The name that a segment has before the steps are done. They are undone from the last one on: files may have
    /// gone round by several names, so that one is the target of a step and the source of another.
    pub(crate) fn on_disk<'a>(&'a self, name: &'a str) -> &'a str {
        self.steps.iter().rev().fold(name, |now, step| match step {
            RepairStep::Rename { from, to } if to == now => from,
            _ => now,
        })
    }

    /// Without a checkpoint a small log is read as a whole, so that its figures are known.
    pub(crate) fn reads_all(&self) -> bool {
        self.state.is_none() && self.segments.iter().map(|segment| segment.len).sum::<u64>() <= SMALL
    }

    /// Brings cursors and segments together.
    fn place_cursors(&mut self, disk: &mut dyn Disk) {
        if self.state.is_none() {
            // The newest header that can be read knows the sinks.
            let newest = self.segments.iter().rev().find_map(|segment| read_header(disk, self.on_disk(&segment.name)));
            self.slots =
                newest.map(|header| header.slots.into_iter().map(SlotState::begun).collect()).unwrap_or_default();
        }
        let front = self.segments.front().map_or(self.next, |segment| segment.first);
        let older = self.found == StateFound::Older;
        let known = self.state.is_some();
        let counted = known || self.reads_all();
        for slot in &mut self.slots {
            let hinted = self.segments.iter_mut().find(|segment| segment.ordinal == slot.hint_ordinal);
            if let Some(segment) = hinted.filter(|it| slot.hint_offset > 0 && slot.hint_offset <= it.len) {
                segment.note(slot.hint_position, slot.hint_offset);
            }
            // An older checkpoint may be from before the removal of what was settled.
            if !known || older && slot.settled < front {
                slot.exact = counted && (!known || slot.settled >= front);
                slot.settled = slot.settled.max(front);
            }
        }
    }
}

impl SlotState {
    /// A sink of which nothing more than its name and beginning is known.
    pub(crate) fn begun(named: crate::segment::NamedSlot) -> Self {
        let settled = named.since;
        Self { named, settled, records: 0, bytes: 0, exact: true, hint_ordinal: 0, hint_position: 0, hint_offset: 0 }
    }
}

/// Whether nothing was ever removed: then there need not have been a checkpoint.
fn is_first_life(files: &[FileInfo]) -> bool {
    let mut segments = files.iter().filter(|file| file.name.ends_with(SUFFIX)).peekable();
    segments.peek().is_none() || segments.any(|file| parse_name(&file.name).is_some_and(|(ordinal, _)| ordinal == 1))
}

/// The header of a segment, if it can be read and is undamaged.
pub(crate) fn read_header(disk: &mut dyn Disk, name: &str) -> Option<Header> {
    let mut start = vec![0; 256];
    let got = read_full(disk, name, 0, &mut start).ok()?;
    start.truncate(got);
    let claimed = Header::claimed_len(&start)?;
    if claimed > start.len() {
        start.resize(claimed.min(MAX_HEADER), 0);
        let more = read_full(disk, name, got as u64, &mut start[got..]).ok()?;
        start.truncate(got + more);
    }
    Header::parse(&start).map(|(header, _)| header)
}

/// Segment files sorted into those to use and those to put right.
#[derive(Debug)]
struct Shelf {
    /// Ordinal to (first, len).
    kept: BTreeMap<u64, (u64, u64)>,
    odd: Vec<FileInfo>,
    names: BTreeSet<String>,
    steps: Vec<RepairStep>,
    floor: u64,
}

impl Shelf {
    fn new(files: Vec<FileInfo>, floor: u64) -> Self {
        let names = files.iter().map(|file| file.name.clone()).collect();
        let mut shelf = Self { kept: BTreeMap::new(), odd: Vec::new(), names, steps: Vec::new(), floor };
        for file in files.into_iter().filter(|file| file.name.ends_with(SUFFIX)) {
            match parse_name(&file.name) {
                Some((ordinal, first)) if ordinal >= floor && !shelf.kept.contains_key(&ordinal) => {
                    shelf.kept.insert(ordinal, (first, file.len));
                }
                _ => shelf.odd.push(file),
            }
        }
        shelf.odd.sort_by(|a, b| a.name.cmp(&b.name));
        shelf
    }

    fn sort(&mut self, disk: &mut dyn Disk, state: Option<&State>) {
        let leftovers: Vec<FileInfo> = std::mem::take(&mut self.odd);
        for file in leftovers {
            // Settled before the last checkpoint; its removal did not last.
            let settled = parse_name(&file.name).is_some_and(|numbers| {
                numbers.0 < self.floor
                    && read_header(disk, &file.name).is_none_or(|header| (header.ordinal, header.first) == numbers)
            });
            match settled {
                true => self.steps.push(RepairStep::Remove { name: file.name, bytes: file.len }),
                false => self.odd.push(file),
            }
        }
        let expected = self.is_as_expected(state);
        if expected && self.kept.len() > VERIFY {
            return;
        }
        let verified = self.verify(disk);
        if !expected || !self.odd.is_empty() {
            self.place_odd(disk, verified);
        }
    }

    /// Whether the names alone tell that nothing was lost, moved or added.
    fn is_as_expected(&self, state: Option<&State>) -> bool {
        let Some(state) = state else { return false };
        let ordinals = self.kept.keys().copied();
        let from = self.kept.keys().next().copied().unwrap_or(state.next_ordinal);
        let firsts: Vec<u64> = self.kept.values().map(|(first, _)| *first).collect();
        let begins = from == state.first_ordinal || self.kept.is_empty() && state.first_ordinal == state.next_ordinal;
        begins && self.odd.is_empty() && ordinals.zip(from..).all(|(a, b)| a == b) && firsts.is_sorted()
    }

    /// Reads every header. Returns the ordinals whose headers agree with the
    /// names; those that contradict them join the odd ones.
    fn verify(&mut self, disk: &mut dyn Disk) -> BTreeSet<u64> {
        let mut verified = BTreeSet::new();
        for (ordinal, (first, len)) in self.kept.clone() {
            let name = file_name(ordinal, first);
            match read_header(disk, &name) {
                Some(header) if (header.ordinal, header.first) == (ordinal, first) => {
                    verified.insert(ordinal);
                }
                Some(_) => {
                    self.kept.remove(&ordinal);
                    self.odd.push(FileInfo { name, len });
                }
                None => {}
            }
        }
        verified
    }

    fn place_odd(&mut self, disk: &mut dyn Disk, mut verified: BTreeSet<u64>) {
        let mut last_moves = Vec::new();
        for file in std::mem::take(&mut self.odd) {
            let header = read_header(disk, &file.name).map(|header| (header.ordinal, header.first));
            let proper = header.filter(|numbers| parse_name(&file_name(numbers.0, numbers.1)).is_some());
            let free = proper.filter(|(ordinal, _)| {
                *ordinal >= self.floor && (!self.kept.contains_key(ordinal) || !verified.contains(ordinal))
            });
            let Some((ordinal, first)) = free else {
                self.quarantine(file, "another segment has its place, or nobody can tell its place");
                continue;
            };
            if let Some((taken, len)) = self.kept.remove(&ordinal) {
                let name = file_name(ordinal, taken);
                self.quarantine(FileInfo { name, len }, "its header is damaged and another file has its place");
            }
            let to = file_name(ordinal, first);
            if self.names.contains(&to) {
                // Two files with each other's names: through a third, which
                // says what it is should a crash come between.
                let between = self.free_name(ordinal);
                self.steps.push(RepairStep::Rename { from: file.name, to: between.clone() });
                last_moves.push(RepairStep::Rename { from: between, to });
            } else {
                self.names.insert(to.clone());
                self.steps.push(RepairStep::Rename { from: file.name, to });
            }
            self.kept.insert(ordinal, (first, file.len));
            verified.insert(ordinal);
        }
        self.steps.append(&mut last_moves);
        self.put_in_order(&verified);
    }

    /// A name for a moment that no file has, nor will have.
    fn free_name(&mut self, ordinal: u64) -> String {
        let mut name = format!("moved-{ordinal}{SUFFIX}");
        for copy in 2.. {
            if self.names.insert(name.clone()) {
                break;
            }
            name = format!("moved-{ordinal}.{copy}{SUFFIX}");
        }
        name
    }

    /// Positions must not go down from one segment to the next. Whose header
    /// could not be read has to yield.
    fn put_in_order(&mut self, verified: &BTreeSet<u64>) {
        let kept = self.kept.clone();
        let firsts = |range: &mut dyn Iterator<Item = (&u64, &(u64, u64))>| -> Vec<u64> {
            range.filter(|(ordinal, _)| verified.contains(ordinal)).map(|(_, (first, _))| *first).collect()
        };
        let mut lowest = 0;
        for (ordinal, (first, len)) in &kept {
            let highest = firsts(&mut kept.range(ordinal + 1..)).into_iter().min().unwrap_or(u64::MAX);
            let in_order = *first >= lowest && (verified.contains(ordinal) || *first <= highest);
            if in_order {
                lowest = *first;
                continue;
            }
            self.kept.remove(ordinal);
            let name = file_name(*ordinal, *first);
            self.quarantine(FileInfo { name, len: *len }, "its position contradicts its neighbours");
        }
    }

    fn quarantine(&mut self, file: FileInfo, reason: &str) {
        let mut to = format!("{}{QUARANTINE}", file.name);
        for copy in 2.. {
            if !self.names.contains(&to) {
                break;
            }
            to = format!("{}.{copy}{QUARANTINE}", file.name);
        }
        self.names.insert(to.clone());
        self.steps.push(RepairStep::Quarantine { name: file.name, to, bytes: file.len, reason: reason.to_owned() });
    }
}
