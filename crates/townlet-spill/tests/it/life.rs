//! The life of a spill on a simulated disk, and the oracle that judges what a
//! restart finds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use townlet_spill::{ErrorKind, FsyncPolicy, Position, Recovery, SinkSlot, Spill, SpillError, SpillOptions};

use crate::disk::{Dice, SimDisk};

pub(crate) const SINKS: [&str; 2] = ["main", "audit"];

pub(crate) fn small() -> SpillOptions {
    SpillOptions {
        segment_bytes: 4096,
        max_bytes: 1 << 20,
        checkpoint_bytes: 2048,
        read_buffer: 1024,
        ..SpillOptions::default()
    }
}

pub(crate) fn now(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What record `id` consists of: recognisable, and of any length.
pub(crate) fn head(id: u64) -> Vec<u8> {
    format!("id={id}").into_bytes()
}

pub(crate) fn body(id: u64) -> Vec<u8> {
    let mut dice = Dice::new(id);
    let len = if dice.below(20) == 0 { 1500 } else { dice.below(300) };
    dice.roll().to_le_bytes().repeat(len as usize / 8 + 1)[..len as usize].to_vec()
}

pub(crate) fn id_of(head: &[u8]) -> u64 {
    std::str::from_utf8(head).unwrap().strip_prefix("id=").unwrap().parse().unwrap()
}

/// What the outside world was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Every record ever appended: targets by id.
    pub(crate) appended: BTreeMap<u64, u64>,
    /// Heads and bodies, by id.
    pub(crate) bytes: BTreeMap<u64, u64>,
    /// Appended and not yet reported durable.
    pub(crate) waiting: Vec<(Position, u64)>,
    /// Reported durable, in order.
    pub(crate) durable: Vec<u64>,
    /// Settled, by sink, and what of that a checkpoint has.
    pub(crate) settled: [BTreeSet<u64>; 2],
    pub(crate) kept: [BTreeSet<u64>; 2],
    pub(crate) next_id: u64,
}

impl Told {
    fn committed(&mut self, below: Position) {
        let done = self.waiting.iter().take_while(|(position, _)| *position < below).count();
        self.durable.extend(self.waiting.drain(..done).map(|(_, id)| id));
    }
}

#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) spill: Spill,
    pub(crate) slots: [SinkSlot; 2],
    pub(crate) told: Told,
    pub(crate) recovery: Recovery,
    /// What each sink has in hand.
    pub(crate) hand: [Vec<(Position, u64)>; 2],
    /// Settled in this life.
    settled_now: [BTreeSet<u64>; 2],
    pub(crate) clock: u64,
}

impl Life {
    pub(crate) fn open(disk: &SimDisk, options: SpillOptions, told: Told) -> Result<Self, SpillError> {
        let (mut spill, recovery) = Spill::open(Box::new(disk.handle()), options, now(0))?;
        let slots = [spill.sink(SINKS[0])?, spill.sink(SINKS[1])?];
        let (hand, settled_now) = Default::default();
        Ok(Self { spill, slots, told, recovery, hand, settled_now, clock: 0 })
    }

    pub(crate) fn append(&mut self, targets: u64) -> Result<u64, SpillError> {
        let id = self.told.next_id;
        let (head, body) = (head(id), body(id));
        let position = self.spill.append(now(self.clock), targets, &head, &body)?;
        self.told.bytes.insert(id, (head.len() + body.len()) as u64);
        self.told.next_id += 1;
        self.told.appended.insert(id, targets);
        self.told.waiting.push((position, id));
        Ok(id)
    }

    pub(crate) fn append_to_both(&mut self, count: usize) {
        for _ in 0..count {
            self.append(self.slots[0].bit() | self.slots[1].bit()).unwrap();
        }
    }

    pub(crate) fn commit(&mut self) -> Result<(), SpillError> {
        self.clock += 1;
        let done = self.spill.commit(now(self.clock));
        self.told.committed(self.spill.durable());
        let below = done?;
        assert!(below >= self.spill.durable());
        Ok(())
    }

    pub(crate) fn checkpoint(&mut self) -> Result<(), SpillError> {
        self.clock += 1;
        let extra = format!("{}", self.told.next_id);
        let done = self.spill.checkpoint(now(self.clock), extra.as_bytes());
        self.told.committed(self.spill.durable());
        done?;
        for sink in 0..2 {
            self.told.kept[sink].extend(&self.settled_now[sink]);
        }
        Ok(())
    }

    /// Reads up to `most` for a sink, checking each record.
    pub(crate) fn read(&mut self, sink: usize, most: usize) -> Result<usize, SpillError> {
        let mut entries = Vec::new();
        let done = self.spill.read(self.slots[sink], most, usize::MAX, &mut entries);
        for entry in &entries {
            let id = id_of(&entry.head);
            assert_eq!(entry.body, body(id), "record {id} came back changed");
            assert_eq!(self.told.appended.get(&id), Some(&entry.targets), "record {id} was never appended so");
            assert!(entry.targets & self.slots[sink].bit() != 0, "record {id} is not for sink {sink}");
            let last = self.hand[sink].last().map(|(_, last)| *last);
            assert!(last < Some(id), "record {id} came after {last:?}");
            self.hand[sink].push((entry.position, id));
        }
        done.map(|_| entries.len())
    }

    pub(crate) fn settle(&mut self, sink: usize, count: usize) {
        let count = count.min(self.hand[sink].len());
        let done: Vec<(Position, u64)> = self.hand[sink].drain(..count).collect();
        if let Some((through, _)) = done.last() {
            self.spill.settle(self.slots[sink], *through);
        }
        self.settled_now[sink].extend(done.iter().map(|(_, id)| id));
        self.told.settled[sink].extend(done.iter().map(|(_, id)| id));
    }

    /// One step of a random life.
    pub(crate) fn random_step(&mut self, dice: &mut Dice) -> Result<(), SpillError> {
        let sink = dice.below(2) as usize;
        match dice.below(12) {
            0..=4 => {
                let targets = [self.slots[0].bit(), self.slots[1].bit(), self.slots[0].bit() | self.slots[1].bit()];
                for _ in 0..=dice.below(4) {
                    self.append(targets[dice.below(3) as usize])?;
                }
            }
            5 | 6 => self.commit()?,
            7 | 8 => {
                self.read(sink, 1 + dice.below(16) as usize)?;
            }
            9 => self.settle(sink, dice.below(24) as usize),
            10 if dice.below(3) == 0 => {
                self.spill.rewind(self.slots[sink]);
                self.hand[sink].clear();
            }
            _ if self.spill.checkpoint_due() || dice.below(3) == 0 => self.checkpoint()?,
            _ => {}
        }
        Ok(())
    }

    /// What is owed to a sink and was reported durable.
    pub(crate) fn owed(told: &Told, bit: u64, sink: usize) -> Vec<u64> {
        let settled = &told.settled[sink];
        let mine = told.durable.iter().filter(|id| told.appended[id] & bit != 0);
        mine.filter(|id| !settled.contains(id)).copied().collect()
    }
}

/// Opens what a crash left and holds it against what was told.
pub(crate) fn judge(disk: &SimDisk, options: &SpillOptions, told: &Told, context: &str) -> Life {
    let mut life = Life::open(disk, options.clone(), told.clone()).unwrap();
    for sink in 0..2 {
        let promised = life.spill.backlog(life.slots[sink]);
        while life.read(sink, 7).unwrap() > 0 {}
        let got: Vec<u64> = life.hand[sink].iter().map(|(_, id)| *id).collect();
        for id in Life::owed(told, life.slots[sink].bit(), sink) {
            assert!(got.contains(&id), "{context}: durable record {id} is missing at sink {sink}; it has {got:?}");
        }
        for id in &told.kept[sink] {
            assert!(!got.contains(id), "{context}: record {id} was settled before the checkpoint, and is back");
        }
        assert_eq!(life.spill.take_lost(life.slots[sink]), 0, "{context}: {:?}", life.recovery);
        if promised.exact {
            assert_eq!(promised.records, got.len() as u64, "{context}: the backlog of sink {sink} is wrong");
        }
        assert!(promised.exact, "{context}: the figures should be known");
    }
    // It goes on.
    let id = life.append(life.slots[0].bit()).unwrap();
    life.commit().unwrap();
    assert_eq!(life.read(0, 9).unwrap(), 1, "{context}: record {id} does not come");
    life.checkpoint().unwrap();
    life
}

pub(crate) fn is_crash(error: &SpillError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Full)
}

pub(crate) fn each_policy() -> [FsyncPolicy; 3] {
    [FsyncPolicy::EachCommit, FsyncPolicy::Every(Duration::from_millis(5)), FsyncPolicy::Never]
}
