//! What the spooler asks of a machine and tells it.

use townlet_spill::Position;
use townlet_transport::Frame;

use super::{Machine, Phase};
use crate::DropReason;
use crate::queue::Appended;

/// What the spooler has to do for one sink.
#[derive(Debug, Default)]
pub(crate) struct Errand {
    /// Everything up to here may leave the log.
    pub(crate) settled: Option<Position>,
    /// Frames to append, oldest first, with the stream of their account.
    pub(crate) frames: Vec<(u32, Frame)>,
    /// How many of them may go on in memory, by count and bytes.
    pub(crate) keep: (usize, usize),
    /// How much to read back, by count and bytes.
    pub(crate) restore: Option<(usize, usize)>,
}

impl Machine {
    /// True where this sink has a spill.
    pub fn spools(&self) -> bool {
        self.queue.spools()
    }

    /// True where frames wait for the spooler, or memory has room for what it has.
    pub fn wants_spooler(&self) -> bool {
        self.queue.has_spooling() || self.restores().is_some() || self.queue.awaits_rescue()
    }

    fn restores(&self) -> Option<(usize, usize)> {
        // What is on disk when the end comes is for the next run.
        (self.phase == Phase::Running).then(|| self.queue.room_to_restore())?
    }

    /// `takes`: whether the log takes more; else only what may go on in memory without it is handed over.
    pub(crate) fn errand(&mut self, max_bytes: usize, takes: bool) -> Errand {
        let restore = self.restores();
        self.queue.reserve(restore.unwrap_or_default());
        Errand {
            settled: self.queue.take_settled(),
            frames: match takes || self.phase == Phase::Finished {
                true => self.queue.spool(max_bytes),
                false => self.queue.spool_what_is_kept(),
            },
            keep: self.queue.room_to_keep(),
            restore,
        }
    }

    /// All answers to an errand are there.
    pub(crate) fn errand_done(&mut self) {
        self.queue.reserve((0, 0));
    }

    pub(crate) fn appended(&mut self, answers: &[Appended]) {
        self.queue.appended(answers);
        self.due_if_restored();
    }

    /// Whether the disk takes nothing at present.
    pub(crate) fn note_disk(&mut self, held_up: bool) {
        self.queue.note_disk(held_up);
    }

    pub(crate) fn rescue(&mut self, positions: &[Position]) {
        self.queue.rescue(positions);
        self.due_if_restored();
    }

    pub(crate) fn committed(&mut self, end: Position, durable: bool) {
        self.queue.committed(end, durable);
    }

    pub(crate) fn restore(&mut self, stream: u32, position: Position, frame: Frame) {
        self.queue.restore(stream, position, frame);
        self.due_if_restored();
    }

    /// What comes back from disk has waited long enough.
    fn due_if_restored(&mut self) {
        if self.queue.ready() > 0 {
            self.pressed.set(true);
        }
    }

    /// The log held `events` of an earlier run when it was opened; they are on
    /// the books of `stream` from now on.
    pub(crate) fn recovered(&mut self, stream: u32, events: u64) {
        self.queue.recover(stream, events);
    }

    pub(crate) fn drop_spilled(&mut self, stream: u32, seq: u64, position: Position, reason: DropReason) {
        self.queue.drop_spilled(stream, seq, position, reason);
    }

    pub(crate) fn give_up(&mut self, through: Position) {
        self.queue.give_up(through);
    }

    pub(crate) fn reconcile(&mut self, stream: u32, left: u64) {
        self.queue.reconcile(stream, left);
    }

    pub(crate) fn unstored(&mut self, stream: u32, positions: &[Position]) {
        self.queue.unstored(stream, positions);
    }

    /// True where nothing is on its way to the log.
    pub fn has_spooled(&self) -> bool {
        self.queue.has_spooled()
    }

    /// What the spooler could not store before the end is lost.
    pub fn abandon_spool(&mut self, reason: DropReason) {
        self.queue.abandon_spool(reason);
    }
}
