//! A small file that is either as it was or as it should be.

use std::time::Duration;

use crate::disk::{Disk, read_full, write_full};
use crate::error::{ErrorKind, SpillError};

/// Magic 8, generation 8, length 4, checksum 4.
const PREFIX: usize = 24;
const MAGIC: [u8; 8] = *b"TL2SLOT1";
const SLOT: u64 = 128 << 10;
/// Written when the file is made, so that small payloads fit on a full disk.
const PREPARED: usize = 8 << 10;

/// How a [`TwoSlot`] file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotHealth {
    /// There is no file, or nothing was ever saved in it.
    Empty,
    /// The newest payload is what [`TwoSlot::load`] returned.
    Good,
    /// One slot is damaged, by a crash while it was written or otherwise; the
    /// payload is from the other and may be the one before the newest.
    OneDamaged,
    /// Something was saved, and nothing can be read.
    Lost,
}

/// A small payload in one file, replaced as a whole: after a crash at any moment
/// [`load`](TwoSlot::load) returns the payload of the last `save` that returned
/// `Ok`, or of one begun after it.
///
/// Two slots are written in turn, each with a generation and a checksum, in
/// place: no rename, so no folder to sync, and room is needed only once.
///
/// ```
/// use townlet_spill::{Disk, OsDisk, SlotHealth, TwoSlot};
///
/// let folder = tempfile::tempdir()?;
/// let mut disk = OsDisk::new(folder.path());
/// assert!(disk.lock()?, "nobody else writes here");
/// let (mut totals, saved, health) = TwoSlot::load(&mut disk, "totals");
/// assert_eq!((saved, health), (None, SlotHealth::Empty));
/// totals.save(&mut disk, b"accepted=17")?;
///
/// let (_, saved, _) = TwoSlot::load(&mut disk, "totals");
/// assert_eq!(saved.as_deref(), Some(&b"accepted=17"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TwoSlot {
    name: String,
    /// Of the newest payload.
    generation: u64,
    /// The slot to write next, never the one with the newest good payload.
    next: u64,
    prepared: bool,
}

impl TwoSlot {
    /// Longest payload.
    pub const MAX_PAYLOAD: usize = SLOT as usize - PREFIX;

    /// Reads the file `name`, at most 256 KiB. What cannot be read counts as
    /// damaged: loading never fails, it only finds less.
    pub fn load(disk: &mut dyn Disk, name: &str) -> (Self, Option<Vec<u8>>, SlotHealth) {
        let slots = [read_slot(disk, name, 0), read_slot(disk, name, 1)];
        let newest = match (&slots[0], &slots[1]) {
            (Slot::Good(a, _), Slot::Good(b, _)) => Some(if a > b { 0 } else { 1 }),
            (Slot::Good(..), _) => Some(0),
            (_, Slot::Good(..)) => Some(1),
            _ => None,
        };
        let damaged = slots.iter().any(|slot| matches!(slot, Slot::Damaged));
        let health = match newest {
            Some(_) if damaged => SlotHealth::OneDamaged,
            Some(_) => SlotHealth::Good,
            None if damaged => SlotHealth::Lost,
            None => SlotHealth::Empty,
        };
        let mut file = Self { name: name.to_owned(), generation: 0, next: 0, prepared: false };
        let [first, second] = slots;
        let found = match newest {
            Some(0) => first,
            Some(_) => second,
            None => Slot::Empty,
        };
        let Slot::Good(generation, payload) = found else { return (file, None, health) };
        file.generation = generation;
        file.next = if newest == Some(0) { 1 } else { 0 };
        file.prepared = true;
        (file, Some(payload), health)
    }

    /// Replaces the payload, durably. Returns what the sync took.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge) above [`MAX_PAYLOAD`](Self::MAX_PAYLOAD),
    /// [`Full`](ErrorKind::Full) and [`Io`](ErrorKind::Io). The payload before stays
    /// valid; the next call tries the same slot again, since it is unknown
    /// what a failed sync left of it.
    pub fn save(&mut self, disk: &mut dyn Disk, payload: &[u8]) -> Result<Duration, SpillError> {
        if payload.len() > Self::MAX_PAYLOAD {
            let what = format!("{}: {} bytes; a slot takes at most {}", self.name, payload.len(), Self::MAX_PAYLOAD);
            return Err(SpillError::new(ErrorKind::TooLarge, what));
        }
        let failed = |error| SpillError::io(format!("cannot save {}", self.name), error);
        if !self.prepared {
            self.prepare(disk).map_err(failed)?;
        }
        let generation = self.generation.wrapping_add(1);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&generation.to_le_bytes());
        crc.update(payload);
        let mut slot = Vec::with_capacity(PREFIX + payload.len());
        slot.extend_from_slice(&MAGIC);
        slot.extend_from_slice(&generation.to_le_bytes());
        slot.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        slot.extend_from_slice(&crc.finalize().to_le_bytes());
        slot.extend_from_slice(payload);
        write_full(disk, &self.name, self.next * SLOT, &slot).map_err(failed)?;
        let took = match crate::planted::is("a checkpoint is not synced") {
            true => Duration::ZERO,
            false => disk.sync_data(&self.name).map_err(failed)?,
        };
        if !self.prepared {
            disk.sync_dir().map_err(failed)?;
        }
        (self.generation, self.next, self.prepared) = (generation, 1 - self.next, true);
        Ok(took)
    }

    fn prepare(&self, disk: &mut dyn Disk) -> std::io::Result<()> {
        match disk.create(&self.name) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Only in front of the first payload: nothing readable is overwritten.
        let zeros = vec![0; PREPARED];
        write_full(disk, &self.name, 0, &zeros)?;
        write_full(disk, &self.name, SLOT, &zeros)
    }
}

enum Slot {
    Empty,
    Good(u64, Vec<u8>),
    Damaged,
}

fn read_slot(disk: &mut dyn Disk, name: &str, slot: u64) -> Slot {
    let mut prefix = [0; PREFIX];
    match read_full(disk, name, slot * SLOT, &mut prefix) {
        Ok(0) => return Slot::Empty,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Slot::Empty,
        Err(_) => return Slot::Damaged,
        Ok(_) if prefix == [0; PREFIX] => return Slot::Empty,
        Ok(_) => {}
    }
    read_payload(disk, name, slot, &prefix).unwrap_or(Slot::Damaged)
}

fn read_payload(disk: &mut dyn Disk, name: &str, slot: u64, prefix: &[u8; PREFIX]) -> Option<Slot> {
    let rest = prefix.strip_prefix(&MAGIC)?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let crc = rest.first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok().filter(|len| *len <= TwoSlot::MAX_PAYLOAD)?;
    let mut payload = vec![0; len];
    if read_full(disk, name, slot * SLOT + PREFIX as u64, &mut payload).ok()? != len {
        return None;
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(generation);
    hasher.update(&payload);
    (hasher.finalize() == u32::from_le_bytes(*crc)).then(|| Slot::Good(u64::from_le_bytes(*generation), payload))
}
