//! A segmented append log on disk, with a cursor per sink.
//!
//! **What it is.** Where records go that did not fit into memory, or that must
//! survive the process. A record is an opaque `head` (who it is), an opaque
//! `body` (what it is), and the set of sinks that still owe it. One log serves
//! up to 64 sinks, each with a cursor of its own: one write, many readers. It
//! is a state machine over a [`Disk`]; time is an argument, there is no thread
//! in it. [`TwoSlot`] is the small crash-safe file that it keeps its state in,
//! usable alone.
//!
//! **What it is not.** It knows no frame, no payload and no retry, and is not
//! for several processes or threads at once. It does not encrypt.
//!
//! # Guarantees
//! - What [`Spill::commit`] returned under [`FsyncPolicy::EachCommit`] survives a
//!   power cut. A failed sync is taken at its word: what it covered is written
//!   again, to a new file, before anything is reported.
//! - A record comes again after a crash if it was settled after the last
//!   [`Spill::checkpoint`]; it never comes not at all, unless the disk damaged it,
//!   or [`Spill::shed`] gave it up, which is counted.
//! - [`Spill::open`] ends in a usable log whatever is in the folder, and reads
//!   only what was appended after the last checkpoint. Damage is passed, counted
//!   as a bounded number, and its files are kept as `*.quarantine`.
//! - Reading takes a bounded buffer however long the backlog is.
//! - Errors leave what was appended in memory; the same call later goes on.
//!
//! Checksums find accidents, not forgers: whoever can write to the folder can
//! make records.
//!
//! # Driving it
//! Append; when [`Spill::commit_due`] says so, commit; when
//! [`Spill::checkpoint_due`] says so, checkpoint, with the caller's account of
//! that moment, which the next start gets back together with the heads of what
//! was appended after it ([`Spill::open_with`]).
//!
//! # Files
//! `state` (two slots), `lock`, and segments named by number and first position,
//! each with a header and records of header, head and body; see the sources of
//! `frame` and `segment` for the bytes.
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use townlet_spill::{OsDisk, Spill, SpillOptions};
//!
//! let folder = tempfile::tempdir()?;
//! let open = || Spill::open(Box::new(OsDisk::new(folder.path())), SpillOptions::default(), Duration::ZERO);
//!
//! let (mut spill, recovery) = open()?;
//! assert!(recovery.is_clean());
//! let main = spill.sink("main")?;
//! let position = spill.append(Duration::ZERO, main.bit(), b"run/town/1", b"{\"tick\":1}\n")?;
//! assert!(spill.commit(Duration::ZERO)? > position, "it is on the disk");
//! drop(spill); // or a power cut
//!
//! let (mut spill, _) = open()?;
//! let main = spill.sink("main")?;
//! assert_eq!(spill.backlog(main).records, 1);
//! let mut batch = Vec::new();
//! spill.read(main, 100, 1 << 20, &mut batch)?;
//! assert_eq!(batch[0].body, b"{\"tick\":1}\n"[..]);
//! spill.settle(main, batch[0].position);
//! spill.checkpoint(Duration::ZERO, b"delivered=1")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod commit;
mod disk;
mod error;
mod fields;
mod frame;
mod log;
mod options;
mod os_disk;
mod pending;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod read;
mod recovery;
mod scan;
mod segment;
mod shed;
mod sink;
mod state;
mod survey;
mod tail;
mod tools;
mod two_slot;
mod window;

pub use disk::{Disk, FileInfo};
pub use error::{ErrorKind, SpillError};
pub use log::{Position, Spill, SpillStatus};
pub use options::{FsyncPolicy, SpillOptions};
pub use os_disk::OsDisk;
pub use read::Entry;
pub use recovery::{Damage, Recovery, RepairStep, StateFound};
pub use shed::{Shed, ShedRecord};
pub use sink::{Backlog, SinkSlot};
pub use tools::{ExportedRecord, Inspection, RepairPlan, SegmentCheck, SinkInfo, check, export, inspect, repair};
pub use two_slot::{SlotHealth, TwoSlot};
