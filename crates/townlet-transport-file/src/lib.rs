//! Frames appended to a file, whole lines only.
//!
//! **What it is.** A [`Transport`](townlet_transport::Transport) to one path:
//! it creates the folders, appends, starts a new file by size, age or day, and
//! syncs as eagerly as it is told. [`Housekeeping`] compresses and deletes what is
//! finished; a [`Follower`] reads it all, each line once, while it is written.
//!
//! **What it is not.** It answers no queries over what it wrote. Pipes are not
//! files: see `townlet-transport-stdout`.
//!
//! # Guarantees
//! - Building a transport touches no disk.
//! - A file consists of whole lines. A write that fails half way is cut back to
//!   the last whole line, and exactly the frames before it count as settled:
//!   no line is torn, none comes twice. What a crash left torn is ended by a
//!   line break before anything else is appended.
//! - A full disk is [`StorageFull`](townlet_transport::ErrorKind::StorageFull):
//!   nothing is lost, sending again later goes on where it stopped.
//! - A file that was renamed, deleted or truncated by somebody else is noticed
//!   before the next batch, and a new one is started at the path.
//! - Two processes never write to one file: it is locked for as long as it is
//!   open (advisory, where the file system has locks).
//! - Each time a file is opened, begun after rotation or found truncated, the
//!   run marker is its next line, so that runs stay apart; and `connect` says
//!   `fresh`, so that what follows can be read without what came before.
//! - With [`Fsync::EachBatch`](townlet_transport::Fsync::EachBatch) a settled
//!   frame is on the disk; frames then settle as `durable`.
//!
//! # Rotation
//! A file that has reached `rotate_bytes` or `rotate_after` is renamed from
//! `name.jsonl` to `name.20261121T065501Z-000.jsonl` (UTC; the counter tells
//! apart what falls into one second) at the next `connect`, which the worker
//! calls before each batch: a file exceeds the limit by at most one batch. Age
//! counts from the creation of the file where the system knows it, else from its
//! opening.
//!
//! A file that a symbolic link at the path leads to is not rotated: only the link would be
//! renamed. The log says so (`telemetry_file_rotation_failed`), and the file goes on.
//!
//! A path may name the time of writing, in UTC: `logs/%F/town.jsonl` begins a new
//! folder each day. The file of the day before keeps its name. The day never goes
//! back while a process runs, nor at a start whose clock is behind by less than an
//! hour, so that the order of the files is that of their content.
//!
//! # Finished files
//! What was set aside, and what belongs to an earlier day, is finished. On a thread
//! beside the batches (one a transport, and only where something of this is asked):
//!
//! - With `gzip` each becomes `name.….jsonl.gz`: a part is written and synced,
//!   renamed, the folder synced, and then the original goes. A kill at any moment
//!   leaves a part, which is removed at the next start, or both forms, of which
//!   the original goes once they were compared; never less than one whole form.
//! - Then the newest `keep_files` stay, and of those what is not older than
//!   `keep_for` and fits into `keep_bytes`. Age is told from names: from when it was
//!   set aside, else from the end of its day. Each deletion is logged
//!   (`telemetry_file_deleted`, with totals) and counted
//!   ([`HousekeepingCounts`]); empty folders of days go too.
//! - Nothing else is ever touched: not the file that is written to, by this process
//!   or another; no link; no name that this transport would not have given.
//!
//! # Following
//! A [`Follower`] gives out the whole lines of all these files in the order in which
//! they were written, each once, also across restarts with its [`Position`]. Limits:
//! what was deleted or truncated before it was read is gone, which is counted; lines
//! that the writer took back after a failed sync come twice, as the worker sends
//! them twice; of files that another program renames it finds the one that it was
//! reading, and misses what was both begun and renamed between two looks.
//!
//! # Example
//! ```
//! use townlet_transport::{Frame, Label, Transport};
//! use townlet_transport_file::{FileOptions, FileTransport, Follower, From};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("not/there/yet/town.jsonl");
//! let mut sink = FileTransport::new(FileOptions::new(&path))?;
//! assert!(!path.exists());
//!
//! sink.connect()?;
//! sink.send(&[Frame::new(Label::new("run", "town"), "event", 1, 1, "{\"tick\":1}\n")])?;
//! assert_eq!(std::fs::read_to_string(&path)?, "{\"tick\":1}\n");
//!
//! let mut follower = Follower::new(&path, From::Active)?;
//! let mut line = Vec::new();
//! assert!(follower.next_line(&mut line)? && line == b"{\"tick\":1}\n");
//! assert!(!follower.next_line(&mut line)?, "nothing more for now");
//! let kept = follower.position().to_string();
//!
//! sink.send(&[Frame::new(Label::new("run", "town"), "event", 2, 2, "{\"tick\":2}\n")])?;
//! let mut follower = Follower::resume(&path, kept.parse()?)?;
//! assert!(follower.next_line(&mut line)? && line == b"{\"tick\":2}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calendar;
mod factory;
mod follow;
mod housekeeping;
mod janitor;
mod lines;
mod names;
mod options;
mod pack;
mod pattern;
mod rotation;
mod target;
mod transport;

pub use factory::FileFactory;
pub use follow::{FollowCounts, Follower, From, NoPosition, Position};
pub use housekeeping::{Housekeeping, HousekeepingCounts};
pub use options::FileOptions;
pub use transport::FileTransport;
